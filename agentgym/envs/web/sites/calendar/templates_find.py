"""Tasks that ask the calendar something."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar

from agentgym.envs.web.sites.base import Answer, Call, Databases, Goal, Row, Unfit, View, one, rows, value
from agentgym.envs.web.sites.calendar import expert, rules
from agentgym.envs.web.sites.calendar.rules import Slot
from agentgym.envs.web.sites.calendar.wishes import Wish
from agentgym.envs.web.sites.calendar.world import ITEMS, ME, minutes
from agentgym.envs.web.sites.hands import Guided

#: A meeting of mine that is not of a series and has a room: id, title, day.
OWN = """SELECT id, title, day FROM events WHERE organiser_id=1 AND series_id IS NULL AND NOT cancelled
  AND room_id IS NOT NULL ORDER BY id"""
DAYS = "SELECT DISTINCT day FROM events ORDER BY day"


class CalendarTemplate(Guided):
    """A template on the calendar alone; `wish` says what it wants, the expert follows from that."""

    sites: ClassVar[tuple[str, ...]] = ("calendar",)

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        return self.wish(rng, dbs["calendar"])

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        """The goal on this calendar; may first write into it."""
        raise NotImplementedError

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        return expert.moves(goal, view)


def spoken(day: str) -> str:
    """A day as tasks name it, e.g. ``Monday 2031-03-03``."""
    return f"{rules.weekday(day)} {day}"


def some_day(rng: random.Random, db: sqlite3.Connection) -> str:
    """One of the days on which there are meetings."""
    return str(one(rng, rows(db, DAYS))[0])


def room_slot(rng: random.Random, db: sqlite3.Connection, length: int) -> tuple[int, str, Slot]:
    """A room (id, name) and a slot in which it can be had."""
    day = some_day(rng, db)
    free = [s for s in rules.slots(day, length) if rules.free_rooms(db, s)]
    slot = rng.choice(free)
    room = rng.choice(rules.free_rooms(db, slot))
    return room, room_name(db, room), slot


def room_name(db: sqlite3.Connection, room: int) -> str:
    """Name of a room."""
    return str(value(db, "SELECT name FROM rooms WHERE id=?", room))


def rooms_query(slot: Slot, seats: int, item: str = "anything") -> str:
    """The address of a search for a free room."""
    return f"/rooms?day={slot.day}&starts={slot.starts}&ends={slot.ends}&seats={seats}&item={item}"


class RoomSeats(CalendarTemplate):
    """How many seats a room has, from the list of rooms."""

    name, difficulty = "room_seats", 1

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        room, seats = one(rng, rows(db, "SELECT name, seats FROM rooms ORDER BY id"))
        text = rng.choice(("How many seats does the room {} have?", "For how many people is there a seat in room {}?"))
        answer = Answer(str(seats), "number")
        return Wish(db).goal(text.format(room), "/", answer=answer, trail=("/rooms",))


class RoomOpens(CalendarTemplate):
    """When a room is opened or closed, from the list of rooms."""

    name, difficulty, heldout = "room_hours", 1, True

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        which = rng.choice(("opens", "closes"))
        room, opens, closes = one(rng, rows(db, "SELECT name, opens, closes FROM rooms ORDER BY id"))
        answer = Answer(str(opens if which == "opens" else closes))
        text = f"At what time is the room {room} {'opened' if which == 'opens' else 'closed'}? Answer as HH:MM."
        return Wish(db).goal(text, "/", answer=answer, trail=("/rooms",))


class InvitedBy(CalendarTemplate):
    """Who sent an invitation, from the list of those."""

    name, difficulty = "invited_by", 1

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        title, organiser = one(rng, rows(db, _INVITED))
        text = f"Who has invited you to {title}?"
        return Wish(db).goal(text, "/", answer=Answer(str(organiser)), trail=("/invitations",))


_INVITED = """SELECT m.title, m.organiser FROM meetings m JOIN attendees a ON a.event_id=m.id AND a.person_id=1
  WHERE a.response='pending' AND NOT m.cancelled ORDER BY m.id"""


class MeetingPlace(CalendarTemplate):
    """In which room a meeting is, by a search."""

    name, difficulty = "meeting_place", 2

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        sql = """SELECT title, room FROM meetings WHERE series_id IS NULL AND room IS NOT NULL AND NOT cancelled
          AND seen GROUP BY title HAVING count(*)=1 ORDER BY title"""
        title, room = one(rng, rows(db, sql))
        text = rng.choice(("In which room is the meeting {}?", "Find out where {} takes place. Answer with the room."))
        trail = (expert.search(str(title)),)
        return Wish(db).goal(text.format(title), "/", answer=Answer(str(room)), trail=trail)


class MeetingsOnDay(CalendarTemplate):
    """How many meetings there are on a day."""

    name, difficulty = "meetings_on_day", 2

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        day = some_day(rng, db)
        count = value(db, "SELECT count(*) FROM meetings WHERE day=? AND concerns_me AND NOT cancelled", day)
        text = f"How many meetings are in your calendar on {spoken(day)}?"
        return Wish(db).goal(text, "/week", answer=Answer(str(count), "number"), trail=(f"/?date={day}",), steps=4)


class BusiestDay(CalendarTemplate):
    """The day with the most meetings of a week; chance may first add one, so that there is only one such day."""

    name, difficulty = "busiest_day", 3

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        day = some_day(rng, db)
        monday = next(d for back in range(7) if rules.weekday(d := rules.shift(day, -back)) == "Monday")
        sql = """SELECT day FROM meetings WHERE day BETWEEN ? AND ? AND concerns_me AND NOT cancelled ORDER BY day"""
        counts = Counter(str(d) for (d,) in rows(db, sql, monday, rules.shift(monday, 4))).most_common(2)
        busiest = counts[0][0]
        if len(counts) > 1 and counts[0][1] == counts[1][1]:
            insert = "INSERT INTO events(title,day,starts,ends,organiser_id) VALUES ('Lunch',?,'12:00','12:30',?)"
            db.execute(insert, (busiest, ME))
        answer = Answer(rules.weekday(busiest))
        text = f"On which day of the week of {spoken(monday)} do you have the most meetings? Answer with the weekday."
        return Wish(db).goal(text, "/", answer=answer, trail=("/week", f"/week?date={monday}"))


class FirstMeetingOf(CalendarTemplate):
    """When the first meeting of a colleague's day starts."""

    name, difficulty, heldout = "first_meeting_of", 3, True

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        person, name = one(rng, rows(db, "SELECT id, name FROM people WHERE id<>? ORDER BY id", ME))
        sql = """SELECT day, min(starts) FROM events WHERE NOT cancelled AND (organiser_id=?1 OR id IN (SELECT event_id
          FROM attendees WHERE person_id=?1 AND response<>'declined')) GROUP BY day ORDER BY day"""
        day, starts = one(rng, rows(db, sql, person))
        text = f"When does the first meeting of {name} on {spoken(str(day))} start? Answer as HH:MM."
        page = f"/people/{person}"
        return Wish(db).goal(text, "/", answer=Answer(str(starts)), trail=("/people", page, f"{page}?date={day}"))


