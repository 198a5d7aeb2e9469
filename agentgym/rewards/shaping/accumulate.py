"""How process and outcome rewards add up without being farmed: ReNorm, Clip, Delta, bottom-line checks.

From PPR (arXiv 2509.25598), "On Designing Effective RL Reward at Training Time for LLM Reasoning" (arXiv 2410.15115)
and SearchLLM.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.shaping.values import Name, Reduce, Share, emitted, last_turns, reaches, value_of
from agentgym.rewards.table import Floats, RewardTable


@STAGES.register(
    "renorm",
    source="Hybrid Reward Normalization for Process-supervised Non-verifiable Agentic Tasks (PPR)",
    arxiv="2509.25598",
    status="summary",
)
def renorm(
    table: RewardTable, *, centre: Share = 0.5, over: Literal["trajectory", "turn"] = "trajectory"
) -> RewardTable:
    """Centres process and outcome rewards, so that a good process never lifts a wrong outcome above a right one.

    Formula: r_p - centre and r_o - centre; with the default their sum is r_p + r_o - 1, in [-1, 1] for rewards in
    [0, 1]. Goes after the stage that fills the turn rewards.

    Args:
        table: N trajectories with M turns; rewards in 0..1.
        centre: What is taken from each.
        over: ``trajectory`` takes the mean of the turn rewards as r_p and spreads it over the turns, so that the whole
            trajectory keeps the bound however long it is (one without turns has r_p = 0); ``turn`` centres each turn's
            reward as it stands, so that the bound holds for a single turn only.
    """
    outcome = table.outcome - centre
    if over == "turn":
        return table.with_rewards(turn_reward=table.turn_reward - centre, outcome=outcome)
    turns = np.repeat(table.lengths, table.lengths)
    return table.with_rewards(
        turn_reward=(table.turn_reward - centre) / turns, outcome=outcome - np.where(table.lengths == 0, centre, 0.0)
    )


@STAGES.register(
    "clip_reward",
    source="On Designing Effective RL Reward at Training Time for LLM Reasoning (Clip)",
    arxiv="2410.15115",
    status="recalled",
    signals=lambda p: [p["part"]] if p["part"] else [],
)
def clip_reward(table: RewardTable, *, eta: float, part: Name | None = None) -> RewardTable:
    """Bounds step rewards from above and moves them below 0, so that further steps cannot be worth more than none.

    Formula: min(r, eta) - eta.

    Args:
        table: M turns.
        eta: The bound; a step that reaches it earns 0, a worse one less.
        part: The process part to change in place; by default the turn rewards as the stages before left them.
    """
    return _replace(table, part, np.minimum(_steps(table, part), eta) - eta)


@STAGES.register(
    "delta",
    source="On Designing Effective RL Reward at Training Time for LLM Reasoning (Delta)",
    arxiv="2410.15115",
    status="recalled",
    signals=lambda p: [p["part"]] if p["part"] else [],
)
def delta(table: RewardTable, *, part: Name | None = None) -> RewardTable:
    """Replaces step rewards by their differences, so that repeating good steps earns nothing.

    Formula: r_k - r_{k+1}; the last step keeps its own. From any step on the sum telescopes to that step's reward.

    Args:
        table: M turns.
        part: The process part to change in place; by default the turn rewards as the stages before left them.
    """
    rewards = _steps(table, part)
    following = np.append(rewards[1:], 0.0) if table.m else rewards
    return _replace(table, part, rewards - np.where(last_turns(table), 0.0, following))


@STAGES.register(
    "bottom_line",
    source="Aligning Large Language Models with Searcher Preferences (SearchLLM)",
    arxiv="2603.10473",
    status="abstract",
    signals=lambda p: emitted([*p["checks"], *p["behaviour"]]),
)
def bottom_line(
    table: RewardTable,
    *,
    checks: Annotated[dict[str, float], Field(min_length=1)],
    behaviour: Annotated[dict[str, float], Field(min_length=1)],
    reduce: Reduce = "sum",
    failed: float = 0.0,
) -> RewardTable:
    """Lets the behaviour score count only where every bottom-line check (format, safety, evidence) holds.

    Formula: outcome' = sum of weight * behaviour where all checks reach their thresholds, else `failed`. The turn
    rewards are left alone; `gate` closes them.

    Args:
        table: N trajectories.
        checks: Threshold of each check: ``outcome``, ``finished``, or a process part.
        behaviour: Weight of each term of the score: ``outcome`` or a process part, summed over the turns.
        reduce: How a checked part's values over the turns become one; see `gate`.
        failed: The outcome of a trajectory that fails a check.
    """
    holds = np.ones(table.n, dtype=np.bool_)
    for name, threshold in checks.items():
        holds &= reaches(value_of(table, name, reduce), threshold)
    score = np.zeros(table.n)
    for name, weight in behaviour.items():
        score += weight * value_of(table, name)
    return table.with_rewards(outcome=np.where(holds, score, failed))


def _steps(table: RewardTable, part: str | None) -> Floats:
    return table.turn_reward if part is None else table.part(part)


def _replace(table: RewardTable, part: str | None, values: Floats) -> RewardTable:
    return table.with_rewards(turn_reward=values) if part is None else table.with_part(part, values)
