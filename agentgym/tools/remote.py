"""Tools that run elsewhere: what tools of MCP servers and operations of web services have in common.

Somebody else named and described them. A name becomes one that an action can have, a description becomes one line, and
a tool whose schema cannot be used is left out with a warning.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, Field

from agentgym.actions import THINK
from agentgym.clients import plain_line
from agentgym.config import Config
from agentgym.faults import ConfigError, did_you_mean
from agentgym.tools.base import MAX_OUTPUT_CHARS, TIMEOUT_S, AnyTool
from agentgym.tools.json_schema import SchemaArguments, SchemaProblem, arguments_from, numbered

#: Tools that one entry may bring; more would fill a prompt, so the configuration has to choose.
MAX_TOOLS = 256
#: Kind of the `EnvironmentFault` of a server that is gone.
FAULT = "tool-server"
#: Longest name of a tool, in characters.
MAX_NAME_CHARS = 64

#: Carries a call out: arguments under the schema's own names -> (value, what the agent reads).
Invoke = Callable[[dict[str, Any], float], Awaitable[tuple[Any, str]]]


class Limits(Config):
    """Limits of every tool of an entry."""

    timeout_s: float | None = Field(None, gt=0)
    """Seconds a call may take. None: as the tool says."""
    max_output_chars: int | None = Field(None, ge=1)
    """Characters of a result that the agent gets to read. None: as the tool says."""


class RemoteSpec(Limits):
    """What entries with tools from elsewhere have in common."""

    prefix: str = ""
    """Put before every name, e.g. ``shop_``."""
    only: list[str] | None = None
    """The tools to offer, by the names they have there. None: all."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool as its server or file describes it.

    Attributes:
        name, description: As they are there.
        schema: Gives the JSON schema of the arguments, portable, or raises `SchemaProblem`.
        invoke: Carries a call out; takes the arguments and the seconds it may take.
    """

    name: str
    description: str
    schema: Callable[[], dict[str, Any]]
    invoke: Invoke


class RemoteTool(AnyTool):
    """A tool that runs elsewhere. Its arguments are checked against its JSON schema before anything is sent.

    Args:
        offer: What it is.
        name: Its name for the agent.
        timeout_s: Seconds a call may take.
        max_output_chars: A longer result is cut, and says so at its end.

    Raises:
        SchemaProblem: Its schema cannot be used.
    """

    def __init__(self, offer: Offer, name: str, timeout_s: float, max_output_chars: int) -> None:
        description = plain_line(offer.description) or name
        arguments = arguments_from(name, description, offer.schema())
        super().__init__(name, description, arguments, timeout_s, max_output_chars)
        self._invoke = offer.invoke

    async def _run(self, checked: BaseModel) -> tuple[Any, str]:
        return await self._invoke(cast(SchemaArguments, checked).raw(), self.timeout_s)


def remote_tools(offers: Sequence[Offer], spec: RemoteSpec, where: str) -> list[RemoteTool]:
    """The tools that an entry asks for.

    Args:
        offers: Everything there is.
        spec: Which of it, under which prefix and limits.
        where: Names the entry in messages.

    Raises:
        ConfigError: `only` names what there is not, or there are more than `MAX_TOOLS`.
    """
    names = [offer.name for offer in offers]
    for name in spec.only or ():
        if name not in names:
            raise ConfigError(f"{where}.only: no tool {name!r}; {did_you_mean(name, map(plain_line, names))}")
    chosen = [offer for offer in offers if spec.only is None or offer.name in spec.only]
    if len(chosen) > MAX_TOOLS:
        raise ConfigError(f"{where}: {len(chosen)} tools are more than {MAX_TOOLS}; choose with the key only")
    timeout_s = TIMEOUT_S if spec.timeout_s is None else spec.timeout_s
    max_output_chars = MAX_OUTPUT_CHARS if spec.max_output_chars is None else spec.max_output_chars
    made: dict[str, RemoteTool] = {}
    for offer in chosen:
        name = next(n for n in numbered(safe_name(spec.prefix + offer.name)) if n not in made)
        try:
            made[name] = RemoteTool(offer, name, timeout_s, max_output_chars)
        except SchemaProblem as problem:
            warnings.warn(f"{where}: tool {plain_line(offer.name, 80)!r} is left out: {problem}", stacklevel=2)
    return list(made.values())


def safe_name(raw: str) -> str:
    """A stranger's name for a tool as one that an action can have."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", raw[:MAX_NAME_CHARS])
    if not re.match(r"[A-Za-z_]", name) or name == THINK:
        name = f"tool_{name}"
    return name


def read_env(names: Mapping[str, str], where: str) -> dict[str, str]:
    """Values of environment variables, by the key under which a configuration names them.

    Raises:
        ConfigError: One that is not set.
    """
    for key, name in names.items():
        if name not in os.environ:
            raise ConfigError(f"{where}.{key}: the environment variable {name!r} is not set")
    return {key: os.environ[name] for key, name in names.items()}
