"""Rewards and advantages of stored episodes, computed anew."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import stored
import yaml
from making import same

from agentgym.store import read_episodes, read_groups

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TRAINING = """
env: {id: custom_environment:example/Dial-v0, kwargs: {instructions: none}}
model: tiny
warm_start:
  mistakes: {2: {edge: 0.5}, 3: {edge: 0.5}}
  phases: [{steps: 40, batch: 4, lr: 0.02}]
sampling: {max_tokens: 8}
updates: 2
tasks_per_update: 3
samples_per_task: 3
rewards: [{running_filter: {parts: [narrowed]}}, {weigh: {narrowed: 0.5, format: 0.1}}]
credit: {name: step_grpo, gamma: 0.9}
rollout: {workers: 0}
eval: {every: 0, tasks: 1, final_tasks: 1}
learner: {threads: 1}
"""


@pytest.fixture
def folder(tmp_path):
    return stored.make_run(tmp_path / "run")


def numbers(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The stored rewards and advantages of a run's training episodes, as bytes would compare."""
    rows = [e for file in sorted((path / "episodes").glob("train-*.parquet")) for e in read_episodes(file)]
    return np.concatenate([e.rewards for e in rows]), np.concatenate([e.advantages for e in rows])


def test_what_a_training_run_stored_comes_out_again_bit_for_bit(tmp_path, run, dial):
    config = tmp_path / "dial.yaml"
    config.write_text(TRAINING)
    command = [sys.executable, "-m", "agentgym.cli.main", "train", str(config), f"runs={tmp_path}/runs"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES, check=False)
    assert done.returncode == 0, done.stderr
    trained = tmp_path / "runs" / "dial"
    rewards = stored.write_yaml(tmp_path / "same.yaml", rewards=yaml.safe_load(TRAINING)["rewards"])
    report = json.loads(run("rescore", trained, "--rewards", rewards, "--json").stdout)
    assert report["identical"] is True
    assert report["updates"] == 2
    assert report["episodes"] == 18
    old, new = numbers(trained), numbers(trained / "rescored" / "same")
    assert old[1].tobytes() == new[1].tobytes()
    assert old[0].tobytes() == new[0].tobytes()
    assert np.ptp(old[1]) > 0  # there was something to reproduce


