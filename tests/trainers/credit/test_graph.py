"""SALT: the published numbers, what counts as the same step, and a slow reference from the definition."""

from __future__ import annotations

import statistics
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from making import trajectory
from tables import Row, groups_of_rows, reward_table

from agentgym.rewards.table import RewardTable
from agentgym.trainers.credit import dr_grpo, salt
from agentgym.trainers.credit.graph import edges
from agentgym.trajectory import Group


def test_the_shared_step_is_neutral_and_distinct_ones_keep_their_sign() -> None:
    """Advantages [1, -1]; both take the step a from s0, then steps of their own."""
    rows = [
        Row(outcome=2.0, states=["s0", "s1"], said=["a", "b"]),
        Row(outcome=0.0, states=["s0", "s1"], said=["a", "c"]),
    ]
    np.testing.assert_allclose(salt(reward_table([rows]), std=False), [0, 1, 0, -1])


def test_a_step_is_what_was_done_not_what_was_thought() -> None:
    first, second = (trajectory(2, sample) for sample in (0, 1))
    for sample, played in enumerate((first, second)):
        for turn in played.turns:
            turn.action = {"think": f"thought {sample}", "actions": [{"name": "search", "args": {"query": "x"}}]}
    second.turns[1].action["actions"][0]["args"]["query"] = "y"
    table = RewardTable.from_groups([Group("g0", "t0", [first, second])])
    assert edges(table).tolist() == [0, 1, 0, 2]


def test_groups_share_no_steps() -> None:
    rows = [Row(outcome=1.0, states=["s0"], said=["a"]), Row(outcome=0.0, states=["s0"], said=["b"])]
    table = reward_table([rows, rows])
    np.testing.assert_allclose(salt(table, std=False), [0.5, -0.5, 0.5, -0.5])


@settings(deadline=None)
@given(groups_of_rows)
def test_each_step_has_the_mean_of_the_trajectories_that_took_it(groups: list[list[Row]]) -> None:
    table = reward_table(groups)
    keys = np.array([("s0", "s1", "").index(s) for s in table.state_key], dtype=np.int64)
    table = replace(table, state=keys)
    base, owner = dr_grpo(table), table.trajectory
    step = list(zip(table.group[owner].tolist(), keys.tolist(), table.said, strict=True))
    expected = []
    for own in step:
        took = {int(owner[j]): float(base[j]) for j, other in enumerate(step) if other == own}
        expected.append(statistics.fmean(took.values()))
    np.testing.assert_allclose(salt(table, std=False), expected, atol=1e-9)
