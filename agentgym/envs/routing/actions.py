"""What a router can do, and why a turn is refused."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agentgym.actions import JUDGE, ActionSpec
from agentgym.envs.verdicts import Verdict

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Optional = Annotated[str, StringConstraints(strip_whitespace=True)]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RouteArguments(_Arguments):
    """Ask a model a question; what it says comes back. Without a question it is asked the question itself."""

    model: _Text = Field(description="Name of the model, as listed.")
    question: _Optional = Field("", description="What to ask it; empty: the question as it stands.")


class JudgeArguments(_Arguments):
    """Say whether the last reply was right: yes or no."""

    verdict: Verdict = Field(description="Whether the last reply was right.")


class AnswerArguments(_Arguments):
    """Give the final answer; this ends the episode."""

    text: _Text = Field(description="The answer, as short as possible.")


ACTIONS: Final = (
    ActionSpec("route", RouteArguments, body="question"),
    ActionSpec(JUDGE, JudgeArguments, body="verdict"),
    ActionSpec("answer", AnswerArguments, body="text"),
)
#: Where only scores were recorded there is no reply to read: the one decision is whom to ask.
ONE_SHOT_ACTIONS: Final = ACTIONS[:1]

#: Why a turn of well-formed actions is refused.
REFUSALS: Final = {
    "nothing": "there is no reply to judge",
    "order": "write one verdict, before the route or the answer",
    "many": "write one route or one answer a turn",
}
