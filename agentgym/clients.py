"""What every HTTP client of the package holds to: addresses checked, keys hidden, answers bounded.

A server is a stranger. Its address is a plain one, its key comes from a named environment variable and is in no
message, what it answers is read up to a limit, and its words are one printable line before they are repeated.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agentgym.faults import ConfigError

if TYPE_CHECKING:
    import httpx

#: Hosts that no proxy leads to.
LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: Shortest part of a secret that is looked for in texts, in characters; shorter ones are found in any text.
MIN_SECRET_CHARS = 6
#: Longest line made of a stranger's text, in characters.
MAX_LINE_CHARS = 500


def check_address(url: str) -> None:
    """Refuses what is not the plain address of a web service.

    Raises:
        ValueError: Why.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address must begin with http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address must not hold a password; name a variable under headers_env")
    if parts.fragment:
        raise ValueError("an address must not have a # part")


def base_address(url: str) -> str:
    """The address that paths are put after: a plain one, without a query, without the slash in the end.

    Raises:
        ValueError: Why it cannot be one.
    """
    check_address(url)
    if "?" in url:
        raise ValueError("must have no ? part")
    return url.rstrip("/")


def check_extra(extra: Mapping[str, Any], own: Collection[str]) -> None:
    """Refuses further keys of a request that are the client's own, or are no JSON.

    Raises:
        ValueError: Why.
    """
    for key in extra:
        if key in own:
            raise ValueError(f"{key!r} is not to be changed")
    try:
        json.dumps(extra, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("must hold JSON values only") from None


def read_key(variable: str) -> str:
    """The key that an environment variable holds.

    Raises:
        ConfigError: It is not set, or holds what cannot be a key.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"the environment variable {variable!r} is not set")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"what {variable!r} holds cannot be a key")
    return key


class Secrets:
    """Hides values, and what follows their last space (``Bearer abc``), in texts."""

    def __init__(self, values: Iterable[str]) -> None:
        parts = {part for value in values for part in (value.strip(), value.strip().rpartition(" ")[2])}
        self._parts = sorted((part for part in parts if len(part) >= MIN_SECRET_CHARS), key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text with ``***`` in place of every secret."""
        for part in self._parts:
            text = text.replace(part, "***")
        return text

    def hide_in(self, value: Any) -> Any:
        """Plain data with every text hidden so."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return {self.hide(key): self.hide_in(one) for key, one in value.items()}
        return [self.hide_in(one) for one in value] if isinstance(value, list) else value


def past_proxies() -> dict[str, Any]:
    """``mounts`` of an httpx client that keep the machine's own addresses off any proxy."""
    return {f"all://{f'[{host}]' if ':' in host else host}": None for host in LOOPBACK}


class TooMuch(Exception):
    """An answer that must not be read to its end; says why."""


async def read_body(response: httpx.Response, max_bytes: int) -> bytes:
    """The body of an answer that was asked for as it is (``Accept-Encoding: identity``).

    Args:
        response: Opened with ``stream=True``.
        max_bytes: A longer body is not read.

    Raises:
        TooMuch: It is longer, or compressed: then it could unpack to a gigabyte.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        raise TooMuch("the answer is compressed, although nobody asked for that")
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > max_bytes:
            raise TooMuch(f"the answer is longer than {max_bytes} bytes")
    return bytes(data)


def read_json(data: bytes) -> Any:
    """What a body says; None where it is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def retry_after(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header asks to wait: a number, or a date; None where it says nothing readable."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
            seconds = date.replace(tzinfo=date.tzinfo or UTC).timestamp() - datetime.now(UTC).timestamp()
        except (ValueError, OverflowError, TypeError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def error_words(body: Any) -> str:
    """The words of an error: its code, its type and its message, wherever a server puts them."""
    error = body.get("error", body) if isinstance(body, dict) else body
    parts = [error.get(key) for key in ("code", "type", "message", "detail")] if isinstance(error, dict) else [error]
    return " ".join(str(part) for part in parts if isinstance(part, str) and part)


def plain_line(text: object, limit: int = MAX_LINE_CHARS) -> str:
    """A stranger's text as one line of printable characters, cut to `limit` characters."""
    line = " ".join(str(text)[: 4 * limit].split())
    line = "".join(c for c in line if c.isprintable())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def encodable(text: str) -> str:
    """A text without lone surrogates, which are legal in a str and in no file."""
    return text.encode("utf-8", "replace").decode()
