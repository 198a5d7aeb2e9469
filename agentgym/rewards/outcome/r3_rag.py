"""R3-RAG: a right answer at the end, relevant documents on the way.

Only the paper's abstract is known here (answer correctness as outcome, relevance of the retrieved documents as process
reward); the weight, the measure of relevance and the way to add the two are free choices.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from agentgym.rewards.outcome.answer import HasAnswers, Match, match_answer
from agentgym.rewards.outcome.episode import at_last, part
from agentgym.rewards.outcome.registry import Floats, reward
from agentgym.trajectory import Trajectory


def r3_rag(correct: float, relevance: ArrayLike, weight: float = 0.5) -> Floats:
    """float64[T], ``weight * relevance_t / T``, and the correctness on the last turn.

    Over the episode that is correctness + weight * mean relevance: a good search repeated earns no more.

    Args:
        correct: How right the answer is, 0..1.
        relevance: [T], of the documents that each turn retrieved, 0..1 (0 for a turn without a search).
        weight: Of the mean relevance (FREE).
    """
    steps = np.asarray(relevance, dtype=np.float64)
    return at_last(weight * steps / max(len(steps), 1), correct)


@reward(
    "r3_rag",
    source="R3-RAG: Learning Step-by-Step Reasoning and Retrieval for LLMs via Reinforcement Learning",
    arxiv="2505.23794",
    status="abstract",
    signals=lambda p: [p["relevance"]],
)
def score_r3_rag(
    task: HasAnswers,
    trajectory: Trajectory,
    *,
    weight: Annotated[float, Field(ge=0)] = 0.5,
    match: Match = "em",
    relevance: str = "relevance",
) -> Floats:
    """R3-RAG: relevance of the documents of each step, and the answer's correctness on the last turn.

    Formula: r_t = weight * relevance_t / T, plus correctness at the end.

    Args:
        task: With `answers`.
        trajectory: The episode.
        weight: Of the mean relevance (FREE).
        match: How the answer is compared with the gold ones (FREE).
        relevance: Process part that holds the relevance of a step's documents: their share that is gold, or a judge's
            score (FREE).

    Returns:
        float64[T].
    """
    return r3_rag(match_answer(task, trajectory, match), part(trajectory, relevance), weight)
