"""Why an action cannot be done to a page as it is, in one line that the agent can act on."""

from __future__ import annotations

from typing import Any


class ActionFailed(Exception):
    """An action that cannot be done: the agent's to mend.

    Args:
        kind: A key of `REASONS`, or ``tab``, ``address``, ``history``, ``key``, ``place``.
        detail: One line for the agent.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail

    def __reduce__(self) -> tuple[type[ActionFailed], tuple[str, str]]:
        return type(self), (self.kind, self.detail)


#: What is told for each reason that `acting.js` gives; ``{id}`` is the element's, the others are its details.
REASONS = {
    "gone": "there is no element [{id}] on this page (any more)",
    "hidden": "[{id}] is hidden: {what}",
    "disabled": "[{id}] is disabled: {what}",
    "covered": "[{id}] is covered by {what}",
    "option": "[{id}] is an option of a closed list; select it instead of acting on it: {what}",
    "file": "[{id}] takes a file; there are no files here",
    "not-a-field": "[{id}] is not a text field: {what}",
    "readonly": "[{id}] can be read only: {what}",
    "malformed": "[{id}] does not take this value, as it is a field for: {what} ({more})",
    "not-a-list": "[{id}] is not a list of options: {what}",
    "one-option": "[{id}] takes one option only: {what}",
    "no-option": "[{id}] has no option {what!r}; it has {more}",
    "ambiguous": "[{id}] has {more} options {what!r}; choose one by its value",
    "not-a-box": "[{id}] is nothing that can be checked: {what}",
    "no-focus": "[{id}] cannot have the focus: {what}",
}


def check(answer: dict[str, Any], id: str) -> dict[str, Any]:
    """The answer of our world in the page, if it is no failure.

    Raises:
        ActionFailed: It is one.
    """
    kind = answer.get("failed")
    if kind is None:
        return answer
    what, _, more = str(answer.get("detail", "")).partition("\n")
    raise ActionFailed(kind, REASONS[kind].format(id=id, what=what, more=more))
