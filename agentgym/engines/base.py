"""What an engine is: prompt ids in, sampled ids and their log-probabilities out.

The prompt is always the whole token history of the sequence. `session` names the episode: an engine that keeps
key-value caches continues the session's cache where the prompt extends what it has already read, and reads the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from agentgym.faults import ConfigError
from agentgym.registry import Registry

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample one completion.

    Attributes:
        temperature: 0 is greedy; log-probabilities are then those of the unscaled distribution.
        top_p: Nucleus mass in (0, 1].
        top_k: Keep the k likeliest tokens; 0 keeps all.
        max_tokens: Upper bound of the completion's length.
        stop: Strings that end the completion; they are part of it.
        stop_token_ids: Tokens that end it (and are part of it), besides the model's own end-of-turn token.
        seed: Same seed, same prompt, same weights: same completion, whatever else the engine is doing.

    Raises:
        ConfigError: A value out of range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ConfigError(f"sampling.temperature must be >= 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"sampling.top_p must be in (0, 1], got {self.top_p}")
        if self.top_k < 0:
            raise ConfigError(f"sampling.top_k must be >= 0, got {self.top_k}")
        if self.max_tokens < 1:
            raise ConfigError(f"sampling.max_tokens must be >= 1, got {self.max_tokens}")


@dataclass(frozen=True, slots=True)
class Completion:
    """What the engine sampled.

    Attributes:
        token_ids: The sampled tokens, the stopping token or string included.
        logprobs: One a token, of the distribution that was sampled from (temperature, top-p and top-k applied). None at
            all: the engine does not know them, and what it wrote is for evaluation only.
        finish_reason: ``"stop"`` or ``"length"``.
        version: Version of the weights that sampled its first token.
        changes: Where the weights changed while it was sampled: (offset, version), from that token on; offsets rise.
    """

    token_ids: list[int]
    logprobs: list[float]
    finish_reason: FinishReason
    version: int
    changes: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class EngineStats:
    """Counters since the engine was made.

    Attributes:
        generated: Tokens sampled.
        read: Prompt tokens run through the model.
        reread: Of those, tokens that had been read before in the same session (cache evicted or weights changed).
        evictions: Sessions whose cache was dropped to make room.
        forwards: Forward passes.
        busy_s: Wall seconds inside the model and the sampler.
    """

    generated: int = 0
    read: int = 0
    reread: int = 0
    evictions: int = 0
    forwards: int = 0
    busy_s: float = 0.0
    extra: dict[str, float] = field(default_factory=dict)


@runtime_checkable
class Engine(Protocol):
    """The protocol; see the module's docstring."""

    version: int
    stats: EngineStats

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling, session: str | None = None) -> Completion:
        """Samples one completion.

        Raises:
            EngineFault: The engine broke.
            ConfigError: The prompt cannot be read (longer than the context).
        """
        ...

    async def update_weights(self, version: int, state: Mapping[str, Any]) -> None:
        """Takes new weights (parameter name -> tensor); caches made under the old ones are dropped.

        Raises:
            EngineFault: The weights do not fit; the engine must not be used any more.
        """
        ...

    def release(self, session: str) -> None:
        """Forgets a session's cache."""
        ...

    async def close(self) -> None:
        """Frees what the engine holds; pending requests fail with `EngineFault`."""
        ...


@runtime_checkable
class Listener(Protocol):
    """What an engine has besides that reads the conversation itself and not its tokens."""

    def hear(self, session: str, messages: Sequence[Mapping[str, Any]]) -> None:
        """Takes the conversation so far (role and content each); called before each completion of the session."""
        ...


@runtime_checkable
class Placed(Protocol):
    """What an engine has besides that likes its weights to come where its model is."""

    @property
    def device(self) -> str:
        """torch's name of it, e.g. ``"cuda:0"``; it has room for a second copy of the weights while they are taken."""
        ...


@runtime_checkable
class Doubtful(Protocol):
    """What an engine has besides whose completions cannot always be trained on; asked before a run begins."""

    async def untrainable(self, sampling: Sampling) -> str | None:
        """Why completions sampled so must not be trained on, in one line; None: they may be.

        Raises:
            ConfigError: The engine cannot be used as configured.
            EngineFault: It does not answer.
        """
        ...


ENGINES: Registry[Any] = Registry(
    "engine",
    "agentgym.engines",
    lazy={
        "transformers": "agentgym.engines.transformers:TransformersEngine",
        "vllm": "agentgym.engines.vllm:VllmEngine",
        "scripted": "agentgym.engines.scripted:ScriptedEngine",
        "http": "agentgym.engines.http:HttpEngine",
        "chat": "agentgym.engines.http_chat:ChatEngine",
    },
)
