"""The base of the tracker's templates: their experts first undo what they or others did besides the task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

from agentgym.envs.web.sites.base import Call, Goal, Row, View, rows
from agentgym.envs.web.sites.hands import Guided, form, open_page, press_button
from agentgym.envs.web.sites.tracker.moves import label_moves, ticket_moves, tickets, to_ticket
from agentgym.envs.web.sites.tracker.site import SITE

Rows = tuple[Row, ...]


def watch_moves(view: View, right: Rows) -> Iterator[Call | None]:
    """Makes the watched tickets those of these rows."""
    wanted, now = {row[0] for row in right}, {row[0] for row in rows(view.dbs["tracker"], "SELECT ticket FROM watched")}
    for number in sorted(wanted ^ now):
        yield from to_ticket(view, number)
        yield press_button(view, "Watch ticket" if number in wanted else "Unwatch ticket")


def drop_comments(view: View, right: Rows) -> Iterator[Call | None]:
    """Deletes the comments whose number these rows do not begin with; what was deleted cannot be brought back."""
    kept = {row[0] for row in right}
    for number, ticket, body in rows(view.dbs["tracker"], "SELECT id, ticket, body FROM comments"):
        if number not in kept:
            yield from to_ticket(view, ticket)
            yield press_button(view, f"Delete comment {body}")


def labels_moves(view: View, right: Mapping[int, str]) -> Iterator[Call | None]:
    """Makes the labels have these names, by number; what was deleted cannot be brought back."""
    for number, name in rows(view.dbs["tracker"], "SELECT id, name FROM labels"):
        wanted = right.get(number)
        if wanted == name:
            continue
        if wanted is None:
            yield press_button(view, "Yes, delete it")
        yield open_page(view, SITE.origin, "/labels", "Labels")
        if wanted is None:
            yield press_button(view, f"Delete {name}")
        else:
            yield form(view, {f"New name of {name}": wanted}, f"Rename {name}")


def _tickets(view: View, right: Rows) -> Iterator[Call | None]:
    names = tickets(view.dbs["tracker"])[0]
    yield from ticket_moves(view, [dict(zip(names, row, strict=True)) for row in right])


def _labelled(view: View, right: Rows) -> Iterator[Call | None]:
    names: dict[int, str] = dict(rows(view.dbs["tracker"], "SELECT id, name FROM labels"))
    wanted: dict[int, list[str]] = {ticket["id"]: [] for ticket in tickets(view.dbs["tracker"])}
    for ticket, label in right:
        if label in names:
            wanted[ticket].append(names[label])
    yield from label_moves(view, wanted)


def _labels(view: View, right: Rows) -> Iterator[Call | None]:
    yield from labels_moves(view, dict(right))


#: What brings back the rows of a table, by the name of the fact that they are untouched.
MENDERS: dict[str, Callable[[View, Rows], Iterator[Call | None]]] = {
    "labels untouched": _labels,
    "tickets untouched": _tickets,
    "labelled untouched": _labelled,
    "comments untouched": drop_comments,
    "watched untouched": watch_moves,
}


class TrackerTask(Guided):
    """A template of the tracker alone."""

    sites: ClassVar[tuple[str, ...]] = ("tracker",)

    def mend(self, goal: Goal, view: View) -> Iterator[Call | None]:
        for fact in goal.keep:
            if fact.name in MENDERS and not fact.holds(view.dbs, "tracker"):
                yield from MENDERS[fact.name](view, fact.expected)
