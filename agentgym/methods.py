"""Methods that a configuration names: shaping stages, credit assignment, losses. One function each, with its source.

A method is a plain function; its keyword arguments are its parameters, its docstring says what it does, and its
registration adds the source. From the signature a pydantic model is made, so that a configuration is checked key by key
before anything runs, and `catalogue` can list every method of every kind. A plug-in is a function behind an entry point
of the kind's group, registered or not; a configuration can also name ``package.module:function``.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar, cast, get_type_hints

from pydantic import ConfigDict, Field, create_model

from agentgym.config import Config, validate
from agentgym.faults import ConfigError, did_you_mean
from agentgym.registry import Registry, load_path

F = TypeVar("F", bound=Callable[..., Any])

#: What an implementation rests on: the authors' public code, somebody's summary, general knowledge of the paper, its
#: abstract alone, or nothing but this package.
Status = Literal["code", "summary", "recalled", "abstract", "own"]

#: Kind -> import path of its `Methods`.
KINDS: Mapping[str, str] = {
    "reward": "agentgym.rewards.outcome:REWARDS",
    "judge": "agentgym.rewards.judges:JUDGES",
    "shape": "agentgym.rewards.shaping:STAGES",
    "credit": "agentgym.trainers.credit:CREDIT",
    "loss": "agentgym.trainers.losses:LOSSES",
}


@dataclass(frozen=True)
class Method(Generic[F]):
    """A function that a configuration can name.

    Attributes:
        name: Its name in the configuration.
        kind: Key of `KINDS`.
        function: Takes its data as positional arguments and its parameters by keyword.
        parameters: Model of the parameters, made from the keyword arguments.
        source: Title of the paper or project it comes from.
        arxiv: arXiv id, where there is one.
        status: What the implementation rests on.
        signals: Given the parameters, the process parts that the method reads; a pipeline refuses unknown ones.
        common: Parameters that every method of the kind has, which are not passed to the function.
        memory: Model of what the method remembers from batch to batch, with defaults to begin with; the function then
            takes it as its second argument and returns it, changed, beside its result. None: it remembers nothing.
        needs: What else the function takes by position, made by models that are trained beside the policy.
        refuse: Given the parameters, why they do not go together, or None.
        least_group: Trajectories that a group must have for the method to say anything.
    """

    name: str
    kind: str
    function: F
    parameters: type[Config]
    source: str = ""
    arxiv: str | None = None
    status: Status = "own"
    signals: Callable[[Mapping[str, Any]], Iterable[str]] | None = None
    common: type[Config] = Config
    memory: type[Config] | None = None
    needs: tuple[str, ...] = ()
    refuse: Callable[[Mapping[str, Any]], str | None] | None = None
    least_group: int = 1

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def check(self, options: Mapping[str, Any], where: str) -> Config:
        """The parameters with their defaults filled in.

        Raises:
            ConfigError: An unknown key, a wrong value, or values that do not go together; begins with `where`.
        """
        parameters = validate(self.parameters, options, where)
        if self.refuse is not None and (why := self.refuse(dict(parameters))) is not None:
            raise ConfigError(f"{where}: {why}")
        return parameters

    def bind(self, parameters: Config) -> F:
        """The function with its parameters fixed."""
        own = {k: v for k, v in parameters if k not in self.common.model_fields}
        return cast(F, functools.partial(self.function, **own))

    def describe(self) -> dict[str, Any]:
        """Plain data for listings: name, kind, summary, source, arXiv id, status and parameters with their defaults."""
        schema = self.parameters.model_json_schema()
        parameters = {k: {n: v for n, v in p.items() if n != "title"} for k, p in schema.get("properties", {}).items()}
        if isinstance(extra := schema.get("additionalProperties"), dict):
            parameters["<name>"] = extra
        return {
            "name": self.name,
            "kind": self.kind,
            "summary": self.summary,
            "source": self.source,
            "arxiv": self.arxiv,
            "status": self.status,
            "needs": list(self.needs),
            "parameters": parameters,
        }


class Methods(Generic[F]):
    """The methods of one kind, by name.

    Args:
        kind: Key of `KINDS`.
        word: For messages, e.g. ``"credit method"``.
        group: Entry-point group of plug-ins, e.g. ``"agentgym.credit"``.
        common: Parameters that every method of the kind has besides its own.
    """

    def __init__(self, kind: str, word: str, group: str, common: type[Config] = Config) -> None:
        self.kind, self.common = kind, common
        self._registry: Registry[Any] = Registry(word, group)
        self._known: dict[Callable[..., Any], Method[F]] = {}

    def register(
        self,
        name: str,
        *,
        source: str,
        status: Status,
        arxiv: str | None = None,
        signals: Callable[[Mapping[str, Any]], Iterable[str]] | None = None,
        memory: type[Config] | None = None,
        needs: tuple[str, ...] = (),
        refuse: Callable[[Mapping[str, Any]], str | None] | None = None,
        least_group: int = 1,
    ) -> Callable[[F], F]:
        """Decorator: names a function and says where it is from; see `Method`. The function stays as it is.

        Raises:
            ConfigError: The name is taken.
        """

        def put(function: F) -> F:
            about = {"source": source, "arxiv": arxiv, "status": status, "signals": signals}
            how = {"memory": memory, "needs": needs, "refuse": refuse, "least_group": least_group}
            method = self._make(name, function, **about, **how)
            self._registry.register(name)(method)
            return function

        return put

    def get(self, name: str) -> Method[F]:
        """The method of that name.

        Raises:
            ConfigError: Unknown name (names the nearest known one), or something that is no function.
        """
        found = self._registry.get(name)
        if isinstance(found, Method):
            return found
        if not inspect.isfunction(found):
            raise ConfigError(f"{self._registry.kind} {name!r} is not a function but a {type(found).__name__}")
        plugin = cast(F, found)
        return self._known[plugin] if plugin in self._known else self._make(name, plugin)

    def _make(self, name: str, function: F, **about: Any) -> Method[F]:
        parameters = _parameters(name, function, self.common)
        self._known[function] = Method(name, self.kind, function, parameters, common=self.common, **about)
        return self._known[function]

    def select(self, config: Mapping[str, Any], where: str) -> tuple[Method[F], Config]:
        """Reads ``{name: ..., parameter: value, ...}``.

        Raises:
            ConfigError: No name, an unknown one, or parameters that do not fit; begins with `where`.
        """
        options = dict(config)
        name = options.pop("name", None)
        if not isinstance(name, str):
            raise ConfigError(f"{where}: needs a name; known: {', '.join(self.names())}")
        try:
            method = self.get(name)
        except ConfigError as error:
            raise ConfigError(f"{where}.name: {error}") from None
        return method, method.check(options, f"{where} ({name})")

    def names(self) -> list[str]:
        """Every known name, built in or installed, sorted."""
        return self._registry.names()

    def all(self) -> list[Method[F]]:
        """Every known method, sorted by name."""
        return [self.get(name) for name in self.names()]


def catalogue(kind: str | None = None) -> list[Method[Any]]:
    """Every method, or those of one kind.

    Raises:
        ConfigError: No such kind.
        ImportError: A kind needs a library that is not installed (losses: torch).
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"no kind {kind!r} of method; {did_you_mean(kind, KINDS)}")
    registries: list[Any] = [load_path(path) for k, path in KINDS.items() if kind in (None, k)]
    return [method for registry in registries for method in registry.all()]


