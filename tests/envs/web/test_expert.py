from __future__ import annotations

import numpy as np
import pytest

from agentgym.envs.web.actions import called
from agentgym.envs.web.expert import MISTAKES, Slips, slipped
from agentgym.envs.web.task import View
from agentgym.faults import ConfigError
from agentgym.tools.browser.tree import Node, Tree

VIEW = View(
    Tree(
        roots=(
            Node("1", "heading", "Shop"),
            Node("2", "button", "Buy"),
            Node("3", "button", "Return"),
            Node("4", "textbox", "Search"),
        )
    )
)


def made(*kinds: str) -> Slips:
    return Slips(dict.fromkeys(kinds, 1.0), np.random.default_rng(0))


def test_no_mistakes() -> None:
    assert slipped(called("click", "2"), VIEW, Slips(None, None)) == called("click", "2")


def test_each_mistake() -> None:
    assert slipped(called("click", "2"), VIEW, made("element")) == called("click", "3")
    assert slipped(called("fill", "4", "red"), VIEW, made("element")).name == "click"
    early = slipped(called("click", "2"), VIEW, made("early"))
    assert early.name == "stop"
    assert early.args["answer"]
    assert slipped(called("stop", "Buy"), VIEW, made("text")).args["answer"] in {"Shop", "Return", "Search"}
    assert slipped(called("fill", "4", "red"), VIEW, made("text")).args["text"] != "red"
    assert slipped(called("stop", "Buy"), VIEW, made("early", "element")) == called("stop", "Buy")
    assert slipped(called("click", "9"), View(Tree()), made("element")) == called("click", "9")


def test_unknown_mistakes() -> None:
    with pytest.raises(ConfigError, match="did you mean 'element'"):
        Slips({"elements": 1.0}, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="need rng"):
        Slips({"early": 1.0}, None)
    assert set(Slips.kinds) == set(MISTAKES)
