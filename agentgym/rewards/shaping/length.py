"""Outcomes that depend on how much was written: DAPO's overlong penalty, and the conciseness reward function.

Lengths are policy tokens of the whole trajectory. LASER's targets are in `agentgym.rewards.shaping.laser`.
"""

from __future__ import annotations

import numpy as np

from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.shaping.values import (
    Count,
    Name,
    Share,
    Weight,
    emitted,
    group_mean,
    policy_tokens,
    value_of,
)
from agentgym.rewards.table import Floats, RewardTable


@STAGES.register(
    "overlong",
    source="DAPO: An Open-Source LLM Reinforcement Learning System at Scale",
    arxiv="2503.14476",
    status="code",
)
def overlong(table: RewardTable, *, max_tokens: Count, buffer: Count, factor: Weight = 1.0) -> RewardTable:
    """Takes from the outcome of trajectories whose length runs into the last `buffer` tokens before the limit.

    Formula: outcome + min(-(length - (max_tokens - buffer)) / buffer * factor, 0); as in the public code the penalty
    goes on growing beyond the limit.

    Args:
        table: N trajectories.
        max_tokens: The limit, in policy tokens of a trajectory.
        buffer: How many tokens before the limit the penalty begins.
        factor: The penalty at the limit.
    """
    over = policy_tokens(table) - (max_tokens - buffer)
    return table.with_rewards(outcome=table.outcome + np.minimum(-over / buffer * factor, 0.0))


def conciseness_reward(
    outcome: Floats, conciseness: Floats, alpha: float, annealed: float, difficulty: Floats, lowest: float = 0.1
) -> Floats:
    """The conciseness reward function: R = R_o * (1 + alpha * c * (s + d)); nothing where the outcome is 0.

    Args:
        outcome: R_o, float64[N].
        conciseness: c, float64[N], clipped to `lowest`..1.
        alpha: Weight of the term.
        annealed: s, which falls as training goes on.
        difficulty: d of the task, float64[N], 0..1.
        lowest: The least c.

    Returns:
        float64[N]
    """
    return outcome * (1.0 + alpha * np.clip(conciseness, lowest, 1.0) * (annealed + difficulty))


@STAGES.register(
    "crf",
    source="Efficient Reasoning via Reward Model (conciseness reward function)",
    arxiv="2511.09158",
    status="summary",
    signals=lambda p: emitted([p["part"]] if p["part"] else []),
)
def crf(
    table: RewardTable,
    *,
    part: Name | None = None,
    max_tokens: Count = 4096,
    alpha: Weight = 0.8,
    lowest: Share = 0.1,
    start: Weight = 0.5,
    updates: Count = 500,
) -> RewardTable:
    """Raises right outcomes by how concise they are: R = R_o * (1 + alpha * c * (s + d)).

    s = start * max(0, 1 - update / updates) is annealed; d = 1 - the group's mean outcome, in 0..1, so that a short
    answer to a hard task is worth most. How s, d and (without a part) c are measured is this package's choice.

    Args:
        table: N trajectories.
        part: The process part with the conciseness score of a judge, summed over the turns; without one
            c = 1 - length / max_tokens.
        max_tokens: Length at which c would be 0, in policy tokens of a trajectory.
        alpha: Weight of the term.
        lowest: The least c.
        start: s at update 0.
        updates: Policy updates until s is 0.
    """
    conciseness = value_of(table, part) if part else 1.0 - policy_tokens(table) / max_tokens
    annealed = start * max(0.0, 1.0 - table.update / updates)
    difficulty = np.clip(1.0 - group_mean(table, table.outcome), 0.0, 1.0)[table.group]
    return table.with_rewards(
        outcome=conciseness_reward(table.outcome, conciseness, alpha, annealed, difficulty, lowest)
    )
