"""ReSeek: what a search finds, and verdicts on it."""

from __future__ import annotations

import numpy as np
import pytest
from episodes import answer, episode, search, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.re_seek import re_seek, verdict_sign

SHARES = st.floats(0, 1)


@pytest.mark.parametrize("verdict", [True, False])
def test_a_verdict_is_right_or_wrong(verdict: bool) -> None:
    assert verdict_sign(verdict, verdict) == 1.0
    assert verdict_sign(verdict, not verdict) == -1.0


def test_worked_numbers() -> None:
    # A useful search; a right verdict on it and a search that shows the same again; a wrong verdict.
    assert re_seek([1.0, 1.0, 0.0], [0.5, 0.0, 0.0], [0, 1, -1]) == pytest.approx([0.75, 0.1, -0.1])
    assert re_seek([1.0, 1.0], [0.5, 0.0], [0, 0], again=True) == pytest.approx([0.75, 0.5])


@given(st.lists(st.tuples(SHARES, SHARES, st.sampled_from([-1.0, 0.0, 1.0])), min_size=1, max_size=6))
def test_a_right_verdict_is_never_worth_less_and_a_wrong_one_costs(steps: list[tuple[float, float, float]]) -> None:
    supports, fresh, judged = (np.array(column) for column in zip(*steps, strict=True))
    silent = re_seek(supports, fresh, np.zeros(len(steps)))
    spoken = re_seek(supports, fresh, judged)
    assert np.all((spoken - silent) * judged >= 0)
    assert np.all((silent >= 0) & (silent <= 1 + 1e-9))


@given(st.integers(0, 50))
def test_a_search_repeated_earns_nothing(times: int) -> None:
    assert re_seek([1.0] * times, [0.0] * times, [0.0] * times).sum() == 0.0


def test_of_an_episode() -> None:
    played = episode(
        search("a", relevance=0.5, evidence=0.5), search("b", judge=1.0, evidence=0.0), answer("x", judge=-1.0)
    )
    result = measure("re_seek", task(), played, correctness=1.0, utility=2.0, right=0.2, wrong=0.4)
    assert result == pytest.approx([1.5, 0.2, -0.4])
