"""What an agent can do in a search episode, and why a turn is refused."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agentgym.actions import JUDGE, ActionSpec
from agentgym.envs.verdicts import Verdict

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SearchArguments(_Arguments):
    """Search for documents."""

    query: _Text = Field(description="What to search for.")


class JudgeArguments(_Arguments):
    """Say whether the last search result was useful: yes or no."""

    verdict: Verdict = Field(description="Whether the last search brought new evidence.")


class AnswerArguments(_Arguments):
    """Give the final answer; this ends the episode."""

    text: _Text = Field(description="The answer, as short as possible.")


ACTIONS: Final = (
    ActionSpec("search", SearchArguments, body="query"),
    ActionSpec(JUDGE, JudgeArguments, body="verdict"),
    ActionSpec("answer", AnswerArguments, body="text"),
)

#: Why a turn of well-formed actions is refused.
REFUSALS: Final = {
    "nothing": "there is no search result to judge",
    "order": "write one verdict, before the search or the answer",
    "many": "write one search or one answer a turn",
}
