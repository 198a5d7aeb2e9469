"""Scorers: parts that are measured on whole episodes and their tasks, beside those the environment emitted.

    rewards:
      - score: {name: f1}                          # a reward function (`agentgym methods reward`) as the part `f1`
      - score: {name: tool_rl, as: outcome}        # ... in place of the environment's outcome
      - judge: {name: yes_no, model: Qwen/Qwen3-4B, as: right}    # a judge's verdict (`agentgym methods judge`)

They make `agentgym.rewards.outcome` part of a configuration, so that stored episodes can be scored by functions that
their environment never called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentgym.faults import ConfigError
from agentgym.registry import Registry
from agentgym.rewards.outcome.registry import REWARDS
from agentgym.rewards.table import Floats, RewardTable
from agentgym.task import TaskSet
from agentgym.trajectory import Group

#: The name under which stages and scorers refer to the outcome, beside the process parts.
OUTCOME = "outcome"

#: Reads the episodes of a batch and their tasks, and adds what it measured to their table.
Scorer = Callable[[RewardTable, Sequence[Group], TaskSet[Any]], RewardTable]


@dataclass(frozen=True, slots=True)
class ScorerEntry:
    """A scorer as the configuration made it.

    Attributes:
        part: Name of the part that it adds; ``outcome`` where it replaces the outcome.
        scorer: Measures it.
        reads: Process parts that it reads; a pipeline refuses unknown ones.
    """

    part: str
    scorer: Scorer
    reads: tuple[str, ...] = ()


def build_score(options: Mapping[str, Any], where: str) -> ScorerEntry:
    """A reward function as a scorer.

    Args:
        options: ``name``, of the reward function; ``as``, the name of what it adds (by default the function's;
            ``outcome`` replaces the outcome); and the function's parameters.
        where: For messages.

    Raises:
        ConfigError: An unknown reward function or parameter.
    """
    rest = dict(options)
    part = part_name(rest, where)
    method, parameters = REWARDS.select(rest, where)
    function = method.bind(parameters)
    into = part or method.name

    def scorer(table: RewardTable, groups: Sequence[Group], taskset: TaskSet[Any]) -> RewardTable:
        results = [function(taskset[t.task_id], t) for g in groups for t in g.trajectories]
        return put(table, into, results)

    return ScorerEntry(into, scorer, tuple(method.signals(dict(parameters))) if method.signals else ())


def part_name(options: dict[str, Any], where: str) -> str | None:
    """Takes ``as``, the name of what a scorer adds, out of its options.

    Raises:
        ConfigError: It is no name.
    """
    part = options.pop("as", None)
    if part is not None and (not isinstance(part, str) or not part):
        raise ConfigError(f"{where}.as: must be a name, got {part!r}")
    return part


def put(table: RewardTable, part: str, results: Sequence[float | Floats]) -> RewardTable:
    """Writes one result a trajectory into the table.

    Args:
        table: N trajectories.
        part: Name of the part; ``outcome`` replaces the outcome.
        results: N; a number belongs to the episode (as a part, to its last turn), an array float64[T] to its turns.

    Raises:
        ConfigError: An array that does not fit the turns.
    """
    if part == OUTCOME:
        return table.with_rewards(outcome=np.array([float(np.sum(r)) for r in results], dtype=np.float64))
    values = np.zeros(table.m)
    for result, begin, end in zip(results, table.offsets[:-1], table.offsets[1:], strict=True):
        if np.ndim(result):
            if len(np.atleast_1d(result)) != end - begin:
                raise ConfigError(f"{part}: {len(np.atleast_1d(result))} rewards for {end - begin} turns")
            values[begin:end] = result
        elif end > begin:
            values[end - 1] = float(result)
    return table.with_part(part, values)


#: Entry of the ``rewards`` list -> what builds its scorer from its options and its place.
SCORERS: Registry[Callable[[Mapping[str, Any], str], ScorerEntry]] = Registry(
    "scorer", "agentgym.scorers", lazy={"judge": "agentgym.rewards.judges.episodes:build_judge_scorer"}
)
SCORERS.register("score")(build_score)
