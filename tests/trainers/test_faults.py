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
from small_run import SMALL_RUN

from agentgym.cli.evaluating import run_evaluation
from agentgym.store import read_groups
from agentgym.trainers.checkpoint import CheckpointStore
from agentgym.trainers.journal import BROKE, KILLED, RESUMED, STARTED, STOPPED, read_journal
from agentgym.trainers.replay import replay
from agentgym.trainers.rundir import read_metrics

TROUBLED = Path(__file__).resolve().parents[1] / "support" / "troubled.py"
#: Bytes that hold any file of a run but its weights.
SMALL = 40_000
UPDATES, GROUPS, SAMPLES = 5, 3, 4
BASE: dict[str, Any] = SMALL_RUN | {
    "name": "toy",
    "warm_start": {"phases": [{"steps": 6, "batch": 16, "lr": 0.01}], "mistakes": {2: {"answer": 0.3}}},
    "updates": UPDATES,
    "tasks_per_update": GROUPS,
    "samples_per_task": SAMPLES,
    "eval": {"every": 0, "tasks": 1, "final_tasks": 2},
    "checkpoint": {"every": 1, "keep": 20},
}


def attempt(tmp_path: Path, plan: dict[int, str], **changes: Any) -> subprocess.CompletedProcess[str]:
    """`TROUBLED` has run."""
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump({**BASE, "runs": str(tmp_path), **changes}))
    return subprocess.run([sys.executable, str(TROUBLED), str(file), json.dumps(plan)], capture_output=True, text=True)


def troubled(tmp_path: Path, plan: dict[int, str], **changes: Any) -> dict[str, Any]:
    """What `TROUBLED` says of a run."""
    done = attempt(tmp_path, plan, **changes)
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
def test_a_killed_learner_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learner = {"optimizer": {"lr": 0.002}, "threads": 1, "processes": 2, "sharding": "fsdp"}
    told = troubled(tmp_path, {2: "kill ray::RayTrainWorker"}, learner=learner)
    assert told["report"]["faults"]["learner"] == 1
    assert any("processes are down" in line for line in told["said"])
    run = tmp_path / "toy"
    assert_learned_once(run)
    run_evaluation(run, [], run=None, checkpoint=None, tasks=None, as_json=True)
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert scores == told["report"]["evaluations"][-1]["scores"], "the last checkpoint's pieces are put together"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("server", ["gcs_server", "raylet"])
def test_a_private_ray_that_dies(tmp_path: Path, server: str) -> None:
    workers = {"workers": 2}
    done = attempt(tmp_path, {2: f"kill {server}"}, rollout=workers)
    if server == "raylet" and (done.returncode, done.stdout, done.stderr) == (1, "", ""):
        # In the moment of its death something was on its way to the object store: Ray then ends the process itself.
        report = troubled(tmp_path, {}, rollout=workers)["report"]
        assert kinds(tmp_path / "toy") == [STARTED, KILLED, RESUMED]
    else:
        assert done.returncode == 0, done.stderr[-2000:]
        told = json.loads(done.stdout.splitlines()[-1])
        report = told["report"]
        assert KILLED not in kinds(tmp_path / "toy")
        assert report["faults"] == {"ray": 1}
        assert any("Ray's own processes on this machine died" in line for line in told["said"])
    assert report["starts"] == 2
    assert json.loads((tmp_path / "toy" / "report.json").read_text()) == report
    assert_learned_once(tmp_path / "toy")
