"""Tools of an MCP server, over the official SDK: a command that is started, or a streamable-HTTP address.

A thread of its own owns a connection, so that blocking callers and any number of event loops can use it. Whatever the
server does, a call ends: within its time limit, with a result or one line for the agent. When the server itself is gone
(it died, closed the session, or stopped answering), that is the world's fault and not the agent's: the calls under way
raise `EnvironmentFault`, so that their episodes are run again, and the next call starts the server anew.

A server that remembers something of its caller belongs to one environment: a new start forgets it.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import threading
import weakref
from functools import partial
from time import perf_counter
from typing import Any

from pydantic import Field, model_validator

from agentgym.clients import Secrets, check_address, plain_line
from agentgym.config import Config
from agentgym.faults import ConfigError, EnvironmentFault, MissingExtra
from agentgym.tools.base import ToolError
from agentgym.tools.json_schema import portable
from agentgym.tools.remote import FAULT, Offer, RemoteSpec, read_env, remote_tools
from agentgym.tools.toolset import ToolSet

try:
    from mcp_types import CallToolResult

    from agentgym.tools.mcp_link import END_S, Gone, Link
except ImportError as error:
    raise MissingExtra("mcp", "tools") from error

#: Environment variables of this process that a server gets without being named.
PASSED_ENV = ("PATH", "HOME", "LANG")
#: Share of its time limit after which a call counts as unanswered, and that it waits for a server to start.
PATIENCE = 0.9


class McpServer(Config):
    """An MCP server: either a command to start, or the address of one that runs."""

    command: list[str] | None = Field(None, min_length=1)
    """Program and arguments; it speaks MCP on its standard streams."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables for the command, besides PATH, HOME and LANG."""
    pass_env: list[str] = Field(default_factory=list)
    """Names of this process's environment variables that the command gets as they are."""
    cwd: str | None = None
    """Folder that the command runs in. None: this process's."""
    url: str | None = None
    """Address of a streamable-HTTP server, e.g. ``http://127.0.0.1:8000/mcp``."""
    headers_env: dict[str, str] = Field(default_factory=dict)
    """HTTP header -> name of the environment variable that holds its value, e.g. ``{Authorization: API_TOKEN}``."""
    start_timeout_s: float = Field(20.0, gt=0)
    """Seconds until the server must have listed its tools."""
    max_restarts: int = Field(3, ge=0)
    """Times in a row that it is started anew without having answered a call in between."""
    max_unanswered: int = Field(3, ge=1)
    """Calls in a row that may run out of time before the server is taken to hang, ended and started anew."""
    max_message_bytes: int = Field(4 * 2**20, ge=1024)
    """A longer message is not read; the call that it answers fails."""

    @model_validator(mode="after")
    def _one_of_both(self) -> McpServer:
        if (self.command is None) == (self.url is None):
            raise ValueError("needs either command or url")
        if self.url is not None:
            check_address(self.url)
        wrong = ("env", "pass_env", "cwd") if self.command is None else ("headers_env",)
        for key in wrong:
            if getattr(self, key):
                raise ValueError(f"{key} does not go with {'url' if self.command is None else 'command'}")
        return self


class McpSpec(RemoteSpec):
    """An entry of a tool list: an MCP server's tools."""

    mcp: McpServer


def open_mcp(spec: McpSpec, where: str) -> ToolSet:
    """Starts or reaches the server and offers its tools.

    Raises:
        ConfigError: The command or a variable does not exist, or the tools asked for.
        EnvironmentFault: The server did not list its tools.
    """
    server = McpTools(spec.mcp, f"{where}.mcp")
    try:
        return ToolSet(remote_tools(server.open(), spec, where), close=server.close)
    except BaseException:
        server.close_blocking()
        raise


