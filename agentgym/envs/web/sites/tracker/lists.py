"""Pages of the tracker that list: the start, tickets with filters and bulk edit, members, projects, labels."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from agentgym.envs.web.sites.serving import Visit
from agentgym.envs.web.sites.tracker.content import CLOSED, PRIORITIES, STATUSES

#: Tickets on a page of the list.
PER_PAGE = 10
#: Characters of a label.
MAX_LABEL = 30
#: What the list can be sorted by.
SORTS = {
    "number": ("Number", "t.id"),
    "newest": ("Newest first", "t.id DESC"),
    "due": ("Due date", "t.due = '', t.due, t.id"),
}
NOBODY = "Nobody"
_RANK = "CASE t.priority WHEN 'Urgent' THEN 0 WHEN 'High' THEN 1 WHEN 'Normal' THEN 2 ELSE 3 END"


def choices(visit: Visit) -> dict[str, Any]:
    """What can be chosen for a ticket."""
    return {
        "statuses": STATUSES,
        "priorities": PRIORITIES,
        "people": [row["name"] for row in visit.rows("SELECT name FROM members ORDER BY name")],
        "projects": [(row["code"], row["name"]) for row in visit.rows("SELECT code, name FROM projects ORDER BY name")],
        "milestones": [row["name"] for row in visit.rows("SELECT name FROM milestones ORDER BY due")],
        "labels": [row["name"] for row in visit.rows("SELECT name FROM labels ORDER BY name")],
    }


def home(visit: Visit) -> Response:
    """What the signed-in member has to do."""
    mine = visit.rows(
        f"SELECT t.* FROM tickets t JOIN me ON me.name = t.assignee WHERE t.status != 'Closed' ORDER BY {_RANK}, t.id"  # noqa: S608
    )
    watched = visit.rows("SELECT t.* FROM tickets t JOIN watched w ON w.ticket = t.id ORDER BY t.id")
    return visit.page("home.html", mine=mine, watched=watched, me=visit.value("SELECT name FROM me"))


def _filters(visit: Visit) -> tuple[str, list[str | int | float]]:
    parts: list[str] = ["1"]
    args: list[str | int | float] = []
    ask = visit.query.get
    if (number := visit.number("q")) is not None:
        parts.append("t.id = ?")
        args.append(number)
    else:
        for word in ask("q", "").split()[:8]:
            parts.append("t.title LIKE ? ESCAPE '\\'")
            args.append("%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%")
    for column in ("project", "priority", "milestone"):
        if ask(column):
            parts.append(f"t.{column} = ?")
            args.append(ask(column, ""))
    if ask("status", "") == "Not closed":
        parts.append("t.status != 'Closed'")
    elif ask("status", ""):
        parts.append("t.status = ?")
        args.append(ask("status", ""))
    if ask("assignee", ""):
        parts.append("t.assignee = ?")
        args.append("" if ask("assignee", "") == NOBODY else ask("assignee", ""))
    if ask("label", ""):
        parts.append("t.id IN (SELECT k.ticket FROM labelled k JOIN labels l ON l.id = k.label WHERE l.name = ?)")
        args.append(ask("label", ""))
    if ask("overdue", ""):
        parts.append("t.due != '' AND t.due < (SELECT value FROM meta WHERE key = 'now') AND t.status != 'Closed'")
    return " AND ".join(parts), args


def tickets(visit: Visit) -> Response:
    """The tickets that the filters leave; a post changes those that are ticked."""
    query = {name: text for name, text in visit.query.items() if text and name not in ("page", "notice")}
    errors: list[str] = []
    if visit.posted:
        numbers = [int(text) for text in visit.several("ticket") if text.isascii() and text.isdigit() and len(text) < 9]
        numbers = [number for number in numbers if visit.value("SELECT 1 FROM tickets WHERE id = ?", number)]
        if not numbers:
            errors.append("Select at least one ticket.")
        elif _bulk(visit, numbers):
            return visit.go("/tickets", **query, notice="changed")
        else:
            errors.append("Choose what to change.")
    where, args = _filters(visit)
    sort = visit.text("sort") if visit.text("sort") in SORTS else "number"
    count = visit.value(f"SELECT COUNT(*) FROM tickets t WHERE {where}", *args)  # noqa: S608 - fixed parts
    pages = max(1, -(-count // PER_PAGE))
    page = min(visit.number("page", 1) or 1, pages)
    found = visit.rows(
        f"""SELECT t.*, (SELECT GROUP_CONCAT(l.name, ', ') FROM labelled k JOIN labels l ON l.id = k.label
        WHERE k.ticket = t.id) AS labels FROM tickets t WHERE {where} ORDER BY {SORTS[sort][1]} LIMIT ? OFFSET ?""",  # noqa: S608
        *args,
        PER_PAGE,
        (page - 1) * PER_PAGE,
    )
    return visit.checked(
        "tickets.html",
        errors=errors,
        found=found,
        count=count,
        page=page,
        pages=pages,
        here="/tickets?" + urlencode(query),
        link="/tickets?" + (urlencode(query) + "&" if query else ""),
        sort=sort,
        sorts=[(key, text) for key, (text, _) in SORTS.items()],
        nobody=NOBODY,
        **choices(visit),
    )


def _bulk(visit: Visit, numbers: list[int]) -> bool:
    """Makes the chosen changes; False where none is chosen."""
    known = choices(visit)
    status, assignee, label = (visit.text(f"new_{name}") for name in ("status", "assignee", "label"))
    new: dict[str, str | int] = {}
    for column, allowed in (("priority", PRIORITIES), ("milestone", known["milestones"])):
        if visit.text(f"new_{column}") in allowed:
            new[column] = visit.text(f"new_{column}")
    if assignee in (NOBODY, *known["people"]):
        new["assignee"] = "" if assignee == NOBODY else assignee
    if status in (*STATUSES, CLOSED):
        new |= {"status": status, "resolution": "Fixed" if status == CLOSED else "", "duplicate": 0}
    for number in numbers:
        for column, content in new.items():
            visit.write(f"UPDATE tickets SET {column} = ? WHERE id = ?", content, number)  # noqa: S608 - fixed names
        visit.write("INSERT OR IGNORE INTO labelled SELECT ?, id FROM labels WHERE name = ?", number, label)
    return bool(new) or label in known["labels"]


def members(visit: Visit) -> Response:
    """Who works here, with what is on their desk."""
    found = visit.rows(
        """SELECT m.*, (SELECT COUNT(*) FROM tickets t WHERE t.assignee = m.name AND t.status != 'Closed') AS open
        FROM members m ORDER BY m.name"""
    )
    return visit.page("members.html", found=found)


def projects(visit: Visit) -> Response:
    """Projects, their leads, and the milestones."""
    found = visit.rows(
        """SELECT p.*, (SELECT COUNT(*) FROM tickets t WHERE t.project = p.code AND t.status != 'Closed') AS open
        FROM projects p ORDER BY p.name"""
    )
    return visit.page("projects.html", found=found, milestones=visit.rows("SELECT * FROM milestones ORDER BY due"))


def labels(visit: Visit) -> Response:
    """The labels; a post makes, renames or deletes one."""
    errors: list[str] = []
    if visit.posted:
        deed, number, name = visit.text("deed"), visit.number("label") or 0, visit.text("name").lower()[:MAX_LABEL]
        if deed == "delete":
            visit.write("DELETE FROM labels WHERE id = ?", number)
            return visit.go("/labels", notice="label_deleted")
        if not name:
            errors.append("The name is missing.")
        elif visit.value("SELECT 1 FROM labels WHERE name = ? AND id != ?", name, number if deed == "rename" else 0):
            errors.append("There is already a label of this name.")
        elif deed == "rename":
            visit.write("UPDATE labels SET name = ? WHERE id = ?", name, number)
            return visit.go("/labels", notice="label_renamed")
        elif deed == "create":
            visit.write("INSERT INTO labels VALUES (NULL, ?)", name)
            return visit.go("/labels", notice="label_made")
    found = visit.rows(
        "SELECT l.*, (SELECT COUNT(*) FROM labelled k WHERE k.label = l.id) AS used FROM labels l ORDER BY l.name"
    )
    return visit.checked("labels.html", errors=errors, found=found)
