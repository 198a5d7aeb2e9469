"""Screen actions: UI-R1's three points, CRAFT-GUI's grades and curriculum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from episodes import Step, bad, episode, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.actions import Action
from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.gui import craft_gui, curriculum, distance, point_of, ui_r1

BOX = (10, 20, 30, 40)
NUMBERS = st.floats(-1000, 1000)


def click(x: Any, y: Any) -> Action:
    return Action("click", {"coordinate": [x, y]})


@pytest.mark.parametrize(
    ("said", "valid", "reward"),
    [
        (click(10, 20), True, 3.0),
        (click(30, 40), True, 3.0),
        (click(9, 20), True, 2.0),
        (click(20, 41), True, 2.0),
        (click(20, 30), False, 2.0),
        (Action("scroll", {"coordinate": [20, 30]}), True, 1.0),
        (Action("click", {}), True, 2.0),
        (None, True, 1.0),
        (None, False, 0.0),
    ],
)
def test_ui_r1_pays_format_type_and_point(said: Action | None, valid: bool, reward: float) -> None:
    assert ui_r1(said, "click", BOX, valid) == reward


def test_an_action_without_a_box_points_right_when_its_type_is() -> None:
    assert ui_r1(Action("back", {}), "back") == 3.0


@pytest.mark.parametrize(
    "args",
    [{"coordinate": [1, 2]}, {"point": (1, 2)}, {"x": 1, "y": 2.0}, {"coordinate": [1, 2], "x": 5, "y": 5}],
)
def test_a_point_is_read(args: dict[str, Any]) -> None:
    assert point_of(Action("click", args)) == (1.0, 2.0)


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"x": 1},
        {"x": True, "y": 1},
        {"coordinate": "12"},
        {"coordinate": [1]},
        {"coordinate": [1, 2, 3]},
        {"coordinate": [1, "2", 3]},
        {"coordinate": [math.nan, 1]},
        {"coordinate": [10**400, 1]},
        {"coordinate": None, "x": 1, "y": 1},
    ],
)
def test_what_points_nowhere(args: dict[str, Any]) -> None:
    assert point_of(Action("click", args)) is None
    assert ui_r1(Action("click", args), "click", BOX) == 2.0


@given(NUMBERS, NUMBERS)
def test_distance_is_zero_inside_alone(x: float, y: float) -> None:
    inside = BOX[0] <= x <= BOX[2] and BOX[1] <= y <= BOX[3]
    assert (distance((x, y), BOX) == 0) == inside
    assert distance(None, BOX) == math.inf


def test_craft_gui_grades_details() -> None:
    gold = Action("type", {"box": list(BOX), "text": "hello world", "enter": True})
    said = Action("type", {"x": 30, "y": 65, "text": "hello", "enter": True})
    # 25 of 100 pixels off, F1 of 1 word with 2, equal.
    assert craft_gui(said, gold) == pytest.approx((0.75 + 2 / 3 + 1) / 3)
    assert craft_gui(Action("type", {"enter": 1}), gold) == 0.0
    assert craft_gui(Action("click", said.args), gold) == 0.0
    assert craft_gui(None, gold) == 0.0
    assert craft_gui(Action("back", {"x": 1}), Action("back", {})) == 1.0


@given(NUMBERS, NUMBERS, st.floats(0, 1))
def test_nearer_is_never_worse(x: float, y: float, part: float) -> None:
    gold = Action("click", {"box": list(BOX)})
    nearer = click(20 + part * (x - 20), 30 + part * (y - 30))
    assert 0 <= craft_gui(click(x, y), gold) <= craft_gui(nearer, gold) + 1e-9 <= 1 + 2e-9


def test_the_curriculum_grows_from_short_to_all() -> None:
    lengths = [3, 9, 1, 6, 5, 2]
    assert curriculum(lengths, 0.0).tolist() == [False, False, True, False, False, True]
    assert curriculum(lengths, 0.34).tolist() == [True, False, True, False, True, True]
    assert curriculum(lengths, 0.7).tolist() == curriculum(lengths, 1.0).tolist() == [True] * 6
    assert curriculum(lengths, 0.0, stages=1).tolist() == [True] * 6
    assert curriculum([], 0.5).tolist() == []


@given(st.lists(st.integers(1, 50), min_size=1), st.floats(0, 1), st.floats(0, 1), st.integers(1, 6))
def test_tasks_in_play_stay_in_play(lengths: list[int], a: float, b: float, stages: int) -> None:
    before, after = curriculum(lengths, min(a, b), stages), curriculum(lengths, max(a, b), stages)
    assert np.all(after >= before)
    assert before.any()
    assert curriculum(lengths, 1.0, stages).all()


def test_ui_r1_of_an_episode() -> None:
    wanted = task(action="click", box=BOX)
    played = episode(bad(), Step([("think", {}), ("click", {"x": 15, "y": 25})]))
    assert measure("ui_r1", wanted, played) == 3.0
    assert measure("ui_r1", wanted, episode(bad())) == measure("ui_r1", wanted, episode()) == 0.0
    assert measure("ui_r1", task(action="back", box=None), episode(Step([("back", {})]))) == 3.0


def test_craft_gui_of_an_episode() -> None:
    wanted = task(steps=[{"name": "click", "arguments": {"box": BOX}}, {"name": "back", "arguments": {}}])
    played = episode(Step([("click", {"x": 30, "y": 90})]), Step([("click", {"x": 0, "y": 0})]), Step([("back", {})]))
    assert measure("craft_gui", wanted, played) == pytest.approx([0.1 + 0.4 + 0.25, 0.1, 0.0])
    assert measure("craft_gui", wanted, episode(bad())) == pytest.approx([0.0])
