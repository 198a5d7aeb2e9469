"""Trust-GRPO: a judge's score of the thinking counts as far as it goes with right answers, ever less in training.

From SophiaVL-R1 (public code).
"""

from __future__ import annotations

import numpy as np

from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.shaping.values import Count, Name, Weight, emitted, group_extremes, group_mean, value_of
from agentgym.rewards.table import RewardTable


@STAGES.register(
    "trust",
    source="SophiaVL-R1: Reinforcing MLLMs Reasoning with Thinking Reward (Trust-GRPO)",
    status="code",
    signals=lambda p: emitted([p["think"]]),
)
def trust(
    table: RewardTable,
    *,
    think: Name,
    weight: Weight = 0.3,
    decay: Count = 500,
    correct_at: float = 0.5,
    counts_at: float = 0.2,
    all_right_at: float = 0.9,
    all_wrong_at: float = 0.1,
) -> RewardTable:
    """Adds the thinking reward to the outcome, weighed by how far it can be trusted in this group.

    Formula: R = outcome + weight * exp(-update / decay) * trust * think, where trust = exp(mc - mw) if the mean
    thinking reward mc of the group's right trajectories is below that of the wrong ones, mw, else 1. A group that is
    all right or all wrong has no thinking term, and neither has a trajectory whose outcome is too low: its thinking
    reward is 0 before the means are taken.

    Args:
        table: N trajectories.
        think: The process part with the thinking reward, summed over the turns.
        weight: Of the thinking term at update 0.
        decay: Policy updates after which the term has fallen to 1/e.
        correct_at: The least outcome of a right trajectory.
        counts_at: The least outcome with which the thinking reward counts.
        all_right_at: A group whose outcomes are all at least this is all right.
        all_wrong_at: A group whose outcomes are all at most this is all wrong.
    """
    outcome = table.outcome
    thinking = np.where(outcome >= counts_at, value_of(table, think), 0.0)
    right = outcome >= correct_at
    mean_right, mean_wrong = group_mean(table, thinking, right), group_mean(table, thinking, ~right)
    some_right = np.bincount(table.group, weights=right, minlength=table.n_groups) > 0
    trusted = np.where(some_right, np.exp(np.minimum(mean_right - mean_wrong, 0.0)), 1.0)
    low, high = group_extremes(table, outcome)
    mixed = (low < all_right_at) & (high > all_wrong_at)
    factor = weight * np.exp(-table.update / decay) * np.where(mixed, trusted, 0.0)
    return table.with_rewards(outcome=outcome + factor[table.group] * thinking)
