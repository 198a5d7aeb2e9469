"""The pages of one meeting: make, change, invite, lend, answer, cancel, restore."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from agentgym.envs.web.sites.calendar import rules
from agentgym.envs.web.sites.calendar.rules import Slot
from agentgym.envs.web.sites.calendar.world import ME, REPEATS, RESPONSES, TIMES
from agentgym.envs.web.sites.serving import Handler, Visit

MAX_TITLE, MAX_NOTES = 80, 500
#: Most meetings of one series, and most meetings a calendar takes in all.
MAX_REPEATS, MAX_EVENTS = 12, 2_000

#: What a notice's code in the URL stands for.
NOTICES = {
    "booked": "The meeting is booked.",
    "saved": "Your changes are saved.",
    "cancelled": "Cancelled.",
    "restored": "The meeting takes place again.",
    "roomless": "The meeting takes place again, but its room is taken by now.",
    "invited": "The invitation is sent.",
    "removed": "Removed.",
    "added": "Added.",
    "answered": "Your answer is sent.",
}


def _event(visit: Visit) -> dict[str, Any]:
    """The meeting of the path; a private one of other people is not to be seen."""
    number = visit.number("id")
    if number is None:
        visit.missing()
    event = visit.row("SELECT * FROM meetings WHERE id=?", number)
    event["mine"] = event["organiser_id"] == ME
    event["answer"] = visit.value("SELECT response FROM attendees WHERE event_id=? AND person_id=?", number, ME)
    if not event["seen"]:
        visit.missing()
    return event


def _slot(event: dict[str, Any]) -> Slot:
    return Slot(event["day"], event["starts"], event["ends"])


def _show(visit: Visit, event: dict[str, Any], error: str = "", status: int = 200) -> Response:
    """A meeting's own page."""
    guests = visit.rows(
        "SELECT p.id, p.name, a.response FROM attendees a JOIN people p ON p.id=a.person_id WHERE event_id=?"
        " ORDER BY p.name",
        event["id"],
    )
    lent = visit.rows(
        "SELECT d.id, d.name FROM loans l JOIN devices d ON d.id=l.device_id WHERE event_id=? ORDER BY d.name",
        event["id"],
    )
    invited, here = {g["id"] for g in guests} | {event["organiser_id"]}, {d["id"] for d in lent}
    people = visit.rows("SELECT id, name FROM people ORDER BY name")
    devices = visit.rows("SELECT id, name FROM devices ORDER BY name")
    return visit.page(
        "meeting.html",
        status,
        event=event,
        weekday=rules.weekday(event["day"]),
        guests=guests,
        devices=lent,
        people=[(p["id"], p["name"]) for p in people if p["id"] not in invited],
        lendable=[(d["id"], d["name"]) for d in devices if d["id"] not in here],
        error=error,
    )


def show(visit: Visit) -> Response:
    """A meeting's own page."""
    return _show(visit, _event(visit))


def _form(visit: Visit, fields: dict[str, Any], errors: list[str], event: dict[str, Any] | None) -> Response:
    rooms = visit.rows("SELECT id, name FROM rooms ORDER BY name")
    return visit.checked(
        "edit.html",
        fields=fields,
        errors=errors,
        event=event,
        rooms=[("", "no room"), *((r["id"], r["name"]) for r in rooms)],
        times=[(t, t) for t in TIMES],
        repeats=[("", "never"), *((name, name) for name in REPEATS)],
    )


def _read(visit: Visit, event_id: int = 0) -> tuple[dict[str, Any], list[str]]:
    """The form's fields, as they go into the database, and what is wrong with them."""
    fields: dict[str, Any] = {
        "title": visit.text("title"),
        "day": visit.text("day"),
        "starts": visit.text("starts"),
        "ends": visit.text("ends"),
        "room_id": visit.number("room_id", 1),
        "notes": visit.text("notes"),
        "private": int(visit.text("private") == "1"),
        "repeat": visit.text("repeat"),
        "times": visit.text("times"),
    }
    errors = []
    if not fields["title"] or len(fields["title"]) > MAX_TITLE:
        errors.append(f"Title: 1 to {MAX_TITLE} characters, please.")
    if len(fields["notes"]) > MAX_NOTES:
        errors.append(f"Notes: at most {MAX_NOTES} characters.")
    day, starts, ends = (
        rules.parse_day(fields["day"]), rules.parse_time(fields["starts"]), rules.parse_time(fields["ends"])
    )  # fmt: skip
    if day is None:
        errors.append("Date: write it as YYYY-MM-DD.")
    if starts is None or ends is None or starts >= ends:
        errors.append("The end must be later than the start.")
    if day is None or starts is None or ends is None or errors:
        return fields, errors
    fields["day"] = day
    if f"{day} {starts}" < visit.now[:16]:
        errors.append("The meeting would start in the past.")
    if fields["room_id"] is not None:
        problem = rules.room_problem(visit.db, fields["room_id"], Slot(day, starts, ends), event_id)
        errors += [problem] if problem else []
    return fields, errors


