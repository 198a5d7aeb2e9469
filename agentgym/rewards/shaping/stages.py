"""The built-in stages: weighted sums of process parts, and gated accumulation."""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.shaping.scoring import OUTCOME
from agentgym.rewards.shaping.values import TOLERANCE, Bools, Reduce, emitted, reaches, value_of
from agentgym.rewards.table import RewardTable

Drop = Literal["process", "outcome", "all"]


@STAGES.register(
    "weigh", source="weighted sum of reward terms", status="own", signals=lambda p: [k for k in p if k != OUTCOME]
)
def weigh(table: RewardTable, **weights: float) -> RewardTable:
    """Adds the weighted sum of process parts to the turn rewards.

    Formula: turn_reward[t] += sum over names of weight * part[t]. The outcome counts 1; ``outcome: w`` scales it. What
    is weighed after a gate is not subject to it.

    Args:
        table: N trajectories with M turns.
        **weights: Weight of each part; a part that is not named does not count.
    """
    reward = table.turn_reward
    for name, weight in weights.items():
        if name != OUTCOME:
            reward = reward + weight * table.part(name)
    return table.with_rewards(turn_reward=reward, outcome=table.outcome * weights.get(OUTCOME, 1.0))


@STAGES.register(
    "gate",
    source="Stabilizing Long-term Multi-turn Reinforcement Learning with Gated Rewards (G-RA)",
    arxiv="2508.10548",
    status="summary",
    signals=lambda p: emitted([p["when"]]),
)
def gate(
    table: RewardTable,
    *,
    when: str = OUTCOME,
    at_least: float = 1.0,
    strict: bool = False,
    reduce: Reduce = "sum",
    drop: Drop = "process",
) -> RewardTable:
    """Drops the rewards of trajectories that do not meet a condition of higher priority (gated accumulation).

    Gates chain: ``format`` may gate everything, then the outcome the process rewards. A gate sees what the stages
    before it left of the outcome, and process parts as the environment emitted them. Accounts of the method differ on
    whether the threshold itself opens the gate: `strict` decides.

    Args:
        table: N trajectories with M turns.
        when: ``outcome``; ``finished`` (1 where the environment ended the episode, 0 where a budget cut it off, so
            that playing on to the budget earns nothing); or a process part.
        at_least: Threshold of that value.
        strict: The value must be above the threshold; otherwise reaching it is enough.
        reduce: How a part's values over a trajectory's turns become one: their sum; the last turn's; ``min`` (every
            turn must meet the threshold); ``max`` (one turn must). Without turns only the sum, 0, can open the gate.
        drop: What a closed gate sets to 0: the turn rewards, the outcome, or both.
    """
    value = value_of(table, when, reduce)
    is_open = value > at_least + TOLERANCE if strict else reaches(value, at_least)
    keep_turns: Bools | bool = is_open[table.trajectory] if drop != "outcome" else True
    keep_outcome: Bools | bool = is_open if drop != "process" else True
    return table.with_rewards(
        turn_reward=np.where(keep_turns, table.turn_reward, 0.0), outcome=np.where(keep_outcome, table.outcome, 0.0)
    )
