"""SLATE: the continuations of one step, sampled from the same prefix, compared with each other."""

from __future__ import annotations

from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.credit.base import CREDIT, Epsilon, Weight, normalise, pair_ids


@CREDIT.register(
    "slate",
    source="Truncated Step-Level Sampling with Process Rewards for Retrieval-Augmented Reasoning (SLATE)",
    arxiv="2602.23440",
    status="abstract",
    signals=lambda p: ["slate_reasoning", "slate_query", "slate_answer"],
)
def slate(
    table: RewardTable,
    *,
    reasoning: Weight = 1.0,
    query: Weight = 1.0,
    answer: Weight = 1.0,
    std: bool = True,
    eps: Epsilon = 1e-6,
) -> Floats:
    """Ternary scores of a step, weighed and normalised over the k continuations of that step: (s - mean) / (std + eps).

    s = reasoning * slate_reasoning + query * slate_query + answer * slate_answer + the turn's shaped reward. With
    ``collect: {name: steps}`` a group is the k continuations of one step, a turn each; in whole episodes turns of the
    same number are compared. A turn that is alone has 0. The weights are a free choice.

    Args:
        table: M turns with the parts ``slate_reasoning``, ``slate_query`` and ``slate_answer``, each -1, 0 or +1.
        reasoning: Weight of the reasoning's score.
        query: Weight of the query's score.
        answer: Weight of the answer's score.
        std: Whether to divide by the sample standard deviation.
        eps: Added to it.

    Returns:
        float64[M]
    """
    score = (
        reasoning * table.part("slate_reasoning")
        + query * table.part("slate_query")
        + answer * table.part("slate_answer")
        + table.turn_reward
    )
    peers = pair_ids(table.group[table.trajectory], table.index)
    return normalise(score, peers, eps, std, alone="zero")
