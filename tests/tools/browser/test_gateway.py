"""The gateway by itself: applications, upstream servers, tunnels, and what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from browsing import site
from hypothesis import given
from hypothesis import strategies as st

from agentgym.tools.browser import Upstream
from agentgym.tools.browser.gateway import Gateway, check_sites, origin_of


@contextlib.asynccontextmanager
async def serving(sites: dict[str, Any]) -> AsyncIterator[tuple[Gateway, Any]]:
    gateway = Gateway()
    await gateway.start()
    check_sites(sites)
    gateway.serve(sites)

    async def ask(raw: str | bytes) -> bytes:
        """What comes back on a connection of its own, until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.address.rpartition(":")[2]))
        writer.write(raw.encode() if isinstance(raw, str) else raw)
        try:
            return await asyncio.wait_for(reader.read(-1), 5)
        finally:
            writer.close()

    try:
        yield gateway, ask
    finally:
        await gateway.close()


def get(url: str, *headers: str) -> str:
    return "\r\n".join([f"GET {url} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""])


@contextlib.asynccontextmanager
async def upstream(answer: bytes, seen: list[bytes]) -> AsyncIterator[int]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(10_000))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def test_an_application_answers_for_its_origin() -> None:
    seen: list[Any] = []

    async def echo(scope: Any, body: bytes) -> tuple[int, str, bytes]:
        seen.append(scope)
        return 200, "text/plain", body

    async def work() -> None:
        async with serving({"http://shop.test": site({"/a b": echo})}) as (gateway, ask):
            got = await ask(
                "POST http://shop.test/a%20b?q=1 HTTP/1.1\r\nHost: shop.test\r\nProxy-Connection: keep-alive\r\n"
                "Cookie: a=1\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
            )
            assert got.startswith(b"HTTP/1.1 200")
            assert got.endswith(b"hello")
            (scope,) = seen
            assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/a b", b"q=1")
            assert scope["server"] == ("shop.test", 80)
            names = [name for name, _ in scope["headers"]]
            assert b"cookie" in names
            assert b"proxy-connection" not in names
            assert (gateway.requests, gateway.blocked, gateway.active) == (1, 0, 0)

    asyncio.run(work())


@pytest.mark.parametrize(
    "request_line",
    [
        "GET http://other.test/ HTTP/1.1",
        "GET http://shop.test:81/ HTTP/1.1",
        "GET http://shop.test@other.test/ HTTP/1.1",
        "GET http://shop.test.other.test/ HTTP/1.1",
        "GET https://shop.test/ HTTP/1.1",
        "GET ftp://shop.test/ HTTP/1.1",
        "GET / HTTP/1.1",
        "CONNECT shop.test:80 HTTP/1.1",
        "CONNECT 127.0.0.1:22 HTTP/1.1",
        "CONNECT [::1]:22 HTTP/1.1",
    ],
)
def test_everything_else_is_refused_and_counted(request_line: str) -> None:
    async def work() -> None:
        async with serving({"http://shop.test": site({"/": "<p>x</p>"})}) as (gateway, ask):
            got = await ask(f"{request_line}\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 403")
            assert (gateway.blocked, len(gateway.refused)) == (1, 1)

    asyncio.run(work())


@given(st.binary(max_size=200))
def test_noise_does_not_hurt(noise: bytes) -> None:
    async def work() -> None:
        async with serving({"http://shop.test": site({"/": "<p>x</p>"})}) as (gateway, ask):
            with contextlib.suppress(ConnectionError):
                await ask(noise + b"\r\n\r\n")
            assert b"<p>x</p>" in await ask(get("http://shop.test/"))
            assert gateway.active == 0

    asyncio.run(work())


def test_an_application_that_fails_is_told() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("no table")

    async def halfway(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("lost")

    async def work() -> None:
        async with serving({"http://a.test": broken, "http://b.test": halfway}) as (gateway, ask):
            assert (await ask(get("http://a.test/x"))).startswith(b"HTTP/1.1 500")
            await ask(get("http://b.test/y"))
            assert gateway.failures == [
                "GET http://a.test/x: ValueError: no table",
                "GET http://b.test/y: ValueError: lost",
            ]
            assert gateway.active == 0

    asyncio.run(work())


def test_requests_in_work_are_counted_and_event_streams_are_not() -> None:
    started, go = asyncio.Event, asyncio.Event

    async def work() -> None:
        begun, free = started(), go()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            kind = b"text/event-stream" if scope["path"] == "/events" else b"text/plain"
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            begun.set()
            await free.wait()
            await send({"type": "http.response.body", "body": b"two"})

        async with serving({"http://shop.test": slow}) as (gateway, ask):
            for path, active in (("/events", 0), ("/slow", 1)):
                begun.clear()
                free.clear()
                asking = asyncio.ensure_future(ask(get(f"http://shop.test{path}")))
                await begun.wait()
                assert gateway.active == active
                free.set()
                assert b"two" in await asking
                assert gateway.active == 0

    asyncio.run(work())


def test_an_upstream_server_answers_for_an_origin() -> None:
    async def work() -> None:
        seen: list[bytes] = []
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nConnection: close\r\n\r\nhi"
        async with (
            upstream(answer, seen) as port,
            serving({"http://forum.test": Upstream(f"http://127.0.0.1:{port}")}) as (gateway, ask),
        ):
            got = await ask(get("http://forum.test/list?page=2", "Cookie: b=2"))
            assert got.endswith(b"hi")
            assert b"set-cookie: a=1" in got.lower()
            assert seen[0].startswith(b"GET /list?page=2 HTTP/1.1")
            assert b"cookie: b=2" in seen[0].lower()
            refused = await ask("CONNECT forum.test:80 HTTP/1.1\r\nHost: forum.test\r\n\r\n")
            assert refused.startswith(b"HTTP/1.1 403")
        async with serving({"http://forum.test": Upstream(f"http://127.0.0.1:{port}")}) as (gateway, ask):
            assert (await ask(get("http://forum.test/"))).startswith(b"HTTP/1.1 502")
            assert gateway.failures == [f"http://127.0.0.1:{port} cannot be reached"]

    asyncio.run(work())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_tunnel_leads_to_the_upstream_server(scheme: str) -> None:
    """For encrypted sites, and for the WebSockets of plain ones where they are allowed."""

    async def work() -> None:
        seen: list[bytes] = []
        async with (
            upstream(b"welcome", seen) as port,
            serving({f"{scheme}://chat.test": Upstream(f"{scheme}://127.0.0.1:{port}", websocket=True)}) as (
                gateway,
                ask,
            ),
        ):
            number = {"http": 80, "https": 443}[scheme]
            got = await ask(f"CONNECT chat.test:{number} HTTP/1.1\r\nHost: chat.test\r\n\r\nhello")
            assert got.startswith(b"HTTP/1.1 200")
            assert got.endswith(b"welcome")
            assert seen == [b"hello"]
            assert (gateway.blocked, gateway.active) == (0, 0)

    asyncio.run(work())


def test_origins() -> None:
    assert origin_of("HTTP://Shop.Test:80/cart?x#y") == "http://shop.test"
    assert origin_of("https://shop.test:443") == "https://shop.test"
    assert origin_of("ws://shop.test:8080/x") == "http://shop.test:8080"
    assert origin_of("http://[::1]:70/") == "http://[::1]:70"
    for none in (
        "",
        "shop.test",
        "file:///etc/passwd",
        "data:text/html,x",
        "http://",
        "http://a:b:c/",
        "http://[",
        "about:blank",
    ):
        assert origin_of(none) == ""
