"""The ``collect:`` section: what an update's episodes are made of, and the requests that bring them.

``episodes`` plays whole ones; ``steps`` samples every turn of one episode several times (truncated step-level sampling,
SLATE); ``accuracy`` measures by rollouts how likely each turn made it to succeed (VSRM). The last two need an
environment that can be forked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from agentgym.config import Config
from agentgym.engines.base import Sampling
from agentgym.env import FORMAT, AgentEnv
from agentgym.faults import ConfigError, did_you_mean
from agentgym.rewards.outcome.slate import ANSWER, QUERY, REASONING, SIGNALS, SlateRule
from agentgym.rollout.accuracy import AFTER, BEFORE
from agentgym.rollout.request import AccuracyRequest, ForkRequest, GroupRequest


class Way(Config):
    """A way to collect; what each has to say."""

    def request(self, name: str, task_id: str, seeds: tuple[int, ...], sampling: Sampling) -> GroupRequest:
        """What is asked for one task of an update."""
        return GroupRequest(name, task_id, seeds, sampling)

    def signals(self) -> Mapping[str, str]:
        """Name and meaning of the process parts that collecting adds to those of the environment."""
        return {}

    def check(self, env: AgentEnv[Any]) -> None:
        """Refuses an environment that cannot be collected from in this way.

        Raises:
            ConfigError: Says why.
        """


class EpisodesConfig(Way):
    """Whole episodes, ``samples_per_task`` of each task."""

    name: Literal["episodes"] = "episodes"
    """Collect in this way."""


class StepsConfig(Way):
    """Truncated step-level sampling (SLATE, arXiv 2602.23440): one episode of each task, of which every turn is sampled
    several times from the same prefix; a turn's continuations are a group of their own."""

    name: Literal["steps"]
    """Collect in this way."""
    continuations: int | None = Field(None, ge=2)
    """How often each turn is sampled; none: ``samples_per_task``."""
    temperature: float = Field(1.0, ge=0)
    """Of the softmax over the scores by which the continuation that the episode goes on with is drawn; 0: the best."""
    weights: dict[str, float] = Field(default_factory=lambda: {REASONING: 1.0, QUERY: 1.0, ANSWER: 1.0})
    """That score: weight of each process part. What is learned from is the business of ``rewards`` and ``credit``."""
    rule: SlateRule = SlateRule()
    """How the ternary scores ``slate_reasoning``, ``slate_query`` and ``slate_answer`` are read from a turn."""

    def request(self, name: str, task_id: str, seeds: tuple[int, ...], sampling: Sampling) -> GroupRequest:
        continuations = len(seeds) if self.continuations is None else self.continuations
        return ForkRequest(
            name, task_id, seeds[:1], sampling, continuations, self.temperature, self.weights, scorer=self.rule
        )

    def signals(self) -> Mapping[str, str]:
        return SIGNALS

    def check(self, env: AgentEnv[Any]) -> None:
        check_forkable(self.name, env)
        own = {FORMAT, *env.signals}
        check_emitted("collect.rule", self.rule.reads, own)
        check_emitted("collect.weights", [*self.weights], {*own, *SIGNALS})


class AccuracyConfig(Way):
    """Whole episodes, and from the prefix before each of their turns a few rollouts to the end: the parts
    ``accuracy_before`` and ``accuracy_after`` say how likely success was, as the stage ``vsrm`` reads it."""

    name: Literal["accuracy"]
    """Collect in this way."""
    rollouts: int = Field(4, ge=1)
    """Rollouts from each prefix."""
    success_at: float = 1.0
    """A rollout succeeds when its outcome reaches this."""

    def request(self, name: str, task_id: str, seeds: tuple[int, ...], sampling: Sampling) -> GroupRequest:
        return AccuracyRequest(name, task_id, seeds, sampling, self.rollouts, self.success_at)

    def signals(self) -> Mapping[str, str]:
        return {
            BEFORE: "share of the rollouts from before the turn that succeed",
            AFTER: "share of the rollouts from after the turn that succeed",
        }

    def check(self, env: AgentEnv[Any]) -> None:
        check_forkable(self.name, env)


CollectConfig = Annotated[EpisodesConfig | StepsConfig | AccuracyConfig, Field(discriminator="name")]


def check_forkable(name: str, env: AgentEnv[Any]) -> None:
    """Refuses an environment that cannot be forked.

    Raises:
        ConfigError: Names it.
    """
    if not env.forkable:
        kind = type(env).__name__
        raise ConfigError(f"collect.name: {name!r} goes back to earlier states, and {kind} cannot (snapshot, restore)")


def check_emitted(where: str, names: Sequence[str], known: Collection[str]) -> None:
    """Refuses the name of a process part that no turn will have.

    Raises:
        ConfigError: Names it, and the nearest known one.
    """
    for name in names:
        if name not in known:
            raise ConfigError(f"{where}: the environment emits no {name!r}; {did_you_mean(name, known)}")
