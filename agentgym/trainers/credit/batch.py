"""Returns compared over the whole batch, not only inside a group: REINFORCE++ and COPO."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from agentgym.rewards.outcome.answer import normalize_answer
from agentgym.rewards.shaping.values import answers
from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.credit.base import (
    CREDIT,
    Epsilon,
    centre,
    normalise,
    pair_ids,
    spread,
    trajectory_returns,
    whitened,
)


@CREDIT.register(
    "reinforce_pp",
    source="REINFORCE++: An Efficient RLHF Algorithm with Robustness to Both Prompt and Reward Models",
    arxiv="2501.03262",
    status="recalled",
)
def reinforce_pp(table: RewardTable, *, baseline: bool = False, eps: Epsilon = 1e-8) -> Floats:
    """Return, whitened over the whole batch: A = (R - mean) / (std + eps), mean and std over all trajectories.

    Goes with the KL term in the loss or in the reward, as configured in the learner.

    Args:
        table: M turns.
        baseline: First subtract the mean of the group (the method's "baseline" variant).
        eps: Added to the standard deviation (of the population).

    Returns:
        float64[M]
    """
    returns = trajectory_returns(table)
    if baseline:
        returns = centre(returns, table.group, alone="zero")
    return spread(table, whitened(returns, eps=eps))


@CREDIT.register("copo", source="Consistency-aware policy optimisation (COPO)", status="abstract")
def copo(
    table: RewardTable,
    *,
    sharpness: Annotated[float, Field(ge=0)] = 10.0,
    middle: Annotated[float, Field(ge=0, le=1)] = 0.3,
    eps: Epsilon = 1e-6,
) -> Floats:
    """Group advantage, blended with a batch-wide one the more the group agrees: A = w A_group + (1 - w) A_batch.

    w = sigmoid(sharpness * (H - middle)), H the entropy of the group's answers over that of n different ones, 0..1. A
    group that agrees completely has no group advantage, yet the batch-wide one still says whether it agrees on
    something right. Both advantages are (R - mean) / (std + eps). Weight and threshold are free choices.

    Args:
        table: M turns, with each trajectory's answer (none counts as one more answer).
        sharpness: How fast the weight changes around the threshold.
        middle: Entropy at which both count the same.
        eps: Added to the standard deviations.

    Returns:
        float64[M]
    """
    returns = trajectory_returns(table)
    local = normalise(returns, table.group, eps, alone="zero")
    overall = whitened(returns, eps=eps)
    # The sigmoid by tanh, which does not overflow.
    weight = (1 + np.tanh(sharpness * (answer_entropy(table) - middle) / 2)) / 2
    share = weight[table.group]
    return spread(table, share * local + (1 - share) * overall)


def answer_entropy(table: RewardTable) -> Floats:
    """float64[G], entropy of each group's answers divided by log n: 0 where all are equal, 1 where all differ.

    Args:
        table: G groups. Answers are compared as normalised for exact match; to give none is one more answer.
    """
    known: dict[str, int] = {}
    given = (normalize_answer(answer) for answer in answers(table))
    said = np.array([known.setdefault(answer, len(known)) for answer in given], dtype=np.int64)
    sizes = np.bincount(table.group, minlength=table.n_groups)
    if not table.n:
        return np.zeros(0)
    kinds = pair_ids(table.group, said)
    counts = np.bincount(kinds)
    share = counts[kinds] / sizes[table.group]
    entropy = np.bincount(table.group, weights=-np.log(share) / sizes[table.group], minlength=table.n_groups)
    return np.asarray(np.clip(entropy / np.log(np.maximum(sizes, 2)), 0.0, 1.0), dtype=np.float64)
