from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.actions import PARSERS, Action
from agentgym.envs.routing.actions import ACTIONS, ONE_SHOT_ACTIONS


@pytest.mark.parametrize("style", ["tags", "xml", "hermes", "json"])
@pytest.mark.parametrize("question", ["", "mentor of Albel"])
def test_a_route_is_written_and_read_back(style: str, question: str) -> None:
    parser = PARSERS.get(style)(ACTIONS)
    args = {"model": "llama-3.1-8b"} | ({"question": question} if question else {})
    turn = parser.parse(parser.render([Action("route", args)]))
    assert turn.error is None
    assert turn.actions == (Action("route", {"model": "llama-3.1-8b", "question": question}),)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("<route> mentor of Albel </route>", "model"),
        ('<route model=" "> x </route>', "model"),
        ('<route model="m1" price="0"> x </route>', "price"),
        ("<judge> maybe </judge>", "verdict"),
        ("<answer> </answer>", "text"),
    ],
)
def test_wrong_arguments_are_named(text: str, error: str) -> None:
    assert error in (PARSERS.get("tags")(ACTIONS).parse(text).error or "")


def test_verdicts_are_read_whatever_their_case() -> None:
    assert PARSERS.get("tags")(ACTIONS).parse("<judge> YES </judge>").actions[0].args == {"verdict": "yes"}


def test_one_shot_tasks_only_route() -> None:
    assert [spec.name for spec in ONE_SHOT_ACTIONS] == ["route"]


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    turn = PARSERS.get("tags")(ACTIONS).parse(text)
    assert (turn.error is None) == bool(turn.actions)
