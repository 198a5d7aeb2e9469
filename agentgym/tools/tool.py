"""`@tool`: a typed, documented Python function becomes something an agent can call.

    @tool(timeout_s=5)
    def population(city: str, year: int = 2020) -> int:
        \"\"\"Says how many people live in a city.

        Args:
            city: Its English name.
            year: Of the census.
        \"\"\"

Name, description and JSON schema come from the function; arguments are validated by pydantic before the call; whatever
goes wrong comes back to the agent as one line it can act on. A tool is found by the name of an entry point (group
``agentgym.tools``) or by an import path, ``package.module:function``; `agentgym.tools.toolset` opens several at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, create_model
from pydantic_core import PydanticSerializationError, to_json

from agentgym.faults import ConfigError, first_line
from agentgym.methods import argument_meanings
from agentgym.registry import Registry
from agentgym.tools.base import MAX_OUTPUT_CHARS, TIMEOUT_S, AnyTool, ToolError, said

P = ParamSpec("P")
R = TypeVar("R")


class Tool(AnyTool, Generic[P, R]):
    """A function that an agent can call; to Python code it stays the function it was.

    Args:
        function: Typed and documented; sync or async.
        name: Its name for the agent; by default the function's own.
        timeout_s: Seconds a call may take. A blocking function that runs longer is left behind in its thread.
        max_output_chars: A longer result is cut, and says so at its end.

    Attributes:
        arguments: Pydantic model of the arguments.
        description: First line of the docstring.

    Raises:
        ConfigError: No docstring, an argument without a type or of one that pydantic cannot check, or ``*args``.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        timeout_s: float = TIMEOUT_S,
        max_output_chars: int = MAX_OUTPUT_CHARS,
    ) -> None:
        self.function = function
        plain = function.func if isinstance(function, functools.partial) else function
        name = name or str(getattr(plain, "__name__", type(plain).__name__))
        description = (inspect.getdoc(plain) or "").strip().partition("\n")[0]
        if not description:
            raise ConfigError(f"tool {name!r} needs a docstring: its first line is what the agent is told")
        super().__init__(name, description, arguments_of(name, function), timeout_s, max_output_chars)
        self.__doc__, self.__name__ = plain.__doc__, name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The plain function, without any of a call's checks and limits."""
        return self.function(*args, **kwargs)

    async def _run(self, checked: BaseModel) -> tuple[Any, str]:
        values = {name: getattr(checked, name) for name in type(checked).model_fields}
        function: Callable[..., Any] = self.function
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            value = await function(**values)
            return value, _text(value)
        return await _in_thread(function, values)


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *, name: str | None = None, timeout_s: float = TIMEOUT_S, max_output_chars: int = MAX_OUTPUT_CHARS
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    timeout_s: float = TIMEOUT_S,
    max_output_chars: int = MAX_OUTPUT_CHARS,
) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Decorator, with or without options: makes a function a `Tool`, whose arguments it takes."""

    def make(one: Callable[P, R]) -> Tool[P, R]:
        return Tool(one, name=name, timeout_s=timeout_s, max_output_chars=max_output_chars)

    return make if function is None else make(function)


#: Tools and toolmakers by name: the package's own, those that installed packages offer in the entry-point group
#: ``agentgym.tools``, and import paths.
TOOLS: Registry[Any] = Registry(
    "tool",
    "agentgym.tools",
    lazy={
        "calculator": "agentgym.tools.calculator:calculator",
        "search": "agentgym.envs.search.tool:search",
        "fetch": "agentgym.tools.fetch:fetch",
        "workspace": "agentgym.tools.workspace:workspace",
        "python": "agentgym.tools.cells:python",
        "shell": "agentgym.tools.cells:shell",
    },
)


def get_tool(name: str) -> AnyTool:
    """The tool of that name or import path; a plain function is made one.

    Raises:
        ConfigError: Unknown (names the nearest known one), or something that cannot be a tool.
    """
    return as_tool(TOOLS.get(name), name)


def as_tool(found: object, name: str) -> AnyTool:
    """What was found under a name, as a tool.

    Raises:
        ConfigError: It cannot be one.
    """
    if isinstance(found, AnyTool):
        return found
    if not inspect.isroutine(found) and not isinstance(found, functools.partial):
        raise ConfigError(f"tool {name!r} is not a function but a {type(found).__name__}")
    return Tool(found)


def arguments_of(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """A model of a function's arguments; unknown ones are refused.

    Raises:
        ConfigError: An argument without a type or of one that pydantic cannot check, or ``*args``.
    """
    plain = function.func if isinstance(function, functools.partial) else function
    typed = plain if inspect.isroutine(plain) else type(plain).__call__
    try:
        hints = get_type_hints(typed, include_extras=True)
    except NameError as error:
        raise ConfigError(f"tool {name!r}: a type cannot be found: {error}") from None
    meanings = {**argument_meanings(plain), **argument_meanings(typed)}
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigError(f"tool {name!r}: argument {parameter.name!r} must be one that can be given by name")
        if parameter.name not in hints:
            raise ConfigError(f"tool {name!r}: argument {parameter.name!r} needs a type")
        default = ... if parameter.default is parameter.empty else parameter.default
        meaning = meanings.get(parameter.name)
        fields[parameter.name] = (
            Annotated[hints[parameter.name], Field(description=meaning)] if meaning else hints[parameter.name],
            default,
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an argument may be called "json" or "copy"
            model = create_model(
                name,
                __config__=ConfigDict(extra="forbid", protected_namespaces=()),
                __doc__=(inspect.getdoc(plain) or "").strip().partition("\n")[0],
                **fields,
            )
            model.model_json_schema()
    except (PydanticUserError, NameError) as error:
        raise ConfigError(f"tool {name!r}: {first_line(error)}") from None
    return model


def _text(value: Any) -> str:
    """A result as the agent reads it: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return to_json(value).decode()
    except (PydanticSerializationError, ValueError):
        return str(value)


async def _in_thread(function: Callable[..., Any], values: Mapping[str, Any]) -> tuple[Any, str]:
    """Calls a blocking function in a daemon thread of its own: one that hangs holds up neither others nor the exit."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, str] | BaseException] = loop.create_future()

    def deliver(outcome: tuple[Any, str] | BaseException) -> None:
        if not done.done():
            done.set_result(outcome)

    def work() -> tuple[Any, str]:
        value = function(**values)
        return value, _text(value)  # here, since a value may take long to write

    def run() -> None:
        outcome: tuple[Any, str] | BaseException
        try:
            outcome = context.run(work)
        except BaseException as error:
            outcome = error
        try:
            loop.call_soon_threadsafe(deliver, outcome)
        except RuntimeError:  # nobody waits any more: the loop is closed
            return

    context = contextvars.copy_context()
    threading.Thread(target=run, name="tool", daemon=True).start()
    outcome = await done
    if isinstance(outcome, Exception):
        raise outcome
    if isinstance(outcome, BaseException):  # SystemExit or KeyboardInterrupt would end the event loop
        raise ToolError(said(outcome))
    return outcome
