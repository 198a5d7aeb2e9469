"""Rewards put on a scale by what the group earned: GDPO, difficulty scaling, and LongTraceRL's rubric reward."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.shaping.values import (
    Name,
    Positive,
    Share,
    emitted,
    group_extremes,
    group_mean,
    group_normalise,
    group_sizes,
    value_of,
)
from agentgym.rewards.table import RewardTable


@STAGES.register(
    "gdpo",
    source="GDPO: Group reward-Decoupled Normalization Policy Optimization for Multi-reward RL Optimization",
    arxiv="2601.05242",
    status="recalled",
    signals=lambda p: emitted(p["weights"]),
)
def gdpo(
    table: RewardTable,
    *,
    weights: Annotated[dict[str, float], Field(min_length=1)],
    batch: bool = False,
    eps: Positive = 1e-6,
) -> RewardTable:
    """Normalises each reward in its group before weighing and adding, so that a large-scale one drowns no small one.

    Formula: outcome' = sum over names of weight * (x - mean) / (std + eps), x being the trajectory's value of that
    reward, mean and sample std those of its group. A reward that is equal throughout a group, or a group of one, adds
    0. Goes with a credit method that does not divide by the standard deviation again (``dr_grpo``).

    Args:
        table: N trajectories.
        weights: Weight of each reward: ``outcome`` or a process part, summed over the turns. The outcome counts only
            where it is named; the turn rewards are left alone.
        batch: Whether to divide the sum by its standard deviation over the batch, so that its size does not grow with
            the number of rewards.
        eps: Added to the standard deviations.
    """
    total = np.zeros(table.n)
    for name, weight in weights.items():
        total += weight * group_normalise(table, value_of(table, name), eps)
    if batch and table.n > 1:
        total /= np.std(total, ddof=1) + eps
    return table.with_rewards(outcome=total)


@STAGES.register(
    "difficulty_scale",
    source="Inverse Reinforcement Learning with Dynamic Reward Scaling for LLM Alignment (GRPO-S)",
    arxiv="2503.18991",
    status="abstract",
)
def difficulty_scale(
    table: RewardTable, *, by: Literal["product", "difficulty", "gap"] = "product", eps: Positive = 1e-6
) -> RewardTable:
    """Scales the rewards of a task by its difficulty and by how far its rollouts are apart.

    Formula: factor = (1 - mean outcome of the group, in 0..1) * (best - worst outcome), divided by its mean over the
    batch's groups; outcome and turn rewards are multiplied by it. Where no group's factor is above 0, all stay as they
    are. The abstract names the two; their product and the normalisation are this package's choice.

    Args:
        table: N trajectories; outcomes in 0..1.
        by: Both, or one of them.
        eps: Below this mean, factors are rounding and nothing is scaled.
    """
    factor = np.ones(table.n_groups)
    low, high = group_extremes(table, table.outcome)
    if by != "gap":
        factor *= np.clip(1.0 - group_mean(table, table.outcome), 0.0, 1.0)
    played = group_sizes(table) > 0
    if by != "difficulty":
        factor[played] *= (high - low)[played]
    mean = float(factor[played].mean()) if played.any() else 0.0
    if mean < eps:
        return table
    scale = (factor / mean)[table.group]
    return table.with_rewards(outcome=table.outcome * scale, turn_reward=table.turn_reward * scale[table.trajectory])


@STAGES.register(
    "rubric_norm",
    source="LongTraceRL: Learning Long-Context Reasoning from Search Agent Trajectories with Rubric Rewards",
    arxiv="2605.31584",
    status="code",
    signals=lambda p: emitted([p["rubric"]]),
)
def rubric_norm(table: RewardTable, *, rubric: Name, weight: Share = 0.3) -> RewardTable:
    """Blends a rubric score, as a share of the group's best, into outcomes that earned anything.

    Formula: (1 - weight) * outcome + weight * rubric / (highest rubric of the group), where the outcome is above 0;
    otherwise the outcome stays: only right answers are told apart by their rubric.

    Args:
        table: N trajectories.
        rubric: The process part with the score, e.g. the share of gold entities named, summed over the turns.
        weight: Of the rubric.
    """
    score = value_of(table, rubric)
    best = group_extremes(table, score)[1][table.group]
    share = np.divide(score, best, out=np.zeros(table.n), where=best > 0)
    blended = (1.0 - weight) * table.outcome + weight * share
    return table.with_rewards(outcome=np.where(table.outcome > 0, blended, table.outcome))
