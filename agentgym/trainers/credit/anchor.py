"""Turns compared with turns taken in the same anchor state: GiGPO, and this package's step-aware GRPO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.credit.base import (
    CREDIT,
    Discount,
    Epsilon,
    Weight,
    anchors,
    centre,
    normalise,
    returns_to_go,
    spread,
    trajectory_returns,
    turn_rewards_with_outcome,
)
from agentgym.trainers.credit.similar import similar_anchors


@CREDIT.register(
    "gigpo", source="Group-in-Group Policy Optimization for LLM Agent Training", arxiv="2505.10978", status="code"
)
def gigpo(
    table: RewardTable,
    *,
    gamma: Discount = 0.95,
    step_weight: Weight = 1.0,
    mode: Literal["mean", "mean_std"] = "mean",
    average: Literal["steps", "trajectories"] = "steps",
    similarity: Annotated[float, Field(gt=0, le=1)] | None = None,
    eps: Epsilon = 1e-6,
) -> Floats:
    """Episode advantage plus step advantage among turns taken in the same state: A_E + step_weight * A_S.

    A_E: the trajectory's return minus the mean of its group. A_S: G_t minus the mean over the group's turns in an
    identical anchor state, G_t = r_t + gamma * G_{t+1}, the outcome being part of the last turn's reward; a state that
    a trajectory comes back to counts each time, and a state that only one turn visited gives 0. A group of one entry
    keeps its return as A_E.

    Args:
        table: M turns.
        gamma: Discount of each further turn.
        step_weight: Weight of A_S.
        mode: ``mean_std`` divides both by the sample standard deviation plus `eps`.
        average: Entries of the group's statistics: ``steps`` counts a trajectory's return once a turn, as the published
            code does by default, so that longer trajectories weigh more; ``trajectories`` counts it once.
        similarity: Least likeness of two states' keys (SequenceMatcher's ratio, the published option is .95) for their
            turns to be compared; none: only equal states are (`agentgym.trainers.credit.similar` says what it costs).
        eps: Added to the standard deviations.

    Returns:
        float64[M]
    """
    std = mode == "mean_std"
    returns = trajectory_returns(table)
    if average == "trajectories":
        episode = spread(table, normalise(returns, table.group, eps, std))
    else:
        episode = normalise(spread(table, returns), table.group[table.trajectory], eps, std)
    to_go = returns_to_go(table, turn_rewards_with_outcome(table), gamma)
    states = anchors(table) if similarity is None else similar_anchors(table, similarity)
    return episode + step_weight * normalise(to_go, states, eps, std, alone="zero")


@CREDIT.register("step_grpo", source="agentgym: step-aware GRPO", status="own")
def step_grpo(
    table: RewardTable,
    *,
    step_weight: Weight = 1.0,
    gamma: Discount = 1.0,
    std: bool = True,
    eps: Epsilon = 1e-6,
) -> Floats:
    """Step-aware GRPO: the group-normalised outcome plus what the turn still earns more than others in its state.

    A_t = (outcome - mean) / (std + eps) + step_weight * (G_t - mean of G over the group's turns in the same anchor
    state), where G_t = r_t + gamma * G_{t+1} is made of turn rewards only. The step term is never divided by a standard
    deviation: with small process rewards that would drown the outcome. A state that only one turn visited has no step
    term; a group of one keeps its outcome / (1 + eps).

    Args:
        table: M turns.
        step_weight: Weight of the step term; 0 leaves GRPO on the outcome.
        gamma: Discount of each further turn's reward.
        std: Whether to divide the outcome by the group's sample standard deviation.
        eps: Added to it.

    Returns:
        float64[M]
    """
    outcome = normalise(table.outcome, table.group, eps, std)
    to_go = returns_to_go(table, table.turn_reward, gamma)
    return spread(table, outcome) + step_weight * centre(to_go, anchors(table), alone="zero")
