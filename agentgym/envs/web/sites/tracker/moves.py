"""What the tracker's templates share: facts about tickets, moves of the experts."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentgym.envs.web.sites.base import Call, Fact, Row, Scalar, Unfit, View, rows, tables, untouched
from agentgym.envs.web.sites.hands import (
    filtered,
    follow,
    form,
    node,
    open_page,
    path_of,
    press_button,
    tick,
)
from agentgym.envs.web.sites.tracker.content import CLOSED
from agentgym.envs.web.sites.tracker.site import SITE

START = SITE.origin + "/"
#: Columns of a ticket that its details show, with the label of the field and how an empty one is shown.
DETAILS = {
    "status": ("Status", ""),
    "priority": ("Priority", ""),
    "assignee": ("Assignee", "Nobody"),
    "milestone": ("Milestone", "None"),
    "due": ("Due date", ""),
}
Ticket = dict[str, Any]


def tickets(db: sqlite3.Connection, where: str = "1", *args: Scalar) -> list[Ticket]:
    """Tickets (alias ``t``) of which a condition holds, by number."""
    cursor = db.execute(f"SELECT t.* FROM tickets t WHERE {where} ORDER BY t.id", args)  # noqa: S608 - our own texts
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def others(db: sqlite3.Connection, *changed: str) -> tuple[Fact, ...]:
    """The facts that every table but these stays as it is."""
    return untouched(db, *(name for name in tables(db) if name not in changed), site="tracker")


@dataclass(frozen=True)
class Change:
    """What is to become of some tickets, while all others stay.

    Attributes:
        facts: A fact for each changed field.
        keep: Whatever else tickets hold.
        right: All tickets as they must be.
    """

    facts: tuple[Fact, ...]
    keep: tuple[Fact, ...]
    right: tuple[Ticket, ...]


def change(db: sqlite3.Connection, wanted: Mapping[int, Ticket]) -> Change:
    """What makes tickets hold new contents, by number and column; raises `Unfit` where they all do already."""
    facts: list[Fact] = []
    keep: list[Fact] = []
    right: list[Ticket] = []
    for ticket in tickets(db):
        number = ticket["id"]
        new = {name: content for name, content in wanted.get(number, {}).items() if ticket[name] != content}
        for column, content in new.items():
            sql = f"SELECT {column} FROM tickets WHERE id = ?"  # noqa: S608 - a column's name
            facts.append(Fact(f"{column} of {number}", sql, (number,), ((content,),)))
        if number in wanted:
            rest = [column for column in ticket if column not in new]
            sql = f"SELECT {', '.join(rest)} FROM tickets WHERE id = ?"  # noqa: S608 - columns' names
            keep.append(Fact(f"rest of {number}", sql, (number,), rows(db, sql, number)))
        right.append({**ticket, **new})
    sql = f"SELECT * FROM tickets WHERE id NOT IN ({', '.join('?' * len(wanted))}) ORDER BY id"  # noqa: S608
    keep.append(Fact("other tickets", sql, tuple(wanted), rows(db, sql, *wanted)))
    if not facts:
        raise Unfit
    return Change(tuple(facts), tuple(keep), tuple(right))


def closed(resolution: str, duplicate: int = 0) -> Ticket:
    """What closing changes in a ticket."""
    made: Ticket = {"status": CLOSED, "resolution": resolution}
    return {**made, "duplicate": duplicate} if duplicate else made


def to_ticket(view: View, number: int) -> Iterator[Call | None]:
    """Opens a ticket: by a link that is there, otherwise by its number."""
    if path_of(view) == f"/tickets/{number}":
        return
    (found,) = tickets(view.dbs["tracker"], "t.id = ?", number)
    yield follow(view, f"{number} {found['title']}")
    yield form(view, {"Find tickets": str(number)}, "Find")
    yield Call("goto", (START,))


def ticket_moves(view: View, right: Sequence[Ticket]) -> Iterator[Call | None]:
    """Makes every ticket what it must be, one after the other."""
    for now, wanted in zip(tickets(view.dbs["tracker"], "t.id <= ?", right[-1]["id"]), right, strict=True):
        if now == wanted:
            continue
        yield from to_ticket(view, now["id"])
        if now["title"] != wanted["title"]:
            yield form(view, {"Title": wanted["title"]}, "Save title")
            yield press_button(view, "Edit title")
        details = [column for column in DETAILS if now[column] != wanted[column] and column != "status"]
        if now["status"] == CLOSED:
            yield press_button(view, "Reopen ticket")
        elif wanted["status"] != CLOSED or details:
            fields = {
                label: wanted[column] or empty for column, (label, empty) in DETAILS.items() if wanted[column] != CLOSED
            }
            yield form(view, fields, "Save details")
        if wanted["status"] == CLOSED:
            how = {"Resolution": wanted["resolution"]}
            if wanted["duplicate"]:
                how["Duplicate of number"] = str(wanted["duplicate"])
            yield form(view, how, "Close it")
            yield press_button(view, "Close ticket")


def comment_facts(db: sqlite3.Connection, ticket: int, body: str) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    """One new comment and no other: the facts, and what must stay."""
    last = rows(db, "SELECT MAX(id) FROM comments")[0][0] or 0
    sql, old = "SELECT ticket, body FROM comments WHERE id > ?", "SELECT * FROM comments WHERE id <= ? ORDER BY id"
    return (
        (Fact("commented", sql, (last,), ((ticket, body),)),),
        (Fact("earlier comments", old, (last,), rows(db, old, last)),),
    )


def comment_moves(view: View, wanted: Fact) -> Iterator[Call | None]:
    """Makes the fact of `comment_facts` true: deletes other new comments, writes the missing one."""
    found = rows(view.dbs["tracker"], wanted.sql, *wanted.args)
    if found == wanted.expected:
        return
    ((ticket, body),) = wanted.expected
    kept = False
    for row in found:
        if row == (ticket, body) and not kept:
            kept = True
            continue
        yield from to_ticket(view, row[0])
        yield press_button(view, f"Delete comment {row[1]}")
    yield from to_ticket(view, ticket)
    yield form(view, {"Comment": body}, "Add comment")


def labels_of(db: sqlite3.Connection, ticket: int) -> tuple[Row, ...]:
    """Ids and names of a ticket's labels."""
    sql = "SELECT l.id, l.name FROM labelled k JOIN labels l ON l.id = k.label WHERE k.ticket = ? ORDER BY l.name"
    return rows(db, sql, ticket)


