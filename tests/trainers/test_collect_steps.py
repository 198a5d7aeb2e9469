"""Training on the steps of forked episodes, and on measured ones, end to end on the real search environment."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from toy import ToyEnv

from agentgym.faults import ConfigError
from agentgym.rollout.accuracy import AFTER, BEFORE
from agentgym.store import read_episodes, read_groups
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.interrupt import Interrupted
from agentgym.trainers.loop import train
from agentgym.trainers.observer import Observer
from agentgym.trainers.rundir import choose_directory, read_metrics

SLATE = {"slate_reasoning", "slate_query", "slate_answer"}
BASE: dict[str, Any] = {
    "name": "toy",
    "env": {
        "id": "agentgym/Search-v0",
        "kwargs": {"instructions": "none", "hops": [1, 2], "worlds": 4, "heldout_worlds": 2, "questions": 4},
    },
    "tiny": {"width": 32, "layers": 1, "heads": 2},
    "warm_start": {"phases": [{"steps": 60, "batch": 16, "lr": 0.01}]},
    "sampling": {"max_tokens": 8},
    "rollout": {"workers": 0},
    "updates": 3,
    "tasks_per_update": 3,
    "samples_per_task": 4,
    "collect": {"name": "steps"},
    "credit": {"name": "slate", "reasoning": 0.5},
    "learner": {"optimizer": {"lr": 0.002}, "threads": 1},
    "eval": {"every": 0, "tasks": 2, "final_tasks": 2},
}


class RigidToy(ToyEnv):
    """Cannot be forked."""

    forkable = False


if "rigid/Toy-v0" not in gymnasium.registry:
    gymnasium.register("rigid/Toy-v0", entry_point=RigidToy)


def config(tmp_path: Path, **changes: Any) -> TrainConfig:
    return TrainConfig.model_validate({**BASE, "runs": str(tmp_path), **changes})


def run(tmp_path: Path, **changes: Any) -> Path:
    cfg = config(tmp_path, **changes)
    train(cfg, choose_directory(cfg))
    return tmp_path / "toy"


def digest(path: Path) -> str:
    newest = sorted((path / "checkpoints").glob("step-*"), key=lambda p: p.name.rpartition(".")[2])[-1]
    return hashlib.sha256(b"".join(f.read_bytes() for f in sorted(newest.rglob("*.safetensors")))).hexdigest()


def rows(path: Path) -> list[dict[str, Any]]:
    kept = [r for r in read_metrics(path) if r["phase"] == "train"]
    return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in kept]


class StopAt(Observer):
    """Asks the process to stop once so many updates are done."""

    def __init__(self, update: int) -> None:
        self.left, self.training = update, False

    def phase(self, name: str, total: int, done: int = 0) -> None:
        self.training = name == "training"

    def advance(self, metrics: Any) -> None:
        self.left -= self.training
        if self.training and self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    return run(tmp_path_factory.mktemp("whole"))


def test_steps_are_trained_on_and_episodes_are_counted(whole: Path) -> None:
    report = json.loads((whole / "report.json").read_text())
    assert report["episodes"] == 3 * 3, "one whole episode a task"
    assert report["rollout"]["episodes"] == 9
    tokens, advantages = 0, dict[tuple[int, str], list[float]]()
    for update, row in enumerate(rows(whole), 1):
        steps = list(read_groups(whole / "episodes" / f"train-{update:06d}.parquet"))
        paths = [g.trajectories[0] for g in read_groups(whole / "episodes" / f"path-{update:06d}.parquet")]
        assert len(paths) == 3
        assert [g.id for g in steps] == [f"{p.group_id}.step{t}" for p in paths for t in range(len(p.turns))]
        tried = [t for g in steps for t in g.trajectories]
        assert [len(g) for g in steps] == [4] * len(steps)
        assert all(len(t.turns) == 1 for t in tried)
        assert all(t.turns[0].signal.process.keys() >= SLATE for t in (*tried, *paths))
        # Success, turns and tokens are those of the paths, whatever the continuations that were not kept did.
        assert row["success"] == pytest.approx(np.mean([p.outcome >= 1 for p in paths]), abs=1e-6)
        assert row["turns"] == pytest.approx(np.mean([len(p.turns) for p in paths]), abs=1e-6)
        assert row["truncated"] == pytest.approx(np.mean([p.truncated for p in paths]), abs=1e-6)
        assert row["continuations"] == len(tried)
        assert row["episodes"] == 3 * update
        assert row["grad_norm"] > 0
        # What was learned from is the difference between the continuations of one step.
        for step in read_episodes(whole / "episodes" / f"train-{update:06d}.parquet"):
            assert step.advantages is not None
            advantages.setdefault((update, step.trajectory.group_id), []).append(step.advantages[0])
        tokens += sum(len(p) - p.policy_tokens for p in paths) + sum(t.policy_tokens for t in tried)
        assert row["tokens_seen"] == tokens
    assert all(sum(of_step) == pytest.approx(0, abs=1e-9) for of_step in advantages.values())
    assert any(max(of_step) > 0 for of_step in advantages.values())
    assert report["rollout"]["tokens"] == tokens
    assert report["rollout"]["forks"] == report["rollout"]["turns"] == sum(r["continuations"] for r in rows(whole))
    assert report["rollout"]["shared_tokens"] > 0


def test_stopped_and_resumed_equals_uninterrupted(whole: Path, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    with pytest.raises(Interrupted, match="SIGINT; saved at update 2"):
        train(cfg, choose_directory(cfg), StopAt(2))
    train(cfg, choose_directory(cfg))
    assert rows(tmp_path / "toy") == rows(whole)
    assert digest(tmp_path / "toy") == digest(whole)


def test_one_ray_worker_gives_the_same_run_as_none(whole: Path, tmp_path: Path) -> None:
    assert digest(run(tmp_path, rollout={"workers": 1})) == digest(whole)


def test_dynamic_sampling_drops_steps_without_a_signal(tmp_path: Path) -> None:
    path = run(tmp_path, dynamic_sampling={"enabled": True}, updates=2, collect={"name": "steps", "continuations": 2})
    for update, row in enumerate(rows(path), 1):
        steps = list(read_groups(path / "episodes" / f"train-{update:06d}.parquet"))
        paths = list(read_groups(path / "episodes" / f"path-{update:06d}.parquet"))
        assert row["groups_with_signal"] == 1.0
        assert {g.id.partition(".step")[0] for g in steps} == {p.id for p in paths}
        assert [len(g) for g in steps] == [2] * len(steps)
        assert len(steps) < sum(len(p.trajectories[0].turns) for p in paths)


def test_measured_accuracy_becomes_step_rewards(tmp_path: Path) -> None:
    path = run(
        tmp_path,
        updates=1,
        samples_per_task=2,
        collect={"name": "accuracy", "rollouts": 2},
        rewards=[{"vsrm": {"weight": 2.0}}],
        credit={"name": "step_grpo"},
    )
    groups = list(read_groups(path / "episodes" / "train-000001.parquet"))
    assert [len(g) for g in groups] == [2, 2, 2]
    for turns in (t.turns for g in groups for t in g.trajectories):
        low, high = ([t.signal.process[name] for t in turns] for name in (BEFORE, AFTER))
        assert low[1:] == high[:-1]
        assert set(low) <= {0.0, 0.5, 1.0}
    (row,) = rows(path)
    assert row["process"] == pytest.approx(2 * (row["part_accuracy_after"] - row["part_accuracy_before"]), abs=1e-5)
    report = json.loads((path / "report.json").read_text())
    assert report["episodes"] == 6
    assert report["rollout"]["forks"] == 2 * sum(len(t.turns) for g in groups for t in g.trajectories)


def test_what_does_not_fit_is_refused_before_training(tmp_path: Path) -> None:
    rigid = {"id": "rigid/Toy-v0"}
    steps = {"name": "steps"}
    for changes, message in (
        ({"env": rigid}, "collect.name: 'steps' goes back to earlier states, and RigidToy cannot"),
        ({"env": rigid, "collect": {"name": "accuracy"}}, "RigidToy cannot"),
        ({"collect": {**steps, "weights": {"slate_qeury": 1}}}, "did you mean 'slate_query'"),
        ({"collect": {**steps, "rule": {"gains": ["evidense"]}}}, "collect.rule: .* did you mean 'evidence'"),
        ({"collect": {"name": "episodes"}}, "credit: the environment emits no 'slate_reasoning'"),
        ({"collect": {"name": "episodes"}, "rewards": [{"weigh": {"slate_query": 1.0}}]}, "emits no 'slate_query'"),
        ({"rewards": [{"vsrm": {}}]}, "emits no 'accuracy_after'"),
    ):
        cfg = config(tmp_path, **changes)
        with pytest.raises(ConfigError, match=message):
            train(cfg, choose_directory(cfg))
        assert not (tmp_path / "toy").exists()
    for wrong, message in (
        ({"collect": {"continuations": 3}}, "tag"),
        ({"collect": {**steps, "continuations": 1}}, "continuations"),
        ({"dynamic_sampling": {"enabled": True, "accuracy": [0.2, 0.8]}}, "plays one of each"),
    ):
        with pytest.raises(ValueError, match=message):
            config(tmp_path, **wrong)
