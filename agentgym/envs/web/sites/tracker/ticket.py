"""Pages of the tracker about one ticket: making it, reading it, changing, closing, labelling, commenting, watching."""

from __future__ import annotations

from datetime import date
from typing import Any

from starlette.responses import Response

from agentgym.envs.web.sites.serving import Visit
from agentgym.envs.web.sites.tracker.content import CLOSED, PRIORITIES, RESOLUTIONS, STATUSES
from agentgym.envs.web.sites.tracker.lists import choices

#: Characters of a title.
MAX_TITLE = 120


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _checked(visit: Visit) -> tuple[dict[str, str], list[str]]:
    """The fields that can be chosen for a ticket, and what is wrong with them."""
    known = choices(visit)
    new = {name: visit.text(name) for name in ("status", "priority", "assignee", "milestone", "due")}
    allowed = {
        "status": STATUSES,
        "priority": PRIORITIES,
        "assignee": ("", *known["people"]),
        "milestone": ("", *known["milestones"]),
    }
    errors = [f"Choose the {name} from the list." for name, texts in allowed.items() if new[name] not in texts]
    if new["due"] and not _is_day(new["due"]):
        errors.append("The due date must be a day like 2031-06-30.")
    return new, errors


def make(visit: Visit) -> Response:
    """The form for a new ticket."""
    known = choices(visit)
    errors: list[str] = []
    if visit.posted:
        new, errors = _checked(visit)
        title = visit.text("title")[:MAX_TITLE]
        if not title:
            errors.append("The title is missing.")
        if visit.text("project") not in dict(known["projects"]):
            errors.append("Choose a project.")
        if not errors:
            number = visit.write(
                "INSERT INTO tickets VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0)",
                visit.text("project"),
                title,
                visit.text("body"),
                new["status"],
                new["priority"],
                visit.value("SELECT name FROM me"),
                new["assignee"],
                new["milestone"],
                new["due"],
                visit.now,
            )
            if visit.text("label"):
                sql = "INSERT INTO labelled SELECT ?, id FROM labels WHERE name = ?"
                visit.write(sql, number, visit.text("label"))
            return visit.go(f"/tickets/{number}", notice="made")
    return visit.checked("new.html", errors=errors, **known)


def ticket(visit: Visit) -> Response:
    """One ticket; a post changes it by what its field `deed` says."""
    found = visit.row("SELECT * FROM tickets WHERE id = ?", visit.number("number") or 0)
    errors: list[str] = []
    if visit.posted and (deed := _DEEDS.get(visit.text("deed"))) is not None:
        notice, errors = deed(visit, found)
        if not errors:
            return visit.go(f"/tickets/{found['id']}", notice=notice)
    number = found["id"]
    known = choices(visit)
    labelled = [
        row["name"]
        for row in visit.rows(
            "SELECT l.name FROM labelled k JOIN labels l ON l.id = k.label WHERE k.ticket = ? ORDER BY l.name", number
        )
    ]
    return visit.checked(
        "ticket.html",
        errors=errors,
        ticket=found,
        labelled=labelled,
        comments=visit.rows("SELECT * FROM comments WHERE ticket = ? ORDER BY day, id", number),
        watched=visit.value("SELECT 1 FROM watched WHERE ticket = ?", number),
        me=visit.value("SELECT name FROM me"),
        project=visit.value("SELECT name FROM projects WHERE code = ?", found["project"]),
        resolutions=RESOLUTIONS,
        **known,
    )


Done = tuple[str, list[str]]


def _save(visit: Visit, found: dict[str, Any]) -> Done:
    new, errors = _checked(visit)
    if found["status"] == CLOSED:
        errors.append("Reopen the ticket first.")
    if not errors:
        sql = "UPDATE tickets SET status = ?, priority = ?, assignee = ?, milestone = ?, due = ? WHERE id = ?"
        visit.write(sql, *new.values(), found["id"])
    return "saved", errors


def _rename(visit: Visit, found: dict[str, Any]) -> Done:
    title = visit.text("title")[:MAX_TITLE]
    if not title:
        return "", ["The title is missing."]
    visit.write("UPDATE tickets SET title = ? WHERE id = ?", title, found["id"])
    return "renamed", []


def _close(visit: Visit, found: dict[str, Any]) -> Done:
    resolution, other = visit.text("resolution"), 0
    if resolution not in RESOLUTIONS:
        return "", ["Choose how the ticket was resolved."]
    if resolution == "Duplicate":
        other = visit.number("duplicate") or 0
        if other == found["id"] or not visit.value("SELECT 1 FROM tickets WHERE id = ?", other):
            return "", ["Give the number of the other ticket."]
    sql = "UPDATE tickets SET status = 'Closed', resolution = ?, duplicate = ? WHERE id = ?"
    visit.write(sql, resolution, other, found["id"])
    return "closed", []


def _reopen(visit: Visit, found: dict[str, Any]) -> Done:
    sql = "UPDATE tickets SET status = 'Open', resolution = '', duplicate = 0 WHERE id = ? AND status = 'Closed'"
    visit.write(sql, found["id"])
    return "reopened", []


def _label(visit: Visit, found: dict[str, Any]) -> Done:
    label = visit.value("SELECT id FROM labels WHERE name = ?", visit.text("label"))
    if label is None:
        return "", ["Choose a label."]
    visit.write("INSERT OR IGNORE INTO labelled VALUES (?, ?)", found["id"], label)
    return "labelled", []


def _unlabel(visit: Visit, found: dict[str, Any]) -> Done:
    sql = "DELETE FROM labelled WHERE ticket = ? AND label = (SELECT id FROM labels WHERE name = ?)"
    visit.write(sql, found["id"], visit.text("label"))
    return "unlabelled", []


def _comment(visit: Visit, found: dict[str, Any]) -> Done:
    if not visit.text("body"):
        return "", ["The comment is empty."]
    me = visit.value("SELECT name FROM me")
    sql = "INSERT INTO comments VALUES (NULL, ?, ?, ?, ?)"
    visit.write(sql, found["id"], me, visit.text("body"), visit.now)
    return "commented", []


def _uncomment(visit: Visit, found: dict[str, Any]) -> Done:
    sql = "DELETE FROM comments WHERE id = ? AND ticket = ? AND author = (SELECT name FROM me)"
    visit.write(sql, visit.number("comment") or 0, found["id"])
    return "uncommented", []


def _watch(visit: Visit, found: dict[str, Any]) -> Done:
    visit.write("INSERT OR IGNORE INTO watched VALUES (?)", found["id"])
    return "watched", []


def _unwatch(visit: Visit, found: dict[str, Any]) -> Done:
    visit.write("DELETE FROM watched WHERE ticket = ?", found["id"])
    return "unwatched", []


_DEEDS = {
    "save": _save,
    "rename": _rename,
    "close": _close,
    "reopen": _reopen,
    "label": _label,
    "unlabel": _unlabel,
    "comment": _comment,
    "uncomment": _uncomment,
    "watch": _watch,
    "unwatch": _unwatch,
}
