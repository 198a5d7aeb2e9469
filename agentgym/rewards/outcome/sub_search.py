"""SubSearch: are the sub-questions answerable, and do they take the task apart? Neither needs a gold answer.

Only the paper's abstract is known here. Words stand in for whatever the authors measure it by, all of them free
choices: a sub-question is answerable as far as one document of its own result holds its words; sub-questions take a
task apart as far as they cover its words without repeating it or each other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from agentgym.rewards.outcome.answer import normalize_answer
from agentgym.rewards.outcome.episode import observations, queries
from agentgym.rewards.outcome.registry import Floats, reward
from agentgym.trajectory import Trajectory

_WORD = re.compile(r"\w+")
_EMPTY_WORDS = frozenset(
    _WORD.findall("who whom whose what which when where why how is are was were do does did of in on to")
)


def content_words(text: str) -> frozenset[str]:
    """The words of a text without articles, question words and the commonest prepositions."""
    return frozenset(_WORD.findall(normalize_answer(text))) - _EMPTY_WORDS


def answerability(question: str, documents: Sequence[str]) -> float:
    """Share of a sub-question's words that the best of its documents holds, 0..1; 0 without words or documents."""
    asked = content_words(question)
    return max((len(asked & content_words(d)) / len(asked) for d in documents), default=0.0) if asked else 0.0


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Size of the intersection over size of the union, 0..1; 1 for two empty sets."""
    union = len(a | b)
    return len(a & b) / union if union else 1.0


def decomposition(task: str, questions: Sequence[str]) -> float:
    """How well sub-questions take a task apart, 0..1.

    Formula: coverage * novelty. Coverage is the share of the task's words that occur in some sub-question. Novelty is
    the mean over sub-questions of the smaller of 1 - Jaccard similarity with the task, and the share of words that no
    earlier sub-question had, so that neither the task asked as it stands nor one question asked again counts.

    Args:
        task: The question to be answered.
        questions: The sub-questions, in order.
    """
    whole = content_words(task)
    if not whole or not questions:
        return 0.0
    novelty, seen = 0.0, set[str]()
    for words in map(content_words, questions):
        if words:
            novelty += min(1.0 - jaccard(words, whole), len(words - seen) / len(words))
        seen |= words
    return len(whole & seen) / len(whole) * novelty / len(questions)


def sub_search(
    task: str,
    questions: Sequence[str | None],
    answerable: Sequence[float],
    weight: float = 0.5,
) -> Floats:
    """float64[T], ``weight * answerable_t / n + (1 - weight) * decomposition / n`` on each of the n turns that ask.

    The sum over an episode is the mean answerability weighed against the decomposition, 0..1: asking more does not
    earn more.

    Args:
        task: The question to be answered.
        questions: [T], the sub-question of each turn; None for a turn that asks none.
        answerable: [T], 0..1, by `answerability` or by a judge.
        weight: Of answerability against decomposition, 0..1 (FREE).
    """
    asked = [question for question in questions if question is not None]
    asks = np.array([question is not None for question in questions], dtype=np.bool_)
    shared = weight * np.asarray(answerable, dtype=np.float64) + (1.0 - weight) * decomposition(task, asked)
    return np.where(asks, shared / max(len(asked), 1), 0.0)


class HasQuestion(Protocol):
    """A task that asks a question."""

    @property
    def question(self) -> str: ...


@reward(
    "sub_search",
    source="SubSearch: Intermediate Rewards for Unsupervised Guided Reasoning in Complex Retrieval",
    arxiv="2604.07415",
    status="abstract",
)
def score_sub_search(
    task: HasQuestion,
    trajectory: Trajectory,
    *,
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5,
    action: str = "search",
) -> Floats:
    """SubSearch: answerable sub-questions that take the task apart; needs no gold answer.

    Formula: on each of the n turns that ask, (weight * answerability_t + (1 - weight) * decomposition) / n.

    Args:
        task: With `question`.
        trajectory: The episode; a line of an observation is a document.
        weight: Of answerability against decomposition (FREE).
        action: Name of the action that asks a sub-question.

    Returns:
        float64[T].
    """
    asked = queries(trajectory, action)
    answerable = [
        0.0 if question is None else answerability(question, shown.splitlines())
        for question, shown in zip(asked, observations(trajectory), strict=True)
    ]
    return sub_search(task.question, asked, answerable, weight)
