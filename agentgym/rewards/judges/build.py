"""Makes judges: from a configuration, or by name with a model that is ready."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from agentgym.engines.base import ENGINES, Engine
from agentgym.faults import ConfigError
from agentgym.rewards.judges.cache import VerdictCache, digest
from agentgym.rewards.judges.managed import ManagedJudge
from agentgym.rewards.judges.models import Budget, Metered, Model
from agentgym.rewards.judges.registry import JUDGES, JudgeOptions, ModelOptions

AnyModel = Model[Any, Any]
#: The engine whose model is asked in messages.
CHAT = "chat"


def make_judge(name: str, model: AnyModel | None = None, **options: Any) -> ManagedJudge:
    """A judge by name, with the rules, cache, budget and retries around it.

    Args:
        name: Known to `JUDGES`.
        model: A ready model of the kind that the judge needs, instead of one made from ``options["model"]``.
        **options: The judge's own parameters, and those of `JudgeOptions`.

    Raises:
        ConfigError: See `build_judge`.
    """
    return build_judge({"name": name, **options}, "judge", model)


def build_judge(config: Mapping[str, Any], where: str, model: AnyModel | None = None) -> ManagedJudge:
    """A judge from ``{name: ..., model: ..., parameter: value, ...}``.

    Args:
        config: The entry.
        where: For messages.
        model: See `make_judge`.

    Raises:
        ConfigError: An unknown name, parameter or model, or a judge without the model it needs; begins with `where`.
        MissingExtra: The model needs a library that is not installed.
        DataError: The cache's file cannot be used.
    """
    method, parameters = JUDGES.select(config, where)
    options = cast(JudgeOptions, parameters)
    own = parameters.model_dump(mode="json", exclude=set(JudgeOptions.model_fields))
    factory = method.bind(parameters)
    budget = Budget(options.budget)
    if not method.needs:
        if model is not None or options.model is not None:
            raise ConfigError(f"{where}.model: judge {method.name!r} asks no model")
        return _managed(factory(), lambda: digest({"name": method.name, "own": own}), options, budget, None)
    kind = method.needs[0]
    if len(method.needs) > 1 or kind not in MODELS:
        raise ConfigError(f"{where}: judge {method.name!r} needs {', '.join(method.needs)}; known: {', '.join(MODELS)}")
    close: Callable[[], Awaitable[None]] | None = None
    if model is None:
        if options.model is None:
            raise ConfigError(f"{where}.model: judge {method.name!r} needs a {kind} model")
        try:
            model = MODELS[kind](options.model)
        except ConfigError as error:
            raise ConfigError(f"{where}.model: {error}") from None
        close = getattr(model, "close", None)
    metered: Metered[Any, Any] = Metered(model, budget, options.retries)

    def identity() -> str:
        return digest({"name": method.name, "own": own, "model": metered.identity})

    return _managed(factory(metered), identity, options, budget, close)


def _managed(
    judge: Any,
    identity: Callable[[], str],
    options: JudgeOptions,
    budget: Budget,
    close: Callable[[], Awaitable[None]] | None,
) -> ManagedJudge:
    return ManagedJudge(
        judge,
        identity,
        cache=VerdictCache(options.cache_size, options.cache),
        concurrency=options.concurrency,
        budget=budget,
        openers=options.openers,
        refusals=options.refusals,
        close=close,
    )


def _chat(options: ModelOptions) -> AnyModel:
    from agentgym.engines.chat import ChatRenderer
    from agentgym.engines.loading import load_tokenizer
    from agentgym.rewards.judges.chat import EngineChat

    if options.engine == CHAT:
        return _client(options)
    kind = ENGINES.get(options.engine)
    arguments = {"model": options.name, **options.options}
    try:
        signature = inspect.signature(kind)
        signature.bind(**arguments)
    except TypeError as error:
        raise ConfigError(f"engine {options.engine!r}: {error}") from None
    tokenizer = load_tokenizer(options.name)
    if tokenizer is None:
        raise ConfigError(f"model {options.name!r} comes without a tokenizer")
    renderer = ChatRenderer(tokenizer, template=options.template, template_kwargs=options.template_kwargs)
    if "tokenizer" in signature.parameters:
        arguments.setdefault("tokenizer", tokenizer)
    engine: Engine = kind(**arguments)
    return EngineChat(engine, renderer, _identity(options))


def _client(options: ModelOptions) -> AnyModel:
    """A server's model, asked in messages: no tokenizer and no template of it need be here."""
    from agentgym.engines.http_chat import ChatClient
    from agentgym.rewards.judges.chat import ClientChat

    if options.template is not None or options.template_kwargs:
        raise ConfigError(f"engine {CHAT!r}: the server has a chat template of its own; give none")
    arguments = {"model": options.name, **options.options}
    try:
        inspect.signature(ChatClient).bind(**arguments)
    except TypeError as error:
        raise ConfigError(f"engine {CHAT!r}: {error}") from None
    return ClientChat(ChatClient(**arguments), _identity(options))


def _likelihood(options: ModelOptions) -> AnyModel:
    from agentgym.rewards.judges.causal import CausalScorer

    return _scorer(CausalScorer, options)


def _classifier(options: ModelOptions) -> AnyModel:
    from agentgym.rewards.judges.classifier import SequenceScorer

    return _scorer(SequenceScorer, options)


def _encoder(options: ModelOptions) -> AnyModel:
    from agentgym.rewards.judges.scored import BatchedEncoder, find_encoder

    return BatchedEncoder(find_encoder(options.name, **options.options), _identity(options))


def _scorer(kind: Callable[..., AnyModel], options: ModelOptions) -> AnyModel:
    arguments = {"template": options.template, "template_kwargs": options.template_kwargs, **options.options}
    try:
        inspect.signature(kind).bind(options.name, **arguments)
    except TypeError as error:
        raise ConfigError(str(error)) from None
    return kind(options.name, **arguments)


def _identity(options: ModelOptions) -> str:
    return digest({"model": options.model_dump(mode="json")})


#: Kind of model -> what makes one.
MODELS: Mapping[str, Callable[[ModelOptions], AnyModel]] = {
    "chat": _chat,
    "likelihood": _likelihood,
    "classifier": _classifier,
    "encoder": _encoder,
}