def test_unchanged_rewards_reproduce_and_episodes_stay_as_they_were(folder, run, tmp_path):
    same_rewards = stored.write_yaml(tmp_path / "same.yaml", rewards=stored.REWARDS)
    before = {f: f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    text = run("rescore", folder, "--rewards", same_rewards).stdout
    assert "bit for bit" in text
    assert {f: f.read_bytes() for f in before} == before
    new = folder / "rescored" / "same"
    assert numbers(folder)[1].tobytes() == numbers(new)[1].tobytes()
    for update in (1, 2, 3):
        name = f"episodes/train-{update:06d}.parquet"
        for a, b in zip(read_groups(folder / name), read_groups(new / name), strict=True):
            for x, y in zip(a.trajectories, b.trajectories, strict=True):
                same(x, y)
        assert {e.update for e in read_episodes(new / name)} == {update}


def test_memory_goes_from_update_to_update(folder, run, tmp_path):
    """The third update alone, scored by stages that remember nothing, is something else."""
    rewards = stored.write_yaml(tmp_path / "same.yaml", rewards=stored.REWARDS)
    for update in (1, 2):
        (folder / "episodes" / f"train-{update:06d}.parquet").unlink()
    report = json.loads(run("rescore", folder, "--rewards", rewards, "--json").stdout)
    assert report["updates"] == 1
    assert report["identical"] is False


def test_other_rewards_and_credit(folder, run, tmp_path):
    rewards = stored.write_yaml(
        tmp_path / "opposite.yaml", rewards=[{"weigh": {"outcome": -1.0}}], credit={"name": "rloo"}
    )
    report = json.loads(run("rescore", folder, "--rewards", rewards, "--out", tmp_path / "out", "--json").stdout)
    assert report["out"] == str(tmp_path / "out")
    assert report["outcome"]["new"] == -report["outcome"]["stored"] < 0
    assert report["outcome"]["rank_correlation"] == pytest.approx(-1)
    assert report["reward"]["new"] == 0
    assert report["reward"]["rank_correlation"] is None
    assert report["identical"] is False
    config = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert config["credit"] == {"name": "rloo"}
    assert config["updates"] == 3
    [group] = list(read_groups(tmp_path / "out" / "episodes" / "train-000001.parquet"))[:1]
    outcomes = np.array([-t.outcome for t in group.trajectories])
    n = len(outcomes)
    expected = n / (n - 1) * (outcomes - outcomes.mean())
    rows = list(read_episodes(tmp_path / "out" / "episodes" / "train-000001.parquet"))[:n]
    assert [e.advantages[0] for e in rows] == pytest.approx(expected.tolist())
    assert "rank correlation" in run("rescore", folder, "--rewards", rewards).stdout


def test_what_was_rescored_reads_like_a_run(folder, run, tmp_path):
    rewards = stored.write_yaml(tmp_path / "outcome.yaml", rewards=[])
    run("rescore", folder, "--rewards", rewards)
    new = folder / "rescored" / "outcome"
    assert len(json.loads(run("show", new, "--json").stdout)) == 48
    again = json.loads(run("rescore", new, "--rewards", rewards, "--json").stdout)
    assert again["identical"] is True
    assert (new / "config.yaml").stat().st_mode & 0o777 == (folder / "config.yaml").stat().st_mode & 0o777


def test_nothing_is_overwritten_and_nothing_is_left_of_what_fails(folder, run, error, tmp_path):
    rewards = stored.write_yaml(tmp_path / "outcome.yaml", rewards=[])
    run("rescore", folder, "--rewards", rewards)
    assert "nothing is overwritten" in error("rescore", folder, "--rewards", rewards)
    (folder / "episodes" / "train-000002.parquet").write_bytes(b"PAR1 not really")
    assert "train-000002.parquet" in error("rescore", folder, "--rewards", rewards, "--out", tmp_path / "broken")
    assert not list(tmp_path.glob("*broken*"))


def test_mistakes_are_one_line(folder, error, tmp_path):
    def of(**content):
        return error("rescore", folder, "--rewards", stored.write_yaml(tmp_path / "file.yaml", **content))

    assert "file.yaml: rewards: Field required" in of(credit={"name": "grpo"})
    assert "file.yaml: unknown key 'credits'; did you mean 'credit'?" in of(rewards=[], credits={})
    assert "file.yaml: rewards.0: no shaping stage 'wiegh'" in of(rewards=[{"wiegh": {}}])
    assert "emits no 'evidence'" in of(rewards=[{"weigh": {"evidence": 1.0}}])
    assert "credit.name: no credit method 'gprpo'" in of(rewards=[], credit={"name": "gprpo"})
    assert "no run" in error("rescore", tmp_path / "nowhere", "--rewards", tmp_path / "file.yaml")
    assert "holds no config.yaml" in error("rescore", tmp_path, "--rewards", tmp_path / "file.yaml")
    assert "No such file" in error("rescore", folder, "--rewards", tmp_path / "nowhere.yaml")
    for file in (folder / "episodes").glob("train-*"):
        file.unlink()
    assert "holds no training episodes" in of(rewards=[])


def test_credit_that_reads_a_model_is_refused(folder, error, tmp_path, monkeypatch):
    from agentgym.trainers.credit.base import CREDIT

    @CREDIT.register("needs_value", source="a test", status="own", needs=("value",))
    def needs_value(table, value):
        """Never called."""
        raise AssertionError

    try:
        rewards = stored.write_yaml(tmp_path / "file.yaml", rewards=[], credit={"name": "needs_value"})
        line = error("rescore", folder, "--rewards", rewards)
        assert "'needs_value' reads value" in line
        assert "trained beside the policy" in line
        assert not (folder / "rescored").exists()
        assert "'needs_value' reads value" in error("compare", folder, "--credit", "grpo,needs_value")
    finally:
        CREDIT._registry._items.pop("needs_value")
