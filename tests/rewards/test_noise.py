"""Verifiers that err: rates from a sample, corrections, and the stages that use them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import Row, reward_table

from agentgym.faults import ConfigError
from agentgym.rewards.noise import backward, estimate_rates, forward
from agentgym.rewards.shaping import build_stages, corrupt, denoise
from agentgym.statistics import wilson


def test_published_numbers() -> None:
    np.testing.assert_allclose(backward([1, 0], 0.1, 0.2), [1.285714, -0.142857], atol=1e-6)
    np.testing.assert_allclose(forward([1, 0], 0.2), [0.2, -0.8])


@given(st.floats(0, 0.49), st.floats(0, 0.49), st.booleans())
def test_backward_correction_is_unbiased(rho0: float, rho1: float, right: bool) -> None:
    says_one = 1 - rho1 if right else rho0
    corrected = backward([1.0, 0.0], rho0, rho1)
    assert says_one * corrected[0] + (1 - says_one) * corrected[1] == pytest.approx(float(right), abs=1e-9)


@given(st.floats(0, 0.49), st.floats(0, 0.49))
def test_forward_weights_point_the_same_way(rho0: float, rho1: float) -> None:
    """In expectation a right episode weighs 0 and a wrong one less, by what the errors leave of the difference."""
    weights = forward([1.0, 0.0], rho1)
    right = (1 - rho1) * weights[0] + rho1 * weights[1]
    wrong = rho0 * weights[0] + (1 - rho0) * weights[1]
    assert right == pytest.approx(0.0, abs=1e-12)
    assert wrong - right == pytest.approx(-(1 - rho0 - rho1), abs=1e-9)


def test_rates_are_estimated_with_their_intervals() -> None:
    truth = [False] * 10 + [True] * 5
    said = [True] * 2 + [False] * 8 + [True] * 4 + [False]
    rates = estimate_rates(said, truth)
    assert (rates.false_positive.value, rates.false_positive.n) == (0.2, 10)
    assert (rates.false_negative.value, rates.false_negative.n) == (0.2, 5)
    assert (rates.false_positive.low, rates.false_positive.high) == wilson(2, 10)
    empty = estimate_rates([True], [True]).false_positive
    assert np.isnan(empty.value)
    assert (empty.low, empty.high, empty.n) == (0.0, 1.0, 0)
    with pytest.raises(ValueError, match="zip"):
        estimate_rates([True], [])


def test_a_verifier_that_knows_nothing_is_refused_at_set_up() -> None:
    with pytest.raises(ValueError, match="must add up to less than 1"):
        backward([1.0], 0.5, 0.5)
    with pytest.raises(ConfigError, match=r"rewards\.0\.denoise: false_positive 0\.6 and false_negative 0\.4 must"):
        build_stages([{"denoise": {"false_positive": 0.6, "false_negative": 0.4}}], {})


def test_the_stage_corrects_the_outcome_alone() -> None:
    table = reward_table([[Row(outcome=1.0, rewards=[0.5]), Row(outcome=0.0)]])
    after = denoise(table, false_positive=0.1, false_negative=0.2)
    np.testing.assert_allclose(after.outcome, [1.285714, -0.142857], atol=1e-6)
    np.testing.assert_array_equal(after.turn_reward, table.turn_reward)
    np.testing.assert_allclose(denoise(table, false_negative=0.2, how="forward").outcome, [0.2, -0.8])


def test_errors_on_purpose_come_at_their_rates_and_again() -> None:
    rows = [Row(outcome=float(i % 2)) for i in range(20_000)]
    table = reward_table([rows], update=3)
    noisy = corrupt(table, false_positive=0.1, false_negative=0.3)
    rates = estimate_rates(noisy.outcome >= 1, table.outcome >= 1)
    assert rates.false_positive.low < 0.1 < rates.false_positive.high
    assert rates.false_negative.low < 0.3 < rates.false_negative.high
    np.testing.assert_array_equal(corrupt(table, false_positive=0.1, false_negative=0.3).outcome, noisy.outcome)
    later = corrupt(reward_table([rows], update=4), false_positive=0.1, false_negative=0.3)
    assert (later.outcome != noisy.outcome).any()
    other = corrupt(table, false_positive=0.1, false_negative=0.3, seed=1)
    assert (other.outcome != noisy.outcome).any()


def test_correction_regains_the_mean() -> None:
    table = reward_table([[Row(outcome=float(i % 4 == 0)) for i in range(20_000)]])
    noisy = corrupt(table, false_positive=0.2, false_negative=0.3)
    assert abs(noisy.outcome.mean() - 0.25) > 0.05
    assert denoise(noisy, false_positive=0.2, false_negative=0.3).outcome.mean() == pytest.approx(0.25, abs=0.02)
