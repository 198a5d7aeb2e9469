"""SWE-bench: an issue is resolved when the tests that failed pass and those that passed still do (public code).

The harness that runs the tests decides their statuses; nothing of what a program printed is read here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from agentgym.rewards.outcome.episode import AnyTask, part
from agentgym.rewards.outcome.registry import reward
from agentgym.trajectory import Trajectory

#: Statuses that count as passing, for a test that has to begin to pass and for one that must go on passing.
FIXED = frozenset({"PASSED", "XFAIL"})
KEPT = frozenset({"PASSED", "XFAIL", "SKIPPED"})


def share_ok(statuses: Mapping[str, str], tests: Collection[str], accepted: Collection[str]) -> float:
    """Share of the tests with an accepted status, 0..1; a missing test failed; 1 where there are no tests."""
    return sum(statuses.get(test) in accepted for test in tests) / len(tests) if tests else 1.0


def fail_to_pass_share(statuses: Mapping[str, str], tests: Collection[str]) -> float:
    """Share of FAIL_TO_PASS tests that now pass (PASSED or XFAIL), 0..1."""
    return share_ok(statuses, tests, FIXED)


def pass_to_pass_share(statuses: Mapping[str, str], tests: Collection[str]) -> float:
    """Share of PASS_TO_PASS tests that still pass (PASSED, XFAIL or SKIPPED), 0..1."""
    return share_ok(statuses, tests, KEPT)


def resolved(statuses: Mapping[str, str], fail_to_pass: Collection[str], pass_to_pass: Collection[str] = ()) -> bool:
    """Whether every test that should pass does.

    Args:
        statuses: Test -> PASSED, FAILED, ERROR, SKIPPED, XFAIL...
        fail_to_pass: Tests that the fix must make pass.
        pass_to_pass: Tests that it must not break.
    """
    return fail_to_pass_share(statuses, fail_to_pass) == pass_to_pass_share(statuses, pass_to_pass) == 1.0


def dense(statuses: Mapping[str, str], fail_to_pass: Collection[str], pass_to_pass: Collection[str] = ()) -> float:
    """Share of FAIL_TO_PASS that passes, 0..1, where no PASS_TO_PASS test is broken; else 0.

    Args:
        statuses: Test -> status.
        fail_to_pass: Tests that the fix must make pass.
        pass_to_pass: Tests that it must not break.
    """
    kept = pass_to_pass_share(statuses, pass_to_pass) == 1.0
    return fail_to_pass_share(statuses, fail_to_pass) if kept else 0.0


@reward(
    "swe_tests",
    source="SWE-bench: Can Language Models Resolve Real-World GitHub Issues?",
    status="code",
    signals=lambda p: [p["fixed"], p["kept"]],
)
def score_swe_tests(
    task: AnyTask,
    trajectory: Trajectory,
    *,
    mode: Literal["resolved", "dense"] = "resolved",
    fixed: str = "fail_to_pass",
    kept: str = "pass_to_pass",
) -> float:
    """SWE-bench: 1 where every test that should pass does, or the share of fixed tests where none is broken.

    Formula: resolved = [fixed = 1 and kept = 1]; dense = fixed * [kept = 1].

    Args:
        task: Any.
        trajectory: The episode; its last turn carries the shares that the harness measured (`fail_to_pass_share`,
            `pass_to_pass_share`).
        mode: Which of the two.
        fixed: Process part that holds the share of FAIL_TO_PASS tests that pass.
        kept: Process part that holds the share of PASS_TO_PASS tests that still pass.
    """
    if not trajectory.turns or part(trajectory, kept)[-1] < 1.0:
        return 0.0
    share = float(part(trajectory, fixed)[-1])
    return share if mode == "dense" else float(share >= 1.0)