def _parameters(name: str, function: Callable[..., Any], common: type[Config]) -> type[Config]:
    """A model of the function's keyword-only arguments, on top of the kind's common ones.

    ``**names: T`` stands for any further keys with values of type T.
    """
    hints = get_type_hints(function, include_extras=True)
    meanings = argument_meanings(function)
    fields: dict[str, Any] = {}
    base = _settled(common)
    for parameter in inspect.signature(function).parameters.values():
        annotation = hints.get(parameter.name, Any)
        if parameter.kind is parameter.VAR_KEYWORD:
            base = _open(base, annotation)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.name in common.model_fields:
                raise ConfigError(f"{name}: parameter {parameter.name!r} is one that every method of the kind has")
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (Annotated[annotation, Field(description=meanings.get(parameter.name))], default)
    return create_model(name, __base__=base, __doc__=inspect.getdoc(function), **fields)


@functools.cache
def _settled(base: type[Config]) -> type[Config]:
    """The base of models whose fields have their meanings already: pydantic does not search the sources of all modules
    for them, which would take most of the time of an import."""
    namespace = {"__module__": __name__, "model_config": ConfigDict(use_attribute_docstrings=False)}
    return cast(type[Config], types.new_class(base.__name__, (base,), exec_body=lambda body: body.update(namespace)))


def _open(base: type[Config], annotation: Any) -> type[Config]:
    namespace = {
        "__module__": __name__,
        "__annotations__": {"__pydantic_extra__": dict[str, annotation]},
        "model_config": ConfigDict(extra="allow"),
    }
    return cast(type[Config], types.new_class(base.__name__, (base,), exec_body=lambda body: body.update(namespace)))


def argument_meanings(function: Callable[..., Any]) -> dict[str, str]:
    """Argument -> what the docstring's ``Args:`` section says of it."""
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n)*)", inspect.getdoc(function) or "", re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section[1], re.MULTILINE) if section else []
    return {name: " ".join(text.split()) for name, text in entries}
