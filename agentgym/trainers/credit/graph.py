"""SALT: the trajectories of a group as one graph; what they share says nothing about which of them was better."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from agentgym.rewards.table import Floats, Ints, RewardTable
from agentgym.trainers.credit.base import (
    CREDIT,
    Epsilon,
    anchors,
    normalise,
    pair_ids,
    spread,
    trajectory_returns,
)
from agentgym.trainers.credit.similar import Compare, alike


@CREDIT.register(
    "salt",
    source="SALT: Step-level Advantage Assignment for Long-horizon Agents via Trajectory Graph",
    arxiv="2510.20022",
    status="abstract",
)
def salt(
    table: RewardTable,
    *,
    compare: Compare = "exact",
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.95,
    std: bool = True,
    eps: Epsilon = 1e-6,
) -> Floats:
    """GRPO's advantage, where a step that several trajectories of the group took has the mean of theirs.

    Nodes of the graph are states, edges are steps: the same action text in the same state. Trajectories that come to
    the same state merge there, and may share steps again later. A shared step of good and bad trajectories alike ends
    up neutral, a step of one trajectory keeps that trajectory's signal. The mean (each trajectory once) is a free
    choice. Linear in turns for ``exact`` and ``normalised``.

    Args:
        table: M turns, with state keys and what the policy wrote.
        compare: When two states, or two actions, are the same: equal texts; equal but for case, punctuation, articles
            and spacing; or similar texts.
        threshold: Least similarity, for ``similarity``.
        std: Whether GRPO's advantage is divided by the sample standard deviation.
        eps: Added to it.

    Returns:
        float64[M]
    """
    advantage = spread(table, normalise(trajectory_returns(table), table.group, eps, std))
    edge = edges(table, compare, threshold)
    # A trajectory that takes the same step several times is one of those that share it, once.
    owner = table.trajectory
    _, first, visit = np.unique(pair_ids(edge, owner), return_index=True, return_inverse=True)
    shared = np.bincount(edge[first], weights=advantage[first]) / np.bincount(edge[first]) if table.m else np.zeros(0)
    alone = np.bincount(edge[first], minlength=1)[edge[first]][visit] == 1 if table.m else np.zeros(0, np.bool_)
    return np.where(alone, advantage, shared[edge] if table.m else advantage)


def edges(table: RewardTable, compare: Compare = "exact", threshold: float = 0.95) -> Ints:
    """int64[M], equal numbers for the same action in the same state of one group.

    Args:
        table: M turns.
        compare, threshold: See `salt`.
    """
    group = table.group[table.trajectory]
    node = anchors(table) if compare == "exact" else alike(group, table.state_key, compare, threshold)
    return pair_ids(node, alike(node, table.said, compare, threshold))
