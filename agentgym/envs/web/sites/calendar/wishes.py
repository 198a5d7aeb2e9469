"""`Wish`: how the calendar should look in the end: from it follow a goal's facts, what must stay, and an expert's work.

A template says only what should become different. Every fact that must become true and everything that must stay as it
is then follows by comparison, and so does the expert's work (`expert.py`): it makes the calendar equal to the wish,
whatever was done to it before.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, replace
from typing import Any

from agentgym.envs.web.sites.base import Fact, Scalar, unchanged, untouched, value
from agentgym.envs.web.sites.calendar.rules import Slot
from agentgym.envs.web.sites.calendar.world import ME
from agentgym.envs.web.sites.trails import Plan
from agentgym.envs.web.sites.wishes import SiteWish, as_json

#: Calls of an expert: to open a meeting (search, send, follow), to save a form, to confirm a dialog, to answer, to
#: see a page of a trail.
_OPENING, _EDITING, _BOOKING, _CANCELLING, _CLICK, _READING = 3, 2, 3, 2, 1, 2


@dataclass(frozen=True)
class Meeting:
    """One meeting, as far as its organiser decides on it.

    Attributes:
        title: What it is called.
        day: ``YYYY-MM-DD``.
        starts: ``HH:MM``.
        ends: ``HH:MM``.
        room: Id; None for none.
        notes: One line.
        private: 1 where only its guests see it.
        cancelled: 1 where it does not take place.
        guests: Ids of people.
        devices: Ids of what is lent to it.
    """

    title: str
    day: str
    starts: str
    ends: str
    room: int | None = None
    notes: str = ""
    private: int = 0
    cancelled: int = 0
    guests: frozenset[int] = frozenset()
    devices: frozenset[int] = frozenset()

    @property
    def slot(self) -> Slot:
        """When it is."""
        return Slot(self.day, self.starts, self.ends)


#: What one row of the database holds, in its order.
_PLAIN = ("title", "day", "starts", "ends", "room", "notes", "private", "cancelled")
_ROW = "SELECT title,day,starts,ends,room_id,notes,private,cancelled FROM events WHERE id=?"
#: The row of one meeting without the columns (positions in `_PLAIN`, as JSON) that are to change.
_REST = """SELECT iif(0 IN w,0,title), iif(1 IN w,0,day), iif(2 IN w,0,starts), iif(3 IN w,0,ends),
  iif(4 IN w,0,room_id), iif(5 IN w,0,notes), iif(6 IN w,0,private), iif(7 IN w,0,cancelled)
  FROM events WHERE id=?""".replace(" IN w", " IN (SELECT value FROM json_each(?1))").replace("id=?", "id=?2")
_FIELD_FACTS = {
    "title": "SELECT title=? FROM events WHERE id=?",
    "room": "SELECT room_id IS ? FROM events WHERE id=?",
    "notes": "SELECT notes=? FROM events WHERE id=?",
    "private": "SELECT private=? FROM events WHERE id=?",
    "cancelled": "SELECT cancelled=? FROM events WHERE id=?",
}
_WHEN = "SELECT day=? AND starts=? AND ends=? FROM events WHERE id=?"
_SETTING = "SELECT value FROM settings WHERE key=?"
_GUEST = "SELECT count(*) FROM attendees WHERE event_id=? AND person_id=?"
_LOAN = "SELECT count(*) FROM loans WHERE event_id=? AND device_id=?"
_NEW = "SELECT EXISTS (SELECT 1 FROM events WHERE id>?1 AND NOT cancelled AND title=?2 COLLATE NOCASE"
_NEW_WHEN = f"{_NEW} AND day=?3 AND starts=?4 AND ends=?5"
_INVITED = " AND id IN (SELECT event_id FROM attendees WHERE person_id=?6))"
_LENT = " AND id IN (SELECT event_id FROM loans WHERE device_id=?6))"
_NEW_FACTS = {
    "room": f"{_NEW_WHEN} AND room_id IS ?6)",
    "private": f"{_NEW_WHEN} AND private=?6)",
    "notes": f"{_NEW_WHEN} AND notes=?6)",
    "guest": _NEW_WHEN + _INVITED,
    "device": _NEW_WHEN + _LENT,
}
#: The number of surplus guests and loans of a new meeting.
_NEW_ALONE = """SELECT count(*) FROM attendees WHERE event_id>?1 AND event_id IN (SELECT id FROM events
  WHERE NOT cancelled) AND person_id NOT IN (SELECT value FROM json_each(?2))"""


def meeting(db: sqlite3.Connection, number: int) -> Meeting:
    """A meeting as it is now."""
    title, day, starts, ends, room, notes, private, cancelled = db.execute(_ROW, (number,)).fetchone()
    guests = frozenset(p for (p,) in db.execute("SELECT person_id FROM attendees WHERE event_id=?", (number,)))
    devices = frozenset(d for (d,) in db.execute("SELECT device_id FROM loans WHERE event_id=?", (number,)))
    return Meeting(title, day, starts, ends, room, notes, private, cancelled, guests, devices)


def my_meetings(db: sqlite3.Connection, after: int = 0) -> list[int]:
    """Ids of the meetings that I organise, with those that are cancelled."""
    return [i for (i,) in db.execute("SELECT id FROM events WHERE organiser_id=? AND id>? ORDER BY id", (ME, after))]


class Wish(SiteWish):
    """The calendar as it is now, and then as it should be.

    Args:
        db: The seed database.

    Attributes:
        last: The largest id of a meeting there was at first.
        meetings: All that I organise, by id.
        new: Those that should be there besides.
        repeat: ``(option, number)`` of the form where `new` are one series.
        answers: My answer by meeting that I am invited to.
        settings: My settings.
    """

    site = "calendar"

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.last = int(value(db, "SELECT max(id) FROM events"))
        self.meetings = {i: meeting(db, i) for i in my_meetings(db)}
        self.new: list[Meeting] = []
        self.repeat: tuple[str, int] | None = None
        sql = "SELECT event_id, response FROM attendees WHERE person_id=?"
        self.answers: dict[int, str] = dict(db.execute(sql, (ME,)).fetchall())
        self.settings: dict[str, str] = dict(db.execute("SELECT key, value FROM settings").fetchall())

    def change(self, number: int, **changes: Any) -> Meeting:
        """Wants a meeting of mine to be different; gives how it should be."""
        self.meetings[number] = replace(self.meetings[number], **changes)
        return self.meetings[number]

    def reading(self, trail: tuple[str, ...]) -> int:
        return _READING * len(trail)

    def pages_on_the_way(self, trail: tuple[str, ...] = ()) -> tuple[str, ...]:
        changed = [n for n, wanted in self.meetings.items() if meeting(self.db, n) != wanted]
        found = [target.partition("?")[0] for target in trail]
        found += [path for n in changed for path in (f"/meetings/{n}", f"/meetings/{n}/edit")]
        found += ["/meetings/new"] * bool(self.new)
        if any(said != self._answer(event) for event, said in self.answers.items()):
            found.append("/invitations")
        if any(value(self.db, _SETTING, key) != wish for key, wish in self.settings.items()):
            found.append("/settings")
        return tuple(dict.fromkeys(found))

    def params(self, trail: tuple[str, ...] = ()) -> dict[str, Any]:
        meetings = (*self.meetings.values(), *self.new)
        says = {text for m in meetings for text in (m.title, m.day, m.starts, m.ends, m.notes)}
        plan = Plan(
            sorted(says | set(self.settings.values())),
            last=self.last,
            meetings=dict(self.meetings),
            new=tuple(self.new),
            repeat=self.repeat,
            answers=dict(self.answers),
            settings=dict(self.settings),
            trail=trail,
        )
        return {"calendar": plan}

    def facts(self, site: str = "") -> tuple[tuple[Fact, ...], tuple[Fact, ...], int]:
        facts: list[Fact] = []
        keep: list[Fact] = []
        calls = 0
        touched = []
        for number, wanted in self.meetings.items():
            now = meeting(self.db, number)
            if now == wanted:
                continue
            touched.append(number)
            made, kept = self._changes(number, now, wanted, site)
            facts += made
            keep += kept
            single = len(now.guests ^ wanted.guests) + len(now.devices ^ wanted.devices)
            edited = [f for f in made if "guest" not in f.name and "device" not in f.name and "cancel" not in f.name]
            calls += _OPENING + 2 * single + (_EDITING + len(edited) + 1 if edited else 0)
            calls += 2 * (now.slot != wanted.slot)
            calls += _CANCELLING * (now.cancelled != wanted.cancelled)
        for wanted in self.new:
            facts += self._booked(wanted, site)
            calls += _BOOKING + 5 + 2 * (len(wanted.guests) + len(wanted.devices))
        answered = [e for e, said in self.answers.items() if said != self._answer(e)]
        for event in answered:
            sql = "SELECT response=? FROM attendees WHERE event_id=? AND person_id=?"
            facts.append(Fact(f"answer to {event}", sql, (self.answers[event], event, ME), site=site))
            calls += _OPENING + _CLICK
        for key, wish in self.settings.items():
            is_new = value(self.db, _SETTING, key) != wish
            (facts if is_new else keep).append(Fact(f"setting {key}", _SETTING, (key,), ((wish,),), site))
            calls += 3 * is_new
        keep += self._others(touched, answered, site)
        return tuple(facts), tuple(keep), calls

    def _answer(self, event: int) -> str:
        sql = "SELECT response FROM attendees WHERE event_id=? AND person_id=?"
        return str(value(self.db, sql, event, ME))

    def _changes(self, number: int, now: Meeting, wanted: Meeting, site: str) -> tuple[list[Fact], list[Fact]]:
        """What must become true of a meeting that is to change, and what of it must stay."""
        facts = []
        if now.slot != wanted.slot:
            slot = (wanted.day, wanted.starts, wanted.ends, number)
            facts.append(Fact(f"time of {number}", _WHEN, slot, site=site))
        for name, sql in _FIELD_FACTS.items():
            if getattr(now, name) != getattr(wanted, name):
                word = "cancel" if name == "cancelled" else name
                facts.append(Fact(f"{word} of {number}", sql, (getattr(wanted, name), number), site=site))
        for kind, sql, before, after in (
            ("guest", _GUEST, now.guests, wanted.guests),
            ("device", _LOAN, now.devices, wanted.devices),
        ):
            for other in sorted(before ^ after):
                expected = ((int(other in after),),)
                facts.append(Fact(f"{kind} {other} of {number}", sql, (number, other), expected, site))
        slot_fields = {"day", "starts", "ends"} if now.slot != wanted.slot else set()
        free = [i for i, f in enumerate(_PLAIN) if f in slot_fields or getattr(now, f) != getattr(wanted, f)]
        keep = [unchanged(self.db, f"rest of {number}", _REST, json.dumps(free), number, site=site)]
        for kind, sql, changed in (
            ("guests", _OTHER_GUESTS_OF, now.guests ^ wanted.guests),
            ("devices", _OTHER_LOANS_OF, now.devices ^ wanted.devices),
        ):
            keep.append(unchanged(self.db, f"other {kind} of {number}", sql, number, as_json(changed), site=site))
        return facts, keep

    def _booked(self, wanted: Meeting, site: str) -> list[Fact]:
        """What must become true of a new meeting."""
        named: tuple[Scalar, ...] = (self.last, wanted.title)
        slot: tuple[Scalar, ...] = (*named, wanted.day, wanted.starts, wanted.ends)
        name = f"{wanted.title} {wanted.day}"
        made = [
            Fact(f"{name}: booked", f"{_NEW})", named, site=site),
            Fact(f"{name}: time", f"{_NEW_WHEN})", slot, site=site),
            Fact(f"{name}: room", _NEW_FACTS["room"], (*slot, wanted.room), site=site),
            Fact(f"{name}: private", _NEW_FACTS["private"], (*slot, wanted.private), site=site),
        ]
        if wanted.notes:
            made.append(Fact(f"{name}: notes", _NEW_FACTS["notes"], (*slot, wanted.notes), site=site))
        made += [Fact(f"{name}: guest {p}", _NEW_FACTS["guest"], (*slot, p), site=site) for p in sorted(wanted.guests)]
        made += [
            Fact(f"{name}: device {d}", _NEW_FACTS["device"], (*slot, d), site=site) for d in sorted(wanted.devices)
        ]
        return made

    def _others(self, touched: list[int], answered: list[int], site: str) -> list[Fact]:
        """That nothing else has changed."""
        db, last, json_touched = self.db, self.last, as_json(touched)
        guests = sorted({p for m in self.new for p in m.guests})
        return [
            unchanged(db, "other meetings", _OTHER_MEETINGS, last, json_touched, site=site),
            unchanged(db, "guests of other meetings", _OTHER_GUESTS, last, json_touched, site=site),
            unchanged(db, "devices of other meetings", _OTHER_LOANS, last, json_touched, site=site),
            unchanged(db, "my other answers", _OTHER_ANSWERS, ME, as_json(answered), site=site),
            Fact("no surplus meeting", _SURPLUS, (last, len(self.new)), site=site),
            Fact("no surplus guest", _NEW_ALONE, (last, as_json(guests)), ((0,),), site),
            *untouched(db, "people", "rooms", "equipment", "devices", site=site),
        ]


_OTHER_GUESTS_OF = """SELECT person_id FROM attendees
  WHERE event_id=? AND person_id NOT IN (SELECT value FROM json_each(?)) ORDER BY 1"""
_OTHER_LOANS_OF = """SELECT device_id FROM loans
  WHERE event_id=? AND device_id NOT IN (SELECT value FROM json_each(?)) ORDER BY 1"""
_OTHER_MEETINGS = """SELECT id,title,day,starts,ends,room_id,notes,private,cancelled FROM events
  WHERE id<=? AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY id"""
_OTHER_GUESTS = """SELECT event_id, person_id FROM attendees
  WHERE event_id<=? AND event_id NOT IN (SELECT value FROM json_each(?)) ORDER BY 1, 2"""
_OTHER_LOANS = """SELECT event_id, device_id FROM loans
  WHERE event_id<=? AND event_id NOT IN (SELECT value FROM json_each(?)) ORDER BY 1, 2"""
_OTHER_ANSWERS = """SELECT event_id, response FROM attendees
  WHERE person_id=? AND event_id NOT IN (SELECT value FROM json_each(?)) ORDER BY 1"""
_SURPLUS = "SELECT count(*)<=?2 FROM events WHERE id>?1 AND NOT cancelled"
