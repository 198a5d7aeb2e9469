"""Nuggets: a rubric of short facts; the share of them that a text supports (Search-Gen-V, abstract only).

Who says whether a fact is supported is free: a judge, or the words here. What is fixed is the count: a fact supported
fully counts 1, partly .5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol

from pydantic import Field

from agentgym.rewards.outcome.answer import normalize_answer
from agentgym.rewards.outcome.registry import reward
from agentgym.rewards.table import final_answer
from agentgym.trajectory import Trajectory

Support = Literal["full", "partial", "none"]
#: What a supported nugget counts.
CREDIT: Mapping[Support, float] = {"full": 1.0, "partial": 0.5, "none": 0.0}
Share = Annotated[float, Field(ge=0, le=1)]


def nugget_score(labels: Sequence[Support]) -> float:
    """Share of nuggets supported, 0..1: fully counts 1, partly .5; no nuggets: 0.

    Args:
        labels: One a nugget.
    """
    return sum(CREDIT[label] for label in labels) / len(labels) if labels else 0.0


def word_support(text: str, nugget: str, full: float = 1.0, partial: float = 0.5) -> Support:
    """How far a text supports a nugget, by the share of the nugget's words that it holds.

    Args:
        text: What was said.
        nugget: A short fact.
        full: Share from which on it is supported fully (FREE).
        partial: Share from which on it is supported partly (FREE).
    """
    return _support(frozenset(normalize_answer(text).split()), nugget, full, partial)


def _support(said: frozenset[str], nugget: str, full: float, partial: float) -> Support:
    words = frozenset(normalize_answer(nugget).split())
    share = len(words & said) / len(words) if words else 0.0
    if share == 0.0:
        return "none"
    return "full" if share >= full else "partial" if share >= partial else "none"


class HasNuggets(Protocol):
    """A task with short facts that a good answer states."""

    @property
    def nuggets(self) -> Sequence[str]: ...


@reward("nuggets", source="Search-Gen-V", status="abstract")
def score_nuggets(task: HasNuggets, trajectory: Trajectory, *, full: Share = 1.0, partial: Share = 0.5) -> float:
    """Share of the task's nuggets that the answer supports, by words: fully counts 1, partly .5.

    Formula: mean over nuggets of 1, .5 or 0. An answer that lists words supports them too: a judge sees through that,
    this does not.

    Args:
        task: With `nuggets`.
        trajectory: The episode.
        full: Share of a nugget's words from which on it is supported fully (FREE).
        partial: Share from which on it is supported partly (FREE).
    """
    said = frozenset(normalize_answer(final_answer(trajectory) or "").split())
    return nugget_score([_support(said, nugget, full, partial) for nugget in task.nuggets])
