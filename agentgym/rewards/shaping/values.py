"""What stages look at: one number a trajectory, texts, and the statistics of groups and of pairs inside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.rewards.shaping.scoring import OUTCOME
from agentgym.rewards.table import Floats, RewardTable

#: The name under which stages refer to an episode having ended by itself.
FINISHED = "finished"
#: How far rounding may put a sum of parts on the wrong side of a threshold: ten times 0.1 is less than 1.
TOLERANCE = 1e-9

Reduce = Literal["sum", "last", "min", "max"]
Bools = NDArray[np.bool_]

Name = Annotated[str, Field(min_length=1)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def emitted(names: Iterable[str]) -> list[str]:
    """The process parts among names that a stage reads: all but `OUTCOME` and `FINISHED`, which every episode has."""
    return [name for name in names if name not in (OUTCOME, FINISHED)]


def value_of(table: RewardTable, name: str, reduce: Reduce = "sum") -> Floats:
    """One number a trajectory: its outcome, whether it finished, or a process part over its turns.

    Args:
        table: N trajectories.
        name: `OUTCOME`, `FINISHED` (1 where the environment ended the episode, 0 where a budget did) or a part.
        reduce: How a part's values over the turns become one. Without turns the sum is 0, anything else -inf.

    Returns:
        float64[N]
    """
    if name == OUTCOME:
        return table.outcome
    if name == FINISHED:
        return np.where(table.truncated, 0.0, 1.0)
    values = table.part(name)
    if reduce == "sum":
        return table.sum_turns(values)
    result = np.full(table.n, -np.inf)
    played = table.lengths > 0
    if not played.any():
        return result
    if reduce == "last":
        result[played] = values[table.offsets[1:][played] - 1]
    else:
        result[played] = (np.minimum if reduce == "min" else np.maximum).reduceat(values, table.offsets[:-1][played])
    return result


def reaches(values: Floats, threshold: float) -> Bools:
    """bool[N], at or above the threshold, rounding forgiven."""
    return values >= threshold - TOLERANCE


def policy_tokens(table: RewardTable) -> Floats:
    """float64[N], how many tokens the policy wrote in each trajectory."""
    return table.sum_turns(table.tokens.astype(np.float64))


def last_turns(table: RewardTable) -> Bools:
    """bool[M], the last turn of its trajectory."""
    last = np.zeros(table.m, dtype=np.bool_)
    last[table.offsets[1:][table.lengths > 0] - 1] = True
    return last


def answers(table: RewardTable) -> tuple[str, ...]:
    """N, what each trajectory answered; empty where it did not."""
    return tuple(answer or "" for answer in table.answer) if table.answer else ("",) * table.n


def said(table: RewardTable) -> tuple[str, ...]:
    """M, the policy's text of each turn; empty where it is not known."""
    return table.said or ("",) * table.m


def task_ids(table: RewardTable) -> tuple[str, ...]:
    """N, the task of each trajectory; a table that knows no tasks counts each group as one of its own."""
    return table.task_id or tuple(str(group) for group in table.group.tolist())


def group_sizes(table: RewardTable) -> NDArray[np.int64]:
    """int64[G]"""
    return np.bincount(table.group, minlength=table.n_groups).astype(np.int64)


def group_mean(table: RewardTable, values: Floats, among: Bools | None = None) -> Floats:
    """float64[G], the mean over each group's trajectories, or over some of them; 0 where there are none.

    Args:
        table: N trajectories in G groups.
        values: float64[N].
        among: bool[N], which count.
    """
    counted = np.ones(table.n) if among is None else among.astype(np.float64)
    sums = np.bincount(table.group, weights=values * counted, minlength=table.n_groups)
    return np.asarray(sums / np.maximum(np.bincount(table.group, weights=counted, minlength=table.n_groups), 1.0))


def group_extremes(table: RewardTable, values: Floats) -> tuple[Floats, Floats]:
    """float64[G] twice: the lowest and the highest value of each group."""
    low, high = np.full(table.n_groups, np.inf), np.full(table.n_groups, -np.inf)
    np.minimum.at(low, table.group, values)
    np.maximum.at(high, table.group, values)
    return low, high


def group_normalise(table: RewardTable, values: Floats, eps: float) -> Floats:
    """(x - mean) / (std + eps) inside each group, with the sample standard deviation (n - 1).

    Exactly 0 in a group whose values are equal, and in a group of one.

    Args:
        table: N trajectories in G groups.
        values: float64[N].
        eps: Added to the standard deviation.

    Returns:
        float64[N]
    """
    # Measured from one of the group's own values, sums leave no rounding in a constant group.
    pivot = np.zeros(table.n_groups)
    pivot[table.group] = values
    shifted = values - pivot[table.group]
    centred = shifted - group_mean(table, shifted)[table.group]
    squares = np.bincount(table.group, weights=centred**2, minlength=table.n_groups)
    deviation = np.sqrt(squares / np.maximum(group_sizes(table) - 1, 1))
    return np.asarray(centred / (deviation + eps)[table.group], dtype=np.float64)
