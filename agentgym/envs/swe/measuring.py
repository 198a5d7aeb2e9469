"""What the tests say of an episode's files, what can be said of its patch, and which sandboxes it needs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from agentgym.config import validate
from agentgym.envs.swe.gold import Gold
from agentgym.envs.swe.grading import grade
from agentgym.envs.swe.progress import Verdict
from agentgym.envs.swe.task import SweTask, SweTaskSet
from agentgym.envs.swe.tree import Tree
from agentgym.rewards.outcome.swe_rl import split_patch
from agentgym.tools.sandbox.base import SANDBOXES
from agentgym.tools.sandbox.pool import SandboxPool

#: The provider, unless told otherwise: the one that has images.
PROVIDER = "docker"


_known: OrderedDict[str, Verdict] = OrderedDict()
_lock = threading.Lock()


def ask_tests(
    task: SweTask, taskset: SweTaskSet, tree: Tree, pool: SandboxPool, keep: int = 0
) -> tuple[Verdict, float, float]:
    """Grades files in a sandbox of their own: the verdict, the seconds it took, and those of them in which tests ran;
    both 0 where it was known already.

    Args:
        task: The task.
        taskset: Where it is from.
        tree: The files.
        pool: Where the sandbox comes from.
        keep: How many verdicts this process keeps, so that equal files are graded once.

    Raises:
        EnvironmentFault: They could not be graded.
    """
    key = _key(task, taskset, tree) if keep else ""
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key], 0.0, 0.0
    found = grade(task, taskset, tree, pool)
    verdict = Verdict(found.resolved, found.f2p, found.p2p, found.patch, len(found.dropped), found.tampered)
    with _lock:
        if key:
            _known[key] = verdict
        while len(_known) > max(keep, 1):
            _known.popitem(last=False)
    return verdict, found.seconds, found.tests_s


def _key(task: SweTask, taskset: SweTaskSet, tree: Tree) -> str:
    """All that a verdict depends on."""
    parts = [task.model_dump_json().encode(), taskset.tree(task).digest.encode(), tree.digest.encode()]
    parts += [part for path, data in sorted(taskset.tests(task).items()) for part in (path.encode(), data)]
    return sha256(b"".join(sha256(part).digest() for part in parts)).hexdigest()


def patch_facts(patch: str, gold: Gold) -> dict[str, float]:
    """Facts of a submitted patch: its likeness to the gold one, its changed lines and files."""
    files = split_patch(patch) or {}
    changed = sum(line.startswith(("+", "-")) for hunks in files.values() for line in hunks.splitlines())
    return {
        "patch_similarity": gold.similarity(patch),
        "patch_size": float(changed),
        "patch_files": float(len(files)),
    }


def check_sandbox(options: Mapping[str, Any]) -> None:
    """Looks whether sandboxes can be made with these options, without making one: single-turn tasks need none.

    Raises:
        ConfigError: An unknown provider or option.
    """
    given: dict[str, Any] = {"name": PROVIDER, **options}
    name = given.pop("name")
    validate(SANDBOXES.get(name).Options, given, f"sandbox {name!r}")


def sandbox_spec(task: SweTask, options: Mapping[str, Any], purpose: str) -> dict[str, Any]:
    """What a pool of sandboxes for a task is made from.

    Args:
        task: Says which image, and where its repository is.
        options: The user's; they go before the task's.
        purpose: Pools for different purposes share no sandboxes: an episode that holds one may wait for another.
    """
    spec: dict[str, Any] = {"name": PROVIDER, **options}
    if spec["name"] == PROVIDER:
        run_id = "-".join(filter(None, (spec.get("run_id"), purpose)))
        hidden = [*task.hidden, *spec.get("hidden", ())]
        return {"image": task.image, "workspace": task.workspace, **spec, "hidden": hidden, "run_id": run_id}
    return {**spec, "env": {**spec.get("env", {}), "AGENTGYM_PURPOSE": purpose}}
