"""PAR, the centred log-sigmoid and BRPO: published numbers, slow references, references that outlive a restart."""

from __future__ import annotations

import itertools
import json
import math
from statistics import NormalDist, mean, pstdev, stdev
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import Row, reward_table

from agentgym.rewards.shaping import brpo, log_sigmoid, par
from agentgym.rewards.shaping.reference import BLOCK, References

REWARDS = st.lists(st.lists(st.floats(-5, 5), min_size=1, max_size=5), min_size=1, max_size=3)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def outcomes(*groups: list[float], **options: Any) -> Any:
    return reward_table([[Row(v) for v in group] for group in groups], **options)


def test_par_published_numbers() -> None:
    shaped, memory = par(outcomes([2.0]), References(), references=[1.0, 2.5])
    assert shaped.outcome[0] == pytest.approx(0.554300, abs=1e-6)
    assert memory == References()


@given(REWARDS, st.floats(0.1, 3))
def test_par_against_the_others_of_group_or_batch(groups: list[list[float]], k: float) -> None:
    def slow(own: float, others: list[float]) -> float:
        return mean(sigmoid(k * (own - other)) for other in others) if others else 0.5

    flat = [v for group in groups for v in group]
    in_group = [slow(v, group[:i] + group[i + 1 :]) for group in groups for i, v in enumerate(group)]
    in_batch = [slow(v, flat[:i] + flat[i + 1 :]) for i, v in enumerate(flat)]
    cases: list[tuple[Any, list[float]]] = [("group", in_group), ("batch", in_batch)]
    for source, expected in cases:
        shaped, _ = par(outcomes(*groups), References(), references=source, k=k)
        np.testing.assert_allclose(shaped.outcome, expected, atol=1e-12)


def test_par_against_the_group_means_one_half() -> None:
    shaped, _ = par(outcomes([1.0, -3.0, 0.2, 0.2]), References(), references="group")
    assert shaped.outcome.mean() == pytest.approx(0.5)


def test_par_remembers_the_first_rewards_of_each_task() -> None:
    shaped, memory = par(outcomes([1.0, 2.5], [0.0], tasks=["x", "y"]), References())
    assert memory.rewards == {"outcome": {"x": [1.0, 2.5], "y": [0.0]}}
    assert shaped.outcome[1] == pytest.approx((0.5 + sigmoid(1.5)) / 2)
    resumed = References.model_validate(json.loads(json.dumps(memory.model_dump(mode="json"))))
    later, after = par(outcomes([2.0], tasks=["x"]), resumed)
    assert later.outcome[0] == pytest.approx(0.554300, abs=1e-6)
    assert after == memory


def test_par_keeps_so_many_rewards_and_tasks() -> None:
    _, memory = par(outcomes([1, 2, 3], [4, 5], tasks=["x", "y"]), References(), keep=2, tasks=2)
    _, memory = par(outcomes([6], [7], tasks=["z", "y"]), memory, keep=2, tasks=2)
    assert memory.rewards == {"outcome": {"y": [4, 5], "z": [6]}}
    _, memory = par(outcomes([8], [9], [1], tasks=["p", "q", "r"]), memory, tasks=1)
    assert memory.rewards["outcome"] == {"p": [8], "q": [9], "r": [1]}, "what the batch needs stays"


def test_par_in_blocks_is_par_at_once() -> None:
    values = np.linspace(-1, 1, 1500).tolist()
    assert len(values) ** 2 > BLOCK
    shaped, _ = par(outcomes(values), References(), references="batch")
    for i in (0, 700, 1499):
        slow = mean(sigmoid(values[i] - v) for j, v in enumerate(values) if j != i)
        assert shaped.outcome[i] == pytest.approx(slow)


@pytest.mark.parametrize(("std", "expected"), [("sample", -0.996911), ("population", -0.881181)])
def test_log_sigmoid_published_numbers(std: Any, expected: float) -> None:
    shaped, _ = log_sigmoid(outcomes([2.5]), References(), properties={"outcome": [1.0, 2.0, 3.0]}, std=std)
    assert shaped.outcome[0] == pytest.approx(expected, abs=1e-6)


def test_log_sigmoid_uses_the_sample_convention_by_default() -> None:
    shaped, _ = log_sigmoid(outcomes([2.5]), References(), properties={"outcome": [1.0, 2.0, 3.0]})
    assert shaped.outcome[0] == pytest.approx(-0.996911, abs=1e-6)


@given(REWARDS, st.sampled_from(["sample", "population"]), st.floats(0.05, 0.95))
def test_log_sigmoid_sums_over_properties(groups: list[list[float]], std: Any, quantile: float) -> None:
    def slow(value: float, known: list[float]) -> float:
        spread = 0.0 if len(known) == 1 else (stdev(known) if std == "sample" else pstdev(known))
        return math.log(sigmoid(value - mean(known) - NormalDist().inv_cdf(quantile) * spread))

    before = reward_table([[Row(v, parts={"kind": [v, -2 * v]}) for v in group] for group in groups])
    flat = [-v for group in groups for v in group]
    expected = [slow(v, group) + slow(-v, flat) for group in groups for v in group]
    shaped, _ = log_sigmoid(
        before, References(), properties={"outcome": "group", "kind": "batch"}, std=std, quantile=quantile
    )
    np.testing.assert_allclose(shaped.outcome, expected, atol=1e-9)


def test_log_sigmoid_remembers_each_property_apart() -> None:
    before = reward_table([[Row(1.0, parts={"kind": [3.0]}), Row(2.0, parts={"kind": [5.0]})]], tasks=["x"])
    _, memory = log_sigmoid(before, References(), properties={"outcome": "first", "kind": "first"})
    assert memory.rewards == {"outcome": {"x": [1.0, 2.0]}, "kind": {"x": [3.0, 5.0]}}


def test_extreme_rewards_stay_finite() -> None:
    sources: list[Any] = ["group", "batch", "first", [1e300, -1e300]]
    for source in sources:
        wild = outcomes([1e9, -1e9, 0.0])
        assert np.isfinite(par(wild, References(), references=source)[0].outcome).all()
    shaped, _ = log_sigmoid(outcomes([-1e6, 1e6]), References(), properties={"outcome": [0.0]})
    np.testing.assert_allclose(shaped.outcome, [-1e6, 0.0])


def test_brpo_compares_with_one_of_the_group() -> None:
    before = reward_table([[Row(parts={"judge": [s]}) for s in (0.1, 0.9, 0.5)], [Row(parts={"judge": [0.5]})]])
    seen = {tuple(brpo(before, score="judge", seed=s).outcome.tolist()) for s in range(50)}
    assert seen == {(0, 1, 1, 0), (-1, 0, -1, 0), (-1, 1, 0, 0)}
    again = brpo(before, score="judge", seed=3).outcome
    np.testing.assert_array_equal(brpo(before, score="judge", seed=3).outcome, again)


def test_brpo_draws_anew_each_update() -> None:
    group = [[Row(float(i)) for i in range(8)]]
    drawn = {
        int(np.flatnonzero(brpo(reward_table(group, update=u), score="outcome").outcome == 0)[0]) for u in range(60)
    }
    assert drawn == set(range(8))


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8))
def test_brpo_has_mean_zero_over_the_draw(scores: list[int]) -> None:
    signs = [np.sign(a - b) for a, b in itertools.product(scores, scores)]
    assert sum(signs) == 0, "every ordered pair is drawn equally often, and each reverses another"
    shaped = brpo(outcomes([float(s) for s in scores]), score="outcome").outcome
    assert any(np.array_equal(shaped, np.sign(np.array(scores) - r)) for r in scores)
