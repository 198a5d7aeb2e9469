"""What dies under a run, killed for real: it goes on, or is gone on with, and nothing is learned from twice.

Workers, drivers and their streams: `tests/trainers/test_loop.py`, `test_streaming.py`; nodes:
`tests/rollout/test_nodes.py`; all of it at random: `benchmarks/soak.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgym.store import read_groups
from agentgym.trainers.checkpoint import CheckpointStore
from agentgym.trainers.journal import BROKE, KILLED, RESUMED, STARTED, STOPPED, read_journal
from agentgym.trainers.replay import replay
from agentgym.trainers.rundir import read_metrics

TROUBLED = Path(__file__).resolve().parents[1] / "support" / "troubled.py"
#: Bytes that hold any file of a run but its weights.
SMALL = 40_000
UPDATES, GROUPS, SAMPLES = 5, 3, 4
BASE: dict[str, Any] = {
    "name": "toy",
    "env": {
        "id": "agentgym/Search-v0",
        "kwargs": {"instructions": "none", "hops": [1, 2], "worlds": 4, "heldout_worlds": 2, "questions": 4},
    },
    "tiny": {"width": 32, "layers": 1, "heads": 2},
    "warm_start": {"phases": [{"steps": 6, "batch": 16, "lr": 0.01}], "mistakes": {2: {"answer": 0.3}}},
    "sampling": {"max_tokens": 8},
    "rollout": {"workers": 0},
    "updates": UPDATES,
    "tasks_per_update": GROUPS,
    "samples_per_task": SAMPLES,
    "rewards": [{"weigh": {"evidence": 1.0, "format": 0.1}}],
    "credit": {"name": "step_grpo"},
    "learner": {"optimizer": {"lr": 0.002}, "threads": 1},
    "eval": {"every": 0, "tasks": 1, "final_tasks": 2},
    "checkpoint": {"every": 1, "keep": 20},
}


def troubled(tmp_path: Path, plan: dict[int, str], **changes: Any) -> dict[str, Any]:
    """What `TROUBLED` says of a run."""
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump({**BASE, "runs": str(tmp_path), **changes}))
    done = subprocess.run([sys.executable, str(TROUBLED), str(file), json.dumps(plan)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def kinds(run: Path) -> list[str]:
    return [entry["kind"] for entry in read_journal(run)]


def assert_learned_once(run: Path) -> None:
    """Every update from all its groups, none of them twice, and the stored weights follow from them."""
    seen: list[str] = []
    for update in range(1, UPDATES + 1):
        groups = list(read_groups(run / "episodes" / f"train-{update:06d}.parquet"))
        assert [len(g) for g in groups] == [SAMPLES] * GROUPS
        seen += [g.id for g in groups]
    assert len(set(seen)) == UPDATES * GROUPS
    assert [row["update"] for row in read_metrics(run) if row["phase"] == "train"] == list(range(1, UPDATES + 1))
    found = replay(run)
    assert (found.first, found.last, found.difference) == (0, UPDATES, 0.0)


def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    report = troubled(tmp_path, {1: f"full {SMALL}", 3: "room"})["report"]
    run = tmp_path / "toy"
    assert report["faults"] == {"checkpoint": 2}
    assert all("File too large" in incident["detail"] for incident in report["incidents"])
    assert [c.state["progress"]["update"] for c in CheckpointStore(run / "checkpoints", 20).sound()][-3:] == [3, 4, 5]
    assert_learned_once(run)


def test_a_disk_that_stays_full_ends_the_run_which_then_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "toy"
    error = troubled(tmp_path, {1: f"full {SMALL}"})["error"]
    assert "CheckpointError" in error
    assert "was not written" in error
    assert kinds(run) == [STARTED, *["checkpoint"] * 3, BROKE]
    report = troubled(tmp_path, {})["report"]
    assert (report["starts"], report["faults"]) == (2, {"checkpoint": 3})
    assert_learned_once(run)


def test_a_truncated_checkpoint_is_passed_over(tmp_path: Path) -> None:
    run = tmp_path / "toy"
    assert "Interrupted" in troubled(tmp_path, {3: "stop"})["error"]
    third = [c.path for c in CheckpointStore(run / "checkpoints", 20).sound() if c.state["progress"]["update"] == 3]
    assert third
    for path in third:
        weights = next(path.rglob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:-100])
    told = troubled(tmp_path, {})
    assert any("going on from update 2 " in line for line in told["said"])
    assert kinds(run) == [STARTED, STOPPED, RESUMED]
    assert told["report"]["starts"] == 2
    assert_learned_once(run)


@pytest.mark.timeout(300)
def test_a_killed_learner_process(tmp_path: Path) -> None:
    learner = {"optimizer": {"lr": 0.002}, "threads": 1, "processes": 2}
    told = troubled(tmp_path, {2: "kill ray::RayTrainWorker"}, learner=learner)
    assert told["report"]["faults"]["learner"] == 1
    assert any("processes are down" in line for line in told["said"])
    assert_learned_once(tmp_path / "toy")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("server", ["gcs_server", "raylet"])
def test_a_private_ray_that_dies(tmp_path: Path, server: str) -> None:
    told = troubled(tmp_path, {2: f"kill {server}"}, rollout={"workers": 2})
    assert KILLED not in kinds(tmp_path / "toy")
    assert (told["report"]["starts"], told["report"]["faults"]) == (2, {"ray": 1})
    assert json.loads((tmp_path / "toy" / "report.json").read_text()) == told["report"]
    assert any("Ray's own processes on this machine died" in line for line in told["said"])
    assert_learned_once(tmp_path / "toy")
