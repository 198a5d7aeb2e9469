"""Verdicts of the agent on its last result: the type of the word, and the order in which a turn may hold one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator

from agentgym.actions import JUDGE, Action

#: ``yes`` or ``no``, however it is written.
Verdict = Annotated[Literal["yes", "no"], BeforeValidator(lambda v: v.strip().lower() if isinstance(v, str) else v)]

#: Why a turn of well-formed actions is refused, in words that fit most families.
OUT_OF_ORDER: Final = {
    "order": "write one verdict, before the other action",
    "many": "write one action a turn, besides a verdict",
}


def refusal(actions: Sequence[Action], judgeable: bool, reasons: Mapping[str, str]) -> str | None:
    """Why these actions are no turn; None where they are: at most one verdict, then at most one other action.

    Args:
        actions: At least one.
        judgeable: There is a result that was not judged yet. Each is judged once: a right verdict may pay.
        reasons: What is said where there is ``nothing`` to judge, where a verdict is out of ``order``, and where there
            are ``many`` other actions.
    """
    names = [a.name for a in actions]
    if names[0] == JUDGE:
        if not judgeable:
            return reasons["nothing"]
        names = names[1:]
    if JUDGE in names:
        return reasons["order"]
    return reasons["many"] if len(names) > 1 else None
