"""Which tasks an update plays: uniform, or a curriculum that prefers tasks whose outcomes are mixed.

A group whose episodes all succeed or all fail says nothing about the outcome (its group-normalised advantage is zero),
so the curriculum weighs a task by p(1-p), the variance of its success, with p estimated from what was played: by task
where it was played before, by difficulty otherwise. Difficulties can come into play one after the other, as in
CRAFT-GUI (arXiv 2508.11360), whose curriculum goes from short trajectories to long ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from agentgym.config import Config
from agentgym.faults import ConfigError
from agentgym.rewards.outcome.gui import curriculum
from agentgym.task import TaskSet

# Seeds of different uses must not collide: the sampler's stream is keyed by this constant too.
_STREAM = 0x7A5C


class SamplerConfig(Config):
    """Which tasks an update plays."""

    name: Literal["curriculum", "uniform"] = "curriculum"
    """``curriculum`` prefers tasks with mixed outcomes; ``uniform`` does not look at outcomes."""
    mix: dict[int, float] | None = None
    """Base weight of each difficulty; none: equal weights for the difficulties that the task set has."""
    floor: float = Field(0.5, gt=0)
    """Weight that a difficulty keeps however one-sided its outcomes are; mixed outcomes add up to 1 on top."""
    candidates: int = Field(4, ge=1)
    """Tasks of the chosen difficulty drawn for each place, of which the most mixed is likeliest to be played."""
    prior: float = Field(4.0, gt=0)
    """Weight, in episodes, of the difficulty's success rate in the estimate of a task's."""
    decay: float = Field(0.9, ge=0, le=1)
    """Per-update decay of what is known of a difficulty."""
    grow: int | None = Field(None, ge=1)
    """Updates over which the difficulties come into play, the easiest first; none: all are from the first one on."""


class TaskSampler:
    """Draws the tasks of each update; what it learned is saved in checkpoints (`state`, `load`).

    Args:
        taskset: The tasks; the training split is drawn from.
        config: See `SamplerConfig`.
        seed: With the update's number it decides the draw.

    Raises:
        ConfigError: `mix` names a difficulty that the task set does not have.
    """

    def __init__(self, taskset: TaskSet[Any], config: SamplerConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self._ids: dict[int, list[str]] = {}
        for task_id in taskset.ids("train"):
            self._ids.setdefault(taskset.difficulty(task_id), []).append(task_id)
        if not self._ids:
            raise ConfigError("the task set has no training tasks")
        mix = config.mix or dict.fromkeys(sorted(self._ids), 1.0)
        for difficulty, weight in mix.items():
            if difficulty not in self._ids:
                there = sorted(self._ids)
                raise ConfigError(f"sampler.mix: no training task of difficulty {difficulty}; there are {there}")
            if weight < 0:
                raise ConfigError(f"sampler.mix: the weight of difficulty {difficulty} is negative")
        self._difficulties = sorted(mix)
        self._mix = np.array([mix[d] for d in self._difficulties], dtype=np.float64)
        if not self._mix.sum() > 0:
            raise ConfigError("sampler.mix: all weights are 0")
        self._seen: dict[int, list[float]] = {d: [0.0, 0.0] for d in self._difficulties}
        self._tasks: dict[str, list[float]] = {}

    def draw(self, update: int, n: int, attempt: int = 0) -> list[str]:
        """The task ids of an update; the same (seed, update, attempt, history) gives the same tasks."""
        rng = np.random.default_rng([_STREAM, self.seed, update, attempt])
        weights = self._mix.copy()
        by_outcome = self.config.name == "curriculum"
        if by_outcome:
            weights *= [self.config.floor + _mixed(self._rate(d)) for d in self._difficulties]
        if self.config.grow is not None:
            there = self._mix > 0
            weights[there] *= curriculum(np.array(self._difficulties)[there], update / self.config.grow, there.sum())
        chosen: list[str] = []
        for which in rng.choice(len(weights), size=n, p=weights / weights.sum()):
            difficulty = self._difficulties[which]
            ids = self._ids[difficulty]
            picks = [ids[i] for i in rng.integers(len(ids), size=self.config.candidates if by_outcome else 1)]
            if by_outcome:
                value = np.array([self.config.floor + _mixed(self._task_rate(t, difficulty)) for t in picks])
                chosen.append(picks[int(rng.choice(len(picks), p=value / value.sum()))])
            else:
                chosen.append(picks[0])
        return chosen

    def learn(self, played: Sequence[tuple[str, int, float]]) -> None:
        """Takes in an update's episodes: (task id, difficulty, success in 0..1) each."""
        for totals in self._seen.values():
            totals[0] *= self.config.decay
            totals[1] *= self.config.decay
        for task_id, difficulty, success in played:
            for totals in (self._seen.setdefault(difficulty, [0.0, 0.0]), self._tasks.setdefault(task_id, [0.0, 0.0])):
                totals[0] += success
                totals[1] += 1.0

    def _rate(self, difficulty: int) -> float:
        successes, n = self._seen[difficulty]
        return (successes + 0.5) / (n + 1.0)  # an unseen difficulty counts as mixed: it is worth a look

    def _task_rate(self, task_id: str, difficulty: int) -> float:
        successes, n = self._tasks.get(task_id, (0.0, 0.0))
        return (successes + self.config.prior * self._rate(difficulty)) / (n + self.config.prior)

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return {"seen": {str(d): v for d, v in self._seen.items()}, "tasks": self._tasks}

    def load(self, state: dict[str, Any]) -> None:
        """Puts a `state` back."""
        self._seen = {int(d): list(v) for d, v in state["seen"].items()}
        self._tasks = {t: list(v) for t, v in state["tasks"].items()}


def _mixed(rate: float) -> float:
    """1 where half succeed, 0 where all or none do."""
    return 4.0 * rate * (1.0 - rate)
