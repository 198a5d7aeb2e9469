"""What experts are written with: each helper looks at the page and gives the next call it needs, or None when done.

So an expert is a list of such calls tried in order, and works from any state: a field that already holds its value is
passed over, a page that is already open is not opened again.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from agentgym.envs.web.sites.base import Call, Goal, Template, View

if TYPE_CHECKING:
    from agentgym.tools.browser.tree import Node


def path_of(view: View) -> str:
    """The path of the open page."""
    return urlsplit(view.url).path or "/"


def query_of(view: View) -> dict[str, str]:
    """The query of the open page."""
    return dict(parse_qsl(urlsplit(view.url).query))


def host_of(view: View) -> str:
    """The host of the open page, e.g. ``"shop.test"``."""
    return urlsplit(view.url).netloc


def node(view: View, role: str, name: str | None = None) -> Node | None:
    """The first element of a role and exactly this name; None where there is none."""
    found = view.tree.find_all(role, name, exact=True)
    return found[0] if found else None


def click(view: View, role: str, name: str) -> Call | None:
    """Clicks the element; None where there is none."""
    found = node(view, role, name)
    return None if found is None else Call("click", (found.id,))


def press_button(view: View, name: str) -> Call | None:
    """Clicks the button; None where there is none."""
    return click(view, "button", name)


def follow(view: View, name: str) -> Call | None:
    """Clicks the link; None where there is none."""
    return click(view, "link", name)


def fill(view: View, label: str, text: str) -> Call | None:
    """Writes into the text field of this label; None where that is what it holds or there is no such field."""
    found = node(view, "textbox|searchbox|spinbutton|combobox", label)
    if found is None or plain_value(found) == text:
        return None
    return Call("fill", (found.id, text))


def plain_value(field: Node) -> str:
    """What a field holds, empty where it holds nothing."""
    return field.value or ""


def select(view: View, label: str, option: str) -> Call | None:
    """Chooses the option of the list of this label; None where it is chosen or there is no such list."""
    found = node(view, "combobox|listbox", label)
    if found is None or plain_value(found) == option:
        return None
    return Call("select_option", (found.id, option))


def tick(view: View, role: str, label: str, on: bool = True) -> Call | None:
    """Sets a check box or radio button; None where it is set or there is none."""
    found = node(view, role, label)
    if found is None or ("checked" in found.states) == on:
        return None
    return Call("click", (found.id,))


def form(view: View, fields: Mapping[str, str | bool], button: str) -> Call | None:
    """Writes, chooses and ticks by label, then sends by the button; None where the page has no such button."""
    if node(view, "button", button) is None:
        return None
    for label, text in fields.items():
        found = node(view, "combobox|listbox", label)
        if isinstance(text, bool):
            call = tick(view, "checkbox", label, text)
        elif found is not None and found.tag == "select":
            call = select(view, label, text)
        else:
            call = fill(view, label, text)
        if call is not None:
            return call
    return press_button(view, button)


def open_page(view: View, origin: str, path: str, link: str = "") -> Call | None:
    """Opens a page of a site, by a link of the open page where there is one; None where it is open."""
    if view.url.split("?")[0] == origin + path:
        return None
    return (follow(view, link) if link else None) or Call("goto", (origin + path,))


def filtered(
    view: View, page: str, query: Mapping[str, str], fields: Mapping[str, str | bool], button: str, link: str
) -> Iterator[Call | None]:
    """Opens a list with these filters and no others.

    Args:
        view: What is open.
        page: The list's address without a query.
        query: The filters as the URL has them; an order that is not asked for may be any.
        fields: The same as the page's form has them.
        button: What sends the form.
        link: What leads to the list from other pages.
    """
    held = {name: text for name, text in query_of(view).items() if text and name not in ("page", "notice")}
    if "sort" not in query:
        held.pop("sort", None)
    if view.url.split("?")[0] == page:
        if held == query:
            return
        if not set(held) <= {*query, "sort"}:
            yield follow(view, "Clear filters")
        yield form(view, fields, button)
    yield follow(view, link)
    yield Call("goto", (page,))


def stop(answer: str = "") -> Call:
    """Ends the episode, with an answer where the goal asks for one."""
    return Call("stop", (answer,) if answer else ())


def infeasible(reason: str) -> Call:
    """Ends the episode by the report that the goal cannot be reached."""
    return Call("report_infeasible", (reason,))


class Guided(Template):
    """A template whose expert is a list of moves: the first that has something to do is the next call.

    What every expert needs is here: the way back from other sites, dialogs that are open (the last button closes one
    without doing anything), the end.
    """

    def mend(self, goal: Goal, view: View) -> Iterator[Call | None]:
        """Moves that undo what must not have changed but did, as far as pages allow it; none by default."""
        yield from ()

    @abstractmethod
    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        """The moves in order; nothing after the first call is asked for. None of them: there is nothing left to do."""

    def next_action(self, goal: Goal, view: View) -> Call:
        if host_of(view) not in {f"{site}.test" for site in goal.sites}:
            return Call("goto", (goal.start,))
        dialog = view.tree.find("dialog|alertdialog")
        if dialog is not None:
            view = replace(view, tree=view.tree.within(dialog.id))
        for call in chain(self.mend(goal, view), self.moves(goal, view)):
            if call is not None:
                return call
        if dialog is not None and (buttons := view.tree.find_all("button")):
            return Call("click", (buttons[-1].id,))
        if view.url != goal.start and not all(goal.progress(view.dbs)):
            return Call("goto", (goal.start,))
        if goal.infeasible:
            return infeasible("this cannot be done here")
        return stop(goal.answer.value if goal.answer is not None else "")
