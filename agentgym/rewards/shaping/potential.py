"""Step rewards as differences of a state's worth: potential-based shaping, and accuracy before and after a step.

Potential-based shaping is from "Policy Invariance Under Reward Transformations" (Ng, Harada, Russell, 1999).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.shaping.values import Name, Share, last_turns
from agentgym.rewards.table import Floats, RewardTable


@STAGES.register(
    "potential",
    source="Policy Invariance Under Reward Transformations: Theory and Application to Reward Shaping",
    status="recalled",
    signals=lambda p: [p["part"]],
)
def potential(
    table: RewardTable,
    *,
    part: Name,
    holds: Literal["gain", "before", "after"] = "gain",
    gamma: Share = 1.0,
    weight: float = 1.0,
) -> RewardTable:
    """Adds the change of a potential to the turn rewards, which leaves the best policy the best.

    Formula: F_t = gamma * Phi(s_{t+1}) - Phi(s_t), and Phi = 0 at the end. Discounted by the same gamma, a
    trajectory's F sum to -Phi(s_0): nothing can be earned by going round in circles. The end of a truncated episode
    counts as 0 too, or playing on to the budget would pay.

    Args:
        table: M turns.
        part: The process part that the potential is read from.
        holds: What the part says: ``gain``, by how much the turn raised the potential (its running sum is Phi, 0 at the
            start); ``before``, Phi of the state in which the turn was taken; ``after``, Phi of the state that it led to
            (0 at the start).
        gamma: Discount of each further turn; use the credit method's.
        weight: Of the F.
    """
    phi = _potential_before(table, part, holds)
    after = np.where(last_turns(table), 0.0, np.append(phi[1:], 0.0)) if table.m else phi
    return table.with_rewards(turn_reward=table.turn_reward + weight * (gamma * after - phi))


def _potential_before(table: RewardTable, part: str, holds: Literal["gain", "before", "after"]) -> Floats:
    """float64[M], Phi of the state in which each turn is taken."""
    values = table.part(part)
    if holds == "before" or not table.m:
        return values
    shifted = np.where(table.index == 0, 0.0, np.append(0.0, values[:-1]))
    if holds == "after":
        return shifted
    total = np.cumsum(shifted)
    starts = table.offsets[:-1][table.lengths > 0]
    return np.asarray(total - np.repeat(total[starts], table.lengths[table.lengths > 0]), dtype=np.float64)


@STAGES.register(
    "vsrm",
    source="Promoting Efficient Reasoning with Verifiable Stepwise Reward (VSRM)",
    arxiv="2508.10293",
    status="summary",
    signals=lambda p: [p["after"], p["before"]],
)
def vsrm(
    table: RewardTable, *, after: Name = "accuracy_after", before: Name = "accuracy_before", weight: float = 1.0
) -> RewardTable:
    """Adds to each turn's reward by how much it raised the chance of ending right.

    Formula: weight * (accuracy after the turn - accuracy before it). Accuracies are measured by rollouts from the
    prefix, so the environment must be able to fork; they reach this stage as two process parts.

    Args:
        table: M turns.
        after: The part with the accuracy of rollouts that begin after the turn.
        before: The part with the accuracy of rollouts that begin before it.
        weight: Of the difference.
    """
    return table.with_rewards(turn_reward=table.turn_reward + weight * (table.part(after) - table.part(before)))
