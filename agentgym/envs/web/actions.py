"""What an agent can do in a browser, and why a turn is refused.

Names and arguments are BrowserGym's (arXiv 2412.05467), with ``id`` for its ``bid``, ``text`` for its ``value`` and
``key`` for its ``key_comb``; the old names are read too. There is no action that runs script.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from agentgym.actions import JUDGE, Action, ActionSpec
from agentgym.envs.verdicts import OUT_OF_ORDER, Verdict

#: Longest text that one action types, in characters.
MAX_TEXT_CHARS = 4_000
#: Longest URL, in characters.
MAX_URL_CHARS = 2_000
#: Farthest point and farthest scroll, in pixels.
MAX_PIXELS = 100_000
#: Longest wait that `noop` may ask for, in milliseconds; it is over as soon as the page is still.
MAX_WAIT_MS = 5_000

Button = Literal["left", "middle", "right"]
Modifier = Literal["Alt", "Control", "ControlOrMeta", "Meta", "Shift"]


def _as_id(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip().removeprefix("[").removesuffix("]").strip() if isinstance(value, str) else value


_Id = Annotated[str, BeforeValidator(_as_id), StringConstraints(min_length=1, max_length=40)]
_Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS)]
_Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT_CHARS)]
_Key = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
# A word-level tokenizer decodes with spaces around punctuation; a URL has none.
_Url = Annotated[
    str,
    BeforeValidator(lambda v: "".join(v.split()) if isinstance(v, str) else v),
    StringConstraints(min_length=1, max_length=MAX_URL_CHARS),
]
_Pixels = Annotated[float, Field(ge=-MAX_PIXELS, le=MAX_PIXELS)]


def _alias(name: str, other: str, description: str) -> Any:
    return Field(validation_alias=AliasChoices(name, other), description=description)


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _OnElement(_Arguments):
    id: _Id = _alias("id", "bid", "Number of the element.")


class ClickArguments(_OnElement):
    """Click an element."""

    button: Button = "left"
    modifiers: list[Modifier] | None = Field(None, description="Keys held down.", max_length=5)


class DoubleClickArguments(_OnElement):
    """Click an element twice."""

    button: Button = "left"


class HoverArguments(_OnElement):
    """Move the mouse over an element."""


class FocusArguments(_OnElement):
    """Give an element the focus."""


class ClearArguments(_OnElement):
    """Empty a text field."""


class FillArguments(_OnElement):
    """Write a text into a field, in place of what is in it."""

    text: _Text = _alias("text", "value", "What to write.")


class PressArguments(_OnElement):
    """Press a key in an element, e.g. Enter or Control+a."""

    key: _Key = _alias("key", "key_comb", "The key, with modifiers before it.")


class SelectArguments(_OnElement):
    """Choose in a list, by what the options say."""

    options: _Text | list[_Text] = Field(description="One option, or a list of several.")


class DragArguments(_Arguments):
    """Drag one element onto another."""

    from_id: _Id = _alias("from_id", "from_bid", "What to drag.")
    to_id: _Id = _alias("to_id", "to_bid", "Where to drop it.")


class ScrollArguments(_Arguments):
    """Scroll the page, or the part of it around an element."""

    delta_x: _Pixels = Field(description="To the right, in pixels.")
    delta_y: _Pixels = Field(description="Down, in pixels.")
    id: _Id | None = Field(
        None, validation_alias=AliasChoices("id", "bid"), description="Number of an element in that part."
    )


class GotoArguments(_Arguments):
    """Open a URL."""

    url: _Url


class BackArguments(_Arguments):
    """Go back to the page before."""


class ForwardArguments(_Arguments):
    """Go forward again."""


class TabFocusArguments(_Arguments):
    """Change to another tab."""

    index: int = Field(ge=0, le=1_000, description="Number of the tab, from 0.")


class NewTabArguments(_Arguments):
    """Open an empty tab."""


class TabCloseArguments(_Arguments):
    """Close the tab."""


class KeyArguments(_Arguments):
    """Press a key, wherever the focus is."""

    key: _Key


class TypeArguments(_Arguments):
    """Type a text, wherever the focus is."""

    text: _Text


class PointArguments(_Arguments):
    """Click at a point of the screen."""

    x: _Pixels
    y: _Pixels
    button: Button = "left"


class DoublePointArguments(PointArguments):
    """Click twice at a point of the screen."""


class MoveArguments(_Arguments):
    """Move the mouse to a point of the screen."""

    x: _Pixels
    y: _Pixels


class DragPointsArguments(_Arguments):
    """Drag from one point of the screen to another."""

    from_x: _Pixels
    from_y: _Pixels
    to_x: _Pixels
    to_y: _Pixels


class NoopArguments(_Arguments):
    """Do nothing, and look at the whole page."""

    wait_ms: float = Field(0, ge=0, description="How long to wait at most, in milliseconds.")


class MessageArguments(_Arguments):
    """Tell the user something; where the goal asks for an answer, this is it and ends the episode."""

    text: _Text


class InfeasibleArguments(_Arguments):
    """Report that the goal cannot be reached; this ends the episode."""

    # Not empty: saying nothing must not solve a task.
    reason: _Reason = Field(description="Why it cannot.")


class StopArguments(_Arguments):
    """Say that the goal is reached, with the answer if it asks for one; this ends the episode."""

    answer: _Text = ""


class JudgeArguments(_Arguments):
    """Say whether the last action brought the goal nearer: yes or no."""

    verdict: Verdict = Field(description="Whether the last action helped.")


_ELEMENTS: Final = (
    ActionSpec("click", ClickArguments, body="id"),
    ActionSpec("dblclick", DoubleClickArguments, body="id"),
    ActionSpec("hover", HoverArguments, body="id"),
    ActionSpec("focus", FocusArguments, body="id"),
    ActionSpec("clear", ClearArguments, body="id"),
    ActionSpec("fill", FillArguments, body="text"),
    ActionSpec("press", PressArguments, body="key"),
    ActionSpec("select_option", SelectArguments, body="options"),
    ActionSpec("drag_and_drop", DragArguments),
)
_POINTS: Final = (
    ActionSpec("mouse_click", PointArguments),
    ActionSpec("mouse_dblclick", DoublePointArguments),
    ActionSpec("mouse_move", MoveArguments),
    ActionSpec("mouse_drag_and_drop", DragPointsArguments),
)
_COMMON: Final = (
    ActionSpec("keyboard_press", KeyArguments, body="key"),
    ActionSpec("keyboard_type", TypeArguments, body="text"),
    ActionSpec("scroll", ScrollArguments),
    ActionSpec("goto", GotoArguments, body="url"),
    ActionSpec("go_back", BackArguments),
    ActionSpec("go_forward", ForwardArguments),
    ActionSpec("tab_focus", TabFocusArguments, body="index"),
    ActionSpec("new_tab", NewTabArguments),
    ActionSpec("tab_close", TabCloseArguments),
    ActionSpec("noop", NoopArguments),
    ActionSpec("send_msg_to_user", MessageArguments, body="text"),
    ActionSpec("report_infeasible", InfeasibleArguments, body="reason"),
    ActionSpec(JUDGE, JudgeArguments, body="verdict"),
    ActionSpec("stop", StopArguments, body="answer"),
)

#: What the agent points with: elements by their numbers, points of the screen, or both.
ActionSet = Literal["elements", "points", "both"]
ACTION_SETS: Final[dict[ActionSet, tuple[ActionSpec, ...]]] = {
    "elements": (*_ELEMENTS, *_COMMON),
    "points": (*_POINTS, *_COMMON),
    "both": (*_ELEMENTS, *_POINTS, *_COMMON),
}
#: Every action there is.
ACTIONS: Final = ACTION_SETS["both"]
FIELDS: Final = {spec.name: tuple(spec.arguments.model_fields) for spec in ACTIONS}

#: Why a turn of well-formed actions is refused.
REFUSALS: Final = {
    "nothing": "there is no action to judge",
    **OUT_OF_ORDER,
}


def called(name: str, *args: Any) -> Action:
    """An action from its arguments in order, as an expert writes it: ``called("fill", "7", "text")``."""
    return Action(name, dict(zip(FIELDS[name], args, strict=False)))
