from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import TypeAdapter, ValidationError

from agentgym.actions import Action
from agentgym.envs.routing.actions import REFUSALS as ROUTING
from agentgym.envs.search.actions import REFUSALS as SEARCH
from agentgym.envs.sql.actions import REFUSALS as SQL
from agentgym.envs.swe.actions import REFUSALS as SWE
from agentgym.envs.verdicts import Verdict, refusal
from agentgym.envs.web.actions import REFUSALS as WEB


@pytest.mark.parametrize("reasons", [ROUTING, SEARCH, SQL, SWE, WEB], ids=["routing", "search", "sql", "swe", "web"])
@pytest.mark.parametrize(
    ("names", "judgeable", "reason"),
    [
        ("look", False, None),
        ("judge", True, None),
        ("judge look", True, None),
        ("judge", False, "nothing"),
        ("judge look", False, "nothing"),
        ("look judge", True, "order"),
        ("judge judge", True, "order"),
        ("look look", True, "many"),
        ("judge look end", True, "many"),
    ],
)
def test_what_makes_a_turn(reasons: Mapping[str, str], names: str, judgeable: bool, reason: str | None) -> None:
    actions = [Action(name) for name in names.split()]
    assert refusal(actions, judgeable, reasons) == (reasons[reason] if reason else None)


def test_verdicts_are_yes_or_no() -> None:
    verdict = TypeAdapter[str](Verdict)
    assert [verdict.validate_python(text) for text in ("yes", " NO ")] == ["yes", "no"]
    for wrong in ("maybe", "", 1, None):
        with pytest.raises(ValidationError):
            verdict.validate_python(wrong)
