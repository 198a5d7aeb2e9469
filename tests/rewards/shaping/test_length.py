"""Overlong penalty and conciseness reward: published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from tables import Row, reward_table

from agentgym.rewards.shaping import crf, overlong
from agentgym.rewards.shaping.length import conciseness_reward


def test_overlong_published_numbers() -> None:
    before = reward_table([[Row(tokens=n) for n in (15, 16, 18, 20, 22)]])
    np.testing.assert_allclose(overlong(before, max_tokens=20, buffer=4).outcome, [0, 0, -0.5, -1, -1.5])
    half = overlong(before, max_tokens=20, buffer=4, factor=0.5)
    np.testing.assert_allclose(half.outcome, [0, 0, -0.25, -0.5, -0.75])


def test_overlong_counts_the_policy_tokens_of_all_turns() -> None:
    before = reward_table([[Row(1.0, turns=3, tokens=6), Row(1.0, turns=0)]])
    np.testing.assert_allclose(overlong(before, max_tokens=20, buffer=4).outcome, [0.5, 1.0])


def test_conciseness_published_numbers() -> None:
    r = conciseness_reward(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 0.8, 0.2, np.array([0.5, 0.5]))
    np.testing.assert_allclose(r, [1.28, 0.0])


def test_crf_measures_conciseness_difficulty_and_progress() -> None:
    rows = [Row(1.0, tokens=50), Row(0.0, tokens=10), Row(1.0, tokens=400), Row(0.0, tokens=10)]
    after = crf(reward_table([rows], update=30), max_tokens=100, alpha=0.8, start=0.5, updates=50)
    np.testing.assert_allclose(after.outcome, [1 + 0.8 * 0.5 * (0.2 + 0.5), 0, 1 + 0.8 * 0.1 * (0.2 + 0.5), 0])
    late = crf(reward_table([[Row(1.0, tokens=50)]], update=500), max_tokens=100, updates=50)
    assert late.outcome.tolist() == [1.0], "an easy task late in training has no term left"


def test_crf_reads_a_judged_conciseness() -> None:
    rows = [Row(1.0, parts={"concise": [0.0, 0.5]}), Row(0.0, parts={"concise": [9.0, 0.0]})]
    after = crf(reward_table([rows]), part="concise", alpha=1.0, start=0.5)
    assert after.outcome.tolist() == [pytest.approx(1.5), 0.0]
