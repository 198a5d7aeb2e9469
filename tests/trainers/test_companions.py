"""Companions in training: each runs end to end, resumes bit for bit, and what does not fit is refused."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from making import trajectory

from agentgym.faults import ConfigError
from agentgym.rewards.shaping import build_stages
from agentgym.rewards.table import RewardTable
from agentgym.signal import RewardSignal
from agentgym.trainers.companions import COMPANIONS, check_companions
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.credit.base import (
    Values,
    build_credit,
)
from agentgym.trainers.interrupt import Interrupted
from agentgym.trainers.loop import train
from agentgym.trainers.observer import Observer
from agentgym.trainers.run import Run
from agentgym.trainers.rundir import choose_directory, read_metrics
from agentgym.trajectory import Group, Turn

FAST = {"optimizer": {"lr": 2e-3}}
BASE: dict[str, Any] = {
    "name": "toy",
    "env": {
        "id": "agentgym/Search-v0",
        "kwargs": {"instructions": "none", "hops": [1, 2], "worlds": 4, "heldout_worlds": 2, "questions": 4},
    },
    "tiny": {"width": 32, "layers": 1, "heads": 2},
    "warm_start": {"phases": [{"steps": 12, "batch": 16, "lr": 0.01}]},
    "sampling": {"max_tokens": 8},
    "rollout": {"workers": 0},
    "updates": 2,
    "tasks_per_update": 3,
    "samples_per_task": 4,
    "rewards": [{"weigh": {"format": 0.1}}],
    "learner": {"optimizer": {"lr": 0.002}, "threads": 1},
    "eval": {"every": 0, "final_tasks": 1, "sampled": False},
    "checkpoint": {"warm_start_every": 2},
}
METHODS: dict[str, dict[str, Any]] = {
    "gae": {"value": FAST},
    "bilevel_gae": {"value": {**FAST, "minibatches": 2}},
    "prime": {"implicit_reward": FAST},
    "lare": {"latent_reward": {"steps": 10, "hidden": 4, "signals": ["format", "evidence"]}},
    # So little taught, the policy is never right: here every answer counts.
    "thr": {"influence": {"correct_at": 0.0}},
}


def config(tmp_path: Path, **changes: Any) -> TrainConfig:
    return TrainConfig.model_validate({**BASE, "runs": str(tmp_path), **changes})


def run(cfg: TrainConfig, observer: Observer | None = None) -> list[dict[str, Any]]:
    """Its training figures, without times."""
    train(cfg, choose_directory(cfg), observer)
    rows = [r for r in read_metrics(Path(cfg.runs) / cfg.name) if r["phase"] == "train"]
    return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows]


def digests(folder: Path) -> dict[str, str]:
    """Of every file of the newest checkpoint but the state, which holds times."""
    newest = sorted((folder / "checkpoints").glob("step-*"), key=lambda p: p.name.rpartition(".")[2])[-1]
    files = sorted(p for p in newest.rglob("*") if p.is_file() and p.name not in ("state.json", "manifest.json"))
    return {str(f.relative_to(newest)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


class StopAt(Observer):
    """Asks the process to stop once so many rows of a phase are done."""

    def __init__(self, phase: str, rows: int) -> None:
        self.wanted, self.left, self.now = phase, rows, ""

    def phase(self, name: str, total: int, done: int = 0) -> None:
        self.now = name

    def advance(self, metrics: Any) -> None:
        self.left -= self.now == self.wanted
        if self.left == 0:
            self.left = -1
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, list[dict[str, Any]]]]:
    """``whole(method)``: the folder and figures of an uninterrupted run, made once."""

    @cache
    def make(method: str) -> tuple[Path, list[dict[str, Any]]]:
        path = tmp_path_factory.mktemp(method)
        return path / "toy", run(config(path, credit={"name": method}, companions=METHODS[method]))

    return make


@pytest.mark.parametrize(
    ("method", "phase", "rows"),
    [*((name, "training", 1) for name in METHODS), ("gae", "warm start", 3)],
)
def test_stopped_and_resumed_equals_uninterrupted(whole, tmp_path: Path, method: str, phase: str, rows: int) -> None:
    folder, figures = whole(method)
    cfg = config(tmp_path, credit={"name": method}, companions=METHODS[method])
    with pytest.raises(Interrupted):
        train(cfg, choose_directory(cfg), StopAt(phase, rows))
    assert run(cfg) == figures
    assert digests(tmp_path / "toy") == digests(folder)


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("gae", ["value_mean", "value_loss", "value_grad_norm", "value_return", "value_explained_variance"]),
        ("prime", ["implicit_reward_loss", "implicit_reward_accuracy"]),
        ("lare", ["latent_reward_loss", "latent_reward_explained_variance"]),
        ("thr", ["influence_negative", "influence_groups"]),
    ],
)
def test_what_companions_measure_is_logged(whole, method: str, names: list[str]) -> None:
    rows = whole(method)[1]
    assert len(rows) == 2
    assert all(set(names) <= set(row) for row in rows)
    assert max(row.get("grad_norm", 0.0) for row in rows) > 0


def test_a_critic_is_given_advantages_before_whitening(whole) -> None:
    """Nothing is worth more than a point here; whitened advantages would make it so."""
    first, second = whole("gae")[1]
    assert first["value_mean"] == 0 != second["value_mean"]
    assert first["value_return"] == pytest.approx(first["outcome"] + first["process"] / first["turns"], abs=0.5)
    credit = build_credit({"name": "gae", "lam": 1.0})
    one = trajectory(2)
    table = RewardTable.from_groups([Group("g", "t", [one, one])])
    values = Values(np.zeros(4), np.zeros(2), np.zeros(8))
    assert credit.unwhitened(table, values).tolist() == [1, 1, 1, 1]
    assert not np.any(credit(table, values))
    assert build_credit({"name": "grpo"}).unwhitened(table).tolist() == [0, 0, 0, 0]


def test_groups_outside_the_accuracy_band_are_dropped(tmp_path: Path) -> None:
    right, wrong = trajectory(1), trajectory(1)
    wrong.turns[0] = Turn(RewardSignal(0.0))
    groups = [Group(f"g{k}", "t", [right] * k + [wrong] * (5 - k)) for k in range(6)]
    kept = {}
    for name, band in (("any", None), ("prime", (0.2, 0.8)), ("hard", (0.0, 0.5))):
        run_ = SimpleNamespace(
            config=config(tmp_path, dynamic_sampling={"enabled": True, "accuracy": band}),
            parts=SimpleNamespace(pipeline=build_stages([], {}), credit=build_credit({"name": "grpo"})),
            progress=SimpleNamespace(update=0),
            updater=SimpleNamespace(peek=lambda groups, update: RewardTable.from_groups(groups)),
        )
        kept[name] = [g.id for g in Run._with_signal(cast(Run, run_), groups)]
    assert kept == {"any": ["g1", "g2", "g3", "g4"], "prime": ["g1", "g2", "g3", "g4"], "hard": ["g1", "g2"]}


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"enabled": True, "accuracy": [0.8, 0.2]}, "accuracy must be a band inside"),
        ({"enabled": True, "accuracy": [0.2, 1.2]}, "accuracy must be a band inside"),
        ({"accuracy": [0.2, 0.8]}, "set enabled: true"),
    ],
)
def test_accuracy_bands_that_make_no_sense(tmp_path: Path, sampling: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(tmp_path, dynamic_sampling=sampling)


def test_the_built_in_companions_are_known_without_their_libraries() -> None:
    assert {"value", "implicit_reward", "latent_reward", "influence"} <= set(COMPANIONS.names())


def test_options_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    for options, message in (
        ({"implicit_reward": {}}, "companions.implicit_reward: the credit method does not read it; it reads value"),
        ({"value": {"epoch": 3}}, r"companions\.value: unknown key 'epoch'; did you mean 'epochs'"),
        ({"value": {"clip": 0}}, r"companions\.value: clip"),
    ):
        cfg = config(tmp_path, credit={"name": "gae"}, companions=options)
        with pytest.raises(ConfigError, match=message):
            train(cfg, choose_directory(cfg))
        assert not (tmp_path / "toy").exists()
    with pytest.raises(ConfigError, match="no companion 'valu'; did you mean 'value'"):
        check_companions(("valu",), {})
