"""Text-to-SQL rewards: results, similarities, and their sum."""

from __future__ import annotations

import math

import pytest
from episodes import answer, bad, episode, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.sql import (
    contrastive_sql,
    execution_match,
    ngram_similarity,
    partial_rewards,
    schema_linking,
    syntax,
)

GOLD = "SELECT name FROM singer WHERE age > 30"
CELLS = st.none() | st.integers(-3, 3) | st.sampled_from([0.5, math.nan, math.inf]) | st.sampled_from(["a", "b"])
ROWS = st.lists(st.tuples(CELLS, CELLS), max_size=5)
QUERIES = st.lists(
    st.sampled_from(["select", "from", "where", "name", "age", "singer", ",", "(", ")", "=", "1", "'x'"]), max_size=12
).map(" ".join)


def test_results_match_as_sets_bags_or_lists() -> None:
    rows = [(1, "a"), (2, "b"), (2, "b")]
    assert execution_match(rows[::-1], rows) == 1.0
    assert execution_match(rows[::-1], rows, ordered=True) == 0.0
    assert execution_match(rows[:2], rows) == 0.0
    assert execution_match(rows[:2], rows, duplicates=False) == 1.0
    assert execution_match([("a", 1)], [(1, "a")]) == 0.0
    assert execution_match(None, []) == 0.0
    assert execution_match([], []) == 1.0
    assert execution_match([], rows) == 0.0


def test_numbers_match_to_so_many_places() -> None:
    assert execution_match([[0.1 + 0.2]], [[0.3]]) == 1.0
    assert execution_match([[0.34]], [[0.3]], digits=1) == 1.0
    assert execution_match([[2]], [[2.0]]) == 1.0
    assert execution_match([[math.nan]], [[math.nan]]) == 1.0
    assert execution_match([["2"]], [[2]]) == 0.0
    assert execution_match([[b"x", [1]]], [[b"x", [1]]]) == 1.0


@given(ROWS, ROWS, st.booleans(), st.booleans())
def test_matching_is_symmetric_and_reflexive(a: list[object], b: list[object], ordered: bool, bag: bool) -> None:
    match = execution_match(a, b, ordered=ordered, duplicates=bag)  # type: ignore[arg-type]
    assert match == execution_match(b, a, ordered=ordered, duplicates=bag)  # type: ignore[arg-type]
    assert execution_match(a, a, ordered=ordered, duplicates=bag) == 1.0  # type: ignore[arg-type]
    if match and not ordered:
        assert execution_match(a[::-1], b, duplicates=bag) == 1.0  # type: ignore[arg-type]


def test_similarities_by_hand() -> None:
    # Tables singer; columns name, age against name: 2 of 3.
    assert schema_linking("SELECT name FROM singer", GOLD) == pytest.approx(2 / 3)
    assert schema_linking("SELECT s.NAME FROM Singer s WHERE s.age = 1", GOLD) == 1.0
    assert schema_linking("SELECT 1", "SELECT 2") == 0.0
    # Bigrams: 3 shared of 3 and 7.
    assert ngram_similarity("SELECT name FROM singer", GOLD) == pytest.approx(3 / 7)
    assert ngram_similarity("select  NAME from singer", "SELECT name FROM singer -- same") == 1.0
    assert ngram_similarity("a", "a") == 1.0
    assert ngram_similarity("", "") == ngram_similarity("", GOLD) == 0.0
    assert syntax(GOLD) == 1.0
    assert syntax("SELECT name FROM (singer") == 0.0


@given(QUERIES, QUERIES, st.integers(1, 4))
def test_similarities_are_symmetric_and_bounded(a: str, b: str, n: int) -> None:
    for one, other in (
        (schema_linking(a, b), schema_linking(b, a)),
        (ngram_similarity(a, b, n), ngram_similarity(b, a, n)),
    ):
        assert one == other
        assert 0 <= one <= 1


def test_partial_rewards_add_up() -> None:
    near = "SELECT name FROM singer"
    assert partial_rewards(near, GOLD, 0.0) == pytest.approx(0.2 * 2 / 3 + 0.15 * 3 / 7 + 0.15)
    assert partial_rewards("SELECT 5", GOLD, 1.0) == pytest.approx(1.0)
    assert partial_rewards(GOLD, GOLD, 0.0) == pytest.approx(0.5)
    assert partial_rewards(" ", GOLD, 0.0, 1.0, judge_weight=1.0) == 0.0
    assert partial_rewards(near, GOLD, 0.0, 0.5, judge_weight=1.0) == pytest.approx(
        partial_rewards(near, GOLD, 0.0) + 0.5
    )


@given(QUERIES)
def test_no_wrong_query_beats_the_right_result(query: str) -> None:
    assert 0 <= partial_rewards(query, GOLD, 0.0) <= 0.5 < partial_rewards("SELECT 5", GOLD, 1.0)


def test_contrast_of_embeddings() -> None:
    question, gold = [1.0, 0.0], [1.0, 1.0]
    assert contrastive_sql(question, gold, gold) == 1.0
    assert contrastive_sql(question, question, gold) == 1.0
    assert contrastive_sql(question, [0.0, 1.0], gold) == pytest.approx(1 - math.sqrt(0.5))
    assert contrastive_sql(question, [-1.0, 0.0], gold) == 0.0


def test_of_an_episode() -> None:
    wanted = task(query=GOLD, question="Which singers are over 30?")
    near = "SELECT name FROM singer"
    assert measure("sql", wanted, episode(answer(near))) == pytest.approx(partial_rewards(near, GOLD, 0.0))
    assert measure("sql", wanted, episode(answer("SELECT 5", execution=1.0))) == pytest.approx(1.0)
    judged = episode(answer(near, judged=1.0))
    assert measure("sql", wanted, judged, judge_weight=0.2, n=1) == pytest.approx(
        partial_rewards(near, GOLD, 0.0, 1.0, judge_weight=0.2, n=1)
    )
    assert measure("sql", wanted, episode(bad())) == measure("sql", wanted, episode(answer("  "))) == 0.0


def test_contrast_of_an_episode() -> None:
    wanted = task(query="aab", question="aaa")
    encoder = "episodes:letters"
    assert measure("contrastive_sql", wanted, episode(answer("aa")), encoder=encoder) == 1.0
    assert measure("contrastive_sql", wanted, episode(answer("c")), encoder=encoder) == pytest.approx(1 - 2 / 5**0.5)
    assert measure("contrastive_sql", wanted, episode(answer(" ")), encoder=encoder) == 0.0
    assert measure("contrastive_sql", wanted, episode(bad()), encoder=encoder) == 0.0
