"""One connection to an MCP server, from its start to its end, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    CONNECTION_CLOSED,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    Tool,
)
from pydantic import ValidationError

from agentgym.actions import first_problem
from agentgym.clients import LOOPBACK, plain_line
from agentgym.tools.base import ToolError
from agentgym.tools.mcp_stdio import ServerProcess, end_group

if TYPE_CHECKING:
    from agentgym.tools.mcp_client import McpServer

#: Pages of a list of tools, and tools in all, before it is taken to have no end.
MAX_PAGES, MAX_LISTED = 100, 10_000
# What the SDK says of an HTTP status or page that no MCP server answers a call with.
_GONE = ("Session terminated", "Server returned an error response", "Unexpected content type")
#: Seconds that ending a connection may take before it is broken off, and before its processes are killed from outside.
STOP_S, END_S = 8.0, 10.0
# What matters of it comes back from the call; without a handler it would go to the terminal.
logging.getLogger("mcp").addHandler(logging.NullHandler())


class Gone(Exception):
    """The server is not there any more, or never was."""


class Link:
    """Connects at once, in the background.

    Args:
        config: How to reach the server.
        env: Environment variables of a command.
        headers: HTTP headers for an address.

    Attributes:
        started: The tools that the server lists, or `Gone`.
        over: Whether everything has ended, the server's processes included.
    """

    def __init__(self, config: McpServer, env: Mapping[str, str], headers: Mapping[str, str]) -> None:
        self._config, self._env, self._headers = config, env, headers
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._calls: set[Future[CallToolResult]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._client: Client | None = None
        self._process: ServerProcess | None = None
        self._why: str | None = None
        self.over = False
        self.started: Future[list[Tool]] = Future()
        self._thread = threading.Thread(target=self._run, name="mcp", daemon=True)
        self._thread.start()

    @property
    def is_mine(self) -> bool:
        """Whether this process made it; a forked child inherits the object without its thread."""
        return self._owner == os.getpid()

    @property
    def usable(self) -> bool:
        """Whether calls can be sent (or will be, once it has started)."""
        return self.is_mine and not self.over and not self._stop.is_set()

    async def wait_started(self, timeout_s: float) -> bool:
        """Waits, in any event loop, until calls can be sent.

        Returns:
            Whether they can, within that time.

        Raises:
            Gone: It did not start.
        """
        started = asyncio.wrap_future(self.started)
        await asyncio.wait({started}, timeout=timeout_s)
        if not started.done():
            started.add_done_callback(lambda future: future.cancelled() or future.exception())  # nobody else will look
            return False
        started.result()
        return True

    async def call(self, name: str, arguments: dict[str, Any], timeout_s: float) -> CallToolResult:
        """Calls a tool, from any event loop.

        Raises:
            Gone: The connection ended.
            ToolError: The server refuses, or its answer cannot be read.
        """
        with self._lock:
            if self.over or self._loop is None:
                raise Gone(self._ending())
            request = self._request(name, arguments, timeout_s)
            try:
                future = asyncio.run_coroutine_threadsafe(request, self._loop)
            except RuntimeError:  # its loop was closed just now
                request.close()
                raise Gone(self._ending()) from None
            self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Gone(self._ending()) from None

    def give_up(self, why: str) -> None:
        """Ends the connection without waiting for it; calls under way learn that it is gone."""
        self._why = why
        self._signal_end()

    def end(self) -> None:
        """Ends the connection and the server's processes, and waits until they are gone."""
        if not self.is_mine:
            return
        self._signal_end()
        self._thread.join(END_S)
        if self._thread.is_alive() and self._process is not None and self._process.pid is not None:
            end_group(self._process.pid, signal.SIGKILL)

    def _signal_end(self) -> None:
        with self._lock:
            if self._loop is None:
                self._stop.set()
            elif not self._loop.is_closed():
                with suppress(RuntimeError):  # it was closed just now
                    self._loop.call_soon_threadsafe(self._stop.set)

    def _ending(self) -> str:
        if self._why is not None:
            return self._why
        gone = self._process is not None and self._process.gone
        return f"the server {self._process.last_words()}" if self._process and gone else "the connection ended"

    # -- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        problem: BaseException | None = None
        try:
            asyncio.run(self._main())
        except BaseException as error:
            problem = error
        with self._lock:
            self.over = True
            calls = list(self._calls)
        if self._why is None and problem is not None and not (self._process is not None and self._process.gone):
            self._why = _root(problem)
        if not self.started.done():
            self.started.set_exception(Gone(self._ending()))
        for call in calls:
            call.cancel()

    async def _main(self) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
        live, stop = asyncio.create_task(self._live()), asyncio.create_task(self._stop.wait())
        await asyncio.wait({live, stop}, return_when=asyncio.FIRST_COMPLETED)
        if self.started.done():
            await asyncio.wait({live}, timeout=STOP_S)
        live.cancel()  # still starting, or a farewell that nobody answers
        await live

    async def _live(self) -> None:
        limit = self._config.start_timeout_s
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(limit) as starting:
                    transport = await self._transport(stack)
                    client = Client(
                        transport,
                        read_timeout_seconds=limit / 2,  # a server that ignores what it does not know gets a second try
                        client_info=Implementation(name="agentgym", version=""),
                        cache=None,
                    )
                    self._client = await stack.enter_async_context(client)
                    tools = [tool async for tool in _listed(client)]
                    starting.reschedule(None)
            except TimeoutError:
                self._why = f"it did not list its tools within {limit:g} s"
                raise
            self.started.set_result(tools)
            await self._stop.wait()

    async def _transport(self, stack: AsyncExitStack) -> AbstractAsyncContextManager[Any]:
        config = self._config
        if config.command is not None:
            self._process = ServerProcess(
                config.command, self._env, config.cwd, config.max_message_bytes, self._stop.set
            )
            return self._process.streams()
        url = config.url or ""
        client = httpx2.AsyncClient(
            headers={**self._headers, "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(config.start_timeout_s, read=None),  # a call has its own limit
            trust_env=urlsplit(url).hostname not in LOOPBACK,
            event_hooks={"response": [_bounded(config.max_message_bytes)]},
        )
        await stack.enter_async_context(client)
        return streamable_http_client(url, http_client=client, max_sse_event_size=config.max_message_bytes)

    async def _request(self, name: str, arguments: dict[str, Any], timeout_s: float) -> CallToolResult:
        if self._client is None:
            raise Gone(self._ending())
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments))
        try:
            # Not `call_tool`, which checks results against a schema of the server's: of unbounded effort.
            return await self._client.session.send_request(request, CallToolResult, 2 * timeout_s)
        except MCPError as error:
            said = plain_line(error)
            if error.code == CONNECTION_CLOSED and said.startswith("SSE stream failed"):
                raise ToolError("the answer is too long or cannot be read") from None
            if error.code == CONNECTION_CLOSED or said.startswith(_GONE):
                self._why = self._why or (None if error.code == CONNECTION_CLOSED else said)
                self._stop.set()
                raise Gone(self._ending()) from None
            raise ToolError(said) from None
        except (ValidationError, ValueError, RecursionError):
            raise ToolError("the server's answer cannot be read") from None


async def _listed(client: Client) -> AsyncIterator[Tool]:
    """Every tool that the server has, page by page."""
    cursor, count = None, 0
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            yield tool
        cursor, count = page.next_cursor, count + len(page.tools)
        if cursor is None or count > MAX_LISTED:
            break
    if cursor is not None:
        raise Gone("its list of tools has no end")


def _bounded(limit: int) -> Any:
    """A hook that refuses compressed answers and those of more than `limit` bytes."""

    async def hook(response: httpx2.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx2.StreamError("the answer is compressed")
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            response.stream = _Bounded(response.stream, limit)

    return hook


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._limit = stream, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise httpx2.StreamError(f"the answer is longer than {self._limit} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _root(error: BaseException) -> str:
    """The first cause in a group of errors, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, asyncio.CancelledError):
        return "it was ended while it started"
    if isinstance(error, ValidationError):
        return f"its list of tools cannot be read: {first_problem(error)}"
    return str(error) if isinstance(error, Gone) else plain_line(f"{type(error).__name__}: {error}", 200)