def label_moves(view: View, wanted: Mapping[int, Collection[str]]) -> Iterator[Call | None]:
    """Makes tickets carry exactly these labels."""
    for ticket, names in wanted.items():
        held = {name for _, name in labels_of(view.dbs["tracker"], ticket)}
        if held == set(names):
            continue
        yield from to_ticket(view, ticket)
        for name in sorted(held - set(names)):
            yield press_button(view, f"Remove label {name}")
        for name in sorted(set(names) - held):
            yield form(view, {"Label": name}, "Add label")


def listing(view: View, query: Mapping[str, str], fields: Mapping[str, str | bool]) -> Iterator[Call | None]:
    """Opens the list of tickets with these filters and no others, by URL and by the form."""
    yield from filtered(view, START + "tickets", query, fields, "Filter", "Tickets")


def bulk_moves(
    view: View,
    wanted: Collection[int],
    query: Mapping[str, str],
    fields: Mapping[str, str | bool],
    new: Mapping[str, str],
) -> Iterator[Call | None]:
    """Changes tickets together.

    Args:
        view: What is open.
        wanted: Their numbers, not yet changed; they fit on one page of the list.
        query: The filters that leave them, as the URL has them.
        fields: The same as the form has them.
        new: What to choose in the form below the list.
    """
    if not wanted:
        return
    yield from listing(view, query, fields)
    for box in view.tree.find_all("checkbox", "Select "):
        number = box.name.removeprefix("Select ")
        if number.isdigit():
            yield tick(view, "checkbox", box.name, int(number) in wanted)
    if node(view, "button", "Apply to selected"):
        yield form(view, new, "Apply to selected")
    yield open_page(view, SITE.origin, "/tickets", "Tickets")
