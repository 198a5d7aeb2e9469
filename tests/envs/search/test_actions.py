from __future__ import annotations

import pytest
from pydantic import ValidationError

from agentgym.actions import PARSERS, Action
from agentgym.envs.search.actions import ACTIONS, JudgeArguments

SEARCH, ANSWER = Action("search", {"query": "x"}), Action("answer", {"text": "x"})
JUDGE = Action("judge", {"verdict": "yes"})


def test_verdicts_are_yes_or_no() -> None:
    assert JudgeArguments(verdict=" YES ").verdict == "yes"  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        JudgeArguments(verdict="maybe")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["tags", "hermes", "json"])
def test_every_format_carries_the_actions(name: str) -> None:
    parser = PARSERS.get(name)(ACTIONS)
    for actions in ([SEARCH], [JUDGE, SEARCH], [JUDGE, ANSWER]):
        turn = parser.parse(parser.render(actions))
        assert turn.error is None
        assert [(a.name, dict(a.args)) for a in turn.actions] == [(a.name, dict(a.args)) for a in actions]


@pytest.mark.parametrize("text", ["<search></search>", "<search>  </search>", "<answer> </answer>"])
def test_empty_arguments_are_malformed(text: str) -> None:
    assert PARSERS.get("tags")(ACTIONS).parse(text).error is not None
