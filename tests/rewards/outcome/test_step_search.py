from __future__ import annotations

import numpy as np
import pytest
from episodes import answer, bad, episode, search, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.step_search import (
    TfIdf,
    cosine,
    final_reward,
    information_gain,
    key_score,
    redundancy,
    step_gain,
    step_rewards,
)


def test_worked_numbers() -> None:
    similarity = [[0.6, 0.1], [0.5, 0.7]]
    assert information_gain(similarity) == pytest.approx([0.35, 0.3])
    assert step_rewards(similarity, [0.0, 0.5], scale=1.0) == pytest.approx([0.35, -0.2])
    assert step_rewards(similarity, [0.0, 0.5]) == pytest.approx([0.21, -0.12])


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(st.floats(0, 1), min_size=n, max_size=n), min_size=1)))
def test_step_by_step_gain_is_the_gain_of_the_episode(similarity: list[list[float]]) -> None:
    best, gains = [0.0] * len(similarity[0]), []
    for current in similarity:
        gain, best = step_gain(current, best)
        gains.append(gain)
    assert gains == pytest.approx(information_gain(similarity).tolist())
    assert sum(gains) == pytest.approx(np.max(similarity, axis=0).mean())  # it telescopes to the best match


def test_gain_without_gold_documents_is_zero() -> None:
    assert step_gain([], []) == (0.0, [])


def test_redundancy_is_the_share_seen_before() -> None:
    assert redundancy(["a", "b", "c", "d"], {"b"}) == 0.25
    assert redundancy([], {"b"}) == 0.0


def test_a_later_query_overwrites_its_key_group_unless_the_best_is_kept() -> None:
    keys = [["john lennon"], ["apple records"]]
    assert key_score(["john lennon", "john"], keys) == pytest.approx((2 / 3) / 2)
    assert key_score(["john lennon", "john"], keys, keep_best=True) == pytest.approx(0.5)
    assert key_score(["john lennon", "apple records"], keys) == 1.0
    assert key_score(["nothing of it"], keys) == 0.0
    assert key_score(["x"], []) == 0.0


def test_final_reward() -> None:
    assert final_reward(0.5, 1.0) == pytest.approx(1.118)
    assert final_reward(None, 1.0) == -1.0


def test_tfidf_follows_the_smoothed_formula() -> None:
    # Worked by hand: n = 3; df(apple) = 2, df(pie) = 1; idf = ln(4 / (1 + df)) + 1.
    vector = TfIdf(["apple pie", "apple", "cider"]).vector("apple pie pie")
    apple, pie = np.log(4 / 3) + 1, 2 * (np.log(4 / 2) + 1)
    norm = np.hypot(apple, pie)
    assert vector == {"apple": pytest.approx(apple / norm), "pie": pytest.approx(pie / norm)}


def test_cosine_of_texts() -> None:
    model = TfIdf(["red apple", "green apple", "blue sky"])
    apple, sky = model.vector("red apple"), model.vector("blue sky")
    assert cosine(apple, apple) == pytest.approx(1.0)
    assert cosine(apple, sky) == 0.0
    assert 0 < cosine(apple, model.vector("apple")) < 1
    assert cosine(apple, model.vector("")) == 0.0


ASKED = task(answers=["Lennon"], queries=["john lennon", ["apple records", "apple label"]])


def test_outcome_of_an_episode() -> None:
    played = episode(search("john lennon"), search("apple label"), answer("John Lennon"))
    assert measure("step_search", ASKED, played) == pytest.approx(2 / 3 + 0.618)
    worse = episode(search("john lennon"), search("john"), answer("Lennon"))
    assert measure("step_search", ASKED, worse) == pytest.approx(1 + 0.618 * (2 / 3) / 2)
    assert measure("step_search", ASKED, worse, keep_best=True) == pytest.approx(1 + 0.618 / 2)
    assert measure("step_search", ASKED, episode(search("john lennon"), bad())) == -1.0
    assert measure("step_search", ASKED, episode(search("john lennon"), terminated=False)) == -1.0


def test_rewards_of_the_steps_of_an_episode() -> None:
    steps = [search("a", gain=0.35, redundancy=0.0), search("b", gain=0.3, redundancy=0.5)]
    result = measure("step_search_steps", ASKED, episode(*steps, answer("x")), scale=1.0)
    assert result == pytest.approx([0.35, -0.2, 0.0])
    assert measure("step_search_steps", ASKED, episode(*steps, answer("x"))) == pytest.approx([0.21, -0.12, 0.0])
    # Without an answer there are no step rewards either.
    assert measure("step_search_steps", ASKED, episode(*steps, terminated=False)) == pytest.approx([0.0, 0.0])
