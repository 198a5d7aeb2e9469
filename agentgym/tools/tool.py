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
``agentgym.tools``) or by an import path, ``package.module:function``.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model
from pydantic_core import PydanticSerializationError, to_json

from agentgym.actions import ActionSpec, first_problem, one_line
from agentgym.aio import run_blocking
from agentgym.faults import ConfigError
from agentgym.methods import argument_meanings
from agentgym.registry import Registry

P = ParamSpec("P")
R = TypeVar("R")

#: Seconds a call may take unless the tool says otherwise.
TIMEOUT_S = 30.0
#: Characters of a result that the agent gets to read unless the tool says otherwise.
MAX_OUTPUT_CHARS = 16_384


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call came to.

    Attributes:
        tool: The tool's name.
        text: What the agent reads: the result, or one line that says what went wrong.
        error: What went wrong: ``arguments``, ``timeout`` or ``exception``; None when nothing did.
        seconds: Wall time of the call.
        cut: Characters of the result that were left out.
        value: What the function returned; None after an error.
    """

    tool: str
    text: str
    error: str | None = None
    seconds: float = 0.0
    cut: int = 0
    value: Any = field(default=None, repr=False)


class Tool(Generic[P, R]):
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
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        if not timeout_s > 0 or max_output_chars < 1:
            raise ConfigError(f"tool {self.name!r}: timeout_s and max_output_chars must be above 0")
        self.timeout_s, self.max_output_chars = timeout_s, max_output_chars
        self.description = (inspect.getdoc(function) or "").strip().partition("\n")[0]
        if not self.description:
            raise ConfigError(f"tool {self.name!r} needs a docstring: its first line is what the agent is told")
        self.arguments = _arguments(self.name, function, self.description)
        self._call: Callable[..., Awaitable[Any]] = (
            function if inspect.iscoroutinefunction(function) else partial(_in_thread, function)
        )
        self.__doc__, self.__name__ = function.__doc__, self.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The plain function, without any of a call's checks and limits."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    @property
    def action(self) -> ActionSpec:
        """The tool as an action of an environment; a tag's body is its only required text argument."""
        required = [n for n, f in self.arguments.model_fields.items() if f.is_required()]
        text = len(required) == 1 and self.arguments.model_fields[required[0]].annotation is str
        return ActionSpec(self.name, self.arguments, required[0] if text else None)

    def schema(self) -> dict[str, Any]:
        """The OpenAI-style function schema, as chat templates and APIs take it."""
        return self.action.schema()

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """Validates the arguments and calls the function. Never raises, but when it is cancelled.

        Args:
            arguments: Plain data, as an agent wrote it.
        """
        began = perf_counter()
        try:
            checked = self.arguments.model_validate(dict(arguments))
        except ValidationError as problem:
            return self._failed("arguments", first_problem(problem), began)
        except (RecursionError, TypeError, ValueError):
            return self._failed("arguments", "the arguments must be a JSON object", began)
        values = {name: getattr(checked, name) for name in type(checked).model_fields}
        try:
            async with asyncio.timeout(self.timeout_s) as limit:
                value = await self._call(**values)
            text = _text(value)
        except TimeoutError as error:
            if limit.expired():
                return self._failed("timeout", f"took longer than {self.timeout_s:g} s", began)
            return self._failed("exception", f"TimeoutError: {error}", began)
        except (Exception, SystemExit) as error:  # a tool is other people's code
            return self._failed("exception", f"{type(error).__name__}: {error}", began)
        shown = text[: self.max_output_chars]
        cut = len(text) - len(shown)
        if cut:
            shown += f" [cut: {cut} more characters]"
        return ToolResult(self.name, shown, None, perf_counter() - began, cut, value)

    def call_blocking(self, arguments: Mapping[str, Any]) -> ToolResult:
        """`call` for callers outside of an event loop."""
        return run_blocking(self.call(arguments))

    def _failed(self, kind: str, why: str, began: float) -> ToolResult:
        return ToolResult(self.name, f"Error: {one_line(f'{self.name}: {why}')}", kind, perf_counter() - began)


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


#: Tools by name: those that installed packages offer in the entry-point group ``agentgym.tools``, and import paths.
TOOLS: Registry[Any] = Registry("tool", "agentgym.tools")


def get_tool(name: str) -> Tool[..., Any]:
    """The tool of that name or import path; a plain function is made one.

    Raises:
        ConfigError: Unknown (names the nearest known one), or something that cannot be a tool.
    """
    found = TOOLS.get(name)
    if isinstance(found, Tool):
        return found
    if not inspect.isroutine(found):
        raise ConfigError(f"tool {name!r} is not a function but a {type(found).__name__}")
    return Tool(found)


def _arguments(name: str, function: Callable[..., Any], description: str) -> type[BaseModel]:
    """A model of the function's arguments; unknown ones are refused."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigError(f"tool {name!r}: a type cannot be found: {error}") from None
    meanings = argument_meanings(function)
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
                __doc__=description,
                **fields,
            )
            model.model_json_schema()
    except (PydanticUserError, NameError) as error:
        raise ConfigError(f"tool {name!r}: {str(error).splitlines()[0]}") from None
    return model


def _text(value: Any) -> str:
    """A result as the agent reads it: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return to_json(value).decode()
    except (PydanticSerializationError, ValueError):
        return str(value)


async def _in_thread(function: Callable[..., Any], /, **values: Any) -> Any:
    """Calls a blocking function in a daemon thread of its own: one that hangs holds up neither others nor the exit."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def deliver(value: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((value, error))

    def run() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = context.run(partial(function, **values)), None
        except BaseException as error:
            outcome = None, error
        try:
            loop.call_soon_threadsafe(deliver, *outcome)
        except RuntimeError:  # nobody waits any more: the loop is closed
            return

    context = contextvars.copy_context()
    threading.Thread(target=run, name="tool", daemon=True).start()
    value, error = await done
    if error is not None:
        raise error
    return value