_COLUMNS = ("title", "day", "starts", "ends", "room_id", "notes", "private")
_INSERT = """INSERT INTO events(title,day,starts,ends,room_id,notes,private,organiser_id,series_id)
  VALUES (?,?,?,?,?,?,?,?,?)"""
_UPDATE = "UPDATE events SET title=?, day=?, starts=?, ends=?, room_id=?, notes=?, private=? WHERE id=?"


def new(visit: Visit) -> Response:
    """The form for a new meeting, and what it sends."""
    if not visit.posted:
        fields: dict[str, Any] = {
            "title": visit.text("title"),
            "day": visit.text("day") or visit.now[:10],
            "starts": visit.text("starts") or "09:00",
            "ends": visit.text("ends") or "10:00",
            "room_id": visit.number("room_id", 1) or "",
            "notes": "", "private": 0, "repeat": "", "times": "",
        }  # fmt: skip
        return _form(visit, fields, [], None)
    fields, errors = _read(visit)
    if visit.value("SELECT count(*) FROM events") + MAX_REPEATS > MAX_EVENTS:
        errors.append("The calendar is full.")
    days = [fields["day"]]
    if fields["repeat"] in REPEATS and not errors:
        count = visit.number("times", 2, MAX_REPEATS)
        if count is None:
            errors.append(f"Number of meetings: 2 to {MAX_REPEATS}.")
        else:
            step = REPEATS[fields["repeat"]]
            days = [rules.shift(fields["day"], step * i) for i in range(count)]
            for day in days[1:]:
                problem = fields["room_id"] and rules.room_problem(
                    visit.db, fields["room_id"], Slot(day, fields["starts"], fields["ends"])
                )
                errors += [f"{day}: {problem}"] if problem else []
    if errors:
        return _form(visit, fields, errors, None)
    series = visit.write("INSERT INTO series(every) VALUES (?)", REPEATS[fields["repeat"]]) if len(days) > 1 else None
    ids = [visit.write(_INSERT, *(day if c == "day" else fields[c] for c in _COLUMNS), ME, series) for day in days]
    return visit.go(f"/meetings/{ids[0]}", notice="booked")


def edit(visit: Visit) -> Response:
    """The form that changes one of my meetings, and what it sends."""
    event = _event(visit)
    if not event["mine"] or event["cancelled"]:
        return _show(visit, event, "Only its organiser can change a meeting that takes place.", 403)
    if not visit.posted:
        return _form(visit, {c: event[c] for c in _COLUMNS} | {"room_id": event["room_id"] or ""}, [], event)
    fields, errors = _read(visit, event["id"])
    if not errors:
        lent = visit.rows("SELECT device_id FROM loans WHERE event_id=?", event["id"])
        problems = [rules.device_problem(visit.db, d["device_id"], _slot(fields), event["id"]) for d in lent]
        errors += [p for p in problems if p]
    if errors:
        return _form(visit, fields, errors, event)
    visit.write(_UPDATE, *(fields[c] for c in _COLUMNS), event["id"])
    return visit.go(f"/meetings/{event['id']}", notice="saved")


def _back(event: dict[str, Any], visit: Visit, code: str = "") -> Response:
    path = f"/meetings/{event['id']}"
    return visit.go(path, notice=code) if code else visit.go(path)


