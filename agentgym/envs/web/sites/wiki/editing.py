"""The wiki's pages that change something."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from agentgym.envs.web.sites.serving import Handler, Visit
from agentgym.envs.web.sites.wiki.content import ME, Content, create, page_called, read, revision, save, tidy

MAX_TITLE, MAX_TEXT, MAX_VALUE = 80, 1_500, 120
#: Sections and rows that a page takes, categories too, and pages and revisions that the wiki takes.
MAX_PARTS, MAX_PAGES, MAX_REVISIONS = 60, 400, 4_000

#: What a notice's code in the URL stands for.
NOTICES = {
    "saved": "Your change is saved.",
    "restored": "The revision is restored.",
    "created": "The page is made.",
    "deleted": "The page is deleted.",
    "moved": "The page is renamed.",
    "watched": "You watch this page.",
    "unwatched": "You no longer watch this page.",
    "posted": "Your comment is posted.",
    "removed": "Your comment is deleted.",
    "full": "The wiki is full.",
}
PROTECTED = "This page is protected: only administrators can change it."


def page_of(visit: Visit) -> int:
    """Id of the path's page, which exists."""
    page = visit.number("id", 1)
    if page is None or visit.value("SELECT 1 FROM pages WHERE id=? AND NOT deleted", page) is None:
        visit.missing()
    return page


def _locked(visit: Visit, page: int) -> Response | None:
    """The answer to whoever would change a page that is protected."""
    if not visit.value("SELECT protected FROM pages WHERE id=?", page):
        return None
    return visit.page("locked.html", 403, id=page, title=read(visit.db, page).title, error=PROTECTED)


def _save(visit: Visit, page: int, content: Content, summary: str = "") -> Response:
    if visit.value("SELECT count(*) FROM revisions") >= MAX_REVISIONS:
        return visit.go(f"/page/{page}", notice="full")
    save(visit.db, page, content, ME, tidy(visit.text("summary"))[:MAX_VALUE] or summary)
    return visit.go(f"/page/{page}", notice="saved")


def infobox(visit: Visit) -> Response:
    """The form of a page's infobox."""
    page = page_of(visit)
    content, locked = read(visit.db, page), _locked(visit, page)
    if locked is not None:
        return locked
    if not content.fields:
        visit.missing()
    if not visit.posted:
        return visit.page("infobox.html", id=page, title=content.title, fields=content.fields)
    texts = [tidy(visit.text(f"field{i}"))[:MAX_VALUE] for i in range(len(content.fields))]
    fields = tuple((label, text) for (label, _), text in zip(content.fields, texts, strict=True))
    return _save(visit, page, replace(content, fields=fields))


def section(visit: Visit) -> Response:
    """The form of a section, old or new; an empty text takes it away."""
    page = page_of(visit)
    content, locked = read(visit.db, page), _locked(visit, page)
    if locked is not None:
        return locked
    number = visit.number("number")
    if number is not None and number >= len(content.sections):
        visit.missing()
    heading, text = content.sections[number] if number is not None else ("", "")
    errors = []
    if visit.posted:
        heading, text = tidy(visit.text("heading"))[:MAX_VALUE], tidy(visit.text("text"))
        others = [s for i, s in enumerate(content.sections) if i != number]
        if len(text) > MAX_TEXT:
            errors.append(f"Text: at most {MAX_TEXT} characters.")
        if (number is None or not text) and not heading and others:
            errors.append("A section needs a heading and a text.")
        if heading in dict(others):
            errors.append("There is a section of this heading already.")
        if len(others) >= MAX_PARTS:
            errors.append("The page has too many sections.")
        if not errors:
            sections = list(content.sections)
            if number is not None:
                sections[number : number + 1] = [(heading, text)] if text else []
            elif text:
                sections.append((heading, text))
            return _save(visit, page, replace(content, sections=tuple(sections)))
    return visit.checked(
        "section.html",
        id=page,
        title=content.title,
        number=number,
        heading=heading,
        text=text,
        errors=errors,
    )


