"""Scorers: parts that are measured on whole episodes and their tasks, beside those the environment emitted.

    rewards:
      - score: {reward: f1}                        # a reward function (`agentgym methods reward`) as the part `f1`
      - score: {reward: tool_rl, part: outcome}    # ... in place of the environment's outcome

They make `agentgym.rewards.outcome` part of a configuration, so that stored episodes can be scored by functions that
their environment never called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from agentgym.faults import ConfigError
from agentgym.methods import KINDS, Methods
from agentgym.registry import load_path
from agentgym.rewards.table import Floats, RewardTable
from agentgym.task import TaskSet
from agentgym.trajectory import Group

#: The name under which stages and scorers refer to the outcome, beside the process parts.
OUTCOME = "outcome"

#: Reads the episodes of a batch and their tasks, and adds what it measured to their table.
Scorer = Callable[[RewardTable, Sequence[Group], TaskSet[Any]], RewardTable]


def build_score(options: Mapping[str, Any], where: str) -> tuple[str, Scorer]:
    """A reward function as a scorer.

    Args:
        options: ``reward``, its name; ``part``, the name of what it adds (by default its own; ``outcome`` replaces the
            outcome); and the function's parameters.
        where: For messages.

    Returns:
        The part's name, and the scorer.

    Raises:
        ConfigError: An unknown reward function or parameter.
    """
    rest = dict(options)
    name, part = rest.pop("reward", None), rest.pop("part", None)
    if not isinstance(part, str | None) or part == "":
        raise ConfigError(f"{where}.part: must be a name, got {part!r}")
    rewards = cast(Methods[Callable[..., float | Floats]], load_path(KINDS["reward"]))
    method, parameters = rewards.select({"name": name, **rest}, where)
    function = method.bind(parameters)
    into = part or method.name

    def scorer(table: RewardTable, groups: Sequence[Group], taskset: TaskSet[Any]) -> RewardTable:
        results = [function(taskset[t.task_id], t) for g in groups for t in g.trajectories]
        return put(table, into, results)

    return into, scorer


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


#: Entry of the ``rewards`` list -> what builds its scorer.
SCORERS: Mapping[str, Callable[[Mapping[str, Any], str], tuple[str, Scorer]]] = {"score": build_score}
