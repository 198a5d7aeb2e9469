"""Mistakes of the expert, for warm starts that show how a mistake is mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from agentgym.actions import Action
from agentgym.envs.slips import ExpertSlips
from agentgym.envs.web.task import View

#: Kinds of mistake, in the order in which chance decides on them.
MISTAKES = ("element", "early", "text", "judge")
#: Roles of elements that are there to be acted on.
ACTIVE = frozenset(
    {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "tab", "menuitem", "spinbutton"}
)
_ENDINGS = frozenset({"stop", "send_msg_to_user", "report_infeasible"})
_WRITTEN: Mapping[str, str] = {"fill": "text", "stop": "answer", "send_msg_to_user": "text", "keyboard_type": "text"}


class Slips(ExpertSlips):
    """Which of `MISTAKES` are made this turn."""

    kinds: ClassVar[Sequence[str]] = MISTAKES


def slipped(action: Action, view: View, slips: Slips) -> Action:
    """The action with a mistake in it, where one is made that it can have.

    ``early`` stops before the goal is reached; ``element`` takes another element of the page; ``text`` writes or
    answers another text, met on the page.

    Args:
        action: The right action.
        view: What is open.
        slips: The mistakes.
    """
    if "early" in slips and action.name not in _ENDINGS:
        return Action("stop", {"answer": _another(view, "", slips)})
    if "element" in slips and "id" in action.args:
        role = view.tree.by_id[action.args["id"]].role if action.args["id"] in view.tree.by_id else ""
        active = [node for node in view.tree.walk() if node.id and node.id != action.args["id"] and node.role in ACTIVE]
        alike = [node for node in active if node.role == role]
        if active:
            chosen = slips.choose(alike or active).id
            # Another element need not be one that can be written into or chosen from.
            return Action(action.name, {**action.args, "id": chosen}) if alike else Action("click", {"id": chosen})
    if "text" in slips and (name := _WRITTEN.get(action.name)) is not None:
        return Action(action.name, {**action.args, name: _another(view, str(action.args.get(name, "")), slips)})
    return action


def _another(view: View, right: str, slips: Slips) -> str:
    names = list(dict.fromkeys(node.name for node in view.tree.walk() if node.name and node.name != right))
    return slips.choose(names)[:100] if names else "unknown"
