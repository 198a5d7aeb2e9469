"""Majority votes."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome.voting import Vote, majority

ANSWERS = st.lists(st.none() | st.sampled_from(["Paris", "paris!", "Rome", "the rome", "Oslo", " "]), max_size=9)


def test_the_most_votes_win_and_spelling_is_forgiven() -> None:
    assert majority(["Rome", "The Paris", "paris"]) == Vote("The Paris", 2 / 3, tied=False)
    assert majority(["a b", "A b"], same=str) == Vote("a b", 0.5, tied=True)
    assert majority(["Rome", None, " ", "Rome"]) == Vote("Rome", 0.5, tied=False)
    assert majority([]) == majority([None, ""]) == Vote(None, 0.0, tied=False)


def test_of_a_tie_the_first_given_wins() -> None:
    assert majority(["Oslo", "Rome", "Rome", "Oslo"]) == Vote("Oslo", 0.5, tied=True)


@given(ANSWERS, st.randoms(use_true_random=False))
def test_order_matters_to_ties_alone(answers: list[str | None], order: random.Random) -> None:
    vote, shuffled = majority(answers), majority(order.sample(answers, len(answers)))
    assert (vote.share, vote.tied) == (shuffled.share, shuffled.tied)
    assert 0 <= vote.share <= 1
    assert (vote.winner is None) == (vote.share == 0)