def answer(visit: Visit) -> Response:
    """Accepts or declines an invitation."""
    event, said = _event(visit), visit.text("response")
    if not visit.posted or event["answer"] is None or said not in RESPONSES or event["cancelled"]:
        return _back(event, visit)
    visit.write("UPDATE attendees SET response=? WHERE event_id=? AND person_id=?", said, event["id"], ME)
    if visit.text("back") == "invitations":
        return visit.go("/invitations", notice="answered")
    return _back(event, visit, "answered")


def guests(visit: Visit) -> Response:
    """Invites somebody to one of my meetings, or takes an invitation back."""
    event, person = _event(visit), visit.number("person", 1)
    if not visit.posted or not event["mine"] or person is None:
        return _back(event, visit)
    if visit.text("do") == "remove":
        visit.write("DELETE FROM attendees WHERE event_id=? AND person_id=?", event["id"], person)
        return _back(event, visit, "removed")
    if person == ME or visit.value("SELECT 1 FROM people WHERE id=?", person) is None:
        return _show(visit, event, "There is nobody of that name to invite.", 422)
    count = visit.value("SELECT count(*)+2 FROM attendees WHERE event_id=?", event["id"])
    seats = visit.value("SELECT seats FROM rooms WHERE id=?", event["room_id"])
    if seats is not None and count > seats:
        return _show(visit, event, f"{event['room']} has {seats} seats only.", 422)
    visit.write("INSERT OR IGNORE INTO attendees(event_id,person_id) VALUES (?,?)", event["id"], person)
    return _back(event, visit, "invited")


def devices(visit: Visit) -> Response:
    """Lends a device to one of my meetings, or gives it back."""
    event, device = _event(visit), visit.number("device", 1)
    if not visit.posted or not event["mine"] or device is None:
        return _back(event, visit)
    if visit.text("do") == "remove":
        visit.write("DELETE FROM loans WHERE event_id=? AND device_id=?", event["id"], device)
        return _back(event, visit, "removed")
    if visit.value("SELECT 1 FROM devices WHERE id=?", device) is None:
        return _show(visit, event, "There is no such device.", 422)
    problem = rules.device_problem(visit.db, device, _slot(event), event["id"])
    if problem:
        return _show(visit, event, problem, 422)
    visit.write("INSERT OR IGNORE INTO loans VALUES (?,?)", event["id"], device)
    return _back(event, visit, "added")


def cancel(visit: Visit) -> Response:
    """Cancels one of my meetings, or it and all later ones of its series."""
    event = _event(visit)
    if not visit.posted or not event["mine"]:
        return _back(event, visit)
    if visit.text("which") == "later" and event["series_id"] is not None:
        visit.write(
            "UPDATE events SET cancelled=1 WHERE series_id=? AND day>=? AND organiser_id=?",
            event["series_id"],
            event["day"],
            ME,
        )
    else:
        visit.write("UPDATE events SET cancelled=1 WHERE id=?", event["id"])
    return _back(event, visit, "cancelled")


def restore(visit: Visit) -> Response:
    """Lets a cancelled meeting of mine take place again, without its room where that is taken by now."""
    event = _event(visit)
    if not visit.posted or not event["mine"] or not event["cancelled"]:
        return _back(event, visit)
    taken = event["room_id"] and rules.taken_by(visit.db, event["room_id"], _slot(event))
    visit.write("UPDATE events SET cancelled=0, room_id=? WHERE id=?", None if taken else event["room_id"], event["id"])
    for loan in visit.rows("SELECT device_id FROM loans WHERE event_id=?", event["id"]):
        if rules.device_problem(visit.db, loan["device_id"], _slot(event), event["id"]):
            visit.write("DELETE FROM loans WHERE event_id=? AND device_id=?", event["id"], loan["device_id"])
    return _back(event, visit, "roomless" if taken else "restored")


HANDLERS: tuple[tuple[str, str, Handler], ...] = (
    ("/meetings/new", "GET POST", new),
    ("/meetings/{id}", "GET", show),
    ("/meetings/{id}/edit", "GET POST", edit),
    ("/meetings/{id}/answer", "GET POST", answer),
    ("/meetings/{id}/guests", "GET POST", guests),
    ("/meetings/{id}/devices", "GET POST", devices),
    ("/meetings/{id}/cancel", "GET POST", cancel),
    ("/meetings/{id}/restore", "GET POST", restore),
)
