"""SLATE: ternary scores of a turn's reasoning, its query and its answer (arXiv 2602.23440; only its abstract is known).

There a judge gives -1, 0 or +1 to each of the three. Here a rule reads them from the facts that an environment emits
and can check; which facts those are is configuration (a free choice). The scores are process parts of their own, so a
judge's verdicts can take their place under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from agentgym.config import Config
from agentgym.env import FORMAT
from agentgym.rewards.outcome.episode import AnyTask
from agentgym.rewards.outcome.registry import Floats, reward
from agentgym.signal import RewardSignal
from agentgym.trajectory import Trajectory

#: The parts, and what each says.
REASONING, QUERY, ANSWER = "slate_reasoning", "slate_query", "slate_answer"
SIGNALS: Mapping[str, str] = {
    REASONING: "SLATE: +1 for a right verdict, -1 for a wrong one or a turn that is not well-formed, else 0",
    QUERY: "SLATE: +1 for new evidence, -1 for a query that repeats, else 0",
    ANSWER: "SLATE: +1 for a right answer, -1 for a wrong one, 0 where there is none",
}

_PAPER = "Truncated Step-Level Sampling with Process Rewards for Retrieval-Augmented Reasoning (SLATE)"
_ARXIV = "2602.23440"

Names = Annotated[tuple[str, ...], Field(min_length=1)]


def reasoning_score(process: Mapping[str, float], verdicts: Sequence[str]) -> float:
    """-1 for a turn that is not well-formed; else the sign of the sum of its verdicts; 0 without one.

    Args:
        process: The turn's parts; ``format`` below 0 says that it is not well-formed.
        verdicts: Parts that are above 0 for a right verdict of the agent's own, below 0 for a wrong one.
    """
    if process.get(FORMAT, 0.0) < 0:
        return -1.0
    return float(np.sign(sum(process.get(name, 0.0) for name in verdicts)))


def query_score(process: Mapping[str, float], gains: Sequence[str], costs: Mapping[str, float]) -> float:
    """+1 where a gain is above 0; else -1 where a cost reaches its threshold; else 0.

    Args:
        process: The turn's parts.
        gains: Parts that say how much new evidence was found.
        costs: Part -> value from which on the query was wasted.
    """
    if any(process.get(name, 0.0) > 0 for name in gains):
        return 1.0
    return -1.0 if any(name in process and process[name] >= least for name, least in costs.items()) else 0.0


def answer_score(outcome: float | None, right_at: float) -> float:
    """+1 for an outcome that reaches `right_at`, -1 for one that does not, 0 without one."""
    if outcome is None:
        return 0.0
    return 1.0 if outcome >= right_at else -1.0


class SlateRule(Config):
    """Ternary scores by rule; called with a turn's signal, it gives the three parts (`SIGNALS`)."""

    verdicts: tuple[str, ...] = ("judge",)
    """Parts that are above 0 for a right verdict of the agent's own, below 0 for a wrong one (FREE)."""
    gains: tuple[str, ...] = ("evidence",)
    """Parts that say how much new evidence a query found (FREE)."""
    costs: dict[str, float] = Field(default_factory=lambda: {"repeat": 1.0, "redundancy": 1.0})
    """Part -> value from which on a query was wasted, unless it found new evidence (FREE)."""
    right_at: float = 1.0
    """Outcome from which on an answer is right."""

    def __call__(self, signal: RewardSignal) -> dict[str, float]:
        return {
            REASONING: reasoning_score(signal.process, self.verdicts),
            QUERY: query_score(signal.process, self.gains, self.costs),
            ANSWER: answer_score(signal.outcome, self.right_at),
        }

    @property
    def reads(self) -> tuple[str, ...]:
        """The process parts that it looks at."""
        return (*self.verdicts, *self.gains, *self.costs)


@reward(REASONING, source=_PAPER, arxiv=_ARXIV, status="abstract", signals=lambda p: p["verdicts"])
def score_slate_reasoning(task: AnyTask, trajectory: Trajectory, *, verdicts: Names = ("judge",)) -> Floats:
    """SLATE's ternary score of each turn's reasoning, by rule.

    Formula: -1 for a turn that is not well-formed; else the sign of the sum of its `verdicts`; 0 without one.

    Args:
        task: Not looked at.
        trajectory: The episode.
        verdicts: Parts above 0 for a right verdict of the agent's own, below 0 for a wrong one (FREE).
    """
    return np.array([reasoning_score(turn.signal.process, verdicts) for turn in trajectory.turns], dtype=np.float64)


@reward(QUERY, source=_PAPER, arxiv=_ARXIV, status="abstract", signals=lambda p: [*p["gains"], *p["costs"]])
def score_slate_query(
    task: AnyTask,
    trajectory: Trajectory,
    *,
    gains: Names = ("evidence",),
    costs: Mapping[str, float] = {"repeat": 1.0, "redundancy": 1.0},
) -> Floats:
    """SLATE's ternary score of each turn's query, by rule.

    Formula: +1 where one of the `gains` is above 0; else -1 where one of the `costs` reaches its threshold; else 0.

    Args:
        task: Not looked at.
        trajectory: The episode.
        gains: Parts that say how much new evidence a query found (FREE).
        costs: Part -> value from which on a query was wasted (FREE).
    """
    return np.array([query_score(turn.signal.process, gains, costs) for turn in trajectory.turns], dtype=np.float64)


@reward(ANSWER, source=_PAPER, arxiv=_ARXIV, status="abstract")
def score_slate_answer(task: AnyTask, trajectory: Trajectory, *, right_at: float = 1.0) -> Floats:
    """SLATE's ternary score of each turn's answer, by rule.

    Formula: +1 on the turn whose outcome reaches `right_at`, -1 on one whose outcome does not, 0 on all others.

    Args:
        task: Not looked at.
        trajectory: The episode.
        right_at: Outcome from which on an answer is right.
    """
    return np.array([answer_score(turn.signal.outcome, right_at) for turn in trajectory.turns], dtype=np.float64)
