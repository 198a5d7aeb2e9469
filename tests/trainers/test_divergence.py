"""KL estimates and importance weights against their definitions."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from agentgym.trainers.divergence import kl_estimate, kl_to_go, truncated_importance

torch.set_num_threads(1)


def test_kl_estimators() -> None:
    logp, reference = torch.tensor([-1.0, -2.0, -0.5]), torch.tensor([-1.5, -2.0, 0.0])
    torch.testing.assert_close(kl_estimate(logp, reference, "k1"), torch.tensor([0.5, 0.0, -0.5]))
    torch.testing.assert_close(kl_estimate(logp, reference, "k2"), torch.tensor([0.125, 0.0, 0.125]))
    k3 = [math.exp(-0.5) + 0.5 - 1, 0.0, math.exp(0.5) - 0.5 - 1]
    torch.testing.assert_close(kl_estimate(logp, reference, "k3"), torch.tensor(k3))


def test_k1_and_k3_are_unbiased() -> None:
    policy, reference = torch.tensor([0.7, 0.2, 0.1]).log(), torch.tensor([0.5, 0.3, 0.2]).log()
    truth = (policy.exp() * (policy - reference)).sum()
    for estimator in ("k1", "k3"):
        torch.testing.assert_close((policy.exp() * kl_estimate(policy, reference, estimator)).sum(), truth)


@given(st.floats(-100, 0), st.floats(-100, 0))
def test_k2_and_k3_are_never_negative_and_finite(logp: float, reference: float) -> None:
    for estimator in ("k2", "k3"):
        value = kl_estimate(torch.tensor([logp]), torch.tensor([reference]), estimator).item()
        assert math.isfinite(value)
        assert value >= -1e-6


def test_truncated_importance() -> None:
    gap = torch.tensor([0.0, 1.0, -1.0], requires_grad=True)
    sequence = torch.tensor([4, 4, 9])
    by_token = truncated_importance(gap, sequence, 2.0, "token")
    torch.testing.assert_close(by_token, torch.tensor([1.0, 2.0, 0.367879]))
    assert not by_token.requires_grad
    by_sequence = truncated_importance(gap, sequence, 10.0, "sequence")
    torch.testing.assert_close(by_sequence, torch.tensor([math.e, math.e, math.exp(-1)]))
    assert truncated_importance(torch.tensor([1e30]), torch.zeros(1, dtype=torch.int64), 2.0, "token").item() == 2.0
    for level in ("token", "sequence"):
        assert truncated_importance(torch.zeros(0), torch.zeros(0, dtype=torch.int64), 2.0, level).shape == (0,)


@given(st.lists(st.lists(st.tuples(st.floats(-5, 0), st.floats(-5, 0)), min_size=1, max_size=6), max_size=4))
def test_kl_to_go_is_what_a_token_and_those_after_it_cost(rows: list[list[tuple[float, float]]]) -> None:
    flat = [pair for row in rows for pair in row]
    logp = torch.tensor([a for a, _ in flat], dtype=torch.float64)
    reference = torch.tensor([b for _, b in flat], dtype=torch.float64)
    trajectory = torch.tensor([i for i, row in enumerate(rows) for _ in row], dtype=torch.int64)
    expected = [sum(a - b for a, b in row[j:]) for row in rows for j in range(len(row))]
    got = kl_to_go(logp, reference, trajectory)
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)
