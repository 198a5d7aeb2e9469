"""What experts see and how they decide, without a browser."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.envs.web.miniwob.elements import Element, read_elements
from agentgym.envs.web.miniwob.episode import Asked
from agentgym.envs.web.miniwob.experts import EXPERTS, Scene
from agentgym.envs.web.miniwob.experts.drawing import _angle, describe, fits


def row(parent: int, tag: str, name: str = "", own: str = "", **more: Any) -> list[Any]:
    return [
        parent,
        tag,
        name,
        more.get("classes", ""),
        own,
        more.get("value", ""),
        more.get("on", False),
        more.get("box", [0, 0, 10, 10]),
        more.get("visible", True),
        False,
        False,
        [0, 0],
        more.get("attributes", {}),
    ]


def scene(goal: str, *rows: list[Any]) -> Scene:
    elements = read_elements([row(-1, "body"), *rows])
    return Scene(Asked(goal), elements, lambda element: element.id or None)


def test_a_form_is_filled_then_sent() -> None:
    field, button = row(0, "input", "tt", attributes={"type": "text"}), row(0, "button", "subbtn", "Submit")
    action = EXPERTS["enter-text"](scene('Enter "Ann" into the text field and press Submit.', field, button))
    assert (action.name, action.args) == ("fill", {"id": "tt", "text": "Ann"})
    field[5] = "Ann"
    action = EXPERTS["enter-text"](scene('Enter "Ann" into the text field and press Submit.', field, button))
    assert (action.name, action.args["id"]) == ("click", "subbtn")


def test_what_is_ticked_wrongly_is_unticked() -> None:
    rows = [
        row(0, "label", own="ab"),
        row(1, "input", "ch0", on=False),
        row(0, "label", own="cd"),
        row(3, "input", "ch1", on=True),
        row(0, "button", "subbtn", "Submit"),
    ]
    action = EXPERTS["click-checkboxes"](scene("Select nothing and click Submit.", *rows))
    assert action.args["id"] == "ch1"


@pytest.mark.parametrize(("problem", "answer"), [("x - 3 = 4", "7"), ("9 - x = 4", "5"), ("x + 2 = 1", "-1")])
def test_algebra(problem: str, answer: str) -> None:
    rows = [row(0, "div", "math-problem", problem), row(0, "input", "math-answer"), row(0, "button", "subbtn")]
    goal = "Solve for x and type your answer into the textbox."
    assert EXPERTS["simple-algebra"](scene(goal, *rows)).args["text"] == answer


def test_elements_know_what_is_around_them() -> None:
    body, div, span = read_elements([row(-1, "body"), row(0, "div", "a", " one "), row(1, "span", own="two")])
    assert div.text == "one two"
    assert span.within(id="a")
    assert not body.within(id="a")
    assert span.centre == (5.0, 5.0)


def test_what_is_not_there_is_a_lookup_error() -> None:
    with pytest.raises(LookupError):
        scene("").one("button")
    with pytest.raises(LookupError):
        scene("Hello").match("Bye")


def shape(tag: str, side: float, colour: str, text: str = "") -> Element:
    attributes = {"fill": colour, "font-size": f"{side}px"}
    return read_elements([row(-1, tag, own=text, box=[0, 0, side, side], attributes=attributes)])[0]


def test_shapes_are_described_as_the_goals_do() -> None:
    assert describe(shape("circle", 20, "red")) == ("large", "red", "shape", "circle")
    assert describe(shape("text", 10, "aqua", "7")) == ("small", "aqua", "digit", "7")
    assert fits(shape("circle", 20, "red"), ["large", "red", "item"])
    assert not fits(shape("circle", 20, "red"), ["small", "shape"])


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_angles_are_between_0_and_180_degrees(x: float, y: float) -> None:
    if abs(x) + abs(y) > 1e-3:
        assert 0.0 <= _angle((1.0, 0.0), (0.0, 0.0), (x, y)) <= 180.0
        assert _angle((x, y), (0.0, 0.0), (-y, x)) == pytest.approx(90.0)
