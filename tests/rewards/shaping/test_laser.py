"""LASER: published numbers; targets that follow the lengths of each class; exploration without repetition."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import Row, reward_table

from agentgym.rewards.shaping import laser, laser_d, laser_de
from agentgym.rewards.shaping.laser import Lengths, is_repetitive


@pytest.mark.parametrize(
    ("mode", "expected"), [("reward", [1.5, 1.0, 0.0, 0.0]), ("penalty", [1, 0.5, 0, 0]), ("hybrid", [1.5, 0.5, 0, 0])]
)
def test_published_numbers(mode: Literal["reward", "penalty", "hybrid"], expected: list[float]) -> None:
    rows = [Row(1.0, tokens=100), Row(1.0, tokens=201), Row(0.0, tokens=100), Row(0.0, tokens=201)]
    assert laser(reward_table([rows]), target=200, mode=mode).outcome.tolist() == expected


def test_the_target_itself_is_within_and_the_threshold_a_parameter() -> None:
    rows = [Row(0.6, tokens=200), Row(0.4, tokens=200)]
    assert laser(reward_table([rows]), target=200, correct_at=0.5).outcome.tolist() == [pytest.approx(1.1), 0.4]


def test_groups_are_classed_by_accuracy_and_remembered() -> None:
    def group(right: int, tokens: int) -> list[Row]:
        return [Row(float(i < right), tokens=tokens) for i in range(3)]

    before = reward_table([group(3, 10), group(2, 11), group(1, 12), group(0, 13)])
    _, memory = laser_d(before, Lengths(), target=100)
    assert memory == Lengths(easy=[10] * 3 + [11] * 3, medium=[12] * 3, hard=[13] * 3)
    _, memory = laser_d(before, memory, target=100, window=4)
    assert memory == Lengths(easy=[10] + [11] * 3, medium=[12] * 4, hard=[13] * 4)


def test_targets_are_the_shortest_with_the_coverage_of_their_class() -> None:
    lengths = list(range(10, 110, 10))
    memory = Lengths(easy=lengths, medium=lengths, hard=lengths)
    # 8 rollouts: an easy task is sure of 5 right answers, so a fifth of the lengths is enough; a medium one of 2; a
    # hard one needs all.
    for right, target in ((3, 20), (1, 50), (0, 100)):
        rows = [Row(float(i < right), tokens=0) for i in range(3)]
        for tokens, bonus in ((target, 0.5), (target + 1, 0.0)):
            probe = reward_table([[*(Row(r.outcome, tokens=tokens) for r in rows)]])
            shaped, _ = laser_d(probe, memory, target=1000, least=10)
            np.testing.assert_allclose(shaped.outcome, [r.outcome + bonus * r.outcome for r in rows])
            de, _ = laser_de(probe, memory, target=1000, least=10)
            assert bool((de.outcome[2] == 0.5) == (tokens > target)) or right == 3


def test_the_configured_target_holds_until_enough_is_known_and_is_never_exceeded() -> None:
    probe = reward_table([[Row(1.0, tokens=60)]])
    short = Lengths(easy=[10] * 31)
    assert laser_d(probe, short, target=60)[0].outcome.tolist() == [1.5]
    assert laser_d(probe, Lengths(easy=[10] * 32), target=60)[0].outcome.tolist() == [1.0]
    assert laser_d(probe, Lengths(easy=[90] * 40), target=59)[0].outcome.tolist() == [1.0]


def test_a_batch_does_not_set_its_own_target() -> None:
    batch = reward_table([[Row(1.0, tokens=5)] * 40])
    shaped, memory = laser_d(batch, Lengths(easy=[3] * 40), target=100)
    assert set(shaped.outcome.tolist()) == {1.0}
    assert len(memory.easy) == 80


def test_exploring_beyond_the_target_pays_unless_it_repeats_itself() -> None:
    fresh, stuck = "one two three four five six seven", "let me think again now " * 3
    rows = [Row(0.0, tokens=300, said=[text]) for text in (fresh, stuck)] + [Row(0.0, tokens=10, said=[fresh])]
    shaped, memory = laser_de(reward_table([rows]), Lengths(), target=200)
    assert shaped.outcome.tolist() == [0.5, 0.0, 0.0]
    assert memory.hard == [300, 300, 10]


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("", False),
        ("a b c d a b c d", False),
        ("a b c d a b c d a b c d", True),
        ("A b, C d! " * 3, True),
        ("x" * 500, True),
        ("重复重复重复重复" * 12, True),
        ("the quick brown fox jumps over the lazy dog", False),
    ],
)
def test_repetition(text: str, repeats: bool) -> None:
    assert is_repetitive(text) is repeats


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60), st.integers(1, 16))
def test_targets_against_a_slow_reference(lengths: list[int], rollouts: int) -> None:
    for name, accuracy, right in (("easy", 2 / 3, 3), ("medium", 1 / 3, 1)):
        sure = max(1, int(rollouts * accuracy))
        expected = min(n for n in lengths if sum(x <= n for x in lengths) * sure >= len(lengths))
        for tokens in (expected, expected + 1):
            probe = reward_table([[Row(float(i < right), tokens=tokens) for i in range(3)]])
            shaped, _ = laser_d(probe, Lengths(**{name: lengths}), target=1000, least=1, rollouts=rollouts)
            assert shaped.outcome[0] == (1.5 if tokens == expected else 1.0)
