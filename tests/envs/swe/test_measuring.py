from __future__ import annotations

import pytest
import repairs
from sandboxes import need

from agentgym.envs.swe import measuring
from agentgym.envs.swe.gold import gold_of
from agentgym.envs.swe.measuring import ask_tests, check_sandbox, patch_facts, sandbox_spec
from agentgym.envs.swe.tree import Tree, diff
from agentgym.faults import ConfigError, EnvironmentFault
from agentgym.tools.sandbox.pool import SandboxPool

TASKS = repairs.Repairs()
TASK = TASKS["double"]


def test_equal_files_are_graded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    need("docker")
    monkeypatch.setattr(measuring, "_known", type(measuring._known)())
    base, mended = TASKS.tree(TASK), gold_of(TASK, TASKS.tree(TASK)).tree
    with SandboxPool(sandbox_spec(TASK, {}, "test"), size=1, ready=0) as pool:
        verdict, seconds, tests_s = ask_tests(TASK, TASKS, mended, pool, keep=1)
        assert (verdict.resolved, verdict.fixed, verdict.kept, verdict.dropped) == (True, 1.0, 1.0, 0)
        assert verdict.patch == diff(base, mended)
        assert seconds > tests_s > 0
        assert ask_tests(TASK, TASKS, mended, pool, keep=1) == (verdict, 0.0, 0.0)
        assert pool.stats().leases == 1
        assert not ask_tests(TASK, TASKS, base, pool, keep=1)[0].resolved
        assert len(measuring._known) == 1
        ask_tests(TASK, TASKS, mended, pool)
        assert pool.stats().leases == 3
    with pytest.raises(EnvironmentFault):
        ask_tests(TASK, TASKS, mended.put({"new": b""}), pool, keep=1)
    assert len(measuring._known) == 1


def test_facts_of_a_patch() -> None:
    gold = gold_of(TASK, TASKS.tree(TASK))
    assert patch_facts(gold.patch, gold) == {"patch_similarity": 1.0, "patch_size": 2.0, "patch_files": 1.0}
    assert patch_facts("", gold) == {"patch_similarity": 0.0, "patch_size": 0.0, "patch_files": 0.0}
    more = gold.tree.put({"-- b.py": b"-- a\n++ b\n", "run.sh": b""})
    facts = patch_facts(diff(gold.base, more), gold)
    assert (facts["patch_size"], facts["patch_files"]) == (5.0, 3.0)
    assert 0 < facts["patch_similarity"] < 1


def test_a_gold_patch_that_does_not_apply_is_a_fault() -> None:
    with pytest.raises(EnvironmentFault, match="the gold patch of task 'double' does not apply"):
        gold_of(TASK, Tree({"README.md": b""}))


def test_which_sandboxes() -> None:
    spec = sandbox_spec(TASK, {"limits": {"memory_mb": 1024}, "image": "mine"}, "agents")
    assert spec == {
        "name": "docker",
        "image": "mine",
        "workspace": "/workspace",
        "hidden": [],
        "run_id": "agents",
        "limits": {"memory_mb": 1024},
    }
    assert sandbox_spec(TASK, {"run_id": "mine"}, "agents")["run_id"] == "mine-agents"
    telling = TASK.model_copy(update={"hidden": ("/tests",)})
    assert sandbox_spec(telling, {"hidden": ["/more"]}, "agents")["hidden"] == ["/tests", "/more"]
    assert sandbox_spec(TASK, {"name": "bwrap", "env": {"A": "b"}}, "agents") == {
        "name": "bwrap",
        "env": {"A": "b", "AGENTGYM_PURPOSE": "agents"},
    }
    check_sandbox({"limits": {"memory_mb": 1024}})
    for wrong in ({"limits": {"memory": 1}}, {"name": "nothing"}, {"images": "x"}):
        with pytest.raises(ConfigError):
            check_sandbox(wrong)
