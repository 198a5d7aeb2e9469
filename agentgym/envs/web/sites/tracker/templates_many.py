"""Tasks of the tracker about several tickets, labels and people."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import ClassVar

from agentgym.envs.web.sites.base import Answer, Call, Databases, Fact, Goal, Template, Unfit, View, one, rows, value
from agentgym.envs.web.sites.hands import form, open_page, path_of
from agentgym.envs.web.sites.tracker.content import HELDOUT, PRIORITIES, TRAIN
from agentgym.envs.web.sites.tracker.mending import TrackerTask, drop_comments, labels_moves
from agentgym.envs.web.sites.tracker.moves import (
    START,
    change,
    closed,
    comment_facts,
    comment_moves,
    listing,
    others,
    ticket_moves,
    tickets,
    to_ticket,
)
from agentgym.envs.web.sites.tracker.site import NOW, SITE
from agentgym.envs.web.sites.tracker.templates_one import COMMENTS, NOT_CLOSED, Changing, pick


class AwayToLead(Changing):
    """Whoever is away hands over to the lead of each ticket's project."""

    name: ClassVar[str] = "away_to_lead"
    difficulty: ClassVar[int] = 5
    heldout: ClassVar[bool] = True

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["tracker"]
        (person,) = one(rng, rows(db, "SELECT name FROM members WHERE away = 1"))
        found = tickets(db, "t.assignee = ? AND " + NOT_CLOSED, person)
        if not 1 <= len(found) <= 3:
            raise Unfit
        leads: dict[str, str] = dict(rows(db, "SELECT code, lead FROM projects"))
        made = change(db, {ticket["id"]: {"assignee": leads[ticket["project"]]} for ticket in found})
        text = (
            "One member is away . Assign each ticket of this member that is not closed to the lead of the project it "
            "belongs to ."
        )
        return self.goal(text, START, dbs, made, 3 + 5 * len(found)).also(person=person)

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from read_first(view, goal, "/members", "Members")
        yield from ticket_moves(view, goal.params["right"])


def read_first(view: View, goal: Goal, path: str, link: str) -> Iterator[Call | None]:
    """Looks at a page before the first change; what was read there shows in where the expert goes next."""
    untouched = not any(goal.progress(view.dbs)) and path_of(view) == "/" and view.url == goal.start
    if untouched:
        yield open_page(view, SITE.origin, path, link)


class Duplicate(Changing):
    """Of two tickets with one title the newer is closed as a duplicate of the older."""

    name: ClassVar[str] = "duplicate"
    difficulty: ClassVar[int] = 4

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["tracker"]
        found = tickets(db, NOT_CLOSED)
        older, newer = sorted(rng.sample([ticket["id"] for ticket in found], 2))
        db.execute("UPDATE tickets SET title = (SELECT title FROM tickets WHERE id = ?) WHERE id = ?", (older, newer))
        title = value(db, "SELECT title FROM tickets WHERE id = ?", older)
        made = change(db, {newer: closed("Duplicate", older)})
        text = f"There are two tickets {title} . Close the one with the higher number as a Duplicate of the other ."
        return self.goal(text, START, dbs, made, 8).also(title=title)

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        if path_of(view) == "/":
            yield form(view, {"Find tickets": goal.params["title"]}, "Find")
        yield from ticket_moves(view, goal.params["right"])


