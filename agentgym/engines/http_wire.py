"""`Wire`: the way to one OpenAI-compatible server, shared by everything that asks it.

Connections are kept and bounded in number. What may pass (429, 5xx, a broken or refused connection, no answer in time)
is tried again, after as long as the server asks for or after a wait that doubles, with jitter. Redirects are not
followed: the key would go where nobody has sent it. What comes back is bounded while it is read.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from agentgym.clients import (
    Secrets,
    TooMuch,
    base_address,
    check_extra,
    error_words,
    past_proxies,
    plain_line,
    read_body,
    read_json,
    read_key,
    retry_after,
)
from agentgym.config import Config, validate
from agentgym.engines.base import EngineStats
from agentgym.faults import ConfigError, EngineFault, MissingExtra

if TYPE_CHECKING:
    import httpx

#: Longest reason taken from a server's error, in characters.
MAX_REASON_CHARS = 200
#: A wait before the next try is drawn from this share of its length up to all of it: requests that failed together do
#: not come back together.
JITTER_FROM = 0.5
#: Seconds that an idle connection is kept; servers close theirs after 5 s or more (uvicorn).
KEEPALIVE_S = 4.0
#: Statuses after which trying again may help; 5xx besides.
_AGAIN = frozenset({408, 409, 425, 429})
#: A 501 will not pass.
_NEVER = frozenset({501, 505})
#: Says of a 4xx answer that the prompt is longer than the model's context.
_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size)|maximum context|max_model_len|too[ _]long|string_above_max_length"
    r"|(maximum|max)[ _](input|prompt|model)[ _]length|exceeds? the (model|available)",
    re.IGNORECASE,
)


#: What has to be waited for before something is sent.
Ready = Callable[[], Awaitable[None]]


class PromptTooLong(ConfigError):
    """The server's model has a smaller context than the prompt needs."""


class Refused(EngineFault):
    """The server answered, and said no; trying again would not help.

    Args:
        detail: One line.
        kind: See `EnvironmentFault`.
        status: Of the answer.
    """

    def __init__(self, detail: str = "", kind: str = "engine", status: int = 0) -> None:
        super().__init__(detail, kind)
        self.status = status


class HttpConfig(Config):
    """How a server is reached: what all engines that speak HTTP take."""

    url: str
    """Its address, up to and with ``/v1``."""
    api_key_env: str | None = None
    """Environment variable that holds the key; none: no key is sent."""
    concurrency: int = Field(64, ge=1)
    """Requests at once; further ones wait."""
    connect_timeout_s: float = Field(10.0, gt=0)
    """Seconds until a connection stands."""
    timeout_s: float = Field(300.0, gt=0)
    """Seconds a try may take altogether, from the connection to the last byte."""
    retries: int = Field(4, ge=0)
    """Further tries after one that failed in a way that may pass."""
    backoff_s: float = Field(0.5, ge=0)
    """Longest wait before the second try, in seconds; it doubles with each further one."""
    max_wait_s: float = Field(60.0, ge=0)
    """Longest wait between tries, in seconds. A server that asks for a longer one is out of order."""
    max_response_bytes: int = Field(64_000_000, ge=1)
    """A longer answer is not read."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further keys of every request for a completion, e.g. ``{priority: 1}``."""

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return base_address(value)

    @field_validator("extra")
    @classmethod
    def _extra(cls, value: dict[str, Any]) -> dict[str, Any]:
        check_extra(value, ("messages", "prompt", "model", "n", "stream"))
        return value


