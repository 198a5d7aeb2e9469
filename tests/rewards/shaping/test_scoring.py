"""Scorers: reward functions and judges as entries of the ``rewards`` list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from episodes import answer, episode, search, task

from agentgym.faults import ConfigError
from agentgym.rewards.shaping import build_stages
from agentgym.rewards.shaping.scoring import put
from agentgym.rewards.table import RewardTable
from agentgym.task import TaskSet
from agentgym.trajectory import Group

SIGNALS = {"evidence": "gold documents found", "gain": "similarity gained", "redundancy": "shown before"}


class Questions(TaskSet[Any]):
    """Every task has the same answer."""

    def ids(self, split: str) -> Sequence[str]:
        return []

    def __getitem__(self, task_id: str) -> Any:
        return task(id=task_id, question="Who led the band?", answers=("John Lennon",))


def groups() -> list[Group]:
    """A right answer, a half right one, and an episode that a budget ended; then one of another task."""
    played = [
        episode(search("band", evidence=0.5), answer("John Lennon"), outcome=0.0),
        episode(answer("Mike Lennon"), outcome=1.0),
        episode(search("band", evidence=0.5), search("band"), terminated=False),
    ]
    return [Group("g0", "t0", played), Group("g1", "t1", [episode(answer("the John Lennon!"))])]


def test_a_reward_function_becomes_a_part_that_stages_can_weigh() -> None:
    pipeline = build_stages([{"score": {"name": "f1"}}, {"weigh": {"f1": 2.0}}], SIGNALS)
    table = pipeline.read(groups(), Questions())
    assert table.part("f1").tolist() == [0.0, 1.0, 0.5, 0.0, 0.0, 1.0]
    shaped = pipeline(table)
    assert shaped.turn_reward.tolist() == [0.0, 2.0, 1.0, 0.0, 0.0, 2.0]
    assert shaped.outcome.tolist() == [0.0, 1.0, 0.0, 0.0]


def test_it_can_replace_the_outcome() -> None:
    table = build_stages([{"score": {"name": "exact_match", "as": "outcome"}}], SIGNALS).read(groups(), Questions())
    assert table.outcome.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert table.parts.keys() == {"evidence"}


def test_a_reward_of_turns_stays_with_its_turns() -> None:
    pipeline = build_stages([{"score": {"name": "step_search_steps", "as": "steps"}}], SIGNALS)
    table = pipeline.read(groups(), Questions())
    assert table.part("steps").shape == (table.m,)


def test_a_judge_becomes_a_part() -> None:
    pipeline = build_stages([{"judge": {"name": "rules", "as": "right"}}, {"gate": {"when": "right"}}], SIGNALS)
    table = pipeline.read(groups(), Questions())
    assert table.part("right").tolist() == [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"score": {}}, r"rewards\.0\.score: needs a name; known: "),
        ({"score": {"name": "exact_mach"}}, "no reward function 'exact_mach'; did you mean 'exact_match'"),
        ({"score": {"name": "f1", "as": 3}}, r"rewards\.0\.score\.as: must be a name, got 3"),
        ({"score": {"name": "f1", "golds": 3}}, r"rewards\.0\.score \(f1\): unknown key 'golds'"),
        ({"judge": {"name": "ruls"}}, r"rewards\.0\.judge\.name: no judge 'ruls'; did you mean 'rules'"),
        ({"judge": {"name": "rules", "model": "x"}}, r"rewards\.0\.judge\.model: judge 'rules' asks no model"),
        ({"gate": {"when": "f1"}}, r"rewards\.0\.gate: the environment emits no 'f1'"),
    ],
)
def test_mistakes_are_named_before_anything_runs(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_stages([entry], SIGNALS)


def test_a_reward_that_reads_what_nothing_emits_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rewards\.0\.score: the environment emits no 'gain'"):
        build_stages([{"score": {"name": "step_search_steps"}}], {})


def test_a_score_can_be_read_by_what_comes_after_it_only() -> None:
    with pytest.raises(ConfigError, match="emits no 'f1'"):
        build_stages([{"weigh": {"f1": 1.0}}, {"score": {"name": "f1"}}], SIGNALS)


def test_results_that_do_not_fit_are_refused() -> None:
    table = RewardTable.from_groups(groups())
    with pytest.raises(ConfigError, match="odd: 3 rewards for 2 turns"):
        put(table, "odd", [np.zeros(3), 0.0, 0.0, 0.0])
