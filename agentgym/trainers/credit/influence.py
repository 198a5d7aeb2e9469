"""THR: tokens weighed by their influence on the likelihood of correct answers."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.credit.base import CREDIT, Epsilon, PerToken, normalise, trajectory_returns
from agentgym.trainers.credit.values import token_offsets


@CREDIT.register(
    "thr",
    source="Token Hidden Reward: Steering Exploration-Exploitation in Group Relative Deep Reinforcement Learning",
    arxiv="2510.03669",
    status="abstract",
    needs=("influence",),
)
def thr(
    table: RewardTable,
    influence: Floats,
    *,
    strength: Annotated[float, Field(ge=-1, le=1)] = 0.5,
    std: bool = True,
    eps: Epsilon = 1e-6,
) -> PerToken:
    """GRPO's advantage of the trajectory, scaled token by token: A_ij = A_i (1 + strength I_ij / max_j |I_ij|).

    With a strength above 0 tokens that raise the likelihood of correct answers count more (exploitation), below 0 those
    that lower it (exploration). The scaling is a free choice; no token's advantage changes its sign.

    Args:
        table: P policy tokens in all.
        influence: float64[P], of each token on the group's correct answers; 0 where nothing is known.
        strength: Most that a token's advantage changes by, as a share of it.
        std: Whether GRPO's advantage is divided by the sample standard deviation.
        eps: Added to it.

    Returns:
        float64[P]
    """
    offsets = token_offsets(table)
    lengths = np.diff(offsets)
    owner = np.repeat(np.arange(table.n), lengths)
    largest = np.zeros(table.n)
    written = lengths > 0
    if written.any():
        largest[written] = np.maximum.reduceat(np.abs(influence), offsets[:-1][written])
    share = np.divide(influence, largest[owner], out=np.zeros(len(owner)), where=largest[owner] > 0)
    advantage = normalise(trajectory_returns(table), table.group, eps, std)
    return PerToken(advantage[owner] * (1 + strength * share))
