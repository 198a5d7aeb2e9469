"""The calendar's expert: compares the calendar with the wish and makes the next change, from any state."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus

from agentgym.envs.web.sites.base import Call, Goal, View, value
from agentgym.envs.web.sites.calendar import rules
from agentgym.envs.web.sites.calendar.site import LABELS, SITE
from agentgym.envs.web.sites.calendar.wishes import Meeting, meeting, my_meetings
from agentgym.envs.web.sites.calendar.world import ME
from agentgym.envs.web.sites.hands import form, node, path_of, press_button, tick
from agentgym.envs.web.sites.trails import at, reach, walk

DAY = "Date (YYYY-MM-DD)"
#: Forms that lead to pages, by path (see `trails.reach`); a room's and a person's are found by their prefix.
FORMS: dict[str, tuple[Mapping[str, str], str]] = {
    "/search": ({"q": "Search meetings"}, "Search"),
    "/rooms": ({"day": DAY, "starts": "From", "ends": "To", "seats": "Seats, at least", "item": "With"}, "Find rooms"),
    "/": ({"date": DAY}, "Go"),
    "/week": ({"date": DAY}, "Go"),
}
DATED = ({"date": DAY}, "Go")


def search(words: str) -> str:
    """The address of a search, for trails."""
    return f"/search?q={quote_plus(words)}"


def moves(goal: Goal, view: View) -> Iterator[Call | None]:
    """The expert's moves in order (see `hands.Guided`)."""
    db, wish = view.dbs["calendar"], goal.params["calendar"]
    matched, surplus = match(db, wish)
    for number in surplus:
        yield _cancel(view, number, meeting(db, number).title, later=False)
    for event, said in wish["answers"].items():
        if value(db, _ANSWER, event, ME) != said:
            yield _keep_it(view)
            yield _answer(view, db, event, said)
    yield from _settings(view, db, wish["settings"])
    wanted = {**wish["meetings"], **matched}
    missing = [m for i, m in enumerate(wish["new"]) if i not in _found(wish, matched)]
    asks = goal.answer is not None or goal.infeasible
    if not asks and (missing or any(meeting(db, n) != m for n, m in wanted.items())):
        yield _look(view, wish["trail"])
    yield from _repairs(view, db, wanted)
    if missing:
        yield _book(view, wish, missing)
    yield _keep_it(view)
    if asks:
        yield _walk(view, wish["trail"])


_ANSWER = "SELECT response FROM attendees WHERE event_id=? AND person_id=?"


def match(db: sqlite3.Connection, wish: Mapping[str, Any]) -> tuple[dict[int, Meeting], list[int]]:
    """Which meetings that were made since are which of the new ones, and which of them nobody asked for."""
    made = {i: meeting(db, i) for i in my_meetings(db, wish["last"])}
    made = {i: m for i, m in made.items() if not m.cancelled}
    matched: dict[int, Meeting] = {}
    for wanted in wish["new"]:
        named = [i for i, m in made.items() if i not in matched and m.title.casefold() == wanted.title.casefold()]
        if named:
            matched[max(named, key=lambda i: (made[i].day == wanted.day, made[i] == wanted, -i))] = wanted
    return matched, [i for i in made if i not in matched]


def _found(wish: Mapping[str, Any], matched: Mapping[int, Meeting]) -> set[int]:
    """Positions in ``new`` of those that are there."""
    left = list(matched.values())
    found = set()
    for i, wanted in enumerate(wish["new"]):
        if wanted in left:
            left.remove(wanted)
            found.add(i)
    return found


def _walk(view: View, trail: tuple[str, ...]) -> Call | None:
    return walk(view, SITE.origin, trail, _forms(view))


def _look(view: View, trail: tuple[str, ...]) -> Call | None:
    """Looks at what the change depends on, unless the change is already under way."""
    under_way = path_of(view).startswith(("/meetings/", "/search"))
    if not trail or (under_way and not any(at(view, SITE.origin, target) for target in trail)):
        return None
    return _walk(view, trail)


