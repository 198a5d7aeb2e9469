"""The training loop end to end on the real search environment: it resumes bit for bit and survives being killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_run import SMALL_RUN

from agentgym.faults import ConfigError
from agentgym.store import read_groups
from agentgym.trainers.config import TrainConfig, load_config
from agentgym.trainers.interrupt import Interrupted
from agentgym.trainers.loop import train
from agentgym.trainers.observer import Observer
from agentgym.trainers.rundir import choose_directory, read_metrics

BASE: dict[str, Any] = SMALL_RUN | {
    "name": "toy",
    "updates": 4,
    "rewards": [
        {"weigh": {"evidence": 1.0}},
        {"gate": {"when": "answered", "at_least": 1.0}},
        {"weigh": {"format": 0.1}},
    ],
    "eval": {"every": 2, "tasks": 3, "final_tasks": 4},
}


def config(tmp_path: Path, **changes: Any) -> TrainConfig:
    return TrainConfig.model_validate({**BASE, "runs": str(tmp_path), **changes})


def digest(run: Path) -> str:
    """Of the weights in the newest checkpoint."""
    newest = sorted((run / "checkpoints").glob("step-*"), key=lambda p: p.name.rpartition(".")[2])[-1]
    files = sorted(newest.rglob("*.safetensors"))
    assert files
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


def rows(run: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in read_metrics(run)]


class StopAt(Observer):
    """Asks the process to stop, as a person at the terminal would, once so many updates are done."""

    def __init__(self, update: int) -> None:
        self.left = update
        self.training = False

    def phase(self, name: str, total: int, done: int = 0) -> None:
        self.training = name == "training"

    def advance(self, metrics: Any) -> None:
        if self.training:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    path = tmp_path_factory.mktemp("whole")
    cfg = config(path)
    train(cfg, choose_directory(cfg))
    return path / "toy"


def test_a_run_leaves_what_it_promises(whole: Path) -> None:
    report = json.loads((whole / "report.json").read_text())
    keys = {"env", "seed", "episodes", "warm_start_success", "final_success", "final_success_ci", "wall_s"}
    assert keys | {"tokens_per_s", "time_share"} <= set(report)
    assert report["updates"] == 4
    assert report["episodes"] == 4 * 3 * 4
    assert [e["update"] for e in report["evaluations"]] == [0, 2, 4]
    assert sum(report["time_share"].values()) == pytest.approx(1, abs=0.01)
    assert (whole / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert list((whole / "tensorboard").iterdir())
    resolved = yaml.safe_load((whole / "config.yaml").read_text())
    assert TrainConfig.model_validate(resolved).learner.optimizer.lr == 0.002
    metrics = read_metrics(whole)
    trained = [r for r in metrics if r["phase"] == "train"]
    assert [r["update"] for r in trained] == [1, 2, 3, 4]
    assert all(r["groups_with_signal"] > 0 and r["grad_norm"] > 0 for r in trained)
    assert [r["update"] for r in metrics if r["phase"] == "warm_start"] == list(range(1, 13))
    groups = list(read_groups(whole / "episodes" / "train-000002.parquet"))
    assert [len(g) for g in groups] == [4, 4, 4]


def test_the_final_model_is_an_ordinary_folder(whole: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(whole / "model")
    tokenizer = AutoTokenizer.from_pretrained(whole / "model")
    assert model.config.vocab_size == len(tokenizer)


def test_stopped_and_resumed_equals_uninterrupted(whole: Path, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    with pytest.raises(Interrupted, match="SIGINT; saved at update 3"):
        train(cfg, choose_directory(cfg), StopAt(3))
    assert choose_directory(cfg) == tmp_path / "toy"
    train(cfg, choose_directory(cfg))
    assert rows(tmp_path / "toy") == rows(whole)
    assert digest(tmp_path / "toy") == digest(whole)


@pytest.mark.timeout(240)
def test_killed_at_any_moment_and_resumed_equals_uninterrupted(whole: Path, tmp_path: Path) -> None:
    """SIGKILL, three times, at moments that are not chosen to be convenient."""
    cfg = config(tmp_path)
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump(cfg.model_dump(mode="json")))
    command = [sys.executable, "-m", "agentgym", "train", str(file)]
    for phase, least in (("warm_start", 3), ("train", 1), ("train", 3)):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            done = sum(r["phase"] == phase for r in read_metrics(tmp_path / "toy"))
            if done >= least:
                process.kill()
            time.sleep(0.005)
        process.wait()
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    run = tmp_path / "toy"
    if not (run / "report.json").exists():  # the last kill came after the end, so the command began a new run
        pytest.fail("the run that was killed did not finish")
    assert rows(run) == rows(whole)
    assert digest(run) == digest(whole)


def test_what_stages_remember_survives_a_stop(tmp_path: Path) -> None:
    """Reference rewards and a running filter: the stopped run shapes as the uninterrupted one does."""
    stages: list[dict[str, Any]] = [
        {"running_filter": {"parts": ["evidence", "format"]}},
        {"weigh": {"evidence": 1.0, "format": 0.1}},
        {"par": {"references": "first"}},
    ]
    plain = config(tmp_path, name="plain", rewards=stages)
    train(plain, choose_directory(plain))
    stopped = config(tmp_path, name="stopped", rewards=stages)
    with pytest.raises(Interrupted):
        train(stopped, choose_directory(stopped), StopAt(2))
    train(stopped, choose_directory(stopped))
    assert rows(tmp_path / "stopped") == rows(tmp_path / "plain")
    assert digest(tmp_path / "stopped") == digest(tmp_path / "plain")
    newest = sorted((tmp_path / "plain" / "checkpoints").glob("step-*"))[-1]
    memory = json.loads((newest / "state.json").read_text())["progress"]["shaping"]
    assert set(memory) == {"rewards.0.running_filter", "rewards.2.par"}


def test_one_ray_worker_gives_the_same_run_as_none(whole: Path, tmp_path: Path) -> None:
    cfg = config(tmp_path, rollout={"workers": 1})
    train(cfg, choose_directory(cfg))
    assert digest(tmp_path / "toy") == digest(whole)


def test_an_earlier_run_is_never_overwritten(whole: Path) -> None:
    cfg = config(whole.parent)
    assert choose_directory(cfg).name == "toy-2"


def test_what_does_not_fit_is_refused_before_training(tmp_path: Path) -> None:
    for changes, message in (
        ({"rewards": [{"gate": {"when": "evidense"}}]}, "did you mean 'evidence'"),
        ({"credit": {"name": "step_gpro"}}, "did you mean 'step_grpo'"),
        ({"credit": {"name": "prime"}, "samples_per_task": 1}, "compares 2 or more in a group, and groups have 1"),
        ({"sampling": {"top_k": 3}}, "old_logprobs=recompute"),
        ({"sampler": {"mix": {7: 1.0}}}, "no training task of difficulty 7"),
        ({"warm_start": {"phases": [{"mix": {1: 1, 2: -1}}]}}, "warm_start.phases.0.mix: weights"),
        ({"eval": {"target": 7}}, "no held-out task of difficulty 7"),
        ({"env": {"id": "agentgym/Serch-v0"}}, "Serch"),
    ):
        cfg = config(tmp_path, **changes)
        with pytest.raises(ConfigError, match=message):
            train(cfg, choose_directory(cfg))
        assert not (tmp_path / "toy").exists()


def test_configuration_files_name_the_key(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("env: {id: agentgym/Search-v0}\nlearner: {optimizer: {lrr: 1}}\n")
    with pytest.raises(ConfigError, match=r"run.yaml.*learner.optimizer.lrr.*did you mean 'lr'"):
        load_config(file)
    file.write_text("env: {id: agentgym/Search-v0}\n")
    assert load_config(file, ["learner.optimizer.lr=0.5", "updates=7"]).learner.optimizer.lr == 0.5
    assert load_config(file).name == "run"
