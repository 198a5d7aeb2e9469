from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.actions import PARSERS, Action
from agentgym.envs.web.actions import ACTIONS, MAX_TEXT_CHARS, called
from agentgym.envs.web.language import BrowserGymParser, LanguageError, read_call, write_literal
from agentgym.faults import ConfigError

PARSER = BrowserGymParser(ACTIONS)
LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def depth(value: Any) -> int:
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def test_it_is_registered() -> None:
    assert PARSERS.get("browsergym") is BrowserGymParser


@pytest.mark.parametrize(
    ("text", "action", "think"),
    [
        ("click('12')", called("click", "12"), ""),
        ('  click( "12" , )  ', called("click", "12"), ""),
        ("click(12)", called("click", "12"), ""),
        ("click(bid='12')", called("click", "12"), ""),
        ("fill('7', 'it\\'s \"here\"\\n\\x41\\u00e9')", called("fill", "7", 'it\'s "here"\nAé'), ""),
        ("fill(bid='7', value='x')", called("fill", "7", "x"), ""),
        ("fill('7', '''a 'b'\nc''')", called("fill", "7", "a 'b'\nc"), ""),
        ("press('7', key_comb='Control+a')", called("press", "7", "Control+a"), ""),
        ("I must click.\n```python\nclick('12')\n```\n", called("click", "12"), "I must click."),
        ("I must click.\n```\nclick('12')", called("click", "12"), "I must click."),
        ("I must click it (soon).\nclick('12')", called("click", "12"), "I must click it (soon)."),
        ("<think> go </think> click('12')", called("click", "12"), "go"),
        ("select_option('3', ['red', 'blue'])", called("select_option", "3", ["red", "blue"]), ""),
        ("scroll(0, -2.5e1)", called("scroll", 0.0, -25.0), ""),
        ("mouse_click(10, .5)", called("mouse_click", 10.0, 0.5), ""),
        ("stop()", called("stop", ""), ""),
    ],
)
def test_a_call_is_read(text: str, action: Action, think: str) -> None:
    turn = PARSER.parse(text)
    assert turn.error is None, turn.error
    assert turn.think == think
    assert turn.actions[0].name == action.name
    assert {k: turn.actions[0].args[k] for k in action.args} == dict(action.args)


def test_a_verdict_goes_before_an_action() -> None:
    turn = PARSER.parse("judge('yes')\nclick('12')")
    assert [a.name for a in turn.actions] == ["judge", "click"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no action found"),
        ("I do not know what to do.", "no action found"),
        ("launch('12')", "unknown action 'launch'"),
        ("click('12') and then go on", "must be followed by its arguments"),
        ("click('12'", "expected , or )"),
        ("click('12)", "not closed by '"),
        ("click('12', '''x)", "not closed by '''"),
        ("click(['1')", "list is not closed"),
        ("click(12 13)", "expected , or )"),
        ("click(__import__('os'))", "an argument must be a quoted text"),
        ("click(f'12')", "an argument must be a quoted text"),
        ("click('1' + '2')", "expected , or )"),
        ("click(bid='1', '2')", "without a name follows"),
        ("click('1', bid='2')", ""),
        ("click('1', 'left', None, 4)", "takes 3 arguments"),
        ("click(button='left', button='left')", "given twice"),
        ("click(nobody='1')", "click: "),
        ("click('1', button='fourth')", "click: button"),
        ("scroll(1e999, 0)", "too large"),
        (f"scroll({'9' * 40}, 0)", "too long"),
        ("scroll(1e9, 0)", "scroll: delta_x"),
        ("tab_focus(-1)", "tab_focus: index"),
        ("fill('1', [[[[[['x']]]]]])", "nested too deeply"),
        ("fill('1', '\\ud800')", "fill: text"),
        (f"fill('1', '{'x' * (MAX_TEXT_CHARS + 1)}')", "fill: text"),
        ("report_infeasible('')", "report_infeasible: reason"),
    ],
)
def test_what_is_no_call_is_answered_in_one_line(text: str, said: str) -> None:
    turn = PARSER.parse(text)
    assert not turn.actions
    assert turn.error is not None
    assert said in turn.error
    assert "\n" not in turn.error


@given(LITERALS)
def test_literals_come_back(value: Any) -> None:
    if depth(value) > 4:
        return
    read = read_call(f"f({write_literal(value)})").positional[0]
    assert read == value
    assert type(read) is type(value)


@given(st.text())
def test_texts_come_back_through_an_action(text: str) -> None:
    action = called("fill", "7", text)
    assert PARSER.parse(PARSER.render([action])).actions == (action,)


@given(st.text(alphabet="click('12\", )[]=\\\n`<think/>;judge_-.eTrue", max_size=60))
def test_anything_is_read_or_refused(text: str) -> None:
    turn = PARSER.parse(text)
    assert bool(turn.actions) != (turn.error is not None)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "click(" * 40_000,
        "[" * 200_000,
        "click('" + "\\" * 200_000,
        "\n" * 200_000 + "a",
        "```" * 60_000,
        "f(1)\n" * 40_000,
    ],
)
def test_a_scan_is_linear(text: str) -> None:
    started = time.perf_counter()
    assert PARSER.parse(text).error is not None
    assert time.perf_counter() - started < 2.0


def test_rendering() -> None:
    assert PARSER.render([called("click", "12", "right")], "so") == "<think> so </think>\nclick('12', 'right')"
    assert PARSER.render([Action("click", {"id": "12", "modifiers": ["Shift"]})]) == "click('12', modifiers=['Shift'])"
    with pytest.raises(ConfigError, match="no action 'launch'"):
        PARSER.render([Action("launch")])
    with pytest.raises(ConfigError, match="cannot be written"):
        PARSER.render([called("stop", "")], "</think>")
    with pytest.raises(ConfigError, match="a dict cannot be written"):
        PARSER.render([called("fill", "7", {})])
    with pytest.raises(LanguageError, match="text after"):
        read_call("f(1) 2")


def test_instructions_name_every_action() -> None:
    text = PARSER.instructions()
    assert all(f"\n{spec.name}(" in text for spec in ACTIONS)
    assert "stop(answer='')" in text
