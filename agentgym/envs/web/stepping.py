"""A judge of single steps as a process reward model: principles for the goal first, then a verdict by them.

After WebArbiter (principle-guided reasoning process reward models for web agents), of which only the idea is followed
here; which judge and model decide is configuration (`agentgym.rewards.judges`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from agentgym.envs.web.prompts import STEP_QUESTION
from agentgym.faults import ConfigError

if TYPE_CHECKING:  # judges bring engines with them
    from agentgym.rewards.judges.verdict import Request, Verdict


class AnyJudge(Protocol):
    """What is needed of a judge."""

    async def judge(self, request: Request) -> Verdict:
        """Decides."""


class StepJudge:
    """Asks a judge about every action in the browser.

    Args:
        judge: Decides.
    """

    def __init__(self, judge: AnyJudge) -> None:
        self._judge = judge

    async def score(self, goal: str, page: str, action: str, changed: str) -> float:
        """How good the action is, 0..1.

        Args:
            goal: What the agent is asked to do.
            page: What it saw.
            action: What it wrote.
            changed: What that led to.

        Raises:
            JudgeFault: It has come to no verdict, which is not a verdict of 0.
        """
        from agentgym.rewards.judges.verdict import Request

        text = f"Page:\n{page}\nAction:\n{action}\nWhat changed:\n{changed}"
        return (await self._judge.judge(Request(task=goal, text=text))).score


def step_judge(config: Mapping[str, Any]) -> StepJudge:
    """The judge of a configuration such as ``{"model": "Qwen/Qwen3-4B"}``; one a process for equal ones.

    Args:
        config: As for `agentgym.rewards.judges.build.build_judge`; without a name it is ``yes_no`` on
            `prompts.STEP_QUESTION`.

    Raises:
        ConfigError: It cannot be used.
    """
    default = {} if "name" in config else {"name": "yes_no", "question": STEP_QUESTION}
    try:
        return _made(json.dumps({**default, **config}, sort_keys=True))
    except TypeError:
        raise ConfigError("step_judge must be plain data: a judge's name and its options") from None


@lru_cache(maxsize=4)
def _made(config: str) -> StepJudge:
    from agentgym.rewards.judges.build import build_judge

    return StepJudge(build_judge(json.loads(config), "step_judge"))
