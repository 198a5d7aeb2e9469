from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from agentgym.exchange import picture_name
from agentgym.signal import RewardSignal
from agentgym.store import EpisodeWriter
from agentgym.trajectory import Group, Trajectory, Turn


def trajectory(group: str, number: int, outcome: float | None, fault: str | None = None) -> Trajectory:
    turns = [Turn(RewardSignal(process={"evidence": 0.5}), reward=0.15), Turn(RewardSignal(outcome), reward=1.0)]
    messages = [
        {"role": "user", "content": "Who? \x1b[2J", "turn": -1},
        {"role": "assistant", "content": "<search> [bold]a[/bold] </search>", "turn": 0},
        {"role": "user", "content": "d" * 3000, "turn": 0},
        {"role": "assistant", "content": "<answer> b </answer>", "turn": 1},
        {"role": "user", "content": "correct", "turn": 1},
    ]
    return Trajectory(
        episode_id=f"{group}/{number}",
        group_id=group,
        env="agentgym/Search-v0",
        task_id="train/1",
        split="train",
        difficulty=2,
        seed=7,
        tokens=np.arange(6, dtype=np.int32),
        logprobs=np.array([0, -1, -1, 0, -1, -1], dtype=np.float32),
        turn=np.array([-1, 0, 0, -1, 1, 1], dtype=np.int16),
        starts=np.array([0], dtype=np.int32),
        turns=turns,
        messages=messages,
        terminated=outcome is not None,
        truncated=outcome is None and fault is None,
        fault=fault,
    )


@pytest.fixture
def runs(tmp_path):
    """A run with episodes of updates 1 and 2 and of an evaluation after 2."""
    writer = EpisodeWriter(tmp_path / "episodes")
    for update in (1, 2):
        group = Group(f"g{update}", "train/1", [trajectory(f"g{update}", i, [1.0, None][i]) for i in range(2)])
        rewards, advantages = np.array([0.5, 0.0, 0.25, 0.0]), np.array([1.5, 0.75, -1.0, -0.5])
        writer.write("train", update, [group], advantages, rewards)
    writer.write("eval", 2, [Group("e", "train/1", [trajectory("e", 0, None, "crash: it broke")])])
    return tmp_path


def test_the_list(run, runs):
    rows = json.loads(run("show", runs, "--json").stdout)
    assert [(r["k"], r["episode"], r["ending"]) for r in rows] == [
        (0, "e/0", "fault: crash: it broke"),
        (1, "g1/0", "terminated"),
        (2, "g1/1", "truncated"),
        (3, "g2/0", "terminated"),
        (4, "g2/1", "truncated"),
    ]
    text = run("show", runs, "--limit", 2).stdout
    assert "g1/0" in text
    assert "g1/1" not in text
    assert "--limit 0 lists all" in text


def test_one_update(run, runs):
    rows = json.loads(run("show", runs, "--update", 1, "--json").stdout)
    assert [r["episode"] for r in rows] == ["g1/0", "g1/1"]


def test_one_episode_with_signals_rewards_and_advantages(run, runs):
    text = run("show", runs, "--update", 2, "-k", 1).stdout
    assert "episode g2/0 · task train/1 (train)" in text
    assert "update 2 · difficulty 2 · seed 7 · 6 tokens, 4 of the policy" in text
    assert "=> signal: evidence 0.5 | reward 0.15 | shaped 0.5 | advantage 1.5" in text
    assert "=> signal: outcome 1 | reward 1 | shaped 0 | advantage 0.75" in text
    assert "(1800 more characters; --full)" in text
    assert "[bold]a[/bold]" in text
    assert "\x1b" not in text
    assert text.index("--- turn 1") < text.index("evidence 0.5") < text.index("ddd") < text.index("--- turn 2")


def test_full_text(run, runs):
    assert "d" * 100 + "\n" in run("show", runs, "--episode", "g1/0", "--full").stdout.replace("d\nd", "dd")
    assert "--full" not in run("show", runs, "--episode", "g1/0", "--full").stdout


def test_as_json(run, runs):
    data = json.loads(run("show", runs, "--episode", "g1/1", "--json").stdout)
    assert [t["advantage"] for t in data["turns"]] == [-1.0, -0.5]
    assert [t["shaped_reward"] for t in data["turns"]] == [0.25, 0.0]
    assert data["turns"][0]["signal"] == {"outcome": None, "process": {"evidence": 0.5}}
    assert [m["role"] for m in data["messages"]] == ["user", "assistant", "user", "assistant", "user"]


def test_episodes_without_advantages(run, runs):
    text = run("show", runs, "--episode", "e/0").stdout
    assert "advantage" not in text
    assert "fault: crash: it broke" in text


def test_a_file_and_an_episodes_folder_can_be_named(run, runs):
    assert len(json.loads(run("show", runs / "episodes", "--json").stdout)) == 5
    assert len(json.loads(run("show", runs / "episodes" / "train-000001.parquet", "--json").stdout)) == 2


def test_what_is_not_there(error, runs, tmp_path):
    assert "no episodes of update 9; it has updates 1 to 2" in error("show", runs, "--update", 9)
    assert "no episode '17' among the 5" in error("show", runs, "--episode", "17")
    (tmp_path / "empty").mkdir()
    assert "no Parquet file of episodes" in error("show", tmp_path / "empty")
    (runs / "episodes" / "train-000001.parquet").write_bytes(b"PAR1 not really")
    assert "train-000001.parquet" in error("show", runs, "--update", 1)


def test_a_page(run, runs, tmp_path):
    hostile = trajectory("g3", 0, 1.0)
    hostile.messages[2]["content"] = "<script>alert(1)</script>"
    hostile.turns[1].state_key, hostile.final_state_key = "t|1", "t|../../2"
    group = Group("g3", "train/1", [hostile])
    EpisodeWriter(runs / "episodes").write("train", 3, [group], np.array([2.0, -1.0]), np.array([0.5, 0.0]))
    (runs / "config.yaml").write_text(f"env: {{id: x, kwargs: {{record: {runs / 'shots'}}}}}\n")
    (runs / "shots").mkdir()
    (runs / "shots" / picture_name("t|1")).write_bytes(b"picture")
    file = tmp_path / "page.html"
    assert run("show", runs, "--episode", "g3/0", "--html", file).stdout == f"wrote {file}\n"
    page = file.read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert page.count("<img ") == 1
    assert f'src="data:image/png;base64,{base64.b64encode(b"picture").decode()}"' in page
    assert page.count('<section class="turn">') == 2
    assert '<i class="" style="width: 50.0%; left: 50.0%">' in page
    assert '<i class="down" style="width: 25.0%; left: 25.0%">' in page
    run("show", runs, "--episode", "g3/0", "--html", file, "--pictures", tmp_path)
    assert "<img " not in file.read_text()


def test_a_page_that_cannot_be(run, runs):
    assert "--html needs --episode" in run("show", runs, "--html", runs / "a.html", code=2).stderr
    nowhere = run("show", runs, "--episode", "g1/0", "--html", runs / "no" / "a.html", code=2).stderr
    assert "No such file or directory" in nowhere
