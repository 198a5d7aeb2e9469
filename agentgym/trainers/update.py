"""`Updater`: groups -> rewards -> advantages -> weights; the same for a live run and for one that is computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentgym.rewards.shaping import Pipeline
from agentgym.rewards.table import Floats, RewardTable
from agentgym.task import TaskSet
from agentgym.trainers.clock import PhaseClock
from agentgym.trainers.companions import Companions
from agentgym.trainers.credit.base import Credit, PerToken
from agentgym.trainers.learner import Learner
from agentgym.trajectory import Group


class Updater:
    """One update's steps, in the order in which they are taken: `shape`, `credit`, `learn`.

    Args:
        taskset: The tasks that were played.
        pipeline: Signals to rewards.
        credit: Rewards to advantages.
        companions: What it reads besides the rewards.
        learner: Advantages to weights.

    Attributes:
        memory: What the shaping keeps from update to update, as plain data.
        figures: Of the last update.
    """

    def __init__(
        self, taskset: TaskSet[Any], pipeline: Pipeline, credit: Credit, companions: Companions, learner: Learner
    ) -> None:
        self.taskset, self.pipeline, self._credit = taskset, pipeline, credit
        self.companions, self.learner = companions, learner
        self.memory: Mapping[str, Any] = {}
        self.figures: dict[str, float] = {}
        self._unwhitened: Floats | PerToken = np.zeros(0)

    def peek(self, groups: Sequence[Group], update: int) -> RewardTable:
        """The rewards of groups, of which nothing is remembered."""
        return self.pipeline.run(self._read(groups, update), self.memory)[0]

    def shape(self, groups: Sequence[Group], update: int) -> RewardTable:
        """Signals to rewards."""
        table, self.memory = self.pipeline.run(self._read(groups, update), self.memory)
        return table

    def _read(self, groups: Sequence[Group], update: int) -> RewardTable:
        return self.pipeline.read(groups, self.taskset, update)

    def credit(self, groups: Sequence[Group], table: RewardTable, clock: PhaseClock) -> Floats | PerToken:
        """Rewards to advantages, one a turn or one a token."""
        with clock("companions"):
            inputs, self.figures = self.companions.estimate([t for g in groups for t in g.trajectories], table)
        with clock("credit"):
            if inputs:
                self._unwhitened = self._credit.unwhitened(table, *inputs)
            return self._credit(table, *inputs)

    def learn(
        self, groups: Sequence[Group], table: RewardTable, advantages: Floats | PerToken, clock: PhaseClock
    ) -> None:
        """Advantages to weights."""
        trajectories = [t for g in groups for t in g.trajectories]
        if not trajectories:
            return
        with clock("learn"):
            per_token = isinstance(advantages, PerToken)
            sizes = table.sum_turns(table.tokens).astype(np.int64) if per_token else table.lengths
            flat = advantages.values if isinstance(advantages, PerToken) else advantages
            parts = np.split(flat, np.cumsum(sizes)[:-1])
            self.figures |= self.learner.update(trajectories, parts, per_token=per_token)
        if self._credit.needs:
            with clock("companions"):
                self.figures |= self.companions.learn(trajectories, table, self._unwhitened)
