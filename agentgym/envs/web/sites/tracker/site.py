"""The ticket tracker: lists with filters and bulk edit, tickets, comments, labels, projects, milestones, members."""

from __future__ import annotations

import random
import sqlite3
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from agentgym.envs.web.sites.base import Site
from agentgym.envs.web.sites.tracker.content import (
    CLOSED,
    HELDOUT,
    PRIORITIES,
    RESOLUTIONS,
    ROLES,
    STATUSES,
    TRAIN,
    Content,
)

if TYPE_CHECKING:
    from starlette.applications import Starlette

#: The tracker's present.
NOW = date(2031, 5, 20)
#: Tickets, and the number of the first.
TICKETS, FIRST = 30, 101

SCHEMA = """
CREATE TABLE members (name TEXT PRIMARY KEY, role TEXT NOT NULL, away INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE me (name TEXT PRIMARY KEY REFERENCES members) WITHOUT ROWID;
CREATE TABLE projects (code TEXT PRIMARY KEY, name TEXT NOT NULL, lead TEXT NOT NULL REFERENCES members) WITHOUT ROWID;
CREATE TABLE milestones (name TEXT PRIMARY KEY, due TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE labels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE tickets (id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects, title TEXT NOT NULL,
    body TEXT NOT NULL, status TEXT NOT NULL, priority TEXT NOT NULL, reporter TEXT NOT NULL, assignee TEXT NOT NULL,
    milestone TEXT NOT NULL, due TEXT NOT NULL, created TEXT NOT NULL, resolution TEXT NOT NULL,
    duplicate INTEGER NOT NULL);
CREATE TABLE labelled (ticket INTEGER NOT NULL REFERENCES tickets, label INTEGER NOT NULL REFERENCES labels
    ON DELETE CASCADE, PRIMARY KEY (ticket, label)) WITHOUT ROWID;
CREATE TABLE comments (id INTEGER PRIMARY KEY, ticket INTEGER NOT NULL REFERENCES tickets, author TEXT NOT NULL,
    body TEXT NOT NULL, day TEXT NOT NULL);
CREATE TABLE watched (ticket INTEGER PRIMARY KEY REFERENCES tickets);
"""


def _people(db: sqlite3.Connection, rng: random.Random, content: Content) -> None:
    away = rng.choice(content.people[1:])
    for number, name in enumerate(content.people):
        db.execute("INSERT INTO members VALUES (?, ?, ?)", (name, ROLES[number % len(ROLES)], int(name == away)))
    db.execute("INSERT INTO me VALUES (?)", (content.people[0],))
    leads = rng.sample([name for name in content.people[1:] if name != away], len(content.projects))
    for (code, name), lead in zip(content.projects, leads, strict=True):
        db.execute("INSERT INTO projects VALUES (?, ?, ?)", (code, name, lead))


def _tickets(db: sqlite3.Connection, rng: random.Random, content: Content) -> None:
    codes = [code for code, _ in content.projects]
    labels = [number for (number,) in db.execute("SELECT id FROM labels ORDER BY id LIMIT ?", (len(content.labels),))]
    titles = [f"{component} {problem}" for component in content.components for problem in content.problems]
    ages = sorted(rng.sample(range(2, 300), TICKETS), reverse=True)
    for ticket, (title, age) in enumerate(zip(rng.sample(titles, TICKETS), ages, strict=True), start=FIRST):
        closed = rng.random() < 0.2
        due = (NOW + timedelta(days=rng.randint(-25, 60))).isoformat() if rng.random() < 0.6 else ""
        made = (NOW - timedelta(days=age)).isoformat()
        db.execute(
            "INSERT INTO tickets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (
                ticket,
                rng.choice(codes),
                title,
                rng.choice(content.details),
                CLOSED if closed else rng.choice((*STATUSES, "Open")),
                rng.choice(PRIORITIES),
                rng.choice(content.people),
                rng.choice(("", "", *content.people)),
                rng.choice(("", *content.milestones)),
                due,
                made,
                rng.choice((RESOLUTIONS[0], RESOLUTIONS[2])) if closed else "",
            ),
        )
        for label in rng.sample(labels, rng.choice((0, 1, 1, 2))):
            db.execute("INSERT INTO labelled VALUES (?, ?)", (ticket, label))
        for _ in range(rng.choice((0, 1, 1, 2))):
            # By somebody else: what the signed-in member wrote is part of tasks.
            written = (NOW - timedelta(days=rng.randint(1, age))).isoformat()
            row = (ticket, rng.choice(content.people[1:]), rng.choice(content.remarks), written)
            db.execute("INSERT INTO comments VALUES (NULL, ?, ?, ?, ?)", row)


class Tracker(Site):
    """The tickets of a small company; one of its members is signed in."""

    name: ClassVar[str] = "tracker"
    title: ClassVar[str] = "Ticketdesk"
    schema: ClassVar[str] = SCHEMA

    def fill(self, db: sqlite3.Connection, rng: random.Random, heldout: bool) -> None:
        content = HELDOUT if heldout else TRAIN
        db.execute("INSERT INTO meta VALUES ('now', ?)", (NOW.isoformat(),))
        _people(db, rng, content)
        for number, milestone in enumerate(content.milestones):
            due = (NOW + timedelta(days=30 + 90 * number)).isoformat()
            db.execute("INSERT INTO milestones VALUES (?, ?)", (milestone, due))
        for label in content.labels:
            db.execute("INSERT INTO labels VALUES (NULL, ?)", (label,))
        _tickets(db, rng, content)

    def application(self) -> Starlette:
        from agentgym.envs.web.sites.serving import application
        from agentgym.envs.web.sites.tracker.handlers import HANDLERS, NOTICES

        return application(self.title, Path(__file__).parent / "pages", HANDLERS, NOTICES)


SITE = Tracker()