def _forms(view: View) -> Mapping[str, tuple[Mapping[str, str], str]]:
    """The forms, with that of the open page of a room or person."""
    path = path_of(view)
    return FORMS | {path: DATED} if path.startswith(("/rooms/", "/people/")) else FORMS


def _keep_it(view: View) -> Call | None:
    """Closes a dialog that is not to be confirmed."""
    return press_button(view, "Keep it") if node(view, "button", "Yes, cancel it") else None


def _open(view: View, number: int, title: str) -> Call | None:
    """Opens a meeting's page: by a link to it, or by a search for its title."""
    target = f"/meetings/{number}"
    if at(view, SITE.origin, target):
        return None
    call = reach(view, SITE.origin, target, {})
    if call is None or call.name == "click":
        return call
    if at(view, SITE.origin, search(title)) or not title.strip():
        return call
    return reach(view, SITE.origin, search(title), FORMS)


def _cancel(view: View, number: int, title: str, later: bool) -> Call | None:
    call = None if at(view, SITE.origin, f"/meetings/{number}") else _keep_it(view) or _open(view, number, title)
    if call is not None:
        return call
    if node(view, "button", "Yes, cancel it") is None:
        return press_button(view, "Cancel meeting") or Call("goto", (f"{SITE.origin}/meetings/{number}",))
    which = "This and all later ones" if later else "Only this one"
    return tick(view, "radio", which) or press_button(view, "Yes, cancel it")


def _repairs(view: View, db: sqlite3.Connection, wanted: Mapping[int, Meeting]) -> Iterator[Call | None]:
    """Makes my meetings as they should be."""
    wrong = {n: (meeting(db, n), m) for n, m in wanted.items() if meeting(db, n) != m}
    for number, (now, want) in wrong.items():
        if want.cancelled and not now.cancelled and _rest(now) == _rest(want):
            yield _cancel(view, number, now.title, _and_later(db, number, wanted))
    if any(not (want.cancelled and not now.cancelled and _rest(now) == _rest(want)) for now, want in wrong.values()):
        yield _keep_it(view)
    for number, (now, want) in wrong.items():
        # First what others may need: devices that are to be given back, or cannot be kept at the new time.
        for device in sorted(now.devices - want.devices) + [
            d for d in sorted(now.devices) if now.slot != want.slot and rules.device_problem(db, d, want.slot, number)
        ]:
            name = _name(db, "devices", device)
            yield _open(view, number, now.title) or press_button(view, f"Give back {name}")
    for number, (now, want) in wrong.items():
        if now.cancelled and (not want.cancelled or _rest(now) != _rest(want)):
            yield _open(view, number, now.title) or press_button(view, "Restore meeting")
        if _written(now) != _written(want):
            yield _clear_room(view, db, number, want, wrong)
            yield _edit(view, db, number, now, want)
        for guest in sorted(now.guests - want.guests):
            yield _open(view, number, now.title) or press_button(view, f"Remove {_name(db, 'people', guest)}")
        for guest in sorted(want.guests - now.guests):
            person = _name(db, "people", guest)
            yield _open(view, number, now.title) or form(view, {"Guest": person}, "Invite")
        for device in sorted(want.devices - now.devices):
            if rules.device_problem(db, device, want.slot, number) is None:
                name = _name(db, "devices", device)
                yield _open(view, number, now.title) or form(view, {"Device": name}, "Add device")


def _rest(m: Meeting) -> tuple[Any, ...]:
    return _written(m), m.guests, m.devices


def _written(m: Meeting) -> tuple[Any, ...]:
    """What the form holds."""
    return m.title, m.slot, m.room, m.notes, m.private


