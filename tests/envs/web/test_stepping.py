from __future__ import annotations

import asyncio

import pytest
from judging import ScriptedChat, block, saying

from agentgym.envs.web.prompts import STEP_QUESTION
from agentgym.envs.web.stepping import StepJudge, step_judge
from agentgym.faults import ConfigError, EnvironmentFault
from agentgym.rewards.judges.build import make_judge


def test_it_is_asked_about_the_action_by_principles() -> None:
    chat = saying("yes")
    judge = StepJudge(make_judge("yes_no", model=chat, question=STEP_QUESTION, probability=False))
    assert asyncio.run(judge.score("buy tea", "[1] button", "click('1')", "+ [2] status")) == 1.0
    user = chat.asked[0].messages[-1]["content"]
    assert "principles" in user
    assert block(user, "candidate").splitlines()[-4:] == ["Action:", "click('1')", "What changed:", "+ [2] status"]


def test_no_verdict_is_a_fault() -> None:
    judge = StepJudge(make_judge("yes_no", model=ScriptedChat(lambda user, nonce: "hm"), probability=False))
    with pytest.raises(EnvironmentFault):
        asyncio.run(judge.score("buy tea", "page", "click('1')", ""))


def test_configuration() -> None:
    with pytest.raises(ConfigError, match="step_judge"):
        step_judge({"name": "nobody"})
    with pytest.raises(ConfigError, match="needs a chat model"):
        step_judge({})
    with pytest.raises(ConfigError, match="plain data"):
        step_judge({"name": object()})
