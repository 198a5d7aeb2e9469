"""Credit methods against published numbers, independent slow references, and the edges of what can be collected."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.rewards.table import RewardTable
from agentgym.trainers.credit import (
    CREDIT,
    build_credit,
    dr_grpo,
    gigpo,
    grpo,
    has_signal,
    mt_grpo,
    return_to_go,
    rloo,
    step_grpo,
)
from agentgym.trainers.credit.base import returns_to_go


@dataclass(frozen=True)
class T:
    """A trajectory: outcome, turn rewards, anchor states (turn numbers where left out)."""

    outcome: float
    rewards: Sequence[float] = (0.0,)
    states: Sequence[int] = field(default=())
    truncated: bool = False
    tokens: int = 1

    def state(self, t: int) -> int:
        return self.states[t] if len(self.states) else t


def table(groups: Sequence[Sequence[T]]) -> RewardTable:
    flat = [t for g in groups for t in g]
    turns = [(t, i) for t in flat for i in range(len(t.rewards))]
    return RewardTable(
        group=np.repeat(np.arange(len(groups)), [len(g) for g in groups]).astype(np.int64),
        offsets=np.cumsum([0, *(len(t.rewards) for t in flat)]).astype(np.int64),
        outcome=np.array([t.outcome for t in flat], np.float64),
        turn_reward=np.array([t.rewards[i] for t, i in turns], np.float64),
        parts={},
        state=np.array([t.state(i) for t, i in turns], np.int64),
        tokens=np.array([t.tokens for t, _ in turns], np.int64),
        truncated=np.array([t.truncated for t in flat], np.bool_),
        difficulty=np.ones(len(flat), np.int64),
    )


def outcomes(*values: float) -> RewardTable:
    return table([[T(v) for v in values]])


# -- published numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "returns", "expected"),
    [
        (grpo, [1, 0, 0, 1], [0.866024, -0.866024, -0.866024, 0.866024]),
        (grpo, [1, 1, 1], [0, 0, 0]),
        (grpo, [0.7], [0.699999]),
        (dr_grpo, [1, 0, 0, 1], [0.5, -0.5, -0.5, 0.5]),
        (dr_grpo, [0.7], [0.7]),
        (rloo, [1, 0, 0, 1], [0.666667, -0.666667, -0.666667, 0.666667]),
        (rloo, [0.7], [0.7]),
    ],
)
def test_trajectory_methods(method: Callable[..., Any], returns: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(method(outcomes(*returns)), expected, atol=5e-7)


def test_mt_grpo() -> None:
    two = table([[T(0.0, [1.0, 0.0]), T(1.0, [0.0, 0.0])]])
    np.testing.assert_allclose(mt_grpo(two), [0.0, -0.707007, 0.0, 0.707007], atol=1e-6)


def test_gigpo() -> None:
    a, b, c = 0, 1, 2
    two = table([[T(1.0, [0, 0], [a, b]), T(0.0, [0, 0], [a, c])]])
    np.testing.assert_allclose(gigpo(two), [0.975, 0.5, -0.975, -0.5], atol=1e-12)


def test_gigpo_averages_over_steps_or_trajectories() -> None:
    uneven = table([[T(1.0, [0, 0, 0], [0, 1, 2]), T(0.0, [0], [9])]])
    by_steps = gigpo(uneven, step_weight=0.0)
    by_trajectories = gigpo(uneven, step_weight=0.0, average="trajectories")
    np.testing.assert_allclose(by_steps, [0.25, 0.25, 0.25, -0.75])
    np.testing.assert_allclose(by_trajectories, [0.5, 0.5, 0.5, -0.5])


def test_gigpo_group_of_one() -> None:
    np.testing.assert_allclose(gigpo(table([[T(0.7)]])), [0.7])
    np.testing.assert_allclose(gigpo(table([[T(0.7, [0, 0])]]), average="trajectories"), [0.7, 0.7])


def test_a_state_visited_again_joins_its_group() -> None:
    loop = table([[T(1.0, [0, 0, 0], [5, 6, 5])]])
    step = gigpo(loop, gamma=0.5, average="trajectories") - 1.0
    np.testing.assert_allclose(step, [(0.25 - 1.0) / 2, 0.0, (1.0 - 0.25) / 2])


def test_return_to_go_compares_turns_of_one_number() -> None:
    ragged = table([[T(1.0, [0.0, 0.5, 0.0]), T(0.0, [0.5, 0.0]), T(0.0, [0.0])]])
    # G: 1.5 1.5 1 | .5 0 | 0; turn 0: mean 2/3, turn 1: mean .75, turn 2 is alone
    plain = return_to_go(ragged, std=False)
    np.testing.assert_allclose(plain, [1.5 - 2 / 3, 0.75, 0.0, 0.5 - 2 / 3, -0.75, -2 / 3])
    first = statistics.stdev([1.5, 0.5, 0.0]) + 1e-6
    assert return_to_go(ragged)[0] == pytest.approx((1.5 - 2 / 3) / first)


def test_step_grpo_rewards_a_step_against_others_from_its_state() -> None:
    # Both start in state 0; the first finds a document (.25) there and one more in state 1.
    two = table([[T(0.0, [0.25, 0.25], [0, 1]), T(0.0, [0.0, 0.25], [0, 0])]])
    # G: .5 .25 | .25 .25; state 0: mean 1/3; state 1: alone; outcomes are equal
    np.testing.assert_allclose(step_grpo(two), [0.5 - 1 / 3, 0.0, 0.25 - 1 / 3, 0.25 - 1 / 3], atol=1e-12)
    np.testing.assert_allclose(step_grpo(two, step_weight=2.0), 2 * step_grpo(two))
    mixed = table([[T(1.0, [0.25]), T(0.0, [0.0])]])
    np.testing.assert_allclose(step_grpo(mixed, step_weight=0.0), grpo(outcomes(1, 0)))
    np.testing.assert_allclose(step_grpo(mixed, std=False), [0.5 + 0.125, -0.5 - 0.125])


def test_process_rewards_count_in_the_return() -> None:
    np.testing.assert_allclose(dr_grpo(table([[T(1.0, [0.25, 0.25]), T(0.0, [0.5])]])), [0.5, 0.5, -0.5])


# -- independent references: the formulas, one number at a time --------------------------------------------------------


def normalised(value: float, peers: list[float], eps: float, std: bool, alone: float | None = None) -> float:
    if len(peers) == 1:
        return (value if alone is None else alone) / (1 + eps if std else 1)
    return (value - statistics.fmean(peers)) / (statistics.stdev(peers) + eps if std else 1.0)


def to_go(rewards: Sequence[float], gamma: float) -> list[float]:
    return [sum(gamma ** (u - t) * rewards[u] for u in range(t, len(rewards))) for t in range(len(rewards))]


def with_outcome(t: T) -> list[float]:
    return [r + (t.outcome if i == len(t.rewards) - 1 else 0.0) for i, r in enumerate(t.rewards)]


def slow_grpo(group: Sequence[T]) -> list[list[float]]:
    returns = [t.outcome + sum(t.rewards) for t in group]
    return [[normalised(r, returns, 1e-6, True)] * len(t.rewards) for t, r in zip(group, returns, strict=True)]


def slow_rloo(group: Sequence[T]) -> list[list[float]]:
    returns = [t.outcome + sum(t.rewards) for t in group]
    result = []
    for i, t in enumerate(group):
        others = returns[:i] + returns[i + 1 :]
        result.append([returns[i] - (statistics.fmean(others) if others else 0.0)] * len(t.rewards))
    return result


def slow_mt_grpo(group: Sequence[T]) -> list[list[float]]:
    result = []
    for t in group:
        row = []
        for i, reward in enumerate(t.rewards):
            advantage = normalised(t.outcome, [u.outcome for u in group], 1e-4, True)
            if t.truncated or i < len(t.rewards) - 1:
                peers = [u.rewards[i] for u in group if i < len(u.rewards) - (not u.truncated)]
                advantage += normalised(reward, peers, 1e-4, True, alone=0.0)
            row.append(advantage)
        result.append(row)
    return result


def slow_anchor(group: Sequence[T], rows: list[list[float]], std: bool = False) -> list[list[float]]:
    return [
        [
            normalised(
                g,
                [h for u, r in zip(group, rows, strict=True) for j, h in enumerate(r) if u.state(j) == t.state(i)],
                1e-6,
                std,
                alone=0.0,
            )
            for i, g in enumerate(row)
        ]
        for t, row in zip(group, rows, strict=True)
    ]


def slow_gigpo(group: Sequence[T], mode: str, average: str) -> list[list[float]]:
    std = mode == "mean_std"
    returns = [t.outcome + sum(t.rewards) for t in group]
    entries = (
        returns if average == "trajectories" else [r for t, r in zip(group, returns, strict=True) for _ in t.rewards]
    )
    step = slow_anchor(group, [to_go(with_outcome(t), 0.95) for t in group], std)
    return [[normalised(r, entries, 1e-6, std) + s for s in row] for r, row in zip(returns, step, strict=True)]


def slow_step_grpo(group: Sequence[T], gamma: float) -> list[list[float]]:
    step = slow_anchor(group, [to_go(t.rewards, gamma) for t in group])
    all_outcomes = [t.outcome for t in group]
    return [
        [normalised(t.outcome, all_outcomes, 1e-6, True) + s for s in row] for t, row in zip(group, step, strict=True)
    ]


def slow_return_to_go(group: Sequence[T]) -> list[list[float]]:
    rows = [to_go(with_outcome(t), 0.9) for t in group]
    return [
        [normalised(g, [r[i] for r in rows if i < len(r)], 1e-6, True, alone=0.0) for i, g in enumerate(row)]
        for row in rows
    ]


# Eighths, so that equal sums are equal and a standard deviation is never a rounding error.
eighths = st.integers(-16, 16).map(lambda k: k / 8)


@st.composite
def trajectories(draw: st.DrawFn, min_turns: int = 0) -> T:
    rewards = draw(st.lists(eighths, min_size=min_turns, max_size=6))
    states = draw(st.lists(st.integers(0, 3), min_size=len(rewards), max_size=len(rewards)))
    return T(draw(eighths), rewards, states, draw(st.booleans()), draw(st.integers(0, 2)))


def batches(min_turns: int = 0, min_size: int = 1) -> st.SearchStrategy[list[list[T]]]:
    group = st.lists(trajectories(min_turns), min_size=min_size, max_size=5)
    return st.lists(group, min_size=1, max_size=4)


REFERENCES: list[tuple[Callable[[RewardTable], Any], Callable[[Sequence[T]], list[list[float]]]]] = [
    (grpo, slow_grpo),
    (rloo, slow_rloo),
    (mt_grpo, slow_mt_grpo),
    (lambda t: return_to_go(t, gamma=0.9), slow_return_to_go),
    (lambda t: step_grpo(t, gamma=0.9), lambda g: slow_step_grpo(g, 0.9)),
    (step_grpo, lambda g: slow_step_grpo(g, 1.0)),
    *[
        (
            lambda t, m=mode, a=average: gigpo(t, mode=m, average=a),
            lambda g, m=mode, a=average: slow_gigpo(g, m, a),
        )
        for mode in ("mean", "mean_std")
        for average in ("steps", "trajectories")
    ],
]


@settings(deadline=None)
@given(batches())
def test_methods_agree_with_their_formulas(groups: list[list[T]]) -> None:
    for method, reference in REFERENCES:
        expected = [a for g in groups for row in reference(g) for a in row]
        np.testing.assert_allclose(method(table(groups)), expected, rtol=1e-6, atol=1e-7)


# -- properties --------------------------------------------------------------------------------------------------------

IN_GROUPS = ("grpo", "dr_grpo", "rloo", "mt_grpo", "gigpo", "return_to_go", "step_grpo", "slate")
EVERY: list[Callable[[RewardTable], Any]] = [CREDIT.get(name).function for name in IN_GROUPS] + [
    lambda t: gigpo(t, mode="mean_std", average="trajectories")
]


@settings(deadline=None)
@given(batches())
def test_every_method_gives_one_finite_number_a_turn(groups: list[list[T]]) -> None:
    one = table(groups)
    for method in EVERY:
        advantages = method(one)
        assert advantages.shape == (one.m,)
        assert advantages.dtype == np.float64
        assert np.isfinite(advantages).all()


@settings(deadline=None)
@given(batches(), st.randoms(use_true_random=False))
def test_permuting_trajectories_permutes_the_result(groups: list[list[T]], random: Any) -> None:
    shuffled = [random.sample(g, len(g)) for g in groups]
    for method in EVERY:
        before, after = split(method, groups), split(method, shuffled)
        for t in (t for g in groups for t in g):
            np.testing.assert_allclose(before[id(t)], after[id(t)], rtol=1e-6, atol=1e-8)


def split(method: Callable[[RewardTable], Any], groups: list[list[T]]) -> dict[int, Any]:
    flat = [t for g in groups for t in g]
    cuts = np.cumsum([len(t.rewards) for t in flat])[:-1]
    return {id(t): a for t, a in zip(flat, np.split(method(table(groups)), cuts), strict=True)}


@settings(deadline=None)
@given(batches())
def test_groups_do_not_see_each_other(groups: list[list[T]]) -> None:
    for method in EVERY:
        apart = np.concatenate([method(table([g])) for g in groups])
        np.testing.assert_allclose(method(table(groups)), apart, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(batches(min_turns=1, min_size=2))
def test_advantages_of_a_group_sum_to_zero(groups: list[list[T]]) -> None:
    one = table(groups)
    of_turn = one.group[one.trajectory]
    first = one.index == 0

    def group_sums(values: Any, where: Any) -> Any:
        return np.bincount(of_turn[where], weights=values[where])

    for method in (grpo, dr_grpo, rloo):  # one number a trajectory
        np.testing.assert_allclose(group_sums(method(one), first), 0, atol=1e-6)
    for method in (return_to_go, lambda t: gigpo(t, average="steps")):  # over turns
        np.testing.assert_allclose(group_sums(method(one), of_turn >= 0), 0, atol=1e-6)
    step_term = step_grpo(one) - step_grpo(one, step_weight=0.0)
    np.testing.assert_allclose(group_sums(step_term, of_turn >= 0), 0, atol=1e-6)


@settings(deadline=None)
@given(eighths, st.lists(eighths, max_size=4), st.integers(2, 5), st.floats(0.01, 1000))
def test_equal_trajectories_teach_nothing_whatever_the_scale(
    outcome: float, rewards: list[float], n: int, scale: float
) -> None:
    same = table([[T(outcome * scale, [r * scale for r in rewards])] * n])
    for method in EVERY:
        advantages = method(same)
        assert not advantages.any()
        assert not has_signal(same, advantages).any()


@settings(deadline=None)
@given(st.lists(st.lists(eighths, max_size=40), min_size=1, max_size=4), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_returns_to_go(rewards: list[list[float]], gamma: float) -> None:
    one = table([[T(0.0, r) for r in rewards]])
    expected = [g for r in rewards for g in to_go(r, gamma)]
    np.testing.assert_allclose(returns_to_go(one, one.turn_reward, gamma), expected, rtol=1e-9, atol=1e-9)


# -- edges -------------------------------------------------------------------------------------------------------------


def test_ten_thousand_turns() -> None:
    rng = np.random.default_rng(0)
    long = [T(1.0, rng.normal(size=10_000), rng.integers(0, 50, 10_000)), T(0.0, rng.normal(size=9_999))]
    one = table([[*long, T(1.0, ())]])
    for method in EVERY:
        assert np.isfinite(method(one)).all()
    backwards = 0.0
    expected = np.zeros(10_000)
    for t in range(9_999, -1, -1):
        backwards = expected[t] = long[0].rewards[t] + 0.99 * backwards
    np.testing.assert_allclose(returns_to_go(one, one.turn_reward, 0.99)[:10_000], expected, rtol=1e-9, atol=1e-9)


def test_trajectories_without_turns_count_in_the_statistics() -> None:
    np.testing.assert_allclose(dr_grpo(table([[T(1.0), T(0.0, ())]])), [0.5])
    for method in EVERY:
        assert method(table([[T(1.0, ()), T(0.0, ())]])).shape == (0,)


def test_an_empty_batch() -> None:
    nothing = table([])
    for method in EVERY:
        assert method(nothing).shape == (0,)
    assert has_signal(nothing, np.zeros(0)).shape == (0,)


def test_signal_needs_an_advantage_and_a_token_that_carries_it() -> None:
    groups = [
        [T(1.0), T(0.0)],
        [T(1.0), T(1.0)],
        [T(1.0, tokens=0), T(0.0, tokens=0)],
        [T(0.1 + 0.2), T(0.3)],
        [T(0.0, [0.25]), T(0.0, [0.0])],
    ]
    one = table(groups)
    assert has_signal(one, step_grpo(one)).tolist() == [True, False, False, False, True]
    assert has_signal(one, np.zeros(one.m)).tolist() == [False] * 5


def test_built_from_a_configuration() -> None:
    one = table([[T(1.0, [0, 0], [0, 1]), T(0.0, [0, 0], [0, 2])]])
    np.testing.assert_array_equal(build_credit({"name": "gigpo", "gamma": 0.5})(one), gigpo(one, gamma=0.5))
    assert math.isclose(build_credit({"name": "grpo", "std": False})(one)[0], 0.5)
