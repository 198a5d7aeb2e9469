"""SubSearch: answerable sub-questions that take the task apart."""

from __future__ import annotations

import numpy as np
import pytest
from episodes import answer, episode, search, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.sub_search import answerability, content_words, decomposition, jaccard, sub_search

TASK = "Which bank has more branches, CITIC or UniCredit?"
WORDS = st.lists(st.sampled_from(["citic", "unicredit", "bank", "branches", "more", "count", "year"]), max_size=4).map(
    " ".join
)


def test_answerable_is_what_one_document_holds() -> None:
    documents = ["CITIC bank : 935 branches", "UniCredit has 3,500"]
    assert answerability("CITIC branches", documents) == 1.0
    assert answerability("CITIC UniCredit", documents) == 0.5  # no single document holds both
    assert answerability("CITIC", []) == answerability("who is the?", documents) == 0.0


def test_decomposition_by_hand() -> None:
    assert content_words(TASK) == {"bank", "has", "more", "branches", "citic", "or", "unicredit"}
    # 3 of 7 words covered; Jaccard with the task 2/7 and 2/7; all new, then half new.
    questions = ["citic branches", "unicredit branches"]
    assert decomposition(TASK, questions) == pytest.approx(3 / 7 * ((5 / 7) + 0.5) / 2)


def test_the_task_itself_or_the_same_question_again_is_no_decomposition() -> None:
    assert decomposition(TASK, [TASK]) == 0.0
    assert decomposition(TASK, ["citic branches"] * 2) == pytest.approx(decomposition(TASK, ["citic branches"]) / 2)
    assert decomposition(TASK, []) == decomposition("", ["a"]) == decomposition(TASK, ["", "the"]) == 0.0


@given(WORDS, st.lists(WORDS, max_size=6), st.floats(0, 1), st.data())
def test_an_episode_earns_at_most_one(whole: str, questions: list[str], weight: float, data: st.DataObject) -> None:
    answerable = [data.draw(st.floats(0, 1)) for _ in questions]
    rewards = sub_search(whole, questions, answerable, weight)
    assert np.all(rewards >= 0)
    assert rewards.sum() <= 1 + 1e-9
    assert 0 <= decomposition(whole, questions) <= 1


@given(st.frozensets(st.integers(0, 5)), st.frozensets(st.integers(0, 5)))
def test_jaccard_is_symmetric_and_bounded(a: frozenset[str], b: frozenset[str]) -> None:
    assert jaccard(a, b) == jaccard(b, a)
    assert 0 <= jaccard(a, b) <= jaccard(a, a) == 1


def test_of_an_episode() -> None:
    played = episode(
        search("citic branches", "[1] CITIC : 935 branches\n[2] other"),
        search("unicredit branches", "( no results )"),
        answer("UniCredit"),
    )
    whole = task(question=TASK)
    assert measure("sub_search", whole, played, weight=1.0) == pytest.approx([0.5, 0.0, 0.0])
    share = decomposition(TASK, ["citic branches", "unicredit branches"]) / 2
    assert measure("sub_search", whole, played, weight=0.0) == pytest.approx([share, share, 0.0])