class Triage(Changing):
    """The oldest ticket that nobody has, to the member of a role with the least on the desk, and a comment."""

    name: ClassVar[str] = "triage"
    difficulty: ClassVar[int] = 5

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["tracker"]
        code, project = one(rng, rows(db, "SELECT code, name FROM projects"))
        found = tickets(db, "t.project = ? AND t.assignee = '' AND t.status = 'Open'", code)
        (role,) = one(rng, rows(db, "SELECT DISTINCT role FROM members"))
        load = """SELECT m.name, COUNT(t.id) AS open FROM members m
            LEFT JOIN tickets t ON t.assignee = m.name AND t.status != 'Closed'
            WHERE m.role = ? AND m.away = 0 GROUP BY m.name ORDER BY open"""
        people = rows(db, load, role)
        if not found or not people or (len(people) > 1 and people[0][1] == people[1][1]):
            raise Unfit
        ticket, person, body = found[0], people[0][0], rng.choice(COMMENTS)
        made = change(db, {ticket["id"]: {"assignee": person, "status": "In progress"}})
        facts, keep = comment_facts(db, ticket["id"], body)
        text = (
            f"Take the ticket with the lowest number of the project {project} that has the status Open and is assigned "
            f"to Nobody . Assign it to the {role} who is not away and has the fewest tickets that are not closed , set "
            f"its status to In progress , and comment : {body}"
        )
        return Goal(
            text,
            START,
            self.sites,
            (*made.facts, *facts),
            keep=(*made.keep, *keep, *others(db, "tickets", "comments")),
            steps=15,
            pages=("/members", "/tickets", f"/tickets/{ticket['id']}"),
            params={"right": made.right, "comment": facts[0], "code": code, "project": project, "id": ticket["id"]},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        params = goal.params
        yield from read_first(view, goal, "/members", "Members")
        if not any(goal.progress(view.dbs)) and path_of(view) != f"/tickets/{params['id']}":
            query = {"project": params["code"], "status": "Open", "assignee": "Nobody"}
            fields = {"Project": params["project"], "Status": "Open", "Assignee": "Nobody"}
            yield from listing(view, query, fields)
        yield from ticket_moves(view, params["right"])
        yield from comment_moves(view, params["comment"])


class CountTickets(TrackerTask):
    """How many tickets a filter leaves."""

    name: ClassVar[str] = "count_tickets"
    difficulty: ClassVar[int] = 3
    heldout: ClassVar[bool] = True

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["tracker"]
        code, name = one(rng, rows(db, "SELECT code, name FROM projects"))
        priority = rng.choice(PRIORITIES)
        count = len(tickets(db, "t.project = ? AND t.priority = ?", code, priority))
        return Goal(
            f"How many tickets of the project {name} have the priority {priority} ? Answer with a number .",
            START,
            self.sites,
            answer=Answer(str(count), "number"),
            keep=others(db),
            steps=5,
            pages=("/tickets",),
            params={
                "query": {"project": code, "priority": priority},
                "fields": {"Project": name, "Priority": priority},
            },
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from listing(view, goal.params["query"], goal.params["fields"])


class Create(TrackerTask):
    """A new ticket with title, project, priority and assignee."""

    name: ClassVar[str] = "create"
    difficulty: ClassVar[int] = 3

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["tracker"]
        code, project = one(rng, rows(db, "SELECT code, name FROM projects"))
        (person,) = one(rng, rows(db, "SELECT name FROM members"))
        (label,) = one(rng, rows(db, "SELECT name FROM labels"))
        title = f"{pick(rng, tickets(db))['title']} again"
        priority = rng.choice([name for name in PRIORITIES if name != "Normal"])
        last = value(db, "SELECT MAX(id) FROM tickets")
        old = "SELECT * FROM tickets WHERE id <= ? ORDER BY id"
        labels = "SELECT * FROM labelled WHERE ticket <= ? ORDER BY ticket, label"
        new = "SELECT project, title, body, status, priority, assignee, milestone, due FROM tickets WHERE id > ?"
        named = "SELECT l.name FROM labelled k JOIN labels l ON l.id = k.label WHERE k.ticket > ?"
        return Goal(
            f"Create a ticket in the project {project} with the title {title} , the priority {priority} and the label "
            f"{label} , assigned to {person} .",
            START,
            self.sites,
            (
                Fact("ticket made", new, (last,), ((code, title, "", "Open", priority, person, "", ""),)),
                Fact("label set", named, (last,), ((label,),)),
            ),
            keep=(
                Fact("older tickets", old, (last,), rows(db, old, last)),
                Fact("older labels", labels, (last,), rows(db, labels, last)),
                *others(db, "tickets", "labelled"),
            ),
            steps=8,
            pages=("/tickets/new",),
            params={
                "last": last,
                "fields": {
                    "Project": project,
                    "Title": title,
                    "Priority": priority,
                    "Assignee": person,
                    "Label": label,
                },
            },
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        if value(view.dbs["tracker"], "SELECT 1 FROM tickets WHERE id > ?", goal.params["last"]):
            return
        yield open_page(view, SITE.origin, "/tickets/new", "New ticket")
        blank = {"Description": "", "Status": "Open", "Milestone": "None", "Due date": ""}
        yield form(view, {**blank, **goal.params["fields"]}, "Create ticket")


class RenameLabel(TrackerTask):
    """A label gets another name."""

    name: ClassVar[str] = "rename_label"
    difficulty: ClassVar[int] = 2

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["tracker"]
        right: dict[int, str] = dict(rows(db, "SELECT id, name FROM labels"))
        number, old = one(rng, list(right.items()))
        spare = TRAIN.spare_labels if old in TRAIN.labels else HELDOUT.spare_labels
        right[number] = rng.choice(spare)
        return Goal(
            f"Rename the label {old} to {right[number]} .",
            START,
            self.sites,
            (
                Fact("renamed", "SELECT name FROM labels WHERE id = ?", (number,), ((right[number],),)),
                Fact("labels right", "SELECT id, name FROM labels ORDER BY id", (), tuple(sorted(right.items()))),
            ),
            keep=others(db, "labels"),
            steps=4,
            pages=("/labels",),
            params={"right": right},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from labels_moves(view, goal.params["right"])


class DropComment(TrackerTask):
    """One's own comment is deleted again."""

    name: ClassVar[str] = "drop_comment"
    difficulty: ClassVar[int] = 2

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["tracker"]
        number, me = pick(rng, tickets(db))["id"], value(db, "SELECT name FROM me")
        keep = "SELECT * FROM comments WHERE id != ? ORDER BY id"
        body = rng.choice(COMMENTS)
        row = (number, me, body, NOW.isoformat())
        made = db.execute("INSERT INTO comments VALUES (NULL, ?, ?, ?, ?)", row).lastrowid
        return Goal(
            f"Delete your own comment on ticket {number} .",
            START,
            self.sites,
            (Fact("deleted", "SELECT COUNT(*) FROM comments WHERE id = ?", (made,), ((0,),)),),
            keep=(Fact("other comments", keep, (made,), rows(db, keep, made)), *others(db, "comments")),
            steps=5,
            pages=("/tickets", f"/tickets/{number}"),
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from drop_comments(view, goal.keep[0].expected)


class ReopenUnless(Changing):
    """A closed ticket is opened again unless it is a duplicate: then the right end is to say so."""

    name: ClassVar[str] = "reopen_unless_duplicate"
    difficulty: ClassVar[int] = 3

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["tracker"]
        ticket, other = pick(rng, tickets(db, "t.status = 'Closed'")), pick(rng, tickets(db, NOT_CLOSED))
        priority = rng.choice(PRIORITIES)
        text = (
            f"Open the ticket {ticket['title']} again and set its priority to {priority} . If it was closed as a "
            "Duplicate , change nothing and report that the task is infeasible ."
        )
        if rng.random() < 0.4:
            sql = "UPDATE tickets SET resolution = 'Duplicate', duplicate = ? WHERE id = ?"
            db.execute(sql, (other["id"], ticket["id"]))
            return Goal(
                text,
                START,
                self.sites,
                keep=others(db),
                infeasible=True,
                steps=7,
                pages=("/tickets", f"/tickets/{ticket['id']}"),
                params={"right": tuple(tickets(db)), "id": ticket["id"]},
            )
        made = change(db, {ticket["id"]: {"status": "Open", "resolution": "", "priority": priority}})
        return self.goal(text, START, dbs, made, 7).also(id=ticket["id"])

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from ticket_moves(view, goal.params["right"])
        if goal.infeasible:
            yield from to_ticket(view, goal.params["id"])


TEMPLATES: tuple[Template, ...] = (
    RenameLabel(),
    DropComment(),
    CountTickets(),
    Create(),
    ReopenUnless(),
    Duplicate(),
    AwayToLead(),
    Triage(),
)
