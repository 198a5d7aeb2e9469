"""Router-R1: quality and price."""

from __future__ import annotations

import pytest
from episodes import Step, answer, bad, episode, search, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.router_r1 import cheapness, router_r1

NUMBERS = st.floats(-1e6, 1e6)


def test_worked_numbers() -> None:
    assert router_r1(0.8, 0.5) == pytest.approx(0.74)
    assert router_r1(0.8, 0.5, valid=False) == -1.0
    assert router_r1(0.0, 1.0) == 0.0
    assert router_r1(1.0, 0.0, alpha=0.0) == 1.0


def test_prices_between_bounds() -> None:
    assert [cheapness(p, 1.0, 3.0) for p in (0.0, 1.0, 1.5, 3.0, 9.0)] == [1.0, 1.0, 0.75, 0.0, 0.0]
    assert cheapness(5.0, 2.0, 2.0) == cheapness(5.0, 3.0, 2.0) == 0.5


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_dearer_is_never_better(a: float, b: float, low: float, high: float) -> None:
    assert 0 <= cheapness(max(a, b), low, high) <= cheapness(min(a, b), low, high) <= 1


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_bounded_and_rising_in_quality(quality: float, cheap: float, alpha: float) -> None:
    assert 0 <= router_r1(quality, cheap, alpha=alpha) <= router_r1(1.0, cheap, alpha=alpha) <= 1 + 1e-9


def test_of_an_episode() -> None:
    lennon = task(answers=["John Lennon"])
    played = episode(Step([("ask", {"model": "big"})], parts={"price": 3.0}), answer("Lennon", price=1.0))
    assert measure("router_r1", lennon, played, high=8.0) == pytest.approx(0.8 * 2 / 3 + 0.2 * 0.5)
    assert measure("router_r1", lennon, played, high=8.0, match="em") == 0.0
    assert measure("router_r1", lennon, episode(bad(), answer("John Lennon"))) == -1.0
    assert measure("router_r1", lennon, episode(search("x"), terminated=False)) == -1.0