def delete_section(visit: Visit) -> Response:
    """Takes a section away."""
    page = page_of(visit)
    content, locked, number = read(visit.db, page), _locked(visit, page), visit.number("number")
    if locked is not None:
        return locked
    if not visit.posted or number is None or number >= len(content.sections):
        return visit.go(f"/page/{page}")
    kept = tuple(s for i, s in enumerate(content.sections) if i != number)
    return _save(visit, page, replace(content, sections=kept), "section deleted")


def row(visit: Visit) -> Response:
    """The form of a table's row, old or new, and the button that deletes it."""
    page = page_of(visit)
    content, locked, entry = read(visit.db, page), _locked(visit, page), visit.number("row", 1)
    if locked is not None:
        return locked
    ids = [r["id"] for r in visit.rows("SELECT id FROM entries WHERE page_id=? ORDER BY id", page)]
    if not content.columns or (entry is not None and entry not in ids) or (entry is None and len(ids) >= MAX_PARTS):
        visit.missing()
    place = len(ids) if entry is None else ids.index(entry)
    cells = content.rows[place] if entry is not None else ("",) * len(content.columns)
    errors = []
    if visit.posted:
        rows = list(content.rows)
        if visit.text("do") == "delete" and entry is not None:
            del rows[place]
            return _save(visit, page, replace(content, rows=tuple(rows)), "row deleted")
        cells = tuple(tidy(visit.text(f"cell{i}"))[:MAX_VALUE] for i in range(len(content.columns)))
        errors = [
            f"{name}: please fill this in." for name, cell in zip(content.columns, cells, strict=True) if not cell
        ]
        if not errors:
            rows[place : place + 1] = [cells]
            return _save(visit, page, replace(content, rows=tuple(rows)))
    return visit.checked(
        "row.html",
        id=page,
        title=content.title,
        entry=entry,
        cells=list(zip(content.columns, cells, strict=True)),
        errors=errors,
    )


def categories(visit: Visit) -> Response:
    """Adds or removes a category."""
    page = page_of(visit)
    content, locked, name = read(visit.db, page), _locked(visit, page), tidy(visit.text("name"))[:MAX_TITLE]
    if locked is not None:
        return locked
    if not visit.posted or not name:
        return visit.go(f"/page/{page}")
    if visit.text("do") == "remove":
        names = tuple(c for c in content.categories if c != name)
    else:
        names = tuple(sorted({*content.categories, name}))[:MAX_PARTS]
    if names == content.categories:
        return visit.go(f"/page/{page}")
    return _save(visit, page, replace(content, categories=names), "categories")


def restore(visit: Visit) -> Response:
    """Makes a page say what an old revision said."""
    page = page_of(visit)
    locked, number = _locked(visit, page), visit.number("revision", 1)
    if locked is not None:
        return locked
    old = visit.value("SELECT content FROM revisions WHERE id=? AND page_id=?", number, page)
    if not visit.posted or old is None:
        return visit.go(f"/page/{page}/history")
    _save(visit, page, revision(old), f"revision {number} restored")
    return visit.go(f"/page/{page}", notice="restored")


def move(visit: Visit) -> Response:
    """Renames a page."""
    page = page_of(visit)
    content, locked = read(visit.db, page), _locked(visit, page)
    if locked is not None:
        return locked
    title, errors = content.title, []
    if visit.posted:
        title = tidy(visit.text("title"))
        errors = _title_errors(visit, title, page)
        if not errors:
            visit.write("UPDATE pages SET title=? WHERE id=?", title, page)
            return visit.go(f"/page/{page}", notice="moved")
    return visit.checked("move.html", id=page, title=content.title, wanted=title, errors=errors)


