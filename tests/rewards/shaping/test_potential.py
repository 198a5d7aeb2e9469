"""Potential-based shaping telescopes, whatever the potential; VSRM is a difference of accuracies."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import Row, reward_table

from agentgym.rewards.shaping import potential, vsrm

PHI = [0.0, 0.4, 0.7]


@pytest.mark.parametrize(("holds", "values"), [("before", PHI), ("after", [0.4, 0.7, 0.9]), ("gain", [0.4, 0.3, 0.2])])
def test_published_numbers_however_the_potential_is_given(
    holds: Literal["gain", "before", "after"], values: list[float]
) -> None:
    after = potential(reward_table([[Row(parts={"phi": values})]]), part="phi", holds=holds, gamma=0.9)
    np.testing.assert_allclose(after.turn_reward, [0.36, 0.23, -0.7])
    assert np.dot(after.turn_reward, 0.9 ** np.arange(3)) == pytest.approx(0.0)


@given(
    st.lists(st.lists(st.floats(-5, 5), max_size=12), min_size=1, max_size=4),
    st.floats(0, 1),
    st.sampled_from(["gain", "before", "after"]),
)
def test_the_discounted_sum_is_minus_the_first_potential(
    phis: list[list[float]], gamma: float, holds: Literal["gain", "before", "after"]
) -> None:
    before = reward_table([[Row(parts={"phi": phi}, turns=len(phi)) for phi in phis]])
    shaped = potential(before, part="phi", holds=holds, gamma=gamma).turn_reward
    for phi, begin, end in zip(phis, before.offsets[:-1], before.offsets[1:], strict=True):
        first = phi[0] if holds == "before" and phi else 0.0
        assert np.dot(shaped[begin:end], gamma ** np.arange(len(phi))) == pytest.approx(-first, abs=1e-9)


@given(st.lists(st.lists(st.floats(-5, 5), max_size=8), min_size=1, max_size=4), st.floats(0, 1))
def test_gains_against_a_slow_reference(gains: list[list[float]], gamma: float) -> None:
    shaped = potential(
        reward_table([[Row(parts={"g": g}, rewards=[1.0] * len(g), turns=len(g)) for g in gains]]),
        part="g",
        gamma=gamma,
        weight=2.0,
    )
    expected = []
    for g in gains:
        for t in range(len(g)):
            later = sum(g[: t + 1]) if t + 1 < len(g) else 0.0
            expected.append(1.0 + 2.0 * (gamma * later - sum(g[:t])))
    np.testing.assert_allclose(shaped.turn_reward, expected, atol=1e-9)


def test_ten_thousand_turns() -> None:
    shaped = potential(reward_table([[Row(parts={"g": [0.1] * 10_000})]]), part="g").turn_reward
    np.testing.assert_allclose(shaped[:-1], 0.1, atol=1e-9)
    assert shaped.sum() == pytest.approx(0.0, abs=1e-6)


def test_vsrm_pays_what_a_step_added_to_the_accuracy() -> None:
    row = Row(parts={"accuracy_before": [0.25, 0.5, 0.5], "accuracy_after": [0.5, 0.5, 0.0]}, rewards=[0, 0, 1.0])
    np.testing.assert_allclose(vsrm(reward_table([[row]]), weight=2.0).turn_reward, [0.5, 0.0, 0.0])
    renamed = Row(parts={"p": [0.0], "q": [1.0]})
    assert vsrm(reward_table([[renamed]]), before="p", after="q").turn_reward.tolist() == [1.0]
