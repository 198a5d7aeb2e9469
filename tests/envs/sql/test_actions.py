from __future__ import annotations

import pytest

from agentgym.actions import Action
from agentgym.envs.sql.actions import ACTIONS
from agentgym.formats import TagParser, XmlParser


@pytest.mark.parametrize("parser", [TagParser(ACTIONS), XmlParser(ACTIONS)])
def test_queries_survive_being_written(parser: TagParser) -> None:
    sql = "SELECT a FROM t WHERE a < 3 AND b > \"x\" OR c <> 'it''s </q>' -- <b> </b>"
    [action] = parser.parse(parser.render([Action("query", {"sql": sql})])).actions
    assert action.args == {"sql": sql}


def test_arguments() -> None:
    parser = TagParser(ACTIONS)
    assert parser.parse("<schema></schema>").actions[0].args == {"table": ""}
    assert parser.parse("<judge> YES </judge>").actions[0].args == {"verdict": "yes"}
    for text in ("<judge> maybe </judge>", "<query> </query>", "<submit></submit>", f"<schema> {'x' * 300} </schema>"):
        assert parser.parse(text).error is not None
