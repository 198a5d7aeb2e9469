"""SALT: the trajectories of a group as one graph; what they share says nothing about which of them was better."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from agentgym.rewards.shaping.values import said
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

    Nodes of the graph are states, edges are steps: the same actions in the same state, whatever was thought.
    Trajectories that come to the same state merge there, and may share steps again later. A shared step of good and bad
    trajectories alike ends up neutral, a step of one trajectory keeps that trajectory's signal. The mean (each
    trajectory once) is a free choice. Linear in turns for ``exact`` and ``normalised``; for ``similarity`` see
    `agentgym.trainers.credit.similar`.

    Args:
        table: M turns, with state keys and what was done (or else said).
        compare: When two states, or two steps from one, are the same: equal texts; equal but for case, punctuation,
            articles and spacing; or similar texts.
        threshold: Least similarity, for ``similarity``.
        std: Whether GRPO's advantage is divided by the sample standard deviation.
        eps: Added to it.

    Returns:
        float64[M]
    """
    advantage = spread(table, normalise(trajectory_returns(table), table.group, eps, std))
    if not table.m:
        return advantage
    edge = edges(table, compare, threshold)
    # A trajectory that takes the same step several times is one of those that share it, once.
    once = np.unique(pair_ids(edge, table.trajectory), return_index=True)[1]
    sharing = np.bincount(edge[once])
    mean = np.bincount(edge[once], weights=advantage[once]) / sharing
    return np.where(sharing[edge] > 1, mean[edge], advantage)


def edges(table: RewardTable, compare: Compare = "exact", threshold: float = 0.95) -> Ints:
    """int64[M], equal numbers for the same step from the same state of one group.

    Args:
        table: M turns.
        compare, threshold: See `salt`.
    """
    group = table.group[table.trajectory]
    node = anchors(table) if compare == "exact" else alike(group, table.state_key, compare, threshold)
    return pair_ids(node, alike(node, table.acted or said(table), compare, threshold))