def _title_errors(visit: Visit, title: str, page: int = 0) -> list[str]:
    if not title or len(title) > MAX_TITLE:
        return [f"Title: 1 to {MAX_TITLE} characters, please."]
    return ["There is a page of this title already."] if page_called(visit.db, title) not in (None, page) else []


def new(visit: Visit) -> Response:
    """The form for a new page."""
    title, text, category = (tidy(visit.text(name)) for name in ("title", "text", "category"))
    errors: list[str] = []
    if visit.posted:
        errors = _title_errors(visit, title)
        if not text or len(text) > MAX_TEXT:
            errors.append(f"Text: 1 to {MAX_TEXT} characters, please.")
        if visit.value("SELECT count(*) FROM pages") >= MAX_PAGES:
            errors.append("The wiki is full.")
        if not errors:
            names = (category[:MAX_TITLE],) if category else ()
            page = create(visit.db, Content(title, (), (("", text),), categories=names), ME, "new page")
            return visit.go(f"/page/{page}", notice="created")
    return visit.checked("new.html", title=title, text=text, category=category, errors=errors)


def delete(visit: Visit) -> Response:
    """Deletes a page that I have made."""
    page = page_of(visit)
    if not visit.posted or visit.value("SELECT creator_id FROM pages WHERE id=?", page) != ME:
        return visit.go(f"/page/{page}")
    visit.write("UPDATE pages SET deleted=1 WHERE id=?", page)
    visit.write("DELETE FROM watches WHERE page_id=?", page)
    return visit.go("/", notice="deleted")


def watch(visit: Visit) -> Response:
    """Watches a page, or no longer does."""
    page = page_of(visit)
    if not visit.posted:
        return visit.go(f"/page/{page}")
    if visit.text("do") == "unwatch":
        visit.write("DELETE FROM watches WHERE page_id=?", page)
        return visit.go(f"/page/{page}", notice="unwatched")
    visit.write("INSERT OR IGNORE INTO watches VALUES (?)", page)
    return visit.go(f"/page/{page}", notice="watched")


def talk(visit: Visit) -> Response:
    """The comments on a page; posts one, or deletes one of mine."""
    page = page_of(visit)
    if visit.posted:
        comment = visit.number("comment", 1)
        if comment is not None:
            visit.write("DELETE FROM talk WHERE id=? AND page_id=? AND user_id=?", comment, page, ME)
            return visit.go(f"/page/{page}/talk", notice="removed")
        text = tidy(visit.text("text"))[:MAX_TEXT]
        if text and visit.value("SELECT count(*) FROM talk") < MAX_REVISIONS:
            sql = "INSERT INTO talk(page_id,user_id,at,text) VALUES (?,?,?,?)"
            visit.write(sql, page, ME, visit.now, text)
            return visit.go(f"/page/{page}/talk", notice="posted")
    sql = "SELECT t.*, u.name FROM talk t JOIN users u ON u.id=t.user_id WHERE page_id=? ORDER BY t.id"
    return visit.page("talk.html", id=page, title=read(visit.db, page).title, comments=visit.rows(sql, page), me=ME)


HANDLERS: tuple[tuple[str, str, Handler], ...] = (
    ("/new", "GET POST", new),
    ("/page/{id}/infobox", "GET POST", infobox),
    ("/page/{id}/section/new", "GET POST", section),
    ("/page/{id}/section/{number}", "GET POST", section),
    ("/page/{id}/section/{number}/delete", "GET POST", delete_section),
    ("/page/{id}/row/new", "GET POST", row),
    ("/page/{id}/row/{row}", "GET POST", row),
    ("/page/{id}/categories", "GET POST", categories),
    ("/page/{id}/restore", "GET POST", restore),
    ("/page/{id}/move", "GET POST", move),
    ("/page/{id}/delete", "GET POST", delete),
    ("/page/{id}/watch", "GET POST", watch),
    ("/page/{id}/talk", "GET POST", talk),
)
