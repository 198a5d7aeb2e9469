"""What an agent can do in a database episode, and why a turn is refused."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agentgym.actions import JUDGE, ActionSpec
from agentgym.envs.verdicts import OUT_OF_ORDER, Verdict

_Sql = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SchemaArguments(_Arguments):
    """Look at the schema: all tables, or one table's columns, keys and first rows."""

    table: _Name = Field("", description="A table; empty for the list of all tables.")


class QueryArguments(_Arguments):
    """Run a query and see the first rows of its result."""

    sql: _Sql = Field(description="One SELECT.")


class JudgeArguments(_Arguments):
    """Say whether the last result showed something new that the final query needs: yes or no."""

    verdict: Verdict = Field(description="Whether the last result helped.")


class SubmitArguments(_Arguments):
    """Submit the query that answers the question; this ends the episode."""

    sql: _Sql = Field(description="One SELECT.")


ACTIONS: Final = (
    ActionSpec("schema", SchemaArguments, body="table"),
    ActionSpec("query", QueryArguments, body="sql"),
    ActionSpec(JUDGE, JudgeArguments, body="verdict"),
    ActionSpec("submit", SubmitArguments, body="sql"),
)

#: Why a turn of well-formed actions is refused.
REFUSALS: Final = {
    "nothing": "there is no result to judge",
    **OUT_OF_ORDER,
}
