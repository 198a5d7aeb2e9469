"""Credit methods on the same stored episodes."""

from __future__ import annotations

import json

import matplotlib.image
import numpy as np
import pytest
import stored

from agentgym.cli.compare import parse_methods
from agentgym.faults import ConfigError
from agentgym.store import read_episodes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stored.make_run(tmp_path_factory.mktemp("runs") / "run")


def test_table_and_picture(folder, run, tmp_path):
    picture = tmp_path / "new" / "picture.png"
    args = ("compare", folder, "--credit", "grpo,rloo,{name: gigpo, gamma: 0.9}", "--out", picture)
    report = json.loads(run(*args, "--json").stdout)
    assert report["methods"] == ["grpo", "rloo", "gigpo (gamma=0.9)"]
    agree = np.array(report["rank_correlation"])
    assert np.allclose(np.diag(agree), 1)
    assert np.allclose(agree, agree.T)
    assert 0.5 < agree[0, 1] <= 1
    assert report["episodes"] == 48
    assert matplotlib.image.imread(picture).shape[2] == 4
    text = run(*args).stdout
    assert f"picture: {picture}" in text.replace("\n", "")
    assert "gigpo (gamma=0.9)" in text


def test_the_runs_own_method_gives_what_was_stored(folder, run):
    credit = "{name: gigpo, gamma: 0.9}"
    report = json.loads(run("compare", folder, "--credit", credit, "--json").stdout)
    files = sorted((folder / "episodes").glob("train-*.parquet"))
    stored = {e.trajectory.episode_id: e.advantages for file in files for e in read_episodes(file)}
    assert len(report["shown"]) == 4
    for panel in report["shown"]:
        assert panel["advantages"][0] == stored[panel["title"].partition(": ")[0]]
    assert (folder / "compare.png").is_file()


def test_the_group_on_which_methods_differ_most_is_drawn(folder, run, tmp_path):
    args = ("compare", folder, "--credit", "grpo, {name: gigpo, gamma: 0.9}", "--out", tmp_path / "p.png", "--json")
    drawn = np.concatenate([np.array(p["advantages"]) for p in json.loads(run(*args).stdout)["shown"]], axis=1)
    assert np.abs(drawn).max() > 0
    assert not np.allclose(drawn[0], drawn[1])


def test_one_episode_by_number_or_by_id(folder, run, tmp_path):
    out = ("--out", tmp_path / "p.png", "--json")
    by_number = json.loads(run("compare", folder, "--credit", "grpo", "-k", 17, *out).stdout)["shown"]
    [shown] = by_number
    assert shown["title"].startswith("1.0.0/1: ")
    assert json.loads(run("compare", folder, "--credit", "grpo", "-k", "1.0.0/1", *out).stdout)["shown"] == by_number


def test_one_update_is_shaped_after_those_before_it(folder, run, tmp_path):
    credit = "{name: gigpo, gamma: 0.9}"
    args = ("compare", folder, "--credit", credit, "-u", 2, "-k", 0, "--out", tmp_path / "p.png", "--json")
    report = json.loads(run(*args).stdout)
    assert report["episodes"] == 16
    first = next(read_episodes(folder / "episodes" / "train-000002.parquet"))
    assert report["shown"][0]["advantages"][0] == first.advantages


def test_mistakes_are_one_line(folder, error):
    assert "no credit method 'gprpo'; did you mean 'grpo'?" in error("compare", folder, "--credit", "gprpo")
    assert "rloo is given twice" in error("compare", folder, "--credit", "rloo,rloo")
    assert "needs a name" in error("compare", folder, "--credit", "{gamma: 0.9}")
    assert "--credit must name methods" in error("compare", folder, "--credit", "")
    assert "no episodes of update 9; it has updates 1 to 3" in error("compare", folder, "--credit", "grpo", "-u", 9)
    assert "no episode 'x' among the 48" in error("compare", folder, "--credit", "grpo", "-k", "x")


def test_how_methods_are_written():
    assert parse_methods("a, b") == ["a", "b"]
    assert parse_methods("a,{name: b, x: 1}") == ["a", {"name": "b", "x": 1}]
    for wrong in ("1", "a,,b", "[a]", "a]["):
        with pytest.raises(ConfigError, match="--credit"):
            parse_methods(wrong)
