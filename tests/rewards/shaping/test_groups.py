"""GDPO, difficulty scaling and the rubric reward: published numbers, slow references, edges."""

from __future__ import annotations

from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import Row, groups_of_rows, reward_table

from agentgym.rewards.shaping import difficulty_scale, gdpo, rubric_norm

PAIRS = st.lists(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=5), max_size=3)


@given(PAIRS)
def test_gdpo_against_a_slow_reference(groups: list[list[tuple[float, float]]]) -> None:
    def normal(values: list[float]) -> list[float]:
        spread = stdev(values) if len(values) > 1 else 0.0
        return [(v - mean(values)) / (spread + 1e-6) for v in values]

    before = reward_table([[Row(a, parts={"b": [b / 2, b / 2]}) for a, b in group] for group in groups])
    after = gdpo(before, weights={"outcome": 2.0, "b": -0.5}).outcome
    expected = [
        2.0 * x - 0.5 * y
        for group in groups
        for x, y in zip(normal([a for a, _ in group]), normal([b for _, b in group]), strict=True)
    ]
    np.testing.assert_allclose(after, expected, atol=1e-6)


@given(groups_of_rows, st.booleans())
def test_gdpo_sums_to_zero_in_every_group(groups: list[list[Row]], batch: bool) -> None:
    before = reward_table(groups)
    after = gdpo(before, weights={"outcome": 1.0, "a": 0.3, "b": 1.0}, batch=batch).outcome
    np.testing.assert_allclose(np.bincount(before.group, weights=after, minlength=1), 0.0, atol=1e-6)


def test_a_large_scale_drowns_no_small_one() -> None:
    rows = [Row(1.0, parts={"price": [900.0]}), Row(0.0, parts={"price": [1000.0]})]
    small = gdpo(reward_table([rows]), weights={"outcome": 1.0, "price": 0.5}).outcome
    rows = [Row(1.0, parts={"price": [0.9]}), Row(0.0, parts={"price": [1.0]})]
    same = gdpo(reward_table([rows]), weights={"outcome": 1.0, "price": 0.5}).outcome
    np.testing.assert_allclose(same, small, atol=1e-4)


def test_gdpo_tells_apart_what_a_sum_would_merge() -> None:
    # Both groups add up to 1, 2, 2; which reward was rare in the group is lost in the sum.
    cases = [[(0.0, 1.0), (0.0, 2.0), (0.0, 2.0)], [(0.0, 1.0), (1.0, 1.0), (0.5, 1.5)]]
    before = reward_table([[Row(parts={"a": [a], "b": [b]}) for a, b in case] for case in cases])
    np.testing.assert_allclose((before.part("a") + before.part("b")).reshape(2, 3), [[1, 2, 2]] * 2)
    first, second = gdpo(before, weights={"a": 1.0, "b": 1.0}).outcome.reshape(2, 3)
    assert first[1] == pytest.approx(first[2])
    assert second[2] > second[1] + 0.5


def test_the_batch_can_be_brought_to_unit_size() -> None:
    before = reward_table([[Row(float(i), parts={"a": [float(-i)], "b": [float(i % 2)]}) for i in range(5)]] * 3)
    after = gdpo(before, weights={"outcome": 1.0, "a": 0.2, "b": 1.0}, batch=True).outcome
    assert np.std(after, ddof=1) == pytest.approx(1.0, abs=1e-4)


def test_equal_rewards_add_exactly_nothing() -> None:
    rows = [Row(1.0, parts={"a": [0.1 + 0.2]}) for _ in range(7)]
    assert gdpo(reward_table([rows]), weights={"a": 1.0, "outcome": 1.0}).outcome.tolist() == [0.0] * 7


def test_difficulty_scale_by_hand() -> None:
    easy, hard = [Row(1.0, rewards=[0.5]), Row(0.5, rewards=[0.5])], [Row(1.0, rewards=[0.5]), Row(0.0, rewards=[0.5])]
    before = reward_table([easy, hard])
    factors: dict[Any, list[float]] = {"product": [0.125, 0.5], "difficulty": [0.25, 0.5], "gap": [0.5, 1.0]}
    for by, (first, second) in factors.items():
        scale = np.array([first, first, second, second]) / ((first + second) / 2)
        after = difficulty_scale(before, by=by)
        np.testing.assert_allclose(after.outcome, before.outcome * scale)
        np.testing.assert_allclose(after.turn_reward, before.turn_reward * scale)


@given(groups_of_rows)
def test_difficulty_scaling_keeps_the_mean_factor_at_one(groups: list[list[Row]]) -> None:
    ones = [[Row(row.outcome, rewards=[1.0]) for row in group] for group in groups]
    before = reward_table(ones)
    after = difficulty_scale(before)
    if before.n:
        factors = [after.turn_reward[before.group == g][0] for g in range(before.n_groups)]
        assert np.mean(factors) == pytest.approx(1.0)


def test_where_nothing_differs_nothing_is_scaled() -> None:
    before = reward_table([[Row(1.0), Row(1.0)], [Row(0.0)]])
    assert difficulty_scale(before) is before


@pytest.mark.parametrize(
    ("outcome", "rubric", "expected"),
    [([1, 1, 0], [0.5, 0.25, 1], [0.85, 0.775, 0]), ([1, 1], [0, 0], [0.7, 0.7]), ([-1, 0.5], [1, 1], [-1, 0.65])],
)
def test_rubric_published_numbers(outcome: list[float], rubric: list[float], expected: list[float]) -> None:
    rows = [Row(o, parts={"named": [r / 2, r / 2]}) for o, r in zip(outcome, rubric, strict=True)]
    np.testing.assert_allclose(rubric_norm(reward_table([rows]), rubric="named").outcome, expected)


def test_rubrics_are_shares_of_their_own_groups_best() -> None:
    groups: list[Any] = [[Row(1.0, parts={"named": [r]}) for r in rubric] for rubric in ([0.2, 0.1], [1.0, 0.5])]
    after = rubric_norm(reward_table(groups), rubric="named", weight=0.5).outcome
    np.testing.assert_allclose(after, [1.0, 0.75, 1.0, 0.75])
