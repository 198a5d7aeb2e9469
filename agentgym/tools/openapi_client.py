"""Requests of a web service's operations, over httpx.

They go to the origin of one address and nowhere else: arguments are percent-encoded, a path cannot climb, a redirect to
another origin is not followed. Secrets are headers, and are taken out of whatever the service says.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from agentgym.clients import LOOPBACK, Secrets, plain_line
from agentgym.faults import EnvironmentFault, MissingExtra
from agentgym.tools.base import ToolError
from agentgym.tools.remote import FAULT

#: Redirects within the origin that are followed.
MAX_REDIRECTS = 5
#: Characters of a service's own words in an error.
MAX_SAID_CHARS = 200
#: Answers that say that the service is not there or overloaded, which is not the agent's fault.
WORLD_STATUS = (429, 502, 503, 504)
_JOINED = {"spaceDelimited": " ", "pipeDelimited": "|"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an argument goes.

    Attributes:
        where: ``path``, ``query``, ``header`` or ``body``.
        name: Its name there.
        style: OpenAPI's word for how it is written, or ``json``.
        explode: Whether the items of a list are written one by one.
    """

    where: str
    name: str
    style: str
    explode: bool


class WebClient:
    """Sends requests to one service.

    Args:
        base_url: Where it is.
        headers: Sent with every request; secret.
        max_response_bytes: A longer answer is cut.
        where: Names it in messages.

    Raises:
        MissingExtra: httpx is not installed.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str], max_response_bytes: int, where: str) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtra("httpx", "tools") from error
        self._httpx = httpx
        self._base, self._headers, self._where = base_url.rstrip("/"), dict(headers), where
        self._max_response_bytes = max_response_bytes
        self._secrets = Secrets(headers.values())
        self._proxied = urlsplit(base_url).hostname not in LOOPBACK
        # Made once, since it takes long. A request never changes its scheme.
        self._tls = httpx.create_ssl_context() if base_url.startswith("https:") else False

    async def send(
        self, method: str, path: str, places: Mapping[str, Place], arguments: Mapping[str, Any]
    ) -> tuple[Any, str]:
        """Sends a request: (the answer's value, its text).

        Args:
            method: In any letters.
            path: With its arguments in braces.
            places: Where each argument goes.
            arguments: Checked ones.

        Raises:
            ToolError: The service refuses, or the request cannot be made.
            EnvironmentFault: The service cannot be reached or is overloaded.
        """
        httpx = self._httpx
        try:
            async with httpx.AsyncClient(timeout=None, verify=self._tls, trust_env=self._proxied) as client:
                request = client.build_request(method.upper(), **self._parts(path, places, arguments))
                for _ in range(MAX_REDIRECTS + 1):
                    if _origin(request.url) != _origin(httpx.URL(self._base)):
                        raise ToolError("the service redirects to another host, which is not followed")
                    response = await client.send(request, stream=True)
                    try:
                        if response.next_request is None:
                            return await self._read(response)
                        request = response.next_request
                    finally:
                        await response.aclose()
        except (httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError):
            raise ToolError("an argument cannot be sent") from None
        except (httpx.HTTPError, OSError) as error:
            raise self._fault(f"the service cannot be reached ({type(error).__name__})") from None
        raise ToolError(f"the service redirects more than {MAX_REDIRECTS} times")

    def _parts(self, path: str, places: Mapping[str, Place], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Address, headers and body of a request."""
        parts: dict[str, Any] = {"url": self._base + filled(path, places, arguments), "headers": dict(self._headers)}
        pairs: list[tuple[str, str]] = []
        for name, value in arguments.items():
            place = places[name]
            if place.where == "query":
                pairs += written(place, value)
            elif place.where == "header" and value is not None:
                parts["headers"][place.name] = _simple(value)
            elif place.where == "body":
                parts["json"] = value
        if pairs:
            parts["url"] += f"?{urlencode(pairs, quote_via=quote)}"
        parts["headers"]["Accept-Encoding"] = "identity"  # what is not packed cannot unpack to a gigabyte
        return parts

    async def _read(self, response: Any) -> tuple[Any, str]:
        """The answer, as far as it may be read."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ToolError("the answer is packed, which is not read")
        data = bytearray()
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > self._max_response_bytes:
                break
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        readable = not kind or kind.startswith("text/") or kind.endswith(("json", "xml", "yaml", "urlencoded"))
        text = f"[{plain_line(kind, 80)}, {len(data)} bytes]"
        if readable:
            # Hidden before it is cut, which could leave half a secret.
            text = self._secrets.hide(data.decode(_charset(response), "replace"))[: self._max_response_bytes]
        status = f"HTTP {response.status_code}"
        if response.status_code in WORLD_STATUS:
            raise self._fault(f"the service answered {status}")
        if response.status_code >= 400:
            raise ToolError(f"{status}: {plain_line(text, MAX_SAID_CHARS)}" if data else status)
        if len(data) > self._max_response_bytes:
            return text, f"{text}\n[cut after {self._max_response_bytes} bytes]"
        value: Any = text
        if kind.endswith("json"):
            with contextlib.suppress(ValueError, RecursionError):  # not what it says it is: a text it remains
                value = json.loads(text)
        return value, text if data else f"({status}, no content)"

    def _fault(self, why: str) -> EnvironmentFault:
        return EnvironmentFault(FAULT, f"{self._where}: {why}")


def filled(path: str, places: Mapping[str, Place], arguments: Mapping[str, Any]) -> str:
    """A path with its arguments, percent-encoded, in place of the braces.

    Raises:
        ToolError: An argument that is missing, empty, or would climb out of its place.
    """
    given = {places[name].name: value for name, value in arguments.items() if places[name].where == "path"}

    def value(match: re.Match[str]) -> str:
        text = _simple(given.get(match[1]))
        # An encoded slash is one again for some servers, which then see the dots.
        if not text or any(part in (".", "..") for part in re.split(r"[/\\]", text)):
            raise ToolError(f"{plain_line(match[1], 40)}: must be a name, not empty and not a path with dots")
        return quote(text, safe="")

    made = re.sub(r"\{([^{}]*)\}", value, path)
    return made if made.startswith("/") else f"/{made}"


def written(place: Place, value: Any) -> list[tuple[str, str]]:
    """An argument of the query, as names and values."""
    if value is None:
        return []
    if place.style == "json":
        return [(place.name, json.dumps(value))]
    if isinstance(value, dict):
        if place.style == "deepObject":
            return [(f"{place.name}[{key}]", _simple(one)) for key, one in value.items()]
        if place.explode:
            return [(str(key), _simple(one)) for key, one in value.items()]
    if isinstance(value, list):
        if place.explode:
            return [(place.name, _simple(one)) for one in value]
        return [(place.name, _JOINED.get(place.style, ",").join(map(_simple, value)))]
    return [(place.name, _simple(value))]


def _simple(value: Any) -> str:
    """OpenAPI's simple style: lists and objects with commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(_simple, value))
    if isinstance(value, dict):
        return ",".join(f"{key},{_simple(one)}" for key, one in value.items())
    return "" if value is None else str(value)


def _charset(response: Any) -> str:
    """The charset of an answer, if it is one that can be read."""
    name = response.charset_encoding or "utf-8"
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return "utf-8"
    return str(name)


def _origin(url: Any) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
