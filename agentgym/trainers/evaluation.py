"""Held-out evaluation: success by difficulty, greedy and sampled, with 95% intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import Field

from agentgym.config import Config
from agentgym.engines.base import Sampling
from agentgym.faults import ConfigError
from agentgym.rollout.request import GroupRequest
from agentgym.statistics import wilson
from agentgym.task import TaskSet
from agentgym.trajectory import Group

# The stream of random numbers that sampled evaluations use.
_STREAM = 0xE7A1


class EvalConfig(Config):
    """Held-out evaluation."""

    every: int = Field(20, ge=0)
    """Updates between evaluations; 0: only before and after."""
    tasks: int = Field(50, ge=1)
    """Tasks of each difficulty in an evaluation during training."""
    final_tasks: int = Field(200, ge=1)
    """Tasks of each difficulty in the evaluations before the first and after the last update."""
    sampled: bool = True
    """Also evaluate at the training temperature, besides greedily."""
    success_at: float = 1.0
    """An episode succeeds when its outcome reaches this."""
    target: int | None = None
    """Difficulty whose greedy success is the run's headline number; none: the hardest one."""


@dataclass(frozen=True, slots=True)
class Score:
    """Success of one decoding mode on one difficulty.

    Attributes:
        mode: ``"greedy"`` or ``"sampled"``.
        difficulty: Of the tasks.
        n: Episodes counted (episodes the world broke are not).
        successes: Of those.
        outcome: Mean outcome.
        turns: Mean turns.
        faults: Episodes that could not be played.
    """

    mode: str
    difficulty: int
    n: int
    successes: int
    outcome: float
    turns: float
    faults: int = 0

    @property
    def rate(self) -> float:
        return self.successes / self.n if self.n else 0.0

    @property
    def ci(self) -> tuple[float, float]:
        """95% interval of `rate`."""
        return wilson(self.successes, self.n)

    def to_json(self) -> dict[str, Any]:
        low, high = self.ci
        return {
            "mode": self.mode,
            "difficulty": self.difficulty,
            "n": self.n,
            "successes": self.successes,
            "success": round(self.rate, 4),
            "ci": [round(low, 4), round(high, 4)],
            "outcome": round(self.outcome, 4),
            "turns": round(self.turns, 2),
            "faults": self.faults,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All scores of one evaluation.

    Attributes:
        update: Updates done when it was made.
        episodes: Training episodes seen until then.
        scores: One a mode and difficulty.
    """

    update: int
    episodes: int
    scores: tuple[Score, ...] = field(default_factory=tuple)

    def of(self, difficulty: int, mode: str = "greedy") -> Score:
        return next(s for s in self.scores if s.difficulty == difficulty and s.mode == mode)

    def to_json(self) -> dict[str, Any]:
        return {"update": self.update, "episodes": self.episodes, "scores": [s.to_json() for s in self.scores]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Evaluation:
        """Reads a `to_json` back."""
        names = ("mode", "difficulty", "n", "successes", "outcome", "turns", "faults")
        scores = tuple(Score(**{name: score[name] for name in names}) for score in data["scores"])
        return cls(data["update"], data["episodes"], scores)


def evaluation_seed(seed: int) -> int:
    """The seed of a run's sampled evaluations, from the run's own."""
    return int(np.random.SeedSequence([_STREAM, seed]).generate_state(1)[0])


def heldout_tasks(taskset: TaskSet[Any], per_difficulty: int) -> dict[int, list[str]]:
    """The held-out tasks an evaluation plays: the first `per_difficulty` of each difficulty, in the set's order.

    Raises:
        ConfigError: The task set has no held-out tasks.
    """
    chosen: dict[int, list[str]] = {}
    for task_id in taskset.ids("heldout"):
        listed = chosen.setdefault(taskset.difficulty(task_id), [])
        if len(listed) < per_difficulty:
            listed.append(task_id)
    if not chosen:
        raise ConfigError("the task set has no held-out tasks to evaluate on")
    return dict(sorted(chosen.items()))


def evaluate(
    collect: Callable[[Sequence[GroupRequest]], Iterable[Group]],
    tasks: dict[int, list[str]],
    sampling: Sampling,
    config: EvalConfig,
    *,
    update: int,
    episodes: int,
    seed: int,
) -> tuple[Evaluation, list[Group]]:
    """Plays every task once greedily and, if asked, once at the training temperature.

    Args:
        collect: Runs requests, e.g. `RolloutPool.collect`.
        tasks: Difficulty -> task ids (`heldout_tasks`).
        sampling: The training sampling.
        seed: Decides the sampled episodes; the same at every evaluation of a run, so that curves are comparable.

    Returns:
        The scores and the groups played (one episode each).
    """
    modes = {"greedy": replace(sampling, temperature=0.0)} | ({"sampled": sampling} if config.sampled else {})
    keys: dict[str, tuple[str, int]] = {}
    requests = []
    for mode, how in modes.items():
        for difficulty, ids in tasks.items():
            for number, task_id in enumerate(ids):
                request = GroupRequest(f"eval-{update}-{mode}-{difficulty}-{number}", task_id, (seed + number,), how)
                keys[request.id] = (mode, difficulty)
                requests.append(request)
    groups = list(collect(requests))
    played: dict[tuple[str, int], list[Group]] = {key: [] for key in keys.values()}
    for group in groups:
        played[keys[group.id]].append(group)
    scores = tuple(_score(mode, difficulty, found, config) for (mode, difficulty), found in played.items())
    return Evaluation(update, episodes, scores), groups


def _score(mode: str, difficulty: int, groups: list[Group], config: EvalConfig) -> Score:
    episodes = [t for g in groups for t in g.trajectories]
    sound = [t for t in episodes if t.fault is None]
    n = max(len(sound), 1)
    return Score(
        mode=mode,
        difficulty=difficulty,
        n=len(sound),
        successes=sum(t.outcome >= config.success_at for t in sound),
        outcome=sum(t.outcome for t in sound) / n,
        turns=sum(len(t.turns) for t in sound) / n,
        faults=len(episodes) - len(sound),
    )
