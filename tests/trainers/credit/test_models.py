"""PRIME, THR and LaRe: numbers by hand; what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from tables import Row, reward_table

from agentgym.faults import ConfigError
from agentgym.trainers.credit import grpo, lare, prime, return_to_go, thr


def test_prime_leaves_one_out() -> None:
    """The published numbers, before anything is summed over tokens."""
    table = reward_table([[Row(tokens=2), Row(tokens=2)]])
    q = np.array([0.2, 0.4, 0.1, -0.1])
    alone = {"process_weight": 1.0, "outcome_weight": 0.0, "whiten": False}
    np.testing.assert_allclose(prime(table, q, gamma=0.0, **alone).values, [0.1, 0.5, -0.1, -0.5])
    np.testing.assert_allclose(prime(table, q, gamma=1.0, **alone).values, [0.6, 0.5, -0.6, -0.5])


def test_prime_adds_the_return_to_the_last_token() -> None:
    table = reward_table([[Row(outcome=1.0, tokens=2), Row(outcome=0.0, tokens=2)]])
    got = prime(table, np.zeros(4), process_weight=1.0, outcome_weight=1.0, gamma=0.5, whiten=False)
    np.testing.assert_allclose(got.values, [0.5, 1.0, -0.5, -1.0])


def test_prime_whitens_over_tokens() -> None:
    table = reward_table([[Row(outcome=1.0, tokens=3), Row(outcome=0.0, tokens=1)]])
    values = prime(table, np.array([0.1, 0.2, 0.3, 0.4])).values
    assert abs(values.mean()) < 1e-9
    assert abs(values.std() - 1) < 1e-6


def test_prime_refuses_groups_of_one() -> None:
    with pytest.raises(ConfigError, match="samples_per_task must be 2 or more"):
        prime(reward_table([[Row()], [Row()]]), np.zeros(2))


def test_prime_a_trajectory_that_is_left_alone_gets_nothing() -> None:
    table = reward_table([[Row(outcome=1.0), Row()], [Row(outcome=1.0)]])
    assert prime(table, np.array([0.3, 0.1, 0.7]), whiten=False).values[2] == 0.0


def test_thr_scales_tokens_by_their_influence() -> None:
    table = reward_table([[Row(outcome=1.0, tokens=2), Row(outcome=0.0, tokens=2)]])
    advantage = grpo(table)[0]
    influence = np.array([4.0, -2.0, 0.0, 0.0])
    got = thr(table, influence, strength=0.5).values
    np.testing.assert_allclose(got, [1.5 * advantage, 0.75 * advantage, -advantage, -advantage])
    np.testing.assert_allclose(thr(table, influence, strength=-0.5).values[:2], [0.5 * advantage, 1.25 * advantage])


def test_lare_uses_decoded_rewards() -> None:
    rows = [Row(outcome=1.0, rewards=[0.2, 0.3]), Row(outcome=0.0, rewards=[0.0, 0.1])]
    decoded = np.array([0.4, 0.6, 0.1, 0.0])
    as_rewards = [Row(rewards=[0.4, 0.6]), Row(rewards=[0.1, 0.0])]
    np.testing.assert_allclose(lare(reward_table([rows]), decoded), return_to_go(reward_table([as_rewards])))
