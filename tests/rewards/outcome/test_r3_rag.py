"""R3-RAG: relevance on the way, correctness at the end."""

from __future__ import annotations

import numpy as np
import pytest
from episodes import answer, episode, search, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.r3_rag import r3_rag


def test_worked_numbers() -> None:
    assert r3_rag(1.0, [1.0, 0.5, 0.0, 0.0], weight=0.4) == pytest.approx([0.1, 0.05, 0.0, 1.0])
    assert r3_rag(1.0, []).tolist() == []


@given(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=1), st.floats(0, 1))
def test_the_sum_is_correctness_and_mean_relevance(correct: float, relevance: list[float], weight: float) -> None:
    assert r3_rag(correct, relevance, weight).sum() == pytest.approx(correct + weight * np.mean(relevance))


@given(st.integers(1, 50))
def test_repeating_a_good_search_earns_no_more(times: int) -> None:
    assert r3_rag(0.0, [1.0] * times).sum() == pytest.approx(0.5)


def test_of_an_episode() -> None:
    played = episode(search("a", relevance=1.0), search("b", relevance=0.5), answer("John Lennon"))
    lennon = task(answers=["Lennon"])
    assert measure("r3_rag", lennon, played, weight=0.6) == pytest.approx([0.2, 0.1, 0.0])
    assert measure("r3_rag", lennon, played, weight=0.6, match="cover") == pytest.approx([0.2, 0.1, 1.0])
