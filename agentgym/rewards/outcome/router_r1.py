"""Router-R1: a right answer, and a discount for having asked expensive models (arXiv 2506.09033, public code).

Prices are compared with bounds. The authors take them from a running buffer of prices; that buffer is memory, and so
the business of shaping: here the bounds are given.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentgym.rewards.outcome.answer import HasAnswers, match_answer
from agentgym.rewards.outcome.episode import part, well_formed
from agentgym.rewards.outcome.registry import reward
from agentgym.rewards.table import final_answer
from agentgym.trajectory import Trajectory

#: Bounds closer than this cannot tell prices apart.
EPSILON = 1e-8
#: The score of every price between such bounds.
UNDECIDED = 0.5


def cheapness(price: float, low: float, high: float, epsilon: float = EPSILON) -> float:
    """How cheap a price is between two bounds: ``1 - clip((price - low) / (high - low), 0, 1)``.

    Args:
        price: What the episode cost, in the unit of the bounds.
        low: The price that scores 1.
        high: The price that scores 0.
        epsilon: A smaller range cannot tell prices apart: .5.
    """
    if high - low < epsilon:
        return UNDECIDED
    return 1.0 - min(max((price - low) / (high - low), 0.0), 1.0)


def router_r1(quality: float, cheap: float, valid: bool = True, alpha: float = 0.2) -> float:
    """``(1 - alpha) * quality + alpha * cheap``; 0 for an answer without any quality, -1 for a bad format.

    Args:
        quality: F1 or exact match of the answer, 0..1.
        cheap: How cheap the episode was, 0..1 (`cheapness`).
        valid: The episode is well-formed.
        alpha: Weight of the price, 0..1.
    """
    if not valid:
        return -1.0
    return 0.0 if quality <= 0.0 else (1.0 - alpha) * quality + alpha * cheap


@reward(
    "router_r1",
    source="Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via Reinforcement Learning",
    arxiv="2506.09033",
    status="code",
    signals=lambda p: [p["price"]],
)
def score_router_r1(
    task: HasAnswers,
    trajectory: Trajectory,
    *,
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.2,
    low: float = 0.0,
    high: float = 1.0,
    match: Literal["f1", "em"] = "f1",
    price: str = "price",
) -> float:
    """Router-R1: quality of the answer and cheapness of the models that were asked.

    Formula: -1 for a bad format or no answer; 0 for a wrong answer; else (1 - alpha) * quality + alpha * cheapness,
    cheapness = 1 - clip((price - low) / (high - low), 0, 1).

    Args:
        task: With `answers`.
        trajectory: The episode.
        alpha: Weight of the price.
        low: The price that scores 1.
        high: The price that scores 0.
        match: Quality as token F1 or as exact match.
        price: Process part that holds what a turn cost; the episode's price is their sum.
    """
    valid = well_formed(trajectory) and final_answer(trajectory) is not None
    cheap = cheapness(float(part(trajectory, price).sum()), low, high)
    return router_r1(match_answer(task, trajectory, match), cheap, valid, alpha)
