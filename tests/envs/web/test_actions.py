from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.actions import PARSERS, Action
from agentgym.envs.web import language  # noqa: F401 - registers its format
from agentgym.envs.web.actions import ACTION_SETS, ACTIONS, FIELDS, called
from agentgym.envs.web.doing import IN_BROWSER

FORMATS = ("tags", "xml", "hermes", "json", "browsergym")
EXAMPLES = [
    called("click", "12"),
    called("fill", "7", "a text"),
    called("press", "7", "Enter"),
    called("select_option", "3", "red"),
    called("drag_and_drop", "3", "4"),
    called("mouse_click", 10.0, 20.5),
    called("scroll", 0.0, 300.0),
    called("goto", "http://shop.test/cart"),
    called("go_back"),
    called("tab_focus", 1),
    called("send_msg_to_user", "it is done"),
    called("report_infeasible", "there is none"),
    called("judge", "yes"),
    called("stop", "42"),
]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("action", EXAMPLES, ids=lambda a: a.name)
def test_every_format_carries_them(name: str, action: Action) -> None:
    parser = PARSERS.get(name)(ACTIONS)
    turn = parser.parse(parser.render([action]))
    assert turn.error is None
    assert {k: turn.actions[0].args[k] for k in action.args} == dict(action.args)


def test_children_as_arguments() -> None:
    parser = PARSERS.get("xml")(ACTIONS)
    turn = parser.parse("<fill> <id> 7 </id> <text> a text </text> </fill>")
    assert turn.actions == (called("fill", "7", "a text"),)
    assert parser.render([called("click", "12")]) == "<click> 12 </click>"


@pytest.mark.parametrize("written", ["12", "[12]", " [ 12 ] "])
def test_an_id_may_be_written_as_it_is_shown(written: str) -> None:
    parser = PARSERS.get("tags")(ACTIONS)
    assert parser.parse(f"<click>{written}</click>").actions[0].args["id"] == "12"


def test_a_url_survives_a_word_tokenizer() -> None:
    parser = PARSERS.get("tags")(ACTIONS)
    turn = parser.parse("<goto> http : //shop . test/cart ? page=2 </goto>")
    assert turn.actions == (called("goto", "http://shop.test/cart?page=2"),)


def test_sets() -> None:
    elements, points = ({s.name for s in ACTION_SETS[kind]} for kind in ("elements", "points"))
    assert "click" in elements - points
    assert "mouse_click" in points - elements
    assert {"goto", "stop", "judge", "send_msg_to_user", "report_infeasible", "noop"} <= elements & points
    assert {s.name for s in ACTIONS} == elements | points
    ending = {"stop", "send_msg_to_user", "report_infeasible", "judge"}
    assert {s.name for s in ACTIONS} - ending == IN_BROWSER


def test_nothing_runs_script() -> None:
    words = {*FIELDS, *(name for names in FIELDS.values() for name in names)}
    assert not {"evaluate", "script", "javascript", "expression", "code", "python"} & words


@given(st.sampled_from(FORMATS), st.text(max_size=80))
def test_texts_are_never_more_than_text(name: str, text: str) -> None:
    turn = PARSERS.get(name)(ACTIONS).parse(text)
    assert turn.error is None or ("\n" not in turn.error and not turn.actions)
