"""Tasks of the tracker that change several tickets together."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import ClassVar

from agentgym.envs.web.sites.base import Call, Databases, Goal, Template, Unfit, View, one, rows
from agentgym.envs.web.sites.tracker.content import CLOSED, PRIORITIES, STATUSES
from agentgym.envs.web.sites.tracker.moves import (
    START,
    Ticket,
    bulk_moves,
    change,
    closed,
    ticket_moves,
    tickets,
)
from agentgym.envs.web.sites.tracker.site import NOW
from agentgym.envs.web.sites.tracker.templates_one import NOT_CLOSED, Changing

#: Tickets that a bulk edit is about, at least and at most: more than one, no more than a page shows.
FEW, MANY = 2, 5


def few(found: list[Ticket]) -> list[int]:
    """The numbers of the tickets; raises `Unfit` where they are too few or too many for a bulk edit."""
    if not FEW <= len(found) <= MANY:
        raise Unfit
    return [ticket["id"] for ticket in found]


class Bulk(Changing):
    """A template that changes what a filter leaves, all together."""

    def bulk(
        self,
        text: str,
        dbs: Databases,
        found: list[int],
        new: Ticket,
        query: dict[str, str],
        fields: dict[str, str | bool],
        chosen: dict[str, str],
    ) -> Goal:
        """The goal of a bulk edit.

        Args:
            text: What is asked.
            dbs: The databases.
            found: The tickets to change.
            new: What they must hold, by column.
            query: The filters that leave them, as the URL has them.
            fields: The same as the page's form has them.
            chosen: What to choose below the list.
        """
        goal = self.goal(text, START, dbs, change(dbs["tracker"], dict.fromkeys(found, new)), len(found) + 9)
        return goal.also(found=tuple(found), new=new, query=query, fields=fields, chosen=chosen)

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        params = goal.params
        now = {ticket["id"]: ticket for ticket in tickets(view.dbs["tracker"])}
        left = [row for row in params["right"] if now[row["id"]] != row]
        # Together only what nothing else has been done to: that the filters still find.
        if all(row["id"] in params["found"] and {**now[row["id"]], **params["new"]} == row for row in left):
            numbers = [row["id"] for row in left]
            yield from bulk_moves(view, numbers, params["query"], params["fields"], params["chosen"])
        yield from ticket_moves(view, params["right"])


class BulkPriority(Bulk):
    """All open tickets of a label get a priority."""

    name: ClassVar[str] = "bulk_priority"
    difficulty: ClassVar[int] = 4

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["tracker"]
        number, label = one(rng, rows(db, "SELECT id, name FROM labels"))
        labelled = f"{NOT_CLOSED} AND t.id IN (SELECT ticket FROM labelled WHERE label = ?)"  # noqa: S608
        found = few(tickets(db, labelled, number))
        priority = rng.choice(PRIORITIES)
        return self.bulk(
            f"Set the priority of all tickets with the label {label} that are not closed to {priority} .",
            dbs,
            found,
            {"priority": priority},
            {"status": "Not closed", "label": label},
            {"Status": "Not closed", "Label": label},
            {"Set priority": priority},
        )


class BulkClose(Bulk):
    """All blocked tickets of a project are closed."""

    name: ClassVar[str] = "bulk_close"
    difficulty: ClassVar[int] = 4
    heldout: ClassVar[bool] = True

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["tracker"]
        code, name = one(rng, rows(db, "SELECT code, name FROM projects"))
        status = rng.choice(STATUSES[1:])
        found = few(tickets(db, "t.project = ? AND t.status = ?", code, status))
        return self.bulk(
            f"Close all tickets of the project {name} that have the status {status} , with the resolution Fixed .",
            dbs,
            found,
            closed("Fixed"),
            {"project": code, "status": status},
            {"Project": name, "Status": status},
            {"Set status": CLOSED},
        )


class Overdue(Bulk):
    """What is late becomes urgent."""

    name: ClassVar[str] = "overdue"
    difficulty: ClassVar[int] = 4

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["tracker"]
        code, name = one(rng, rows(db, "SELECT code, name FROM projects"))
        late = "t.project = ? AND t.due != '' AND t.due < ? AND " + NOT_CLOSED
        (milestone,) = one(rng, rows(db, "SELECT name FROM milestones"))
        found = few(tickets(db, late, code, NOW.isoformat()))
        return self.bulk(
            f"Move all overdue tickets of the project {name} to the milestone {milestone} .",
            dbs,
            found,
            {"milestone": milestone},
            {"project": code, "overdue": "1"},
            {"Project": name, "Overdue only": True},
            {"Set milestone": milestone},
        )


TEMPLATES: tuple[Template, ...] = (BulkPriority(), BulkClose(), Overdue())