class WhoDeclined(CalendarTemplate):
    """Who has declined an invitation of mine; several names are possible."""

    name, difficulty, heldout = "who_declined", 3, True

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        event, title, _ = one(rng, rows(db, OWN))
        sql = """SELECT name FROM people JOIN attendees ON person_id=id WHERE event_id=? AND response='declined'
          ORDER BY name"""
        names = [str(n) for (n,) in rows(db, sql, event)]
        if not names:
            raise Unfit
        text = f"Who has declined your invitation to {title}? Answer with the names, separated by semicolons."
        trail = (expert.search(str(title)), f"/meetings/{event}")
        return Wish(db).goal(text, "/", answer=Answer(";".join(names), "set"), trail=trail)


class SmallestRoom(CalendarTemplate):
    """The smallest room that has what is asked for and is free, by the form that finds rooms."""

    name, difficulty = "smallest_room", 3

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        slot, seats, item, room = room_wanted(rng, db)
        text = (
            f"Which is the smallest room with at least {seats} seats and a {item} that is free on {spoken(slot.day)}"
            f" from {slot.starts} to {slot.ends}?"
        )
        trail = ("/rooms", rooms_query(slot, seats, item))
        return Wish(db).goal(text, "/", answer=Answer(room_name(db, room)), trail=trail, steps=9)


def room_wanted(rng: random.Random, db: sqlite3.Connection) -> tuple[Slot, int, str, int]:
    """A slot, seats, equipment, and the smallest free room that has them, where the choice is not trivial."""
    day, length = some_day(rng, db), rng.choice((60, 90))
    slot = rng.choice(list(rules.slots(day, length, "09:00", "17:00")))
    seats, item = rng.choice((4, 6, 8, 10)), rng.choice(ITEMS)
    fitting = rules.free_rooms(db, slot, seats, item)
    if not fitting or len(rules.free_rooms(db, slot)) < 2:
        raise Unfit
    return slot, seats, item, fitting[0]


class FirstFreeSlot(CalendarTemplate):
    """The first time at which a room can be had, between its meetings and its opening hours."""

    name, difficulty = "first_free_slot", 4

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        room, day, opens = _busy_room(rng, db)
        length = rng.choice((30, 60, 90))
        free = [s for s in rules.slots(day, length) if rules.room_problem(db, room, s) is None]
        if not free or (minutes(free[0].starts) == minutes(opens) and rng.random() < 0.8):
            raise Unfit
        name = room_name(db, room)
        text = (
            f"From when can the room {name} be had for {length} minutes on {spoken(day)}, at the earliest? Mind when it"
            " opens. Answer as HH:MM."
        )
        trail = ("/rooms", f"/rooms/{room}", f"/rooms/{room}?date={day}")
        return Wish(db).goal(text, "/", answer=Answer(free[0].starts), trail=trail)


def _busy_room(rng: random.Random, db: sqlite3.Connection) -> tuple[int, str, str]:
    sql = """SELECT room_id, day, opens FROM events JOIN rooms ON rooms.id=room_id WHERE NOT cancelled
      GROUP BY room_id, day ORDER BY room_id, day"""
    found: Row = one(rng, rows(db, sql))
    return int(str(found[0])), str(found[1]), str(found[2])


FIND: Sequence[CalendarTemplate] = (
    RoomSeats(),
    RoomOpens(),
    InvitedBy(),
    MeetingPlace(),
    MeetingsOnDay(),
    BusiestDay(),
    FirstMeetingOf(),
    WhoDeclined(),
    SmallestRoom(),
    FirstFreeSlot(),
)
