"""`Gateway`: all that one browser context can reach. A forward proxy on loopback that answers for an episode's sites.

Chromium sends every request of a context to its gateway, so it looks up no name and opens no connection of its own. A
request for one of the `sites` goes to an application in this process (ASGI; its lifespan is not run) or to an upstream
server; any other is refused and counted. Addresses are therefore the same in every episode (``http://shop.test/cart``),
and episodes cannot reach each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from agentgym.faults import ConfigError, MissingExtra

if TYPE_CHECKING:
    import h11

log = logging.getLogger(__name__)

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server that answers for an origin; encrypted origins (``https://``) are passed through as they are."""

    url: str  #: Its base, e.g. ``http://127.0.0.1:7770``.
    websocket: bool = False  #: Whether WebSockets are let through.


Site: TypeAlias = ASGIApp | Upstream

#: Bytes read from a connection at once.
CHUNK = 65_536
#: Bytes of a request's body that are accepted.
MAX_BODY = 16 * 1024 * 1024
#: Seconds until an upstream server must have taken a connection.
CONNECT_S = 10.0
#: Addresses and failures remembered.
MAX_KEPT = 50
PORTS = {"http": 80, "https": 443}
#: Headers that belong to one connection and are not passed on.
HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authorization proxy-authenticate te trailer transfer-encoding "
    b"upgrade".split()
)
REFUSED = b"<!doctype html><title>Refused</title><h1>Outside of this task</h1><p>This address cannot be reached.</p>"
BROKEN = b"<!doctype html><title>Error</title><h1>Internal Server Error</h1>"


