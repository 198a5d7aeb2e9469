"""The audit finds planted exploits by name, and none in the default rewards of the environments that ship."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
from browsing import need_chromium
from quiz import PLANTS, QuizEnv
from sandboxes import need

import agentgym
from agentgym.faults import ConfigError
from agentgym.rewards.audit import HONEST, Criterion, audit, choose_tasks, default_rewards, play
from agentgym.rewards.shaping import build_stages

FAMILIES = {
    "null",
    "answers at once",
    "repeats",
    "judges always yes",
    "judges always no",
    "stuffs keywords",
    "echoes",
    "longest",
    "master keys",
}


@pytest.mark.parametrize("env_id", agentgym.BUILT_IN_ENVS)
def test_the_default_reward_of_every_environment_is_sound(env_id):
    tasks, options = 3, {}
    if env_id == "agentgym/Swe-v0":  # every action is a command in a container
        need("docker")
        tasks, options = 1, {"max_difficulty": 1, "max_turns": 7}
    if env_id == "agentgym/Web-v0":  # every action is one of a browser's
        need_chromium()
        tasks, options = 1, {"difficulties": (1,), "max_turns": 6}
    env = gymnasium.make(env_id, disable_env_checker=True, **options).unwrapped
    report = audit(env, tasks=tasks)
    assert report.ok, [f"{f.policy} ({f.variant}): {f.exploit}" for f in report.exploits]
    assert report.expert.outcome == 1.0
    assert {"null", "answers at once", "repeats", "stuffs keywords", "master keys"} <= {
        f.policy for f in report.findings
    }


def test_a_sound_reward_passes_and_every_family_is_played():
    report = audit(QuizEnv(), tasks=6)
    assert report.ok
    assert {f.policy for f in report.findings} == FAMILIES | {HONEST}
    assert report.difficulties == {1: 6, 2: 6}
    assert report.expert.mean == pytest.approx(1.2)
    findings = {f.policy: f for f in report.findings}
    assert findings[HONEST].mean == pytest.approx(0.2)
    assert findings["null"].mean == pytest.approx(-0.8)
    assert findings["repeats"].mean == pytest.approx(0.2)
    assert findings["null"].turns == 8
    assert all(len(f.returns) == 12 for f in report.findings)


@pytest.mark.parametrize(("plant", "family"), PLANTS.items())
@pytest.mark.parametrize("action_format", ["tags", "hermes"])
def test_a_planted_exploit_is_named(plant, family, action_format):
    report = audit(QuizEnv(plant, action_format=action_format), tasks=5)
    assert not report.ok
    assert family in {f.policy for f in report.exploits}
    [found] = [f for f in report.exploits if f.policy == family]
    assert "without solving" in str(found.exploit)
    assert HONEST not in {f.policy for f in report.exploits}


def test_a_reward_that_hardly_pays_for_solving_is_named():
    env = QuizEnv()
    for stages in ([{"weigh": {"outcome": 0.0}}], [{"weigh": {"found": 20.0}}], [{"weigh": {"outcome": -1.0}}]):
        report = audit(env, build_stages(stages, env.signals), tasks=5)
        [found] = [f for f in report.exploits if f.policy == HONEST]
        assert "hardly pays" in str(found.exploit)


def test_shaping_can_close_a_hole():
    env = QuizEnv("every look")
    gated = [{"weigh": {"found": 0.2}}, {"gate": {"when": "outcome"}}]
    assert not audit(env, tasks=5).ok
    assert audit(env, build_stages(gated, env.signals), tasks=5).ok


def test_the_default_is_the_environments_own_reward():
    env = QuizEnv()
    [task] = list(choose_tasks(env, 1, 0))[:1]
    course = play(env, task, lambda scene: env.expert())
    table = build_stages(default_rewards(env), env.signals)(
        build_stages([], env.signals).read([_group(course)], env.taskset)
    )
    assert float(table.outcome.sum() + table.turn_reward.sum()) == pytest.approx(sum(t.reward for t in course.turns))
    assert course.terminated
    course.check()


def _group(trajectory):
    return agentgym.Group(trajectory.group_id, trajectory.task_id, [trajectory])


def test_the_limit_can_be_moved():
    env = QuizEnv("cover", max_turns=8)
    assert not audit(env, tasks=5).ok
    lenient = Criterion(share=1.0, margin=0.0)
    assert audit(env, tasks=5, criterion=lenient).ok  # nobody earns more than the expert
    strict = Criterion(share=0.0, margin=0.1)
    assert audit(QuizEnv(), tasks=5, criterion=strict).ok


def test_luck_on_a_few_tasks_is_no_exploit():
    """An answer that is right on one task in five earns more there than the limit, but not reliably."""
    env = QuizEnv()
    env.grade = lambda text: float(text == env.task.gold or (text == "unknown" and env.task.id.endswith(("0", "5"))))
    report = audit(env, tasks=10)
    guesses = {f.policy: f for f in report.findings}["answers at once"]
    assert guesses.outcome == pytest.approx(0.2)
    assert report.ok


def test_the_same_seed_gives_the_same_report():
    first, second = (audit(QuizEnv("key"), tasks=3, seed=4).to_json() for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
    assert first["ok"] is False
    assert set(first) == {"env", "ok", "tasks", "criterion", "expert", "policies"}


def test_tasks_of_each_difficulty():
    chosen = choose_tasks(QuizEnv(), 3, 0)
    assert sorted(chosen.values()) == [1, 1, 1, 2, 2, 2]
    assert all(QuizEnv().taskset.difficulty(task) == d for task, d in chosen.items())
    assert list(choose_tasks(QuizEnv(), 3, 0)) == list(chosen) != list(choose_tasks(QuizEnv(), 3, 1))
    assert len(choose_tasks(QuizEnv(split="heldout"), 100, 0)) == 20


def test_one_task_and_one_turn_are_enough():
    report = audit(QuizEnv(max_turns=2), tasks=1)
    assert report.ok
    assert np.isfinite(report.expert.mean)


def test_what_cannot_be_audited():
    with pytest.raises(ConfigError, match="QuizEnv ships no expert, and an audit compares with it"):
        audit(QuizEnv(has_expert=False), tasks=1)
    env = QuizEnv()
    env.taskset.ids = lambda split: []
    with pytest.raises(ConfigError, match="has no train tasks"):
        audit(env)
