"""Nuggets: the count, and support by words."""

from __future__ import annotations

import pytest
from episodes import answer, bad, episode, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.nuggets import Support, nugget_score, word_support

LABELS = st.lists(st.sampled_from(["full", "partial", "none"]), max_size=8)


def test_fully_counts_one_and_partly_a_half() -> None:
    assert nugget_score(["full", "partial", "none", "none"]) == 0.375
    assert nugget_score([]) == 0.0


@given(LABELS, st.randoms(use_true_random=False))
def test_bounded_and_blind_to_order(labels: list[Support], order: object) -> None:
    score = nugget_score(labels)
    assert 0 <= score <= 1
    assert nugget_score(labels[::-1]) == score
    assert nugget_score([*labels, "full"]) >= score


@pytest.mark.parametrize(
    ("text", "support"),
    [
        ("In Paris, the tower opened 1889.", "full"),
        ("The tower opened late", "partial"),
        ("A tower", "none"),
        ("", "none"),
    ],
)
def test_support_by_words(text: str, support: str) -> None:
    assert word_support(text, "The tower opened in 1889, Paris", partial=0.4) == support


def test_a_nugget_without_words_is_never_supported() -> None:
    assert word_support("anything", "", full=0.0, partial=0.0) == "none"
    assert word_support("anything", "else", full=0.0, partial=0.0) == "none"


def test_of_an_episode() -> None:
    facts = task(nuggets=["tower opened 1889", "stands in Paris"])
    assert measure("nuggets", facts, episode(answer("The tower opened in 1889; Paris"))) == pytest.approx(0.75)
    assert measure("nuggets", facts, episode(answer("Paris")), partial=0.3) == pytest.approx(0.25)
    assert measure("nuggets", facts, episode(bad())) == 0.0
