"""Learned weights and intrinsic rewards: they move the right way, remember what they should, and forget the oldest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import trajectory
from tables import Row, reward_table

from agentgym.rewards.shaping import alignment, oni
from agentgym.rewards.shaping.learned import Labels, Weights
from agentgym.rewards.table import RewardTable
from agentgym.trajectory import Group


def helpful_and_harmful(n: int = 4) -> list[list[Row]]:
    """`good` goes with the outcome, `bad` against it, `flat` says nothing."""
    return [
        [Row(float(i % 2), parts={"good": [float(i % 2)], "bad": [float(-(i % 2))], "flat": [1.0]}) for i in range(n)]
    ]


def test_a_batch_is_rewarded_with_the_weights_before_it() -> None:
    before = reward_table(helpful_and_harmful())
    after, memory = alignment(before, Weights(), parts=["good", "bad", "flat"], start=0.2, rate=0.05)
    np.testing.assert_allclose(after.turn_reward, [0.2, 0.2, 0.2, 0.2])
    np.testing.assert_allclose([memory.weights[k] for k in ("good", "bad", "flat")], [0.25, 0.15, 0.2], atol=1e-5)
    again, _ = alignment(before, memory, parts=["good"], rate=0.05)
    np.testing.assert_allclose(again.turn_reward, [0, 0.25, 0, 0.25], atol=1e-5)


def test_weights_reach_their_bounds_and_stay() -> None:
    memory = Weights()
    for _ in range(100):
        _, memory = alignment(reward_table(helpful_and_harmful()), memory, parts=["good", "bad"], high=0.5)
    assert memory.weights == {"good": 0.5, "bad": 0.0}
    _, turned = alignment(reward_table(helpful_and_harmful()), memory, parts=["bad"], low=-1.0)
    assert turned.weights["bad"] < 0
    assert turned.weights["good"] == 0.5, "what another configuration learned is kept"


def test_groups_in_which_the_outcome_does_not_vary_say_nothing() -> None:
    flat = [[Row(1.0, parts={"good": [float(i)]}) for i in range(3)]]
    _, memory = alignment(reward_table(flat), Weights(), parts=["good"], start=0.3)
    assert memory.weights == {"good": 0.3}
    _, mixed = alignment(reward_table(helpful_and_harmful() + flat), Weights(), parts=["good"], rate=0.05)
    assert mixed.weights["good"] == pytest.approx(0.15, abs=1e-5)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-1, 1)), min_size=2, max_size=8))
def test_the_step_is_the_correlation(values: list[tuple[float, float]]) -> None:
    rows = [Row(o, parts={"aux": [a]}) for o, a in values]
    _, memory = alignment(reward_table([rows]), Weights(), parts=["aux"], start=0.0, rate=1.0, low=-1.0)
    o, a = np.array(values).T
    if min(np.ptp(o), np.ptp(a)) > 1e-2:
        assert memory.weights["aux"] == pytest.approx(np.corrcoef(o, a)[0, 1], abs=1e-3)
    assert abs(memory.weights["aux"]) <= 1.0


ROWS = [
    Row(parts={"judge": [1.0, 0.0, 0.0]}, states=["start", "shelf", "wall"]),
    Row(parts={"judge": [0.0, -1.0, 1.0]}, states=["start", "shelf", "wall"]),
]


def test_a_state_is_worth_the_mean_of_its_labels_whoever_reaches_it() -> None:
    after, memory = oni(reward_table([ROWS]), Labels(), label="judge", weight=1.0, prior=1.0)
    np.testing.assert_allclose(after.turn_reward, [0.5, -0.5, 0.0, 0.5, -0.5, 0.0])
    assert sorted(memory.states.values()) == [(-1.0, 1), (1.0, 1)], "the label of a last turn names no state"


def test_what_was_learned_holds_in_later_batches_without_labels() -> None:
    _, memory = oni(reward_table([ROWS]), Labels(), label="judge")
    resumed = Labels.model_validate(json.loads(json.dumps(memory.model_dump(mode="json"))))
    later = reward_table([[Row(states=["door", "shelf", "garden"], rewards=[0.0, 0.0, 1.0])]])
    after, unchanged = oni(later, resumed, label="judge", weight=1.0, prior=0.0)
    np.testing.assert_allclose(after.turn_reward, [1.0, 0.0, 1.0])
    assert unchanged == memory


def test_equal_keys_of_different_tasks_are_different_states() -> None:
    _, memory = oni(reward_table([ROWS]), Labels(), label="judge")
    other, _ = oni(reward_table([[Row(states=["start", "shelf"])]], tasks=["elsewhere"]), memory, label="judge")
    assert other.turn_reward.tolist() == [0.0, 0.0]


def test_unknown_states_earn_nothing() -> None:
    after, memory = oni(reward_table([[Row(parts={"judge": [1.0, 1.0]})]]), Labels(), label="judge")
    assert (after.turn_reward.tolist(), memory.states) == ([0.0, 0.0], {})


def test_labels_gather_and_the_oldest_states_are_forgotten() -> None:
    memory = Labels()
    for _ in range(3):
        _, memory = oni(reward_table([ROWS]), memory, label="judge")
    assert sorted(memory.states.values()) == [(-3.0, 3), (3.0, 3)]
    new = reward_table([[Row(parts={"judge": [1.0, 0.0]}, states=["a", "b"])]])
    _, memory = oni(new, memory, label="judge", capacity=2)
    assert sorted(memory.states.values()) == [(-3.0, 3), (1.0, 1)]


def test_state_keys_come_from_the_episodes() -> None:
    episodes = [trajectory(3), trajectory(2, sample=1)]
    before = RewardTable.from_groups([Group("g0", "t0", episodes)])
    assert before.state_key == ("s0", "s1", "s2", "s0", "s1")
    after, memory = oni(before, Labels(), label="looked", weight=1.0, prior=0.0)
    assert after.turn_reward.tolist() == [0.5, 0.5, 0.0, 0.5, 0.0]
    assert sorted(memory.states.values()) == [(0.5, 1), (1.0, 2)]
