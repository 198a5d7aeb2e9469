"""The calendar's other pages: days, weeks, months, rooms, people, devices, invitations, search, settings."""

from __future__ import annotations

import datetime as dt
import random
import sqlite3
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import Response

from agentgym.envs.web.sites.base import Site
from agentgym.envs.web.sites.calendar import booking, rules, world
from agentgym.envs.web.sites.calendar.rules import Slot
from agentgym.envs.web.sites.calendar.world import ITEMS, ME, TIMES, WORKDAYS
from agentgym.envs.web.sites.serving import Visit, application

#: What a setting can be.
SETTINGS: dict[str, tuple[str, ...]] = {
    "reminder": ("none", "5 minutes", "10 minutes", "30 minutes", "1 day"),
    "sharing": ("nobody", "my team", "everyone"),
    "length": ("30 minutes", "60 minutes", "90 minutes"),
    "weekends": ("show", "hide"),
}
LABELS = {
    "reminder": "Remind me before a meeting",
    "sharing": "Show my calendar to",
    "length": "Usual length of a meeting",
    "weekends": "Weekends",
}
#: Meetings on one page of search results.
PAGE = 12

_OF_DAY = "SELECT * FROM meetings WHERE day=? AND concerns_me AND NOT cancelled ORDER BY starts, id"


def _day(visit: Visit) -> str:
    return rules.parse_day(visit.text("date")) or visit.now[:10]


def day(visit: Visit) -> Response:
    """My meetings of one day."""
    date = _day(visit)
    return visit.page(
        "day.html",
        date=date,
        weekday=rules.weekday(date),
        before=rules.shift(date, -1),
        after=rules.shift(date, 1),
        meetings=visit.rows(_OF_DAY, date),
        open=_open(visit),
    )


def _open(visit: Visit) -> int:
    sql = """SELECT count(*) FROM attendees a JOIN events e ON e.id=a.event_id
      WHERE a.person_id=? AND a.response='pending' AND NOT e.cancelled"""
    return int(visit.value(sql, ME))


def week(visit: Visit) -> Response:
    """My meetings from Monday to Friday (to Sunday where weekends are shown)."""
    date = _day(visit)
    monday = rules.shift(date, -dt.date.fromisoformat(date).weekday())
    length = 7 if visit.value("SELECT value FROM settings WHERE key='weekends'") == "show" else WORKDAYS
    days = [rules.shift(monday, i) for i in range(length)]
    return visit.page(
        "week.html",
        days=[(d, rules.weekday(d), visit.rows(_OF_DAY, d)) for d in days],
        before=rules.shift(monday, -7),
        after=rules.shift(monday, 7),
    )


def month(visit: Visit) -> Response:
    """How many meetings I have on each day of a month."""
    first = dt.date.fromisoformat(_day(visit)).replace(day=1)
    start = rules.shift(first.isoformat(), -first.weekday())
    weeks = []
    while start[:7] <= first.isoformat()[:7]:
        days = [rules.shift(start, i) for i in range(7)]
        sql = "SELECT count(*) FROM meetings WHERE day=? AND NOT cancelled AND concerns_me"
        weeks.append([(d, int(d[8:]), visit.value(sql, d)) for d in days])
        if start == (start := rules.shift(start, 7)):
            break
    return visit.page(
        "month.html",
        weeks=weeks,
        name=first.strftime("%B %Y"),
        month=first.isoformat()[:7],
        before=rules.shift(first.isoformat(), -1),
        after=rules.shift(rules.shift(first.isoformat(), 28), 4),
    )


def rooms(visit: Visit) -> Response:
    """All rooms, with a search for those that are free."""
    slot, errors = None, []
    if visit.text("day"):
        date, starts, ends = (
            rules.parse_day(visit.text("day")), rules.parse_time(visit.text("starts")),
            rules.parse_time(visit.text("ends")),
        )  # fmt: skip
        if date is None:
            errors.append("Date: write it as YYYY-MM-DD.")
        elif starts is None or ends is None or starts >= ends:
            errors.append("The end must be later than the start.")
        else:
            slot = Slot(date, starts, ends)
    found = visit.rows("SELECT * FROM rooms WHERE seats>=? ORDER BY name", visit.number("seats") or 0)
    for room in found:
        room["items"] = [
            i["item"] for i in visit.rows("SELECT item FROM equipment WHERE room_id=? ORDER BY item", room["id"])
        ]
    item = visit.text("item")
    if item in ITEMS:
        found = [r for r in found if item in r["items"]]
    if slot is not None:
        found = [r for r in found if rules.room_problem(visit.db, r["id"], slot) is None]
    return visit.page(
        "rooms.html",
        rooms=found,
        slot=slot,
        errors=errors,
        times=[(t, t) for t in TIMES],
        items=[("anything", "anything"), *((i, i) for i in ITEMS)],
    )


