"""What an agent can do in a repository, and which combinations make a turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agentgym.actions import JUDGE, Action, ActionSpec
from agentgym.envs import verdicts
from agentgym.envs.verdicts import OUT_OF_ORDER, Verdict
from agentgym.faults import ConfigError, did_you_mean

#: Longest path, in characters.
MAX_PATH_CHARS: Final = 1000
_Path = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_PATH_CHARS)]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BashArguments(_Arguments):
    """Run a command with bash, in the repository's folder."""

    command: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(description="The command.")


class ViewArguments(_Arguments):
    """Look at a file, some of its lines or one function; or list a folder."""

    path: _Path = Field(description="A file or folder, relative to the repository; empty for the repository itself.")
    lines: _Path = Field("", description="Lines, as 10-40, or a function, as area or Circle.area; empty for all.")


class SearchArguments(_Arguments):
    """Find the lines that contain a text, exactly as it is written."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(description="One line.")
    path: _Path = Field("", description="A file or folder to look in; empty for the whole repository.")


class EditArguments(_Arguments):
    """Replace a passage of a file, which must occur exactly once, by another."""

    path: _Path = Field("", description="The file; empty for the one that was viewed or changed last.")
    old: str = Field(description="The passage as it is, white space included.")
    new: str = Field("", description="What to put in its place; empty to take the passage away.")


class CreateArguments(_Arguments):
    """Create a file that does not exist yet."""

    path: Annotated[_Path, Field(min_length=1)] = Field(description="The file.")
    text: str = Field("", description="Its content.")


class TestArguments(_Arguments):
    """Run tests: the repository's tests for this problem, or those that are named."""

    __test__ = False  # it is no test of pytest's
    ids: str = Field("", description="Files or ids of tests, between blanks; empty for all.")


class JudgeArguments(_Arguments):
    """Say whether the last result showed the code to be changed (a view, a search), or the fault mended (a test)."""

    verdict: Verdict = Field(description="yes or no.")


class SubmitArguments(_Arguments):
    """Submit the repository as it is now; this ends the episode."""


SUBMIT: Final = "submit"
ACTIONS: Final = (
    ActionSpec("bash", BashArguments, body="command"),
    ActionSpec("view", ViewArguments, body="path"),
    ActionSpec("search", SearchArguments, body="text"),
    ActionSpec("edit", EditArguments, body="new"),
    ActionSpec("create", CreateArguments, body="text"),
    ActionSpec("test", TestArguments, body="ids"),
    ActionSpec(JUDGE, JudgeArguments, body="verdict"),
    ActionSpec(SUBMIT, SubmitArguments),
)
#: What a task takes that is solved in a single turn, its files being in the prompt.
SINGLE_TURN: Final = tuple(spec for spec in ACTIONS if spec.name in ("edit", "create", SUBMIT))
#: Those that can change a file.
_CHANGING: Final = frozenset({"bash", "edit"})

#: Why a turn of well-formed actions is refused.
REFUSALS: Final = {
    "nothing": "there is no result to judge",
    **OUT_OF_ORDER,
    "last": "submit comes last",
}


def offered(names: Iterable[str] | None) -> tuple[ActionSpec, ...]:
    """The actions of these names, in the order of `ACTIONS`; all of them for None.

    Raises:
        ConfigError: An unknown name, or actions with which nothing can be changed and submitted.
    """
    if names is None:
        return ACTIONS
    if isinstance(names, str):
        raise ConfigError("actions must be a list of names")
    wanted, known = set(names), [spec.name for spec in ACTIONS]
    for name in sorted(wanted - set(known)):
        raise ConfigError(f"actions: there is no action {name!r}; {did_you_mean(name, known)}")
    if SUBMIT not in wanted or not wanted & _CHANGING:
        raise ConfigError("actions must have 'submit', and 'edit' or 'bash'")
    return tuple(spec for spec in ACTIONS if spec.name in wanted)


def refusal(actions: Sequence[Action], judgeable: bool, single_turn: bool = False) -> str | None:
    """Why these actions are no turn; None where they are: at most one verdict, then at most one other action.

    Args:
        actions: At least one.
        judgeable: There is a result that was not judged yet.
        single_turn: The turn may hold any number of actions, of which ``submit`` can only be the last.
    """
    if single_turn:
        return REFUSALS["last"] if any(a.name == SUBMIT for a in actions[:-1]) else None
    return verdicts.refusal(actions, judgeable, REFUSALS)
