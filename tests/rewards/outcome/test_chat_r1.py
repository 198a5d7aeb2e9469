"""ChatR1: queries held against the user's intents."""

from __future__ import annotations

import numpy as np
import pytest
from episodes import answer, episode, search, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.chat_r1 import chat_r1

INTENTS = ["who founded apple records", "when was apple records founded"]
TEXTS = st.lists(st.sampled_from(["apple", "records", "founded", "who", "when"]), max_size=5).map(" ".join)


def test_in_order() -> None:
    asked = ["who founded apple records", None, "apple records", "more"]
    # F1 of 2 words with 5: 2 * 2 / 7; the fourth query has no intent left.
    assert chat_r1(asked, INTENTS) == pytest.approx([1.0, 0.0, 4 / 7, 0.0])


def test_best_pays_each_intent_once() -> None:
    asked = ["when was apple records founded", "who founded apple records", "who founded apple records"]
    assert chat_r1(asked, INTENTS, "best") == pytest.approx([1.0, 1.0, 0.0])
    assert chat_r1(["apple records"], [], "best") == pytest.approx([0.0])


@given(st.lists(st.none() | TEXTS, max_size=8), st.lists(TEXTS, max_size=3), st.sampled_from(["order", "best"]))
def test_an_episode_earns_at_most_one_an_intent(asked: list[str | None], intents: list[str], align: str) -> None:
    rewards = chat_r1(asked, intents, align)  # type: ignore[arg-type]
    assert rewards.shape == (len(asked),)
    assert np.all(rewards >= 0)
    assert rewards.sum() <= len(intents) + 1e-9


def test_of_an_episode() -> None:
    played = episode(search("who founded apple records"), search("apple records"), answer("x"))
    assert measure("chat_r1", task(intents=INTENTS), played) == pytest.approx([1.0, 4 / 7, 0.0])
