"""What a judge is asked and what it answers: `Request`, `Verdict`, the `Judge` protocol and its faults.

The text to be judged is written by the policy that the verdict trains: it is hostile by assumption. A verdict that
cannot be had is a `JudgeFault`, never a zero: a zero would punish the policy for the judge's failure.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from agentgym.faults import AgentGymError, EnvironmentFault
from agentgym.rewards.judges.tree import Criterion

#: Scores of a comparison: the first text is better, neither is, the second is.
FIRST, TIE, SECOND = 1.0, 0.5, 0.0


class JudgeFault(EnvironmentFault):
    """No verdict could be had: the judge's answer could not be read, or its model failed, as often as it was tried."""

    def __init__(self, detail: str = "", kind: str = "judge") -> None:
        super().__init__(kind, detail)

    def __reduce__(self) -> tuple[type[JudgeFault], tuple[str, str]]:
        return type(self), (self.detail, self.kind)


class TooLong(JudgeFault):
    """What is to be judged does not fit into the model's context."""


class BudgetSpent(AgentGymError, RuntimeError):
    """A judge has called its model as often as it may.

    Args:
        limit: Calls that were allowed.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"the judge's budget of {limit} model calls is spent; raise budget, or give a cache")
        self.limit = limit

    def __reduce__(self) -> tuple[type[BudgetSpent], tuple[int]]:
        return type(self), (self.limit,)


@dataclass(frozen=True, slots=True)
class Request:
    """One text to judge, or two to compare.

    Attributes:
        task: What was asked for.
        text: What is judged; hostile.
        other: A second text, to compare with the first; hostile.
        references: Right answers, any of which counts.
        rubric: Criteria of this task; None: those of the judge.
        nuggets: Short facts that a good text states.
        reasoning: What was written before the text; hostile. Likelihood judges read it.
        well_formed: Whether the text came in the form that was asked for.
    """

    task: str
    text: str
    other: str | None = None
    references: tuple[str, ...] = ()
    rubric: Criterion | None = None
    nuggets: tuple[str, ...] = ()
    reasoning: str = ""
    well_formed: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge decided.

    Attributes:
        score: 0..1, 1 is best; judges with another scale (log-likelihoods) say so. Of a comparison: 1 where the first
            text is better, 0 where the second is, .5 for a tie.
        label: The decision in a word, e.g. ``yes``, ``first``, ``refusal``.
        reason: Why, for people; what a model wrote is untrusted text.

    Raises:
        ValueError: The score is not a finite number.
    """

    score: float
    label: str
    reason: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.score):
            raise ValueError(f"a verdict's score must be finite, got {self.score}")


class Judge(Protocol):
    """The protocol.

    Attributes:
        lowest: The score of a text that says nothing; no score is lower.
    """

    @property
    def lowest(self) -> float: ...

    async def judge(self, request: Request) -> Verdict:
        """Decides.

        Raises:
            JudgeFault: No verdict could be had.
            BudgetSpent: The model may not be called any more.
            ConfigError: The request lacks what this judge reads (references, a second text).
        """
        ...


@dataclass(frozen=True, slots=True)
class PlainJudge:
    """A function as a judge.

    Attributes:
        decide: Request -> verdict.
        lowest: See `Judge`.
    """

    decide: Callable[[Request], Awaitable[Verdict]]
    lowest: float = 0.0

    async def judge(self, request: Request) -> Verdict:
        """See `Judge.judge`."""
        return await self.decide(request)