@dataclass(frozen=True, slots=True)
class _Session:
    """What belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    client: httpx.AsyncClient
    places: asyncio.Semaphore


class _Passing(Exception):
    """A try that failed in a way that may pass."""

    def __init__(self, problem: str, after_s: float | None = None) -> None:
        super().__init__(problem)
        self.after_s = after_s


class Wire:
    """Sends requests and reads answers; may be used from one event loop after another.

    Args:
        options: Of `HttpConfig`; they are validated here.
        stats: Where requests are counted.

    Attributes:
        config: As validated.
        opened: Connections made so far. What answers on a new one may have been started anew.

    Raises:
        ConfigError: An option that cannot be used, or a key that is not there.
        MissingExtra: httpx is not installed.
    """

    def __init__(self, options: Mapping[str, Any], stats: EngineStats) -> None:
        try:
            import httpx  # noqa: F401
        except ImportError:
            raise MissingExtra("httpx", "http") from None
        self.config = validate(HttpConfig, options, "engine")
        self.stats = stats
        self.opened = 0
        parts = urlsplit(self.config.url)
        self.where = parts.netloc
        self._root = self.config.url.removesuffix("/v1")
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        variable = self.config.api_key_env
        key = None
        if variable is not None:
            try:
                key = read_key(variable)
            except ConfigError as error:
                raise ConfigError(f"engine: api_key_env: {error}") from None
            self._headers["Authorization"] = f"Bearer {key}"
        self._secrets = Secrets([] if key is None else [key])
        self._session: _Session | None = None
        self._flying: set[asyncio.Task[Any]] = set()
        self._quiet_until = 0.0  # monotonic seconds
        self._inside, self._since = 0, 0.0
        self._closed: str | None = None

    async def post(
        self, path: str, body: Mapping[str, Any], *, patient: bool = True, ready: Ready | None = None
    ) -> Any:
        """The JSON that the server answers to a body.

        Args:
            path: Below the server's address, e.g. ``completions``; with a leading slash: below its root, where the
                calls are that steer the server, and those do not wait for a place among the others.
            body: The request.
            patient: Try again what may pass.
            ready: Awaited before each try, when it has its place.

        Raises:
            PromptTooLong: It says that the prompt does not fit.
            Refused: It says no.
            EngineFault: There is no answer, or one that cannot be read.
        """
        return await self._ask("POST", path, json.dumps(body).encode(), patient, ready)

    async def get(self, path: str) -> Any:
        """The JSON that is there; see `post`."""
        return await self._ask("GET", path, None, True, None)

    async def close(self) -> None:
        """Ends the connections; requests under way fail with `EngineFault`."""
        self._closed = "the engine is closed"
        session, self._session = self._session, None
        if session is None or session.loop is not asyncio.get_running_loop():
            return
        flying = list(self._flying)
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)
        await session.client.aclose()

    def line(self, text: object) -> str:
        """A stranger's words as one line without the key."""
        return plain_line(self._secrets.hide(str(text)), MAX_REASON_CHARS)

    def fault(self, problem: str) -> EngineFault:
        """The fault of this server."""
        return EngineFault(f"{self.where}: {self.line(problem)}")

    # -- tries -------------------------------------------------------------------------------------------------------

    async def _ask(self, method: str, path: str, content: bytes | None, patient: bool, ready: Ready | None) -> Any:
        if self._closed is not None:
            raise EngineFault(self._closed)
        session = self._open()
        # A task of its own, so that closing the engine ends it and not the caller.
        task = asyncio.create_task(self._persist(session, method, path, content, patient, ready))
        self._flying.add(task)
        task.add_done_callback(self._flying.discard)
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        if task.cancelled():
            raise EngineFault(self._closed or "the request was cancelled")
        return task.result()

    async def _persist(
        self, session: _Session, method: str, path: str, content: bytes | None, patient: bool, ready: Ready | None
    ) -> Any:
        tries = self.config.retries + 1 if patient else 1
        for number in range(tries):
            await self._rest()
            try:
                async with nullcontext() if path.startswith("/") else session.places:
                    if ready is not None:
                        await ready()
                    with self._busy():
                        async with asyncio.timeout(self.config.timeout_s):
                            return await self._once(session.client, method, path, content)
            except TimeoutError:
                failure = _Passing(f"no answer within {self.config.timeout_s:g} s")
            except _Passing as error:
                failure = error
            if number + 1 == tries:
                raise self.fault(f"{failure}{f' ({tries} tries)' if tries > 1 else ''}")
            self._count("retries")
            await asyncio.sleep(self._wait(number, failure))
        raise AssertionError("unreachable")

    async def _once(self, client: httpx.AsyncClient, method: str, path: str, content: bytes | None) -> Any:
        import httpx

        url = f"{self._root}{path}" if path.startswith("/") else f"{self.config.url}/{path}"
        extensions = {"trace": self._trace}
        request = client.build_request(method, url, content=content, headers=self._headers, extensions=extensions)
        self._count("requests")
        try:
            response = await client.send(request, stream=True)
            try:
                data = await read_body(response, self.config.max_response_bytes)
            finally:
                await response.aclose()
        except TooMuch as error:
            raise self.fault(str(error)) from None
        except httpx.TransportError as error:
            unreached = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            problem = "no connection" if unreached else "the connection broke"
            raise _Passing(f"{problem} ({type(error).__name__})") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.fault(f"the request cannot be sent ({type(error).__name__})") from None
        if response.status_code != 200:
            raise self._said_no(response.status_code, response.headers, data)
        body = read_json(data)
        if body is None and data:
            raise self.fault("the answer is no JSON")
        return body

    def _said_no(self, status: int, headers: httpx.Headers, data: bytes) -> Exception:
        reason = self.line(error_words(read_json(data)))
        problem = f"status {status}{': ' + reason if reason else ''}"
        if 300 <= status < 400:
            return Refused(
                f"{self.where}: {problem} (redirects are not followed; give the final address)", status=status
            )
        if status in _AGAIN or (status >= 500 and status not in _NEVER):
            return _Passing(problem, retry_after(headers.get("retry-after")))
        if status in (400, 413, 422) and _TOO_LONG.search(reason):
            return PromptTooLong(f"{self.where}: {reason}")
        if status in (401, 403) and self.config.api_key_env is not None:
            problem += f" (the key is that of {self.config.api_key_env})"
        return Refused(f"{self.where}: {problem}", status=status)

    def _wait(self, number: int, failure: _Passing) -> float:
        """Seconds before the next try."""
        limit, asked = self.config.max_wait_s, failure.after_s
        if asked is not None and asked > limit:
            raise self.fault(f"{failure}; it asks to wait {asked:.0f} s, and {limit:g} s is the limit")
        if asked is not None:  # the others need not be told one by one
            self._quiet_until = max(self._quiet_until, time.monotonic() + asked)
        return min(self.config.backoff_s * 2.0**number, limit) * random.uniform(JITTER_FROM, 1.0)

    async def _rest(self) -> None:
        while (left := self._quiet_until - time.monotonic()) > 0:
            await asyncio.sleep(left)

    # -- bookkeeping -------------------------------------------------------------------------------------------------

    def _open(self) -> _Session:
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:
            import httpx

            bound = self.config.concurrency
            client = httpx.AsyncClient(
                timeout=httpx.Timeout(None, connect=self.config.connect_timeout_s),
                limits=httpx.Limits(max_keepalive_connections=bound, keepalive_expiry=KEEPALIVE_S),
                mounts=past_proxies(),
                verify=self.config.url.startswith("https:"),  # certificates take long to load
                follow_redirects=False,
            )
            self._session = _Session(loop, client, asyncio.Semaphore(bound))
        return self._session

    async def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self.opened += 1

    def _count(self, name: str) -> None:
        self.stats.extra[name] = self.stats.extra.get(name, 0.0) + 1.0

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Counts the wall time in which at least one request is under way."""
        if self._inside == 0:
            self._since = time.perf_counter()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if self._inside == 0:
                self.stats.busy_s += time.perf_counter() - self._since