def room(visit: Visit) -> Response:
    """A room: what it is like, and its meetings of one day."""
    found = visit.row("SELECT * FROM rooms WHERE id=?", visit.number("id"))
    date = _day(visit)
    return visit.page(
        "room.html",
        room=found,
        items=[i["item"] for i in visit.rows("SELECT item FROM equipment WHERE room_id=? ORDER BY item", found["id"])],
        date=date,
        weekday=rules.weekday(date),
        before=rules.shift(date, -1),
        after=rules.shift(date, 1),
        meetings=visit.rows(
            "SELECT * FROM meetings WHERE day=? AND room_id=? AND NOT cancelled ORDER BY starts", date, found["id"]
        ),
    )


def people(visit: Visit) -> Response:
    """Everybody, or one team."""
    team = visit.text("team")
    teams = [t["team"] for t in visit.rows("SELECT DISTINCT team FROM people ORDER BY team")]
    return visit.page(
        "people.html",
        people=visit.rows("SELECT * FROM people WHERE ?1='' OR team=?1 ORDER BY name", team),
        teams=[("", "all teams"), *((t, t) for t in teams)],
        team=team,
    )


def person(visit: Visit) -> Response:
    """Somebody's meetings of one day; private ones without their title."""
    found = visit.row("SELECT * FROM people WHERE id=?", visit.number("id"))
    date = _day(visit)
    sql = """SELECT * FROM meetings WHERE day=?1 AND NOT cancelled AND (organiser_id=?2 OR EXISTS (SELECT 1
      FROM attendees WHERE event_id=id AND person_id=?2 AND response<>'declined')) ORDER BY starts, id"""
    return visit.page(
        "person.html",
        person=found,
        date=date,
        weekday=rules.weekday(date),
        before=rules.shift(date, -1),
        after=rules.shift(date, 1),
        meetings=visit.rows(sql, date, found["id"]),
    )


def devices(visit: Visit) -> Response:
    """The devices that can be lent, and when they are."""
    found = visit.rows("SELECT * FROM devices ORDER BY name")
    for device in found:
        sql = """SELECT e.* FROM loans JOIN meetings e ON id=event_id WHERE device_id=? AND NOT cancelled AND seen
          ORDER BY day, starts"""
        device["loans"] = visit.rows(sql, device["id"])
    return visit.page("devices.html", devices=found)


def invitations(visit: Visit) -> Response:
    """What I have been invited to and not answered, and what I have."""
    sql = """SELECT m.*, a.response FROM meetings m JOIN attendees a ON a.event_id=m.id AND a.person_id=?
      WHERE NOT m.cancelled AND (a.response='pending')=? ORDER BY m.day, m.starts, m.id"""
    return visit.page("invitations.html", open=visit.rows(sql, ME, 1), answered=visit.rows(sql, ME, 0))


def search(visit: Visit) -> Response:
    """Meetings whose title, notes, organiser or room hold the words."""
    words = visit.text("q")
    found = []
    if words:
        like = "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        found = visit.rows(
            """SELECT * FROM meetings WHERE seen AND (title LIKE ?1 ESCAPE '\\' OR notes LIKE ?1 ESCAPE '\\'
            OR organiser LIKE ?1 ESCAPE '\\' OR room LIKE ?1 ESCAPE '\\') ORDER BY day, starts, id""",
            like,
        )
    page = visit.number("page", 1) or 1
    return visit.page(
        "search.html",
        words=words,
        count=len(found),
        page=page,
        pages=-(-len(found) // PAGE),
        found=found[(page - 1) * PAGE : page * PAGE],
    )


def settings(visit: Visit) -> Response:
    """My settings."""
    if visit.posted:
        for key, options in SETTINGS.items():
            if visit.text(key) in options:
                visit.write("UPDATE settings SET value=? WHERE key=?", visit.text(key), key)
        return visit.go("/settings", notice="saved")
    now = {s["key"]: s["value"] for s in visit.rows("SELECT key, value FROM settings")}
    return visit.page(
        "settings.html",
        choices=[(LABELS[k], k, [(o, o) for o in options], now[k]) for k, options in SETTINGS.items()],
    )


class Calendar(Site):
    """A company's calendar, signed in as person `world.ME`."""

    name = "calendar"
    title = "Calendar"
    schema = world.SCHEMA

    def fill(self, db: sqlite3.Connection, rng: random.Random, heldout: bool) -> None:
        world.fill(db, rng, heldout)

    def application(self) -> Starlette:
        return application(
            self.title,
            Path(__file__).parent / "html",
            [
                ("/", "GET", day),
                ("/week", "GET", week),
                ("/month", "GET", month),
                ("/rooms", "GET", rooms),
                ("/rooms/{id}", "GET", room),
                ("/people", "GET", people),
                ("/people/{id}", "GET", person),
                ("/devices", "GET", devices),
                ("/invitations", "GET", invitations),
                ("/search", "GET", search),
                ("/settings", "GET POST", settings),
                *booking.HANDLERS,
            ],
            booking.NOTICES,
        )


SITE = Calendar()
