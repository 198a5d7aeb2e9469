"""ReSeek: a search is worth what it finds, a verdict on it what it gets right (arXiv 2510.00568).

Only the paper's abstract is known here: after a search, a JUDGE action says whether the documents help; the process
reward is correctness (they support the answer) plus utility (they are new and useful), and a wrong verdict costs. The
weights are free choices.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from agentgym.rewards.outcome.episode import AnyTask, part
from agentgym.rewards.outcome.registry import Floats, reward
from agentgym.trajectory import Trajectory

Weight = Annotated[float, Field(ge=0)]


def verdict_sign(verdict: bool, useful: bool) -> float:
    """+1 for a right verdict on whether a search showed something new and useful, -1 for a wrong one."""
    return 1.0 if verdict == useful else -1.0


def re_seek(
    supports: ArrayLike,
    fresh: ArrayLike,
    judged: ArrayLike,
    *,
    correctness: float = 0.5,
    utility: float = 0.5,
    right: float = 0.1,
    wrong: float = 0.1,
    again: bool = False,
) -> Floats:
    """float64[T], ``correctness * supports + utility * fresh + (right | -wrong)``.

    Args:
        supports: [T], how far each turn's documents support the answer, 0..1.
        fresh: [T], how far they are useful and new, 0..1.
        judged: [T], above 0 for a right verdict, below for a wrong one, 0 for none (`verdict_sign`).
        correctness: Weight of `supports` (FREE).
        utility: Weight of `fresh` (FREE).
        right: What a right verdict earns (FREE).
        wrong: What a wrong one costs (FREE).
        again: Documents that bring nothing new earn their support again; a search can then be repeated for pay (FREE).
    """
    new, sign = np.asarray(fresh, dtype=np.float64), np.asarray(judged, dtype=np.float64)
    support = np.where((new > 0) | again, np.asarray(supports, dtype=np.float64), 0.0)
    verdict = np.where(sign > 0, right, np.where(sign < 0, -wrong, 0.0))
    return np.asarray(correctness * support + utility * new + verdict, dtype=np.float64)


@reward(
    "re_seek",
    source="ReSeek: A Self-Correcting Framework for Search Agents with Instructive Rewards",
    arxiv="2510.00568",
    status="abstract",
    signals=lambda p: [p["supports"], p["fresh"], p["judged"]],
)
def score_re_seek(
    task: AnyTask,
    trajectory: Trajectory,
    *,
    correctness: Weight = 0.5,
    utility: Weight = 0.5,
    right: Weight = 0.1,
    wrong: Weight = 0.1,
    again: bool = False,
    supports: str = "relevance",
    fresh: str = "evidence",
    judged: str = "judge",
) -> Floats:
    """ReSeek: documents that support the answer, documents that are new and useful, and verdicts that are right.

    Formula: r_t = correctness * supports_t + utility * fresh_t, plus `right` for a right verdict of that turn, less
    `wrong` for a wrong one.

    Args:
        task: Any.
        trajectory: The episode.
        correctness: Weight of the support (FREE).
        utility: Weight of what is new and useful (FREE).
        right: What a right verdict earns (FREE).
        wrong: What a wrong verdict costs (FREE).
        again: Documents that bring nothing new earn their support again; a search can then be repeated for pay (FREE).
        supports: Process part that holds the support.
        fresh: Process part that holds what is new and useful.
        judged: Process part that is above 0 for a right verdict and below for a wrong one.

    Returns:
        float64[T].
    """
    parts = (part(trajectory, name) for name in (supports, fresh, judged))
    return re_seek(*parts, correctness=correctness, utility=utility, right=right, wrong=wrong, again=again)
