"""`Wish`: what the wiki should say in the end: from it follow a goal's facts, what must stay, and an expert's work.

A template says only what should become different; the rest follows by comparison.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from agentgym.envs.web.sites.base import Fact, rows, unchanged, untouched, value
from agentgym.envs.web.sites.trails import Plan
from agentgym.envs.web.sites.wiki.content import ME, Content, read
from agentgym.envs.web.sites.wishes import SiteWish, as_json

#: Calls of an expert: to open a page by the search box, and to open, fill and save one of its forms.
_OPENING, _EDITING = 3, 4

_FIELD = "SELECT value FROM fields WHERE page_id=? AND label=?"
_SECTION = "SELECT text FROM sections WHERE page_id=? AND heading=?"
_CATEGORY = "SELECT count(*) FROM categories WHERE page_id=? AND name=?"
_ENTRY = "SELECT count(*) FROM entries WHERE page_id=? AND cells=?"
_TITLE = "SELECT title FROM pages WHERE id=?"
_SUMMARY = "SELECT count(*)>0 FROM revisions WHERE page_id=? AND id>? AND user_id=1 AND summary=?"
_WATCHES = "SELECT page_id FROM watches ORDER BY 1"
_COMMENT = "SELECT count(*) FROM talk WHERE id>? AND page_id=? AND user_id=1 AND text=?"
_WITH_TEXT = " AND EXISTS (SELECT 1 FROM sections WHERE page_id=p.id AND heading='' AND text=?3)"
_WITH_CATEGORY = " AND EXISTS (SELECT 1 FROM categories WHERE page_id=p.id AND name=?3)"
_NEW = "SELECT count(*) FROM pages p WHERE id>?1 AND NOT deleted AND title=?2 COLLATE NOCASE"
_NEW_TEXT = _NEW + _WITH_TEXT
_NEW_CATEGORY = _NEW + _WITH_CATEGORY
#: What else of a page must stay: the first parameter is its id, the second what may change, as JSON.
_REST = {
    "fields": """SELECT label, value FROM fields WHERE page_id=? AND label NOT IN (SELECT value FROM json_each(?))
      ORDER BY position""",
    "sections": """SELECT heading, text FROM sections WHERE page_id=? AND heading NOT IN
      (SELECT value FROM json_each(?)) ORDER BY heading""",
    "rows": """SELECT cells FROM entries WHERE page_id=? AND cells NOT IN (SELECT value FROM json_each(?))
      ORDER BY cells""",
    "categories": """SELECT name FROM categories WHERE page_id=? AND name NOT IN (SELECT value FROM json_each(?))
      ORDER BY name""",
}
#: What other pages say; the parameters are the last page there was and those that are to change, as JSON.
_OTHERS = {
    "titles of other pages": """SELECT id, title, deleted, protected FROM pages
      WHERE id<=? AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY id""",
    "infoboxes of other pages": """SELECT page_id, label, value FROM fields
      WHERE page_id<=? AND page_id NOT IN (SELECT value FROM json_each(?)) ORDER BY page_id, position""",
    "sections of other pages": """SELECT page_id, heading, text FROM sections
      WHERE page_id<=? AND page_id NOT IN (SELECT value FROM json_each(?)) ORDER BY page_id, heading""",
    "rows of other pages": """SELECT page_id, cells FROM entries
      WHERE page_id<=? AND page_id NOT IN (SELECT value FROM json_each(?)) ORDER BY page_id, cells""",
    "categories of other pages": """SELECT page_id, name FROM categories
      WHERE page_id<=? AND page_id NOT IN (SELECT value FROM json_each(?)) ORDER BY page_id, name""",
}


class Wish(SiteWish):
    """The wiki as it is now, and then as it should be.

    Args:
        db: The seed database.

    Attributes:
        pages: The content of every page, by id.
        new: Pages that should be there besides.
        watched: Ids of the pages that I watch.
        comments: ``(page, text)`` that I should post.
        summaries: The summary with which a page's change should be saved, by page.
        last: The largest ids of pages, revisions and comments there were at first.
    """

    site = "wiki"

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.pages = {int(str(i)): read(db, int(str(i))) for (i,) in rows(db, "SELECT id FROM pages ORDER BY id")}
        self.new: list[Content] = []
        self.watched = {int(str(i)) for (i,) in rows(db, _WATCHES)}
        self.comments: list[tuple[int, str]] = []
        self.summaries: dict[int, str] = {}
        self.last = {
            "pages": int(value(db, "SELECT max(id) FROM pages")),
            "revisions": int(value(db, "SELECT max(id) FROM revisions")),
            "talk": int(value(db, "SELECT coalesce(max(id),0) FROM talk")),
        }

    def reading(self, trail: tuple[str, ...]) -> int:
        return sum(_OPENING if "?q=" in target else 1 for target in trail)

    def pages_on_the_way(self, trail: tuple[str, ...] = ()) -> tuple[str, ...]:
        # Those below a page that is to change belong to it.
        found = [target.partition("?")[0] for target in trail]
        changed = {p for p, wanted in self.pages.items() if read(self.db, p) != wanted} | set(self.summaries)
        changed |= {int(str(i)) for (i,) in rows(self.db, _WATCHES)} ^ self.watched
        found += [path for p in sorted(changed) for path in (f"/page/{p}", f"/page/{p}/*")]
        found += [path for p, _ in self.comments for path in (f"/page/{p}", f"/page/{p}/talk")]
        return tuple(dict.fromkeys([*found, *(["/new"] * bool(self.new))]))

    def params(self, trail: tuple[str, ...] = ()) -> dict[str, Any]:
        says = {text for _, text in self.comments} | set(self.summaries.values())
        for content in (*self.pages.values(), *self.new):
            says |= {content.title, *content.categories}
            for row in (*content.fields, *content.sections, *content.rows):
                says |= set(row)
        plan = Plan(
            sorted(says),
            last=dict(self.last),
            pages=dict(self.pages),
            new=tuple(self.new),
            watched=frozenset(self.watched),
            comments=tuple(self.comments),
            summaries=dict(self.summaries),
            trail=trail,
        )
        return {"wiki": plan}

    def facts(self, site: str = "") -> tuple[tuple[Fact, ...], tuple[Fact, ...], int]:
        facts: list[Fact] = []
        keep: list[Fact] = []
        calls = 0
        touched = []
        for page, wanted in self.pages.items():
            now = read(self.db, page)
            if now == wanted:
                continue
            touched.append(page)
            made, rest = self._changes(page, now, wanted, site)
            facts += made
            keep += rest
            calls += _OPENING + _EDITING + len(made)
        for page, summary in self.summaries.items():
            facts.append(Fact(f"summary of {page}", _SUMMARY, (page, self.last["revisions"], summary), site=site))
            calls += 1
        for content in self.new:
            facts += self._made(content, site)
            calls += 6
        for page, text in self.comments:
            facts.append(Fact(f"comment on {page}", _COMMENT, (self.last["talk"], page, text), site=site))
            calls += _OPENING + 3
        keep += self._others(touched, site)
        now_watched = {int(str(i)) for (i,) in rows(self.db, _WATCHES)}
        sql = "SELECT count(*) FROM watches WHERE page_id=?"
        for page in sorted(now_watched ^ self.watched):
            facts.append(Fact(f"watching {page}", sql, (page,), ((int(page in self.watched),),), site))
            calls += _OPENING + 1
        return tuple(facts), tuple(keep), calls

    def _changes(self, page: int, now: Content, wanted: Content, site: str) -> tuple[list[Fact], list[Fact]]:
        """What must become true of a page that is to change, and what of it must stay."""
        facts: list[Fact] = []
        keep: list[Fact] = []
        title = Fact(f"title of {page}", _TITLE, (page,), ((wanted.title,),), site)
        (facts if now.title != wanted.title else keep).append(title)
        changed: dict[str, set[str]] = {}
        for kind, sql, before, after in (
            ("fields", _FIELD, dict(now.fields), dict(wanted.fields)),
            ("sections", _SECTION, dict(now.sections), dict(wanted.sections)),
        ):
            changed[kind] = {k for k in {*before, *after} if before.get(k) != after.get(k)}
            for key in sorted(changed[kind]):
                expected = ((after[key],),) if key in after else ()
                facts.append(Fact(f"{kind} {key} of {page}", sql, (page, key), expected, site))
        for kind, sql, old, new in (
            ("rows", _ENTRY, {json.dumps(r) for r in now.rows}, {json.dumps(r) for r in wanted.rows}),
            ("categories", _CATEGORY, set(now.categories), set(wanted.categories)),
        ):
            changed[kind] = old ^ new
            for key in sorted(changed[kind]):
                facts.append(Fact(f"{kind} {key} of {page}", sql, (page, key), ((int(key in new),),), site))
        keep += [
            unchanged(self.db, f"other {kind} of {page}", sql, page, as_json(changed[kind]), site=site)
            for kind, sql in _REST.items()
        ]
        return facts, keep

    def _made(self, content: Content, site: str) -> list[Fact]:
        """What must become true of a new page."""
        base = (self.last["pages"], content.title)
        facts = [Fact(f"page {content.title}", _NEW, base, site=site)]
        facts += [Fact(f"text of {content.title}", _NEW_TEXT, (*base, text), site=site) for _, text in content.sections]
        facts += [
            Fact(f"category of {content.title}", _NEW_CATEGORY, (*base, name), site=site) for name in content.categories
        ]
        return facts

    def _others(self, touched: list[int], site: str) -> list[Fact]:
        """That nothing else has changed."""
        db, last = self.db, self.last["pages"]
        watched = as_json({int(str(i)) for (i,) in rows(db, _WATCHES)} ^ self.watched)
        sql = "SELECT page_id FROM watches WHERE page_id NOT IN (SELECT value FROM json_each(?)) ORDER BY 1"
        return [
            *(unchanged(db, name, sql, last, as_json(touched), site=site) for name, sql in _OTHERS.items()),
            Fact("no surplus page", _SURPLUS, (last, len(self.new)), site=site),
            Fact("no surplus comment", _SURPLUS_TALK, (self.last["talk"], len(self.comments)), site=site),
            unchanged(db, "other comments", "SELECT * FROM talk WHERE id<=? ORDER BY id", self.last["talk"], site=site),
            unchanged(db, "other watches", sql, watched, site=site),
            *untouched(db, "users", site=site),
        ]


_SURPLUS = "SELECT count(*)<=?2 FROM pages WHERE id>?1 AND NOT deleted"
_SURPLUS_TALK = "SELECT count(*)<=?2 FROM talk WHERE id>?1"


def my_comments(db: sqlite3.Connection, after: int) -> list[tuple[int, int, str]]:
    """Id, page and text of the comments that I have posted since."""
    sql = "SELECT id, page_id, text FROM talk WHERE id>? AND user_id=? ORDER BY id"
    return [(int(str(i)), int(str(p)), str(t)) for i, p, t in rows(db, sql, after, ME)]