def _and_later(db: sqlite3.Connection, number: int, wanted: Mapping[int, Meeting]) -> bool:
    """Whether the meeting and all later ones of its series are to be cancelled."""
    sql = """SELECT e.id FROM events e JOIN events this ON e.series_id=this.series_id
      WHERE this.id=? AND e.day>=this.day"""
    later = [n for (n,) in db.execute(sql, (number,))]
    return len(later) > 1 and all(n in wanted and wanted[n].cancelled for n in later)


def _name(db: sqlite3.Connection, table: str, number: int) -> str:
    sql = "SELECT name FROM people WHERE id=?" if table == "people" else "SELECT name FROM devices WHERE id=?"
    return str(value(db, sql, number))


def _clear_room(
    view: View, db: sqlite3.Connection, number: int, want: Meeting, wrong: Mapping[int, tuple[Meeting, Meeting]]
) -> Call | None:
    """Takes the room from another meeting that is not where it should be."""
    sql = """SELECT id FROM events WHERE room_id=? AND day=? AND starts<? AND ends>? AND NOT cancelled AND id<>?
      AND id IN (SELECT value FROM json_each(?)) LIMIT 1"""
    other = value(db, sql, want.room, want.day, want.ends, want.starts, number, json.dumps(list(wrong)))
    if other is None:
        return None
    title = wrong[other][0].title
    path = f"/meetings/{other}/edit"
    if path_of(view) == path:
        return form(view, {"Room": "no room"}, "Save changes")
    return _open(view, other, title) or reach(view, SITE.origin, path, {})


def _edit(view: View, db: sqlite3.Connection, number: int, now: Meeting, want: Meeting) -> Call | None:
    """Changes a meeting by its form."""
    path = f"/meetings/{number}/edit"
    if path_of(view) != path:
        return _open(view, number, now.title) or reach(view, SITE.origin, path, {})
    return _fill(view, db, want, {}, "Save changes") or Call("goto", (f"{SITE.origin}/meetings/{number}",))


def _fill(view: View, db: sqlite3.Connection, want: Meeting, more: Mapping[str, str], button: str) -> Call | None:
    room = "no room" if want.room is None else str(value(db, "SELECT name FROM rooms WHERE id=?", want.room))
    fields = {
        "Title": want.title, DAY: want.day, "From": want.starts, "To": want.ends, "Room": room, "Notes": want.notes,
    }  # fmt: skip
    box = tick(view, "checkbox", "Private", bool(want.private))
    return box or form(view, {**fields, **more}, button)


def _book(view: View, wish: Mapping[str, Any], missing: list[Meeting]) -> Call | None:
    """Books a new meeting; a series at once where none of it is there yet."""
    if path_of(view) != "/meetings/new":
        return reach(view, SITE.origin, "/meetings/new", {})
    whole = wish["repeat"] is not None and len(missing) == len(wish["new"])
    option, times = wish["repeat"] if whole else ("never", 0)
    more = {"Repeat": option, "Number of meetings": str(times) if whole else ""}
    return _fill(view, view.dbs["calendar"], missing[0], more, "Book meeting")


def _answer(view: View, db: sqlite3.Connection, event: int, said: str) -> Call | None:
    """Answers an invitation, on the page of all of them or on its own."""
    title = str(value(db, "SELECT title FROM events WHERE id=?", event))
    word = {"accepted": "Accept", "declined": "Decline", "pending": "Answer later"}[said]
    if at(view, SITE.origin, f"/meetings/{event}"):
        return press_button(view, word)
    if value(db, _ANSWER, event, ME) == "pending":
        return reach(view, SITE.origin, "/invitations", {}) or press_button(view, f"{word} {title}")
    return _open(view, event, title)


def _settings(view: View, db: sqlite3.Connection, settings: Mapping[str, str]) -> Iterator[Call | None]:
    if any(value(db, "SELECT value FROM settings WHERE key=?", k) != v for k, v in settings.items()):
        yield _keep_it(view)
        yield reach(view, SITE.origin, "/settings", {})
        yield form(view, {LABELS[k]: v for k, v in settings.items()}, "Save settings")
