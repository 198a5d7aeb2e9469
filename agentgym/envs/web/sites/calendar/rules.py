"""What can be booked: the questions that pages, tasks and experts ask of a calendar's database alike."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentgym.envs.web.sites.base import value
from agentgym.envs.web.sites.calendar.world import SLOT, TIMES, clock, minutes

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Slot:
    """A stretch of one day: ``YYYY-MM-DD``, ``HH:MM``, ``HH:MM``."""

    day: str
    starts: str
    ends: str


def parse_day(text: str) -> str | None:
    """A day as written into a form, without the spaces a writer may put around its hyphens; None where it is none."""
    text = text.replace(" ", "")
    if not _DAY.fullmatch(text):
        return None
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def parse_time(text: str) -> str | None:
    """One of `TIMES`; None for anything else."""
    text = text.replace(" ", "")
    return text if text in TIMES else None


def shift(day: str, days: int) -> str:
    """The day so many days later; the same day where the calendar's end is reached."""
    try:
        return (dt.date.fromisoformat(day) + dt.timedelta(days=days)).isoformat()
    except OverflowError:
        return day


def weekday(day: str) -> str:
    """``Monday``, ..."""
    return ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[
        dt.date.fromisoformat(day).weekday()
    ]


def today(db: sqlite3.Connection) -> str:
    """The calendar's present day."""
    return str(value(db, "SELECT value FROM meta WHERE key='now'"))[:10]


def taken_by(db: sqlite3.Connection, room: int, slot: Slot, but: int = 0) -> str | None:
    """The title of a meeting that has the room in this slot.

    Args:
        db: The database.
        room: Id of the room.
        slot: When.
        but: Id of a meeting that does not count.
    """
    sql = (
        "SELECT title FROM events WHERE room_id=? AND day=? AND starts<? AND ends>? AND NOT cancelled AND id<>?"
        " ORDER BY starts"
    )
    found = value(db, sql, room, slot.day, slot.ends, slot.starts, but)
    return None if found is None else str(found)


def room_problem(db: sqlite3.Connection, room: int, slot: Slot, but: int = 0) -> str | None:
    """Why a room cannot be had in this slot, in words; None where it can."""
    found = db.execute("SELECT name, opens, closes FROM rooms WHERE id=?", (room,)).fetchone()
    if found is None:
        return "There is no such room."
    name, opens, closes = found
    if slot.starts < opens or slot.ends > closes:
        return f"{name} is open from {opens} to {closes} only."
    title = taken_by(db, room, slot, but)
    return None if title is None else f"{name} is taken then by {title}."


def busy(db: sqlite3.Connection, person: int, slot: Slot) -> bool:
    """Whether somebody has a meeting in this slot that he organises or has not declined."""
    sql = """SELECT 1 FROM events WHERE day=?1 AND starts<?3 AND ends>?2 AND NOT cancelled AND (organiser_id=?4 OR
      EXISTS (SELECT 1 FROM attendees WHERE event_id=id AND person_id=?4 AND response<>'declined')) LIMIT 1"""
    return db.execute(sql, (slot.day, slot.starts, slot.ends, person)).fetchone() is not None


def device_problem(db: sqlite3.Connection, device: int, slot: Slot, but: int = 0) -> str | None:
    """Why a device cannot be lent in this slot; None where it can."""
    sql = """SELECT d.name, e.title FROM devices d JOIN loans l ON l.device_id=d.id JOIN events e ON e.id=l.event_id
      WHERE d.id=? AND e.day=? AND e.starts<? AND e.ends>? AND NOT e.cancelled AND e.id<>?"""
    found = db.execute(sql, (device, slot.day, slot.ends, slot.starts, but)).fetchone()
    return None if found is None else f"{found[0]} is lent to {found[1]} then."


def slots(day: str, length: int, first: str = TIMES[0], last: str = TIMES[-1]) -> Iterator[Slot]:
    """All slots of a length (minutes) in a day, earliest first."""
    for start in range(minutes(first), minutes(last) - length + 1, SLOT):
        yield Slot(day, clock(start), clock(start + length))


def free_rooms(db: sqlite3.Connection, slot: Slot, seats: int = 0, item: str = "") -> Sequence[int]:
    """Ids of the rooms that can be had in a slot, the smallest first.

    Args:
        db: The database.
        slot: When.
        seats: The least number of seats.
        item: What must be in the room, one of `world.ITEMS`; empty: anything.
    """
    sql = """SELECT id FROM rooms WHERE seats>=?1 AND (?2='' OR EXISTS (SELECT 1 FROM equipment
      WHERE room_id=id AND item=?2)) ORDER BY seats, id"""
    return [r for (r,) in db.execute(sql, (seats, item)) if room_problem(db, r, slot) is None]
