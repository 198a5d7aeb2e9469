"""The distance of reward functions: what must not matter does not, and what must does."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import trajectory

from agentgym.rewards.distance import END, Transitions, canonical, distance, turn_rewards
from agentgym.rewards.table import RewardTable
from agentgym.signal import RewardSignal
from agentgym.trajectory import Group, Turn

GAMMA = st.sampled_from([1.0, 0.95, 0.5, 0.0])
NUMBERS = st.integers(-100, 100).map(lambda n: n / 10)


@st.composite
def courses(draw: st.DrawFn) -> Transitions:
    """Episodes through at most 6 states, which may come back."""
    episodes = draw(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=7), min_size=1, max_size=8))
    state = [s for visited in episodes for s in visited]
    after = [s for visited in episodes for s in [*visited[1:], END]]
    return Transitions(np.array(state), np.array(after))


def rewards_for(transitions: Transitions) -> st.SearchStrategy[np.ndarray]:
    n = len(transitions.state)
    return st.lists(NUMBERS, min_size=n, max_size=n).map(np.array)


def slow_canonical(rewards: np.ndarray, transitions: Transitions, gamma: float) -> np.ndarray:
    """From the definition, by a dense matrix with a column a state."""
    matrix = np.zeros((len(rewards), 6))
    for row, (s, after) in enumerate(zip(transitions.state, transitions.after, strict=True)):
        matrix[row, s] -= 1
        if after != END:
            matrix[row, after] += gamma
    return rewards - matrix @ np.linalg.lstsq(matrix, rewards, rcond=None)[0]


@given(courses(), GAMMA, st.data())
def test_the_canonical_form_is_the_least_one(transitions, gamma, data):
    rewards = data.draw(rewards_for(transitions))
    found = canonical(rewards, transitions, gamma)
    assert found == pytest.approx(slow_canonical(rewards, transitions, gamma), abs=1e-10)
    assert canonical(found, transitions, gamma) == pytest.approx(found, abs=1e-10)


@given(courses(), GAMMA, st.lists(NUMBERS, min_size=6, max_size=6), st.floats(0.01, 100), st.data())
def test_a_shaped_and_scaled_twin_is_at_distance_0(transitions, gamma, potential, scale, data):
    rewards = data.draw(rewards_for(transitions))
    twin = scale * rewards + transitions.shaping(np.array(potential), gamma)
    assert distance(rewards, twin, transitions, gamma) < 1e-9


@given(courses(), GAMMA, st.lists(NUMBERS, min_size=6, max_size=6), st.data())
def test_the_opposite_is_at_distance_1_unless_nothing_is_preferred(transitions, gamma, potential, data):
    rewards = data.draw(rewards_for(transitions))
    opposite = -2 * rewards + transitions.shaping(np.array(potential), gamma)
    found = distance(rewards, opposite, transitions, gamma)
    trivial = np.abs(slow_canonical(rewards, transitions, gamma)).max() < 1e-9
    assert found == pytest.approx(0.0 if trivial else 1.0, abs=1e-9)


@given(courses(), GAMMA, st.data())
def test_it_is_a_pseudometric(transitions, gamma, data):
    a, b, c = (data.draw(rewards_for(transitions)) for _ in range(3))
    ab, bc, ac = (distance(x, y, transitions, gamma) for x, y in ((a, b), (b, c), (a, c)))
    assert 0 <= ac <= ab + bc + 1e-12 <= 2 + 1e-12
    assert distance(b, a, transitions, gamma) == pytest.approx(ab, abs=1e-12)
    assert distance(a, a, transitions, gamma) == 0


def test_by_hand():
    """One state, two ways to end: only the difference of the two is a preference."""
    fork = Transitions(np.array([0, 0]), np.array([END, END]))
    assert canonical(np.array([3.0, 1.0]), fork).tolist() == pytest.approx([1.0, -1.0])
    assert distance(np.array([3.0, 1.0]), np.array([10.0, 2.0]), fork) == pytest.approx(0)
    assert distance(np.array([3.0, 1.0]), np.array([0.0, 5.0]), fork) == pytest.approx(1)
    # Nothing to prefer: at distance 0 from what prefers nothing, 0.5 from all else.
    assert distance(np.array([4.0, 4.0]), np.array([0.0, 0.0]), fork) == 0
    assert distance(np.array([4.0, 4.0]), np.array([1.0, 0.0]), fork) == pytest.approx(0.5)
    # Three ways: preferences at a right angle.
    three = Transitions(np.zeros(3, dtype=int), np.full(3, END))
    assert distance(np.array([1.0, -1, 0]), np.array([1.0, 1, -2]), three) == pytest.approx(np.sqrt(0.5))


def test_a_constant_is_a_preference_for_long_episodes():
    walk = Transitions(np.array([0, 1, 0]), np.array([1, END, END]))
    zero, paid = np.zeros(3), np.ones(3)
    assert distance(zero, paid, walk) == pytest.approx(0.5)
    assert distance(paid, -paid, walk) == pytest.approx(1)


def test_states_are_told_apart_by_task_and_key():
    first, second = trajectory(3, 0, task="a"), trajectory(2, 1, task="a")
    other = trajectory(2, 0, group="g1", task="b")
    found = Transitions.of([first, second, trajectory(0), other])
    assert found.state.tolist() == [0, 1, 2, 0, 1, 3, 4]
    assert found.after.tolist() == [1, 2, END, 1, END, 4, END]


def test_turn_rewards_carry_the_outcome_on_the_last_turn():
    turns = [Turn(RewardSignal(None)), Turn(RewardSignal(0.5))]
    group = Group("g0", "t0", [replace(trajectory(2, 0), turns=turns), trajectory(0, 1), trajectory(1, 2)])
    table = RewardTable.from_groups([group])
    table = replace(table, turn_reward=np.array([1.0, 2.0, 3.0]))
    assert turn_rewards(table).tolist() == [1.0, 2.5, 4.0]
    assert table.turn_reward.tolist() == [1.0, 2.0, 3.0]


def test_no_turns_and_extreme_numbers():
    nothing = Transitions.of([])
    assert distance(np.zeros(0), np.zeros(0), nothing) == 0
    fork = Transitions(np.array([0, 0]), np.array([END, END]))
    for size in (1e-300, 1e300):
        assert distance(np.array([size, 0.0]), np.array([0.0, size]), fork) == pytest.approx(1)
    with pytest.raises(ValueError, match="turns"):
        distance(np.zeros(3), np.zeros(3), fork)


def test_a_chain_of_10000_turns_and_a_run_of_many_short_episodes():
    rng = np.random.default_rng(0)
    chain = np.arange(10_000)
    once = Transitions(chain, np.append(chain[1:], END))
    assert np.abs(canonical(rng.normal(size=10_000), once)).max() < 1e-9  # alone, it has nothing to prefer
    # 1,000 tasks, 8 episodes each of 6 turns from one start, all other states met once.
    later = np.arange(1_000 * 8 * 5).reshape(-1, 5) + 1_000
    start = np.repeat(np.arange(1_000), 8)[:, None]
    state, after = np.hstack([start, later]), np.hstack([later, np.full_like(start, END)])
    many = Transitions(state.ravel(), after.ravel())
    rewards, potential = rng.normal(size=state.size), rng.normal(size=41_000)
    began = time.perf_counter()
    assert distance(rewards, 3 * rewards + many.shaping(potential, 1.0), many) < 1e-9
    assert time.perf_counter() - began < 5
