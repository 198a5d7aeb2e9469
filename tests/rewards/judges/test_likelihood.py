from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.judges.likelihood import (
    endogenous_rewards,
    follow_up_likelihood,
    mean_probability,
    rlpr,
    sequence_logprob,
    sigmoid,
    yes_probability,
)

logprobs = st.lists(st.floats(-50, 0), min_size=1, max_size=8)


def test_rlpr_vector() -> None:
    p = mean_probability([math.log(0.8), math.log(0.4)])
    assert p == pytest.approx(0.6)
    assert rlpr(p, 0.2, 1.0) == pytest.approx(0.46)
    assert rlpr(0.1, 0.5, 1.0) == pytest.approx(0.1), "floor 0"
    assert rlpr(0.6, 0.2, 0.0) == pytest.approx(0.36)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_rlpr_stays_between_0_and_1(p: float, p0: float, form: float, weight: float) -> None:
    assert -1e-12 <= rlpr(p, p0, form, weight) <= 1 + 1e-12


def test_no_tokens() -> None:
    assert mean_probability([]) == 0.0
    assert sequence_logprob([]) == -math.inf
    assert endogenous_rewards([], []).shape == (0,)


@given(logprobs)
def test_mean_and_sum(values: list[float]) -> None:
    assert sequence_logprob(values) == pytest.approx(sum(values) / len(values))
    assert sequence_logprob(values, per_token=False) == pytest.approx(sum(values))
    assert 0 <= mean_probability(values) <= 1


def test_follow_ups() -> None:
    assert follow_up_likelihood([-1.0], [-1.0]) == 0.5
    assert follow_up_likelihood([-1.0, -3.0], [-4.0]) == pytest.approx(sigmoid(2.0))
    assert follow_up_likelihood([-1.0], []) == pytest.approx(math.exp(-1))
    assert follow_up_likelihood([-2000.0], [-1.0]) == pytest.approx(0.0)
    with pytest.raises(ValueError, match="at least one good"):
        follow_up_likelihood([], [-1.0])


@given(st.lists(st.tuples(st.floats(-20, 0), st.floats(-20, 20)), min_size=1, max_size=10))
def test_endogenous_rewards_are_the_inverse_soft_bellman_operator(pairs: list[tuple[float, float]]) -> None:
    p, v = (np.array(column) for column in zip(*pairs, strict=True))
    rewards = endogenous_rewards(p, v)
    for h in range(len(p)):
        q = p[h] + v[h]  # the logit of the token
        after = v[h + 1] if h + 1 < len(p) else 0.0
        assert rewards[h] == pytest.approx(q - after, abs=1e-9)
    assert rewards.sum() == pytest.approx(p.sum() + v[0], abs=1e-9)


def test_yes_against_no() -> None:
    assert yes_probability(math.log(0.3), math.log(0.1)) == pytest.approx(0.75)
    assert yes_probability(-1000.0, 0.0) == 0.0
    assert sigmoid(1000.0) == 1.0
