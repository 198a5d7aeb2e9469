"""ReNorm, Clip, Delta and bottom-line checks: published numbers, what cannot be farmed, edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import Row, reward_table

from agentgym.rewards.shaping import bottom_line, clip_reward, delta, renorm
from agentgym.rewards.table import RewardTable

UNIT = st.floats(0, 1)


def returns(table: RewardTable) -> list[float]:
    return [float(v) for v in table.outcome + table.sum_turns(table.turn_reward)]


@pytest.mark.parametrize(("process", "outcome", "total"), [(1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, -1), (0.7, 1, 0.7)])
def test_renorm_sums_to_both_rewards_less_one(process: float, outcome: float, total: float) -> None:
    modes: list[Any] = ["trajectory", "turn"]
    for over in modes:
        after = renorm(reward_table([[Row(outcome, rewards=[process])]]), over=over)
        assert returns(after) == [pytest.approx(total)]


@given(st.lists(st.tuples(st.lists(UNIT, max_size=6), UNIT), min_size=1, max_size=5))
def test_renorm_keeps_every_trajectory_between_minus_one_and_one(cases: list[tuple[list[float], float]]) -> None:
    before = reward_table([[Row(o, rewards=r, turns=len(r)) for r, o in cases]])
    for (rewards, outcome), total in zip(cases, returns(renorm(before)), strict=True):
        assert total == pytest.approx((np.mean(rewards) if rewards else 0.0) + outcome - 1.0)
        assert -1 - 1e-9 <= total <= 1 + 1e-9


def test_renorm_centres_each_turn_where_asked() -> None:
    after = renorm(reward_table([[Row(1.0, rewards=[1.0, 0.0, 0.25])]]), over="turn", centre=0.25)
    assert after.turn_reward.tolist() == [0.75, -0.25, 0.0]
    assert after.outcome.tolist() == [0.75]


def test_clip_bounds_step_rewards_and_moves_them_below_zero() -> None:
    before = reward_table([[Row(rewards=[0.2, 0.5, 0.9], parts={"prm": [0.2, 0.5, 0.9]})]])
    np.testing.assert_allclose(clip_reward(before, eta=0.5).turn_reward, [-0.3, 0.0, 0.0])
    after = clip_reward(before, eta=0.5, part="prm")
    np.testing.assert_allclose(after.parts["prm"], [-0.3, 0.0, 0.0])
    np.testing.assert_array_equal(after.turn_reward, before.turn_reward)


def test_delta_takes_from_each_step_the_next_one() -> None:
    before = reward_table([[Row(rewards=[0.5, 0.8, 0.1]), Row(turns=0), Row(rewards=[0.4])]])
    np.testing.assert_allclose(delta(before).turn_reward, [-0.3, 0.7, 0.1, 0.4])
    part = reward_table([[Row(parts={"prm": [0.5, 0.8]})]])
    np.testing.assert_allclose(delta(part, part="prm").parts["prm"], [-0.3, 0.8])


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_delta_telescopes_from_any_step_on(rewards: list[float]) -> None:
    after = delta(reward_table([[Row(rewards=rewards), Row(rewards=rewards)]])).turn_reward[: len(rewards)]
    np.testing.assert_allclose(np.cumsum(after[::-1])[::-1], rewards, atol=1e-9)


@given(st.floats(0, 1), st.integers(1, 50))
def test_repeating_the_best_step_earns_nothing_more(reward: float, times: int) -> None:
    once, often = (reward_table([[Row(rewards=[reward] * n)]]) for n in (1, times))
    assert delta(once).turn_reward.sum() == pytest.approx(delta(often).turn_reward.sum(), abs=1e-9)
    assert clip_reward(often, eta=0.5).turn_reward.sum() <= clip_reward(once, eta=0.5).turn_reward.sum() + 1e-9


def test_behaviour_counts_only_above_the_bottom_line() -> None:
    rows = [
        Row(1.0, parts={"format": [0, 0], "safe": [0, 1.0], "helpful": [0.2, 0.4]}),
        Row(1.0, parts={"format": [-1.0, 0], "safe": [0, 1.0], "helpful": [1.0, 1.0]}),
        Row(1.0, parts={"format": [0, 0], "safe": [0, 0], "helpful": [1.0, 1.0]}),
        Row(0.0, parts={"format": [0, 0], "safe": [0, 1.0], "helpful": [0, 0]}, truncated=True),
    ]
    after = bottom_line(
        reward_table([rows]),
        checks={"format": 0.0, "safe": 1.0, "finished": 1.0},
        behaviour={"helpful": 0.5, "outcome": 1},
    )
    np.testing.assert_allclose(after.outcome, [1.3, 0, 0, 0])
    worse = bottom_line(reward_table([rows]), checks={"format": 0.0}, behaviour={"helpful": 1.0}, failed=-1.0)
    np.testing.assert_allclose(worse.outcome, [0.6, -1.0, 2.0, 0.0])
    last = bottom_line(reward_table([rows]), checks={"safe": 1.0}, behaviour={"outcome": 1.0}, reduce="min", failed=-1)
    assert last.outcome.tolist() == [-1, -1, -1, -1]
