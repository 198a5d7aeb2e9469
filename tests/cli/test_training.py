"""Train, stop, resume, show and evaluate, as a person would: one small real run in processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
#: What the commands do is tested here, not what is learnt.
CONFIG = """
env: {id: custom_environment:example/Dial-v0, kwargs: {instructions: none}}
model: tiny
warm_start: {mistakes: {2: {edge: 0.5}, 3: {edge: 0.5}}}
sampling: {max_tokens: 8}
updates: 10
rewards: [{weigh: {narrowed: 0.5}}, {gate: {when: outcome}}]
credit: {name: step_grpo}
rollout: {workers: 0}
"""
SMALL = [
    "warm_start.phases=[{steps: 4, batch: 4}]",
    "updates=2",
    "tasks_per_update=2",
    "samples_per_task=2",
    "eval={every: 0, tasks: 1, final_tasks: 1}",
    "learner.threads=1",
]


def agentgym(*args: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentgym.cli.main", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES, check=False, **options)


@pytest.fixture(scope="module")
def dial_yaml(tmp_path_factory):
    """A configuration that trains on the example environment."""
    path = tmp_path_factory.mktemp("config") / "dial.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, dial_yaml):
    """(folder of a finished run, what the command printed)"""
    runs = tmp_path_factory.mktemp("runs")
    done = agentgym("train", dial_yaml, *SMALL, f"runs={runs}")
    assert done.returncode == 0, done.stderr
    return runs / "dial", done.stdout


def test_a_run_leaves_what_the_documentation_says(trained):
    run, text = trained
    for name in ("config.yaml", "metrics.jsonl", "curve.png", "report.json", "checkpoints", "episodes", "tensorboard"):
        assert (run / name).exists(), name
    report = json.loads((run / "report.json").read_text())
    assert {"env", "seed", "episodes", "warm_start_success", "final_success", "final_success_ci", "wall_s"} <= set(
        report
    )
    assert report["episodes"] == 8
    assert f"run: {run}" in text
    assert "warm start: 4 steps" in text
    assert "training 2/2" in text
    assert "held-out success at difficulty 3" in text


def test_status_says_that_it_has_finished(trained):
    run, _ = trained
    told = json.loads(agentgym("status", run, "--json").stdout)
    assert (told["state"], told["status"]["update"], told["status"]["ended"]) == ("finished", 2, "finished")
    assert "update 2/2" in agentgym("status", run).stdout


def test_show_reads_what_train_wrote(trained):
    run, _ = trained
    rows = json.loads(agentgym("show", run, "--update", 1, "--json").stdout)
    assert len(rows) == 4
    shown = json.loads(agentgym("show", run, "--update", 1, "-k", 0, "--json").stdout)
    assert shown["env"] == "custom_environment:example/Dial-v0"
    assert all(turn["advantage"] is not None for turn in shown["turns"])


def test_eval_of_a_run_and_of_a_checkpoint(trained, dial_yaml, run, error, monkeypatch):
    folder, _ = trained
    monkeypatch.chdir(EXAMPLES)
    scores = json.loads(run("eval", folder, "--tasks", 2, "--json").stdout)["scores"]
    assert {(s["mode"], s["difficulty"], s["n"]) for s in scores} == {
        (mode, difficulty, 2) for mode in ("greedy", "sampled") for difficulty in (2, 3)
    }
    checkpoint = max((folder / "checkpoints").iterdir())
    args = ("eval", dial_yaml, *SMALL, "--checkpoint", checkpoint / "learner" / "model", "--tasks", 2, "--json")
    assert json.loads(run(*args).stdout)["scores"] == scores
    assert "held-out success" in run("eval", dial_yaml, "--run", folder, "--tasks", 1, "eval.sampled=false").stdout
    assert "--run or --checkpoint" in error("eval", dial_yaml)
    assert "not both" in error("eval", dial_yaml, "--run", folder, "--checkpoint", checkpoint)
    assert "neither a checkpoint" in error("eval", dial_yaml, "--checkpoint", EXAMPLES)
    assert "holds no checkpoint" in error("eval", dial_yaml, "--run", EXAMPLES)


def test_mistakes_in_a_configuration_are_one_line(error, dial_yaml, tmp_path):
    assert "did you mean 'updates'?" in error("train", dial_yaml, "update=3")
    assert "updates" in error("train", dial_yaml, "updates=many")
    assert "must look like key=value" in error("train", dial_yaml, "updates")
    bad = tmp_path / "bad.yaml"
    bad.write_text("env: {id: [")
    assert "bad.yaml:1: not YAML" in error("train", bad)
    assert "credit" in error("train", dial_yaml, "credit.name=gprpo", f"runs={tmp_path}/runs")


def test_a_signal_saves_and_the_same_command_goes_on(dial_yaml, tmp_path):
    small = [s if not s.startswith("updates") else "updates=200" for s in SMALL]
    args = ["train", str(dial_yaml), *small, f"runs={tmp_path}", "checkpoint.every=1000"]
    command = [sys.executable, "-m", "agentgym.cli.main", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=EXAMPLES) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("training:"):
                break
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        message = process.stderr.read()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in message
    assert "the same command goes on from there" in message
    assert yaml.safe_load((tmp_path / "dial" / "config.yaml").read_text())["updates"] == 200

    done = agentgym(*[a if a != "updates=200" else "updates=3" for a in args], "--json")
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stderr
    assert json.loads(done.stdout)["updates"] >= 3
    assert [p.name for p in tmp_path.iterdir()] == ["dial"]