def origin_of(url: str) -> str:
    """``http://Shop.test:80/cart`` -> ``http://shop.test``; empty for what is no address of the web."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    if scheme not in PORTS or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{host}" + (f":{port}" if port not in (None, PORTS[scheme]) else "")


def check_sites(sites: Mapping[str, Site]) -> None:
    """Whether a gateway can answer for these.

    Raises:
        ConfigError: An origin is none, or an ``https`` one has an application instead of an upstream server.
    """
    for origin, site in sites.items():
        if not origin or origin_of(origin) != origin:
            raise ConfigError(f"sites: {origin!r} is no origin such as 'http://shop.test'")
        if isinstance(site, Upstream):
            if urlsplit(site.url).scheme != origin.partition(":")[0] or not origin_of(site.url):
                raise ConfigError(f"sites: the server of {origin} must be an address of the same scheme: {site.url!r}")
        elif origin.startswith("https:"):
            raise ConfigError(f"sites: {origin} needs an Upstream; applications answer for http:// origins")


class Gateway:
    """The proxy of one context. Its counters say what the context does and tried to do."""

    def __init__(self) -> None:
        try:
            import h11  # noqa: F401 - a missing extra is told here, not at the first request
        except ImportError as error:
            raise MissingExtra("h11", "web") from error
        self.sites: dict[str, Site] = {}
        self.active = 0  #: Requests that are being answered.
        self.requests = 0  #: Requests so far.
        self.blocked = 0  #: Requests out of the sites so far.
        self.refused: list[str] = []  #: The first origins that were refused.
        self.failures: list[str] = []  #: Errors of the applications, one line each: the world's fault, not the agent's.
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens on a free port of loopback."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)

    @property
    def address(self) -> str:
        """Where it listens, as Chromium's ``proxy`` option wants it."""
        if self._server is None:
            raise RuntimeError("the gateway was not started")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def serve(self, sites: Mapping[str, Site]) -> None:
        """Answers for these origins from now on; they must have passed `check_sites`."""
        self.sites = dict(sites)

    async def close(self) -> None:
        """Ends all connections."""
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.gather(*self._open, return_exceptions=True)

    def refuse(self, origin: str) -> None:
        """Counts a request out of the sites."""
        self.blocked += 1
        if len(self.refused) < MAX_KEPT and origin not in self.refused:
            self.refused.append(origin)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
        try:
            await _Connection(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the browser went away, or the upstream server did
        except asyncio.CancelledError:
            pass  # closed
        finally:
            if task is not None:
                self._open.discard(task)
            writer.close()


class _Connection:
    """One connection of the browser; requests on it follow each other."""

    def __init__(self, gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import h11

        self.gateway, self.reader, self.writer = gateway, reader, writer
        self.http = h11.Connection(h11.SERVER)

    async def run(self) -> None:
        import h11

        while True:
            try:
                event = await self._next()
                if not isinstance(event, h11.Request):
                    return
                gateway = self.gateway
                gateway.active += 1
                gateway.requests += 1
                try:
                    if event.method == b"CONNECT":
                        await self._tunnel(event)
                        return
                    await self._answer(event)
                finally:
                    gateway.active -= 1
                await self.writer.drain()
                while self.http.their_state is h11.SEND_BODY:
                    await self._next()
                if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
                    return
                self.http.start_next_cycle()
            except h11.ProtocolError:
                return

    async def _next(self) -> Any:
        """The next event of the browser."""
        import h11

        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self.http.receive_data(await self.reader.read(CHUNK))

    async def _body(self) -> AsyncIterator[bytes]:
        import h11

        size = 0
        while isinstance(event := await self._next(), h11.Data):
            size += len(event.data)
            if size > MAX_BODY:
                raise h11.RemoteProtocolError(f"a body over {MAX_BODY} bytes")
            yield bytes(event.data)

    async def _answer(self, request: h11.Request) -> None:
        target = request.target.decode("latin-1")
        origin = origin_of(target)
        site = self.gateway.sites.get(origin)
        if site is None:
            self.gateway.refuse(origin or target[:80])
            self._page(403, REFUSED)
        elif isinstance(site, Upstream):
            await self._forward(request, target, site)
        else:
            await self._call(request, target, site)

    def _page(self, status: int, page: bytes) -> None:
        import h11

        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"%d" % len(page))]
        self._send(h11.Response(status_code=status, headers=headers))
        self._send(h11.Data(data=page))
        self._send(h11.EndOfMessage())

    def _send(self, event: Any) -> None:
        if data := self.http.send(event):
            self.writer.write(data)

    # -- an application in this process ---------------------------------------------------------------------------
    async def _call(self, request: h11.Request, target: str, app: ASGIApp) -> None:
        import h11

        parts = urlsplit(target)
        path = parts.path or "/"
        scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method.decode("latin-1"),
            "scheme": parts.scheme,
            "path": unquote(path),
            "raw_path": path.encode("latin-1"),
            "query_string": parts.query.encode("latin-1"),
            "root_path": "",
            "headers": [(name, value) for name, value in request.headers if name not in HOP],
            "client": ("127.0.0.1", 0),
            "server": (parts.hostname, parts.port or PORTS[parts.scheme]),
            "state": {},
        }
        body = self._body()
        ended = False

        async def receive() -> Message:
            nonlocal ended
            if not ended:
                async for part in body:
                    return {"type": "http.request", "body": part, "more_body": True}
                ended = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await asyncio.Event().wait()  # the connection closes by cancelling
            return {"type": "http.disconnect"}

        endless = False

        async def send(message: Message) -> None:
            nonlocal endless
            if message["type"] == "http.response.start":
                headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", [])]
                if any(name.lower() == b"content-type" and b"event-stream" in value for name, value in headers):
                    endless = True
                    self.gateway.active -= 1  # it never ends: nobody waits for it
                self._send(h11.Response(status_code=message["status"], headers=headers))
            elif message["type"] == "http.response.body":
                if message.get("body"):
                    self._send(h11.Data(data=message["body"]))
                if not message.get("more_body"):
                    self._send(h11.EndOfMessage())
                await self.writer.drain()

        try:
            await app(scope, receive, send)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("%s: the application failed", target)
            if len(self.gateway.failures) < MAX_KEPT:
                self.gateway.failures.append(f"{scope['method']} {target[:200]}: {type(error).__name__}: {error}"[:400])
        finally:
            if endless:
                self.gateway.active += 1
        if self.http.our_state is h11.SEND_RESPONSE:
            self._page(500, BROKEN)
        elif self.http.our_state is h11.SEND_BODY:
            raise ConnectionResetError("the application stopped in the middle of its answer")

    # -- an upstream server ---------------------------------------------------------------------------------------
    async def _forward(self, request: h11.Request, target: str, site: Upstream) -> None:
        import h11

        parts = urlsplit(target)
        try:
            reader, writer = await _connect(site.url)
        except (OSError, TimeoutError):
            self.gateway.failures.append(f"{site.url} cannot be reached")
            self._page(502, BROKEN)
            return
        with contextlib.closing(writer):
            far = h11.Connection(h11.CLIENT)
            headers = [(name, value) for name, value in request.headers if name not in HOP]
            framing = [(name, value) for name, value in request.headers if name == b"transfer-encoding"]
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            writer.write(
                far.send(
                    h11.Request(
                        method=request.method,
                        target=path.encode("latin-1"),
                        headers=[*headers, *framing, (b"connection", b"close")],
                    )
                )
                or b""
            )
            async for part in self._body():
                writer.write(far.send(h11.Data(data=part)) or b"")
                await writer.drain()
            writer.write(far.send(h11.EndOfMessage()) or b"")
            while True:
                event = far.next_event()
                if event is h11.NEED_DATA:
                    far.receive_data(await reader.read(CHUNK))
                elif isinstance(event, h11.Response):
                    passed = [(name, value) for name, value in event.headers if name not in HOP]
                    self._send(h11.Response(status_code=event.status_code, headers=passed))
                elif isinstance(event, h11.Data):
                    self._send(h11.Data(data=event.data))
                    await self.writer.drain()
                elif isinstance(event, h11.EndOfMessage):
                    self._send(h11.EndOfMessage())
                    return
                elif not isinstance(event, h11.InformationalResponse):
                    raise ConnectionResetError("the server closed the connection")

    async def _tunnel(self, request: h11.Request) -> None:
        """Passes bytes both ways: encrypted sites, and WebSockets where they are allowed."""
        import h11

        host, _, port = request.target.decode("latin-1").rpartition(":")
        secure, plain = origin_of(f"https://{host}:{port}"), origin_of(f"http://{host}:{port}")
        site = self.gateway.sites.get(secure)
        if site is None:  # Chromium asks for a tunnel for plain addresses when they are WebSockets
            site = self.gateway.sites.get(plain)
            site = site if isinstance(site, Upstream) and site.websocket else None
        if not isinstance(site, Upstream):
            self.gateway.refuse(f"{host}:{port}")
            self._page(403, REFUSED)
            await self.writer.drain()
            return
        try:
            reader, writer = await _connect(site.url)
        except (OSError, TimeoutError):
            self.gateway.failures.append(f"{site.url} cannot be reached")
            self._page(502, BROKEN)
            return
        with contextlib.closing(writer):
            self._send(h11.Response(status_code=200, headers=[]))
            writer.write(self.http.trailing_data[0])
            self.gateway.active -= 1  # open as long as the browser likes
            try:
                await _either(_pipe(self.reader, writer), _pipe(reader, self.writer))
            finally:
                self.gateway.active += 1


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.wait_for(asyncio.open_connection(parts.hostname, parts.port or PORTS[parts.scheme]), CONNECT_S)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def _either(*works: Awaitable[None]) -> None:
    """Runs both until one ends."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
