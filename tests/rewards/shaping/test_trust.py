"""Trust-GRPO: published numbers and what makes a judge of thinking untrusted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import Row, reward_table

from agentgym.rewards.shaping import trust
from agentgym.rewards.table import RewardTable


def group(answers: list[float], thinking: list[float], update: int = 0) -> RewardTable:
    rows = [Row(a, parts={"think": [0.0, t]}) for a, t in zip(answers, thinking, strict=True)]
    return reward_table([rows], update=update)


@pytest.mark.parametrize(
    ("answers", "thinking", "expected"),
    [([1, 1, 0], [0.8, 0.4, 0.9], [1.24, 1.12, 0]), ([1, 0.3], [0.2, 0.8], [1.032929, 0.431715])],
)
def test_published_numbers(answers: list[float], thinking: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(trust(group(answers, thinking), think="think").outcome, expected, atol=1e-6)


@pytest.mark.parametrize("answers", [[1.0, 0.9], [0.0, 0.1], [1.0], [0.0]])
def test_a_group_of_one_mind_has_no_thinking_term(answers: list[float]) -> None:
    assert trust(group(answers, [0.7] * len(answers)), think="think").outcome.tolist() == answers


def test_the_term_fades_as_training_goes_on() -> None:
    late = trust(group([1, 0], [0.8, 0.4], update=500), think="think").outcome
    np.testing.assert_allclose(late, [1 + 0.3 * math.exp(-1) * 0.8, 0])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6), st.integers(0, 2000))
def test_against_a_slow_reference(rows: list[tuple[float, float]], update: int) -> None:
    answers, thinking = [a for a, _ in rows], [t if a >= 0.2 else 0.0 for a, t in rows]
    expected = list(answers)
    if any(a < 0.9 for a in answers) and any(a > 0.1 for a in answers):
        right = [t for a, t in zip(answers, thinking, strict=True) if a >= 0.5]
        wrong = [t for a, t in zip(answers, thinking, strict=True) if a < 0.5]
        mc, mw = sum(right) / len(right) if right else 0.0, sum(wrong) / len(wrong) if wrong else 0.0
        trusted = math.exp(mc - mw) if right and mc < mw else 1.0
        factor = 0.3 * math.exp(-update / 500) * trusted
        expected = [a + factor * t for a, t in zip(answers, thinking, strict=True)]
    shaped = trust(group(answers, [t for _, t in rows], update), think="think").outcome
    np.testing.assert_allclose(shaped, expected, atol=1e-12)