class McpTools:
    """One MCP server over as many connections, one after the other, as it takes.

    Args:
        config: How to reach it.
        where: Names it in messages.

    Raises:
        ConfigError: The command or an environment variable does not exist.
    """

    def __init__(self, config: McpServer, where: str) -> None:
        self._config, self._where = config, where
        given = {**read_env({name: name for name in config.pass_env}, f"{where}.pass_env"), **config.env}
        self._env = {name: os.environ[name] for name in PASSED_ENV if name in os.environ} | given
        self._headers = read_env(config.headers_env, f"{where}.headers_env")
        # A program's own settings are no secrets in its answers, but need not be in reports of its end.
        self._secrets = Secrets(self._headers.values())
        self._private = Secrets([*self._headers.values(), *given.values()])
        if config.command is not None and shutil.which(config.command[0], path=self._env.get("PATH")) is None:
            raise ConfigError(f"{where}.command: no program {config.command[0]!r}")
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._former: list[Link] = []
        self._failures = self._unanswered = 0
        self._closed = False
        _open.add(self)

    def open(self) -> list[Offer]:
        """Starts it. Blocks.

        Raises:
            EnvironmentFault: It did not list its tools in time.
        """
        try:
            tools = self._living().started.result(self._config.start_timeout_s + END_S)
        except Gone as gone:
            raise self._fault(gone) from None
        except TimeoutError:
            raise EnvironmentFault(FAULT, f"{self._where}: it keeps its connection busy without end") from None
        return [
            Offer(
                tool.name,
                tool.description or tool.title or "",
                partial(portable, tool.input_schema),
                partial(self._invoke, tool.name),
            )
            for tool in tools
        ]

    async def call(self, name: str, arguments: dict[str, Any], timeout_s: float) -> CallToolResult:
        """Calls a tool by the name that the server has for it.

        Raises:
            EnvironmentFault: The server is gone.
            ToolError: The server refuses, or its answer cannot be read.
        """
        began = perf_counter()
        try:
            link = self._living()
            if not await link.wait_started(PATIENCE * timeout_s):
                raise Gone("it is still starting")
            result = await link.call(name, arguments, timeout_s)
        except Gone as gone:
            raise self._fault(gone) from None
        except asyncio.CancelledError:
            if perf_counter() - began >= PATIENCE * timeout_s:
                self._count_unanswered()
            raise
        except ToolError:
            self._failures = self._unanswered = 0
            raise
        self._failures = self._unanswered = 0
        return result

    async def close(self) -> None:
        """Ends the connection and the server's processes."""
        await asyncio.to_thread(self.close_blocking)

    def close_blocking(self) -> None:
        """`close` for callers outside of an event loop."""
        with self._lock:
            self._closed = True
            links = [*self._former, *([] if self._link is None else [self._link])]
            self._link, self._former = None, []
        _open.discard(self)
        for link in links:
            link.end()

    async def _invoke(self, name: str, arguments: dict[str, Any], timeout_s: float) -> tuple[Any, str]:
        result = await self.call(name, arguments, timeout_s)
        text = self._secrets.hide(as_text(result))
        if result.is_error:
            raise ToolError(text or "the tool failed and did not say why")
        value = result.structured_content
        return (text if value is None else self._secrets.hide_in(value)), text

    def _living(self) -> Link:
        """The connection, made anew if it has ended."""
        with self._lock:
            if self._closed:
                raise Gone("its tool set is closed")
            link = self._link
            if link is not None and not link.usable:
                self._failures += link.is_mine
                self._former = [one for one in (*self._former, link) if not one.over]  # may still be ending
                link = None
            if link is None:
                if self._failures > self._config.max_restarts:
                    raise Gone(f"it ended {self._failures} times in a row and is not started again")
                link = self._link = Link(self._config, self._env, self._headers)
            return link

    def _count_unanswered(self) -> None:
        with self._lock:
            self._unanswered += 1
            if self._unanswered < self._config.max_unanswered or self._link is None:
                return
            link, self._unanswered = self._link, 0
        link.give_up(f"it left {self._config.max_unanswered} calls in a row unanswered")

    def _fault(self, gone: Gone) -> EnvironmentFault:
        return EnvironmentFault(FAULT, f"{self._where}: {self._private.hide(plain_line(gone))}")


def as_text(result: CallToolResult) -> str:
    """What a result says, as the agent reads it; what is no text is named."""
    parts = []
    for block in result.content:
        if block.type == "text":
            parts.append(block.text)
        elif block.type == "resource":
            text = getattr(block.resource, "text", None)
            parts.append(text if isinstance(text, str) else f"[resource {plain_line(block.resource.uri, 200)}]")
        elif block.type == "resource_link":
            parts.append(f"[resource {plain_line(block.uri, 200)}]")
        else:
            parts.append(f"[{block.type} {plain_line(block.mime_type, 80)}, {len(block.data)} characters of base64]")
    if not parts and result.structured_content is not None:
        from pydantic_core import to_json

        return to_json(result.structured_content).decode()
    return "\n".join(parts)


_open: weakref.WeakSet[McpTools] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for server in list(_open):
        server.close_blocking()
