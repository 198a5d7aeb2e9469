"""Majority votes over answers: pseudo-labels, self-consistency, several samples of a judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agentgym.rewards.outcome.answer import normalize_answer


@dataclass(frozen=True, slots=True)
class Vote:
    """What a vote came to.

    Attributes:
        winner: The answer with the most votes, as the first voter wrote it; of a tie, the one that was given first.
            None without any vote.
        share: Its share of all votes, abstentions included, 0..1.
        tied: Another answer has as many.
    """

    winner: str | None
    share: float
    tied: bool


def majority(answers: Iterable[str | None], same: Callable[[str], str] = normalize_answer) -> Vote:
    """Counts votes.

    Args:
        answers: One a voter; None or blank abstains.
        same: Answers that it maps to one text are one answer.
    """
    votes: Counter[str] = Counter()
    written: dict[str, str] = {}
    voters = 0
    for answer in answers:
        voters += 1
        if answer is not None and answer.strip():
            key = same(answer)
            votes[key] += 1
            written.setdefault(key, answer)
    if not votes:
        return Vote(None, 0.0, tied=False)
    (key, count), *rest = votes.most_common(2)  # of equal counts, the first seen comes first
    return Vote(written[key], count / voters, tied=any(other == count for _, other in rest))
