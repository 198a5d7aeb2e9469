"""Shop-R1: hierarchical rewards of actions, and self-certainty."""

from __future__ import annotations

import numpy as np
import pytest
from episodes import Step, bad, episode, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.actions import Action
from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.shop_r1 import action_reward, self_certainty

TYPE = Action("type_and_submit", {"name": "search_input", "text": "red running shoes"})
CLICK = Action("click", {"name": "buy"})


def test_worked_numbers() -> None:
    # Two arguments: scale 1 + 2 * .5.
    assert action_reward(TYPE, TYPE) == pytest.approx(2 * (0.3 + 0.3 + 0.4))
    near = Action("type_and_submit", {"name": "search_input", "text": "red shoes"})
    assert action_reward(near, TYPE) == pytest.approx(2 * (0.3 + 0.3 + 0.4 * 0.8))
    assert action_reward(near, TYPE, similar=0.9) == pytest.approx(2 * 0.6)
    assert action_reward(CLICK, CLICK) == pytest.approx(1.5 * 0.6)
    assert action_reward(Action("terminate", {}), Action("terminate", {})) == pytest.approx(0.3)
    assert action_reward(CLICK, TYPE) == action_reward(None, TYPE) == 0.0


def test_a_level_counts_only_where_those_above_are_right() -> None:
    elsewhere = Action("type_and_submit", {"name": "email", "text": "red running shoes"})
    assert action_reward(elsewhere, TYPE) == pytest.approx(2 * 0.3)
    assert action_reward(Action("type_and_submit", {"text": 3}), TYPE) == pytest.approx(2 * 0.3)


def test_hard_actions_are_the_best_paid() -> None:
    done = Action("terminate", {})
    assert action_reward(done, done) < action_reward(CLICK, CLICK) < action_reward(TYPE, TYPE)


@given(st.dictionaries(st.sampled_from(["name", "text", "k"]), st.sampled_from(["a", "b", "a b"])))
def test_no_action_beats_the_right_one(args: dict[str, str]) -> None:
    assert 0 <= action_reward(Action("type_and_submit", args), TYPE) <= action_reward(TYPE, TYPE)


def test_self_certainty_runs_from_uniform_to_sure() -> None:
    uniform = np.log(np.full((3, 4), 0.25))
    with np.errstate(divide="ignore"):
        sure = np.log(np.eye(4)[:3])
    assert self_certainty(uniform) == pytest.approx(0.0)
    assert self_certainty(sure) == pytest.approx(1.0)
    assert self_certainty(np.vstack([uniform, sure])) == pytest.approx(0.5)
    # KL of (.5, .25, .25) from uniform over log 3.
    assert self_certainty(np.log([[0.5, 0.25, 0.25]])) == pytest.approx((np.log(3) - 1.5 * np.log(2)) / np.log(3))
    assert self_certainty(np.zeros((0, 4))) == self_certainty(np.zeros((2, 1))) == 0.0


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=4))
def test_self_certainty_is_bounded(weights: list[list[float]]) -> None:
    probabilities = np.array(weights) / np.sum(weights, axis=1, keepdims=True)
    assert 0 <= self_certainty(np.log(probabilities)) <= 1


def test_of_an_episode() -> None:
    person = task(steps=[TYPE, CLICK])
    played = episode(Step([(TYPE.name, TYPE.args)], parts={"certainty": 0.5}), bad(), Step([(CLICK.name, CLICK.args)]))
    assert measure("shop_r1", person, played) == pytest.approx([2.5, 0.0, 0.0])
    assert measure("shop_r1", person, played, certainty_weight=0.2) == pytest.approx([2.6, 0.0, 0.0])
