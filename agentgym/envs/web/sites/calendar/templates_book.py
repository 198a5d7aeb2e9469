"""Tasks that book new meetings."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence

from agentgym.envs.web.sites.base import Goal, Unfit, one, rows
from agentgym.envs.web.sites.calendar import rules
from agentgym.envs.web.sites.calendar.rules import Slot
from agentgym.envs.web.sites.calendar.templates_find import (
    CalendarTemplate,
    room_slot,
    room_wanted,
    rooms_query,
    some_day,
    spoken,
)
from agentgym.envs.web.sites.calendar.wishes import Meeting, Wish
from agentgym.envs.web.sites.calendar.world import ME

TITLES = ("Team lunch", "Press visit", "Safety training", "Customer call", "Year plan", "Photo session", "Quiz hour")


def _slot_words(slot: Slot) -> str:
    return f"on {spoken(slot.day)} from {slot.starts} to {slot.ends}"


def _new_page(slot: Slot, room: int | None) -> str:
    """The form that a room's link opens for a slot."""
    return f"/meetings/new?day={slot.day}&starts={slot.starts}&ends={slot.ends}&room_id={room}"


class Note(CalendarTemplate):
    """Block time without a room."""

    name, difficulty = "block_time", 2

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        slot = rng.choice(list(rules.slots(some_day(rng, db), rng.choice((30, 60)))))
        wish, title = Wish(db), rng.choice(TITLES)
        wish.new.append(Meeting(title, slot.day, slot.starts, slot.ends))
        return wish.goal(f"Put {title} into your calendar {_slot_words(slot)}, without a room and guests.", "/")


class BookRoom(CalendarTemplate):
    """Book a room that is known to be free."""

    name, difficulty = "book_room", 3

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        room, name, slot = room_slot(rng, db, rng.choice((30, 60, 90)))
        wish, title = Wish(db), rng.choice(TITLES)
        wish.new.append(Meeting(title, slot.day, slot.starts, slot.ends, room))
        text = rng.choice(
            ("Book the room {room} {slot} for a meeting called {title}.", "Book {title} {slot} in the room {room}.")
        )
        return wish.goal(text.format(room=name, slot=_slot_words(slot), title=title), "/")


class BookSmallest(CalendarTemplate):
    """Find the smallest room that fits and book it."""

    name, difficulty = "book_smallest_room", 4

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        slot, seats, item, room = room_wanted(rng, db)
        wish, title = Wish(db), rng.choice(TITLES)
        wish.new.append(Meeting(title, slot.day, slot.starts, slot.ends, room))
        text = (
            f"Book the smallest free room with at least {seats} seats and a {item} {_slot_words(slot)}, for a meeting"
            f" called {title}."
        )
        trail = ("/rooms", rooms_query(slot, seats, item), _new_page(slot, room))
        return wish.goal(text, "/", trail=trail, steps=11)


class BookSeries(CalendarTemplate):
    """Book a series of meetings in one go."""

    name, difficulty, heldout = "book_series", 4, True

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        room, name, slot = room_slot(rng, db, 60)
        count, (option, step) = rng.randint(3, 5), rng.choice((("weekly", 7), ("every two weeks", 14)))
        days = [rules.shift(slot.day, step * i) for i in range(count)]
        if any(rules.room_problem(db, room, Slot(d, slot.starts, slot.ends)) for d in days):
            raise Unfit
        wish, title = Wish(db), rng.choice(TITLES)
        wish.new += [Meeting(title, d, slot.starts, slot.ends, room) for d in days]
        wish.repeat = (option, count)
        text = f"Book {title} in the room {name} {_slot_words(slot)}, and then {option}, {count} meetings in all."
        return wish.goal(text, "/", steps=10)


