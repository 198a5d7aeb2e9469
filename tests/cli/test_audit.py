"""`agentgym audit`: the report, the exit status, and what cannot be audited."""

from __future__ import annotations

import json

import pytest
import quiz
import stored


@pytest.fixture(scope="module")
def env() -> str:
    return quiz.register()


def test_a_sound_reward(run, env):
    text = run("audit", env, "--tasks", 3).stdout
    assert "ok: on 6 tasks no policy earns what only a solver should" in text
    assert "fails honestly" in text
    assert "EXPLOIT" not in text


def test_an_exploit_is_named_and_fails_the_command(run, env):
    text = run("audit", env, "-o", "plant=cover", "--tasks", 3, code=1).stdout
    assert "EXPLOIT stuffs keywords (answer all" in text
    assert "ok:" not in text
    report = json.loads(run("audit", env, "-o", "plant=cover", "--tasks", 3, "--json", code=1).stdout)
    assert report["id"] == env
    assert report["ok"] is False
    assert [p["policy"] for p in report["policies"] if p["exploit"]] == ["stuffs keywords"]


def test_other_rewards(run, env, tmp_path):
    rewards = stored.write_yaml(
        tmp_path / "gated.yaml", rewards=[{"weigh": {"found": 0.2}}, {"gate": {"when": "outcome"}}]
    )
    run("audit", env, "-o", "plant=every look", "--tasks", 3, code=1)
    run("audit", env, "-o", "plant=every look", "--tasks", 3, "--rewards", rewards)


def test_the_limit_is_an_option(run, env):
    run("audit", env, "-o", "plant=cover", "--tasks", 2, "--share", 1, "--margin", 0)


def test_the_search_environment(run):
    kwargs = ("-o", "worlds=4", "-o", "questions=4", "-o", "hops=[1, 2]")
    assert json.loads(run("audit", "agentgym/Search-v0", *kwargs, "--tasks", 3, "--json").stdout)["ok"] is True


def test_mistakes_are_one_line(error, env, tmp_path):
    assert "no environment 'quiz/Qiz-v0'" in error("audit", "quiz/Qiz-v0")
    rewards = stored.write_yaml(tmp_path / "a.yaml", rewards=[{"weigh": {"luck": 1.0}}])
    assert "a.yaml: rewards.0.weigh: the environment emits no 'luck'" in error("audit", env, "--rewards", rewards)
    assert "ships no expert" in error("audit", env, "-o", "has_expert=false")
