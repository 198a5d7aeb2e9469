from __future__ import annotations

import pytest

from agentgym.actions import Action
from agentgym.envs.web.actions import called
from agentgym.envs.web.gold import GoldWorld, exact, written
from agentgym.envs.web.task import View, WebTask
from agentgym.tools.browser.tree import Tree

STEPS = (
    {"name": "mouse_click", "arguments": {"box": [10, 10, 30, 20]}},
    {"name": "keyboard_type", "arguments": {"text": "red shoes"}},
    {"name": "stop", "arguments": {}},
)
TASK = WebTask(id="t", split="train", goal="buy red shoes", steps=STEPS)


def world() -> GoldWorld:
    return GoldWorld(TASK, ["first", "second", "third"])


def test_a_session_goes_on_whatever_is_said() -> None:
    played = world()
    parts: dict[str, float] = {}
    assert played.page == "first"
    played.take(called("mouse_click", 10, 20), parts)
    assert parts == {"exact": 1.0, "ui_r1": 2.0, "craft_gui": 1.0, "shop_r1": pytest.approx(1.5 * 0.3)}
    assert played.page == "second"
    played.take(called("keyboard_type", "blue shoes"), parts)
    assert parts["exact"] == 0.0
    assert parts["ui_r1"] == 2.0  # it points nowhere: the type is all
    assert parts["craft_gui"] == 0.5
    played.take(called("goto", "http://x"), parts)
    assert set(parts.values()) == {0.0}
    assert played.over
    assert played.page == ""
    assert played.outcome(None, False) == pytest.approx(1 / 3)


def test_the_expert_is_right() -> None:
    played = world()
    while not played.over:
        parts: dict[str, float] = {}
        played.take(played.next_action(View(Tree())), parts)
        assert parts["exact"] == 1.0
    assert played.outcome(None, False) == 1.0


def test_state() -> None:
    played = world()
    played.take(Action("stop"), {})
    other = world()
    other.load(played.save())
    assert other.digest() == played.digest() != world().digest()
    assert not played.sites()


def test_boxes() -> None:
    gold = Action("mouse_click", {"box": [10, 10, 30, 20]})
    assert written(gold) == Action("mouse_click", {"x": 20.0, "y": 15.0})
    assert exact(called("mouse_click", 30, 20), gold)
    assert not exact(called("mouse_click", 31, 20), gold)
    assert not exact(called("mouse_move", 20, 15), gold)
    assert (TASK.action, TASK.box) == ("stop", None)
    assert TASK.model_copy(update={"steps": STEPS[:1]}).box == [10, 10, 30, 20]


def test_a_page_for_every_step() -> None:
    with pytest.raises(ValueError, match="3 steps"):
        GoldWorld(TASK, ["first"])