class BookIfFree(CalendarTemplate):
    """Book one room if it can be had, otherwise another."""

    name, difficulty, heldout = "book_if_free", 4, True

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        other, other_name, slot = room_slot(rng, db, 60)
        first, name = one(rng, rows(db, "SELECT id, name FROM rooms WHERE id<>? ORDER BY id", other))
        free = rules.room_problem(db, int(str(first)), slot) is None
        if free and rng.random() < 0.6:
            raise Unfit
        wish, title = Wish(db), rng.choice(TITLES)
        wish.new.append(Meeting(title, slot.day, slot.starts, slot.ends, int(str(first)) if free else other))
        text = f"Book the room {name} {_slot_words(slot)} for {title}; if it is closed or taken then, {other_name}."
        trail = ("/rooms", f"/rooms/{first}", f"/rooms/{first}?date={slot.day}")
        return wish.goal(text, "/", trail=trail, steps=13)


class BookImpossible(CalendarTemplate):
    """A booking that opening hours or another meeting make impossible: the right end is to report that."""

    name, difficulty = "book_impossible", 3

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        day = some_day(rng, db)
        room, name = one(rng, rows(db, "SELECT id, name FROM rooms ORDER BY id"))
        number = int(str(room))
        taken = [s for s in rules.slots(day, 60) if rules.room_problem(db, number, s) is not None]
        if not taken:
            raise Unfit
        slot = rng.choice(taken)
        text = (
            f"Book the room {name} {_slot_words(slot)} for {rng.choice(TITLES)}. It must be this room and this time; if"
            " that cannot be, report that it is infeasible."
        )
        trail = ("/rooms", f"/rooms/{number}", f"/rooms/{number}?date={day}")
        return Wish(db).goal(text, "/", trail=trail, infeasible=True)


class BookWithGuests(CalendarTemplate):
    """Book a room and invite two guests."""

    name, difficulty = "book_with_guests", 4

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        room, name, slot = room_slot(rng, db, 60)
        guests = rng.sample(rows(db, "SELECT id, name FROM people WHERE id<>? ORDER BY id", ME), 2)
        wish, title = Wish(db), rng.choice(TITLES)
        ids = frozenset(int(str(g)) for g, _ in guests)
        wish.new.append(Meeting(title, slot.day, slot.starts, slot.ends, room, guests=ids))
        text = f"Book {title} {_slot_words(slot)} in the room {name} and invite {guests[0][1]} and {guests[1][1]}."
        return wish.goal(text, "/", steps=14)


class BookTeam(CalendarTemplate):
    """Find the first hour at which a whole team and a room are free, book it, invite all."""

    name, difficulty = "book_team", 5

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        day = some_day(rng, db)
        team = str(one(rng, rows(db, "SELECT DISTINCT team FROM people ORDER BY team"))[0])
        members = rows(db, "SELECT id FROM people WHERE team=? AND id<>? ORDER BY name", team, ME)
        guests = [int(str(m)) for (m,) in members]
        found: list[tuple[Slot, int]] = []
        for slot in rules.slots(day, 60):
            rooms = rules.free_rooms(db, slot, len(guests) + 1)
            if rooms and not any(rules.busy(db, person, slot) for person in (ME, *guests)):
                found.append((slot, rooms[0]))
        if not found:
            raise Unfit
        (slot, room), wish, title = found[0], Wish(db), rng.choice(TITLES)
        wish.new.append(Meeting(title, slot.day, slot.starts, slot.ends, room, guests=frozenset(guests)))
        text = (
            f"Book an hour called {title} on {spoken(day)} for you and everybody else of the team {team}: at the first"
            " time at which none of you has a meeting and a room with enough seats is free, in the smallest such room."
            " Invite all of them."
        )
        trail = (
            "/people",
            f"/people?team={team}",
            "/rooms",
            rooms_query(slot, len(guests) + 1),
            _new_page(slot, room),
        )
        return wish.goal(text, "/", trail=trail, steps=24)


BOOK: Sequence[CalendarTemplate] = (
    Note(),
    BookRoom(),
    BookSmallest(),
    BookSeries(),
    BookIfFree(),
    BookImpossible(),
    BookWithGuests(),
    BookTeam(),
)
