"""The standard streams of an MCP server that is a child process, as the official SDK takes a transport.

The SDK's own passes on more of the parent's environment and gathers a line of any length in memory. Here the server
gets the variables it is given, and no others; a message has a largest size; its process group ends with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, ObjectReceiveStream, ObjectSendStream, Process
from mcp.shared.message import SessionMessage
from mcp_types import INTERNAL_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

from agentgym.clients import plain_line

#: Seconds a server has to end after its input is closed, and again after SIGTERM.
GRACE_S = 2.0
#: Seconds to learn the exit status and the last words of a server that has closed its output.
SETTLE_S = 0.5
#: Lines that are no messages (a banner, stray prints) before the server is taken to speak something else.
MAX_STRAY_LINES = 1_000
#: Bytes of the server's error output that are kept, for saying why it ended.
KEPT_BYTES = 4_096
#: Bytes at either end of a message that is too long in which its id is looked for.
ID_BYTES = 256
_POLL_S = 0.01
_ID = re.compile(rb'"id"\s*:\s*(\d+)')


class ServerProcess:
    """A server process and its streams; starts when it is entered.

    Args:
        command: Program and arguments.
        env: Every environment variable that it gets.
        cwd: Folder it runs in; None: this process's.
        max_message_bytes: A longer message is not read; the request it answers fails.
        on_end: Called when the server has closed its output by itself.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: str | None,
        max_message_bytes: int,
        on_end: Callable[[], None],
    ) -> None:
        self._command, self._env, self._cwd, self._on_end = list(command), dict(env), cwd, on_end
        self._max_message_bytes = max_message_bytes
        self._process: Process | None = None
        self._stderr, self._stderr_ended = b"", False
        #: Whether it closed its output by itself.
        self.gone = False
        self._told_to_end = False

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def last_words(self) -> str:
        """How it ended, and the last line that it wrote to its error output."""
        code = None if self._process is None else self._process.returncode
        ended = "closed its output" if code is None else f"ended with exit status {code}"
        lines = self._stderr.decode("utf-8", "replace").split("\n")
        last = next((plain_line(line, 200) for line in reversed(lines) if line.strip()), "")
        return f"{ended}: {last}" if last else ended

    def streams(self) -> AbstractAsyncContextManager[Any]:
        """The transport for the SDK's client: starts the process, and ends it with all its children.

        Raises:
            OSError: It cannot be started.
        """
        return self._streams()

    @asynccontextmanager
    async def _streams(self) -> AsyncIterator[Any]:
        to_session, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        to_server, from_session = anyio.create_memory_object_stream[SessionMessage](0)
        process = await anyio.open_process(self._command, env=self._env, cwd=self._cwd, start_new_session=True)
        self._process = process
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, process, to_session)
            tasks.start_soon(self._write, process, from_session, to_session)
            tasks.start_soon(self._listen, process)
            try:
                yield from_server, to_server
            finally:
                self._told_to_end = True
                with anyio.CancelScope(shield=True):  # or the process would outlive a cancelled caller
                    await self._end(process)
                    for stream in (to_session, from_server, to_server, from_session):
                        await stream.aclose()
                tasks.cancel_scope.cancel()

    async def _read(self, process: Process, to_session: ObjectSendStream[SessionMessage | Exception]) -> None:
        stray = 0
        try:
            async with to_session:
                async for line in _lines(cast(ByteReceiveStream, process.stdout), self._max_message_bytes):
                    try:
                        message = (
                            line if isinstance(line, JSONRPCError) else jsonrpc_message_adapter.validate_json(line)
                        )
                    except ValueError:
                        stray += 1
                        if stray > MAX_STRAY_LINES:
                            break
                        continue
                    await to_session.send(SessionMessage(message))
                await self._settle(process)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, ConnectionError):
            pass  # the session is gone
        finally:
            if not self._told_to_end:
                self._on_end()

    async def _write(
        self,
        process: Process,
        from_session: ObjectReceiveStream[SessionMessage],
        to_session: ObjectSendStream[SessionMessage | Exception],
    ) -> None:
        try:
            async for item in from_session:
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                await cast(ByteSendStream, process.stdin).send(text.encode() + b"\n")
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            await self._settle(process)
            await to_session.aclose()  # so that nobody waits for an answer

    async def _settle(self, process: Process) -> None:
        self.gone = not self._told_to_end
        with anyio.move_on_after(SETTLE_S):
            while process.returncode is None or not self._stderr_ended:
                await anyio.sleep(_POLL_S)

    async def _listen(self, process: Process) -> None:
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, ConnectionError):
            async for chunk in cast(ByteReceiveStream, process.stderr):
                self._stderr = (self._stderr + chunk)[-KEPT_BYTES:]
        self._stderr_ended = True

    async def _end(self, process: Process) -> None:
        """Closes its input, waits, then ends the whole process group."""
        try:
            with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
                await cast(ByteSendStream, process.stdin).aclose()
            await _ended(process)
            if process.returncode is None:
                end_group(process.pid, signal.SIGTERM)
                await _ended(process)
        finally:
            end_group(process.pid, signal.SIGKILL)  # the server, or what it left behind
        await _ended(process)


def end_group(pid: int, how: signal.Signals) -> None:
    """Signals a process group, if any of it is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, how)


async def _ended(process: Process) -> None:
    """Waits a while for the process alone: its children may hold its pipes open."""
    with anyio.move_on_after(GRACE_S):
        while process.returncode is None:
            await anyio.sleep(_POLL_S)


async def _lines(stream: ByteReceiveStream, limit: int) -> AsyncIterator[bytes | JSONRPCError]:
    """Lines of at most `limit` bytes; a longer one becomes the failure of the request that it answers."""
    line, size, end = bytearray(), 0, b""
    async for chunk in stream:
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            size += len(part)
            if size <= limit:
                yield bytes(line + part)
            elif (failure := _too_long(bytes(line + part)[:ID_BYTES] + (end + part)[-ID_BYTES:], limit)) is not None:
                yield failure
            line, size, end = bytearray(), 0, b""
        size += len(rest)
        if size <= limit:
            line += rest
        else:
            line = (line + rest)[:ID_BYTES]
        end = (end + rest)[-ID_BYTES:]


def _too_long(ends: bytes, limit: int) -> JSONRPCError | None:
    """The answer to the request named in the beginning or the end of a message, or None where none is named."""
    found = _ID.search(ends)
    if found is None:
        return None
    error = ErrorData(code=INTERNAL_ERROR, message=f"the answer is longer than {limit} bytes")
    return JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error)
