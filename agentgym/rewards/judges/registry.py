"""The registry of judges, and what every judge has besides its own parameters.

A registered judge is a factory: ``(*, parameters) -> Judge``, or ``(model, *, parameters) -> Judge`` where it is
registered with ``needs=(kind,)``, one of `ModelKind`. It gives the bare judge;
`agentgym.rewards.judges.make_judge` puts the rules, the cache and the budget around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from agentgym.config import Config
from agentgym.methods import Methods
from agentgym.rewards.judges.verdict import Judge

#: What a judge can need: a chat by any engine, the likelihood of a text, a classifier's score, a text's embedding.
ModelKind = Literal["chat", "likelihood", "classifier", "encoder"]


class ModelOptions(Config):
    """Which model a judge asks."""

    name: str = Field(min_length=1)
    """Folder or hub name; of an encoder also the import path ``package.module:callable`` of one."""
    engine: str = "transformers"
    """Engine that runs a chat; the other kinds run by themselves. ``chat`` asks a server in messages, under this name
    and at ``options: {url: ...}``."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the engine or the scorer, e.g. ``{device: cuda}``."""
    template: str | None = None
    """Chat template instead of the tokenizer's own."""
    template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Variables of the chat template, e.g. ``{enable_thinking: false}``."""


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class JudgeOptions(Config):
    """What every judge has besides its own parameters."""

    model: Annotated[ModelOptions | None, BeforeValidator(_named)] = None
    """The model it asks, a name or a mapping; needed by all that are not rules."""
    cache: str | None = None
    """File in which verdicts are kept; none: in memory, for this run."""
    cache_size: int = Field(65_536, ge=0)
    """Verdicts that are held in memory."""
    budget: int | None = Field(None, ge=0)
    """Most calls of the model; none: any number."""
    retries: int = Field(2, ge=0)
    """Further tries of a call that failed."""
    concurrency: int = Field(64, ge=1)
    """Requests that are under way at the same time."""
    openers: bool = True
    """A rule gives the lowest score to texts that only announce an answer."""
    refusals: bool = True
    """A rule gives the lowest score to texts that decline to answer."""


JudgeFactory = Callable[..., Judge]
JUDGES: Methods[JudgeFactory] = Methods("judge", "judge", "agentgym.judges", JudgeOptions)
