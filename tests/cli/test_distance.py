"""How far two reward files are apart on stored episodes."""

from __future__ import annotations

import json

import pytest
import stored

SPARSE = [{"weigh": {"outcome": 1.0}}]
DENSE = [{"weigh": {"looked": 0.5, "format": 0.1}}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stored.make_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def between(folder, run, tmp_path):
    def measure(a, b, *args):
        files = [stored.write_yaml(tmp_path / f"{name}.yaml", rewards=r) for name, r in (("a", a), ("b", b))]
        return json.loads(run("distance", folder, "--rewards", *files, "--json", *args).stdout)

    return measure


def test_twins_are_at_distance_0(between):
    shaped = [*DENSE, {"potential": {"part": "looked"}}]
    scaled = [{"weigh": {"looked": 1.5, "format": 0.3, "outcome": 3.0}}]
    assert between(DENSE, DENSE)["distance"] == 0.0
    assert between(DENSE, scaled)["distance"] < 1e-9
    assert between(DENSE, shaped)["distance"] < 1e-9
    discounted = [*DENSE, {"potential": {"part": "looked", "gamma": 0.5, "weight": 20.0}}]
    assert between(DENSE, discounted, "--gamma", 0.5)["distance"] < 1e-9
    assert between(DENSE, discounted)["distance"] > 0.01


def test_opposites_are_at_distance_1(between):
    assert between(SPARSE, [{"weigh": {"outcome": -2.0}}])["distance"] == pytest.approx(1.0)
    assert 0.05 < between(SPARSE, DENSE)["distance"] < 0.95


def test_stages_remember_from_update_to_update(between):
    filtered = [{"running_filter": {"parts": ["looked"]}}, *DENSE]
    assert 1e-6 < between(DENSE, filtered)["distance"] < 0.5


def test_as_text(folder, run, tmp_path):
    file = stored.write_yaml(tmp_path / "a.yaml", rewards=DENSE)
    text = run("distance", folder, "--rewards", file, file).stdout
    assert "distance 0.0000 over" in text


def test_mistakes_are_one_line(folder, error, tmp_path):
    good, bad = stored.write_yaml(tmp_path / "good.yaml", rewards=[]), tmp_path / "bad.yaml"
    assert "bad.yaml: No such file" in error("distance", folder, "--rewards", good, bad)
    stored.write_yaml(bad, rewards=[{"weigh": {"luck": 1.0}}])
    assert "bad.yaml: rewards.0.weigh: the environment emits no 'luck'" in error(
        "distance", folder, "--rewards", good, bad
    )
    assert "requires 2 arguments" in error("distance", folder, "--rewards", good)
    assert "no run" in error("distance", tmp_path / "nowhere", "--rewards", good, good)
