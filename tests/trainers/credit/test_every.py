"""What every credit method must stand, those included that read a critic, a reward model or an influence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import Row, groups_of_rows, reward_table

from agentgym.faults import ConfigError
from agentgym.methods import Method
from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.credit import CREDIT, PerToken, Values, build_credit
from agentgym.trainers.credit.values import token_offsets

METHODS = {method.name: method for method in CREDIT.all()}
NEEDS = {"gae": ("value",), "token_gae": ("value",), "bilevel_gae": ("value",), "prime": ("implicit_reward",)} | {
    "lare": ("latent_reward",),
    "thr": ("influence",),
}


def inputs(table: RewardTable, needs: Sequence[str]) -> list[Any]:
    """What companions would hand over: numbers that depend on nothing but the turn and the token."""
    turn = 0.3 * table.turn_reward + 0.1 * table.index
    inside = np.arange(table.tokens.sum()) - np.repeat(np.cumsum(table.tokens) - table.tokens, table.tokens)
    token = np.repeat(turn, table.tokens) + 0.01 * inside
    made = {
        "value": Values(turn, 0.2 * table.outcome, token),
        "implicit_reward": np.sin(token),
        "latent_reward": turn,
        "influence": np.cos(token),
    }
    return [made[name] for name in needs]


def run(method: Method[Any], groups: Sequence[Sequence[Row]]) -> list[Floats] | None:
    """The advantages of each trajectory; None where the method refuses the batch."""
    table = reward_table(groups)
    before = [array.copy() for array in (table.outcome, table.turn_reward)]
    try:
        result = method.function(table, *inputs(table, method.needs))
    except ConfigError:
        assert method.name == "prime"
        assert all(len(group) < 2 for group in groups)
        return None
    for array, copy in zip((table.outcome, table.turn_reward), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    if isinstance(result, PerToken):
        assert result.values.shape == (table.tokens.sum(),)
        assert result.per_turn(table).shape == (table.m,)
        values, offsets = result.values, token_offsets(table)
    else:
        assert result.shape == (table.m,)
        values, offsets = result, table.offsets
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    return np.split(values, offsets[1:-1])


def test_the_methods_say_what_they_need() -> None:
    assert {name: method.needs for name, method in METHODS.items() if method.needs} == NEEDS
    assert build_credit({"name": "gae", "lam": 0.5}).needs == ("value",)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@settings(deadline=None, max_examples=60)
@given(groups=groups_of_rows)
def test_any_batch_gets_finite_advantages(method: Method[Any], groups: list[list[Row]]) -> None:
    run(method, groups)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@settings(deadline=None, max_examples=60)
@given(groups=groups_of_rows, seed=st.integers(0, 9))
def test_permuting_a_group_permutes_the_result(method: Method[Any], groups: list[list[Row]], seed: int) -> None:
    orders = [random.Random(seed).sample(range(len(group)), len(group)) for group in groups]
    before = run(method, groups)
    after = run(method, [[group[i] for i in order] for group, order in zip(groups, orders, strict=True)])
    if before is None or after is None:
        assert before is after
        return
    start = 0
    for group, order in zip(groups, orders, strict=True):
        for place, i in enumerate(order):
            np.testing.assert_allclose(after[start + place], before[start + i], rtol=1e-6, atol=1e-7)
        start += len(group)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_ten_thousand_turns(method: Method[Any]) -> None:
    states = [f"s{i % 50}" for i in range(10_000)]
    long = Row(outcome=1.0, rewards=[0.1] * 10_000, states=states, said=["look"] * 10_000)
    result = run(method, [[long, Row(outcome=0.0, turns=3)]])
    assert result is not None
    assert [len(values) for values in result] == [10_000, 3]


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"gae", "token_gae", "bilevel_gae", "prime"}))
def test_equal_trajectories_teach_nothing(name: str) -> None:
    """Those left out compare with what a model expected, which may differ along an equal trajectory."""
    method = METHODS[name]
    row = Row(outcome=0.3, rewards=[0.1, 0.7], states=["a", "b"], said=["x", "y"], tokens=2)
    for values in run(method, [[row, row, row]]) or []:
        np.testing.assert_allclose(values, 0.0, atol=1e-8)
