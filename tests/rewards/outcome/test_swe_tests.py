"""SWE-bench: which statuses count, and what resolves an issue."""

from __future__ import annotations

import pytest
from episodes import answer, episode, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.swe_tests import dense, fail_to_pass_share, pass_to_pass_share, resolved

STATUSES = ["PASSED", "FAILED", "ERROR", "SKIPPED", "XFAIL"]


@pytest.mark.parametrize(
    ("status", "fixed", "kept"),
    [
        ("PASSED", 1.0, 1.0),
        ("XFAIL", 1.0, 1.0),
        ("SKIPPED", 0.0, 1.0),
        ("FAILED", 0.0, 0.0),
        ("ERROR", 0.0, 0.0),
        ("passed", 0.0, 0.0),
    ],
)
def test_what_counts_as_passing(status: str, fixed: float, kept: float) -> None:
    assert fail_to_pass_share({"t": status}, ["t"]) == fixed
    assert pass_to_pass_share({"t": status}, ["t"]) == kept


def test_a_missing_test_failed() -> None:
    assert fail_to_pass_share({}, ["t"]) == pass_to_pass_share({}, ["t"]) == 0.0
    assert not resolved({}, ["t"])
    assert not resolved({"t": "PASSED"}, ["t"], ["u"])
    assert resolved({"t": "PASSED", "u": "SKIPPED", "v": "FAILED"}, ["t"], ["u"])


def test_dense_counts_fixes_where_nothing_is_broken() -> None:
    statuses = {"a": "PASSED", "b": "FAILED", "c": "PASSED", "d": "FAILED"}
    assert dense(statuses, ["a", "b"], ["c"]) == 0.5
    assert dense(statuses, ["a", "b"], ["c", "d"]) == 0.0


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(STATUSES)))
def test_resolved_is_dense_at_its_best(statuses: dict[str, str]) -> None:
    assert resolved(statuses, "abc", "de") == (dense(statuses, "abc", "de") == 1.0)
    fixed = statuses | {"a": "PASSED"}
    assert dense(fixed, "abc", "de") >= dense(statuses, "abc", "de")


def test_of_an_episode() -> None:
    def score(mode: str, **parts: float) -> object:
        return measure("swe_tests", task(), episode(answer("a", fail_to_pass=1.0), answer("b", **parts)), mode=mode)

    assert score("resolved", fail_to_pass=1.0, pass_to_pass=1.0) == 1.0
    assert score("resolved", fail_to_pass=0.5, pass_to_pass=1.0) == 0.0
    assert score("dense", fail_to_pass=0.5, pass_to_pass=1.0) == 0.5
    assert score("dense", fail_to_pass=1.0, pass_to_pass=0.9) == 0.0
    assert score("dense") == 0.0
