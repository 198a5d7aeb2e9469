"""What a rollout is asked for: groups of episodes of one task each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentgym.engines.base import Sampling
from agentgym.faults import ConfigError
from agentgym.signal import RewardSignal

#: Names what a turn's signal says, as further process parts; it travels to the workers, so it must be picklable.
Scorer = Callable[[RewardSignal], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class EnvSpec:
    """How a worker makes its environments: ``gymnasium.make(id, **kwargs)``."""

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """How a worker makes its engine: ``ENGINES.get(name)(**kwargs)``; plain data, so that it can travel."""

    name: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroupRequest:
    """One group to collect.

    Attributes:
        id: Unique in the run.
        task_id: The task all its episodes play.
        seeds: One an episode; decides its sampling (and so its course, on a deterministic environment).
        sampling: Parameters of every turn; its ``seed`` is replaced by one derived from the episode's seed and turn.
    """

    id: str
    task_id: str
    seeds: tuple[int, ...]
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def players(self) -> int:
        """Environments, and sessions of the engine, that one of its episodes uses at the same time."""
        return 1

    @property
    def width(self) -> int:
        """How much there is to do at the same time; what `Limits.concurrency` bounds."""
        return len(self.seeds) * self.players


@dataclass(frozen=True, slots=True)
class ForkRequest(GroupRequest):
    """One episode, of which every turn is sampled several times from the same prefix (truncated step-level sampling).

    One of the continuations is kept, and the next step begins where it led to; so an episode of T turns comes back as
    T groups of one-turn trajectories and, whole, as the path that was kept (`agentgym.rollout.forks.ForkedGroup`).

    Attributes:
        seeds: Exactly one.
        continuations: How often each turn is sampled.
        temperature: Of the softmax over the scores by which the kept one is drawn; 0: the best one, by lot where
            several are.
        weights: The score: weight of each process part, those of the scorer among them; a part that a turn does not
            have counts 0. Without weights all scores are equal.
        scorer: Adds parts to the signal of every turn; none: the signal stays as the environment gave it.

    Raises:
        ConfigError: Not one seed, or fewer than one continuation.
    """

    continuations: int = 8
    temperature: float = 1.0
    weights: Mapping[str, float] = field(default_factory=dict)
    scorer: Scorer | None = None

    def __post_init__(self) -> None:
        if len(self.seeds) != 1:
            raise ConfigError(f"request {self.id!r}: a fork request has one seed, got {len(self.seeds)}")
        if self.continuations < 1:
            raise ConfigError(f"request {self.id!r}: continuations must be at least 1, got {self.continuations}")
        if self.temperature < 0:
            raise ConfigError(f"request {self.id!r}: temperature must be >= 0, got {self.temperature}")

    @property
    def players(self) -> int:
        return self.continuations


@dataclass(frozen=True, slots=True)
class AccuracyRequest(GroupRequest):
    """Episodes whose every turn carries how likely the policy was to succeed before and after it, by rollouts.

    The parts are named `agentgym.rollout.forks.BEFORE` and `AFTER`.

    Attributes:
        rollouts: Episodes played on to their end from the prefix before each turn.
        success_at: A rollout succeeds when its outcome reaches this.
        replay: For each seed the tokens of each turn, where stored episodes are played again; empty: new ones.

    Raises:
        ConfigError: Fewer than one rollout, or replays that are not one a seed.
    """

    rollouts: int = 4
    success_at: float = 1.0
    replay: tuple[tuple[tuple[int, ...], ...], ...] = ()

    def __post_init__(self) -> None:
        if self.rollouts < 1:
            raise ConfigError(f"request {self.id!r}: rollouts must be at least 1, got {self.rollouts}")
        if self.replay and len(self.replay) != len(self.seeds):
            raise ConfigError(f"request {self.id!r}: {len(self.replay)} replays for {len(self.seeds)} seeds")

    @property
    def players(self) -> int:
        return self.rollouts


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of an episode and of the retries after faults.

    Attributes:
        concurrency: Episodes in flight in one collector; each continuation of a step counts as one.
        step_s: Wall seconds a step (or reset) may take before it counts as a fault.
        episode_s: Wall seconds an episode may take before it counts as a fault.
        generate_s: Wall seconds one completion may take before it counts as an engine fault.
        retries: How often an episode is run again after a fault, on a fresh environment.
        episode_tokens: Tokens (read and written) after which an episode is truncated.
        blocking_steps: Blocking environment calls that run at the same time in one collector, each in a thread.
    """

    concurrency: int = 256
    step_s: float = 60.0
    episode_s: float = 1800.0
    generate_s: float = 600.0
    retries: int = 2
    episode_tokens: int = 32_768
    blocking_steps: int = 64


@dataclass(frozen=True, slots=True)
class FaultEvent:
    """One fault, as reports count it.

    Attributes:
        kind: `EnvironmentFault.kind`.
        detail: One line.
        group_id, episode: Whom it hit.
        attempt: 1 for the first try.
        given_up: The retries are spent: the episode comes back with `Trajectory.fault` set.
    """

    kind: str
    detail: str
    group_id: str
    episode: str
    attempt: int
    given_up: bool
