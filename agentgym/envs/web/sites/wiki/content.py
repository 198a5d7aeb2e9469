"""What a wiki page holds, and the one way in which it changes: a new revision.

The present content lies in tables that facts can ask about; each revision keeps the whole content as JSON, so that
any of them can be shown and restored.
"""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import asdict, dataclass, replace

from agentgym.envs.web.sites.base import value

SCHEMA = """
CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE pages(id INTEGER PRIMARY KEY, title TEXT NOT NULL, protected INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0, creator_id INTEGER NOT NULL REFERENCES users(id));
CREATE TABLE fields(page_id INTEGER NOT NULL REFERENCES pages(id), position INTEGER NOT NULL, label TEXT NOT NULL,
  value TEXT NOT NULL, UNIQUE(page_id, label));
CREATE TABLE sections(page_id INTEGER NOT NULL REFERENCES pages(id), position INTEGER NOT NULL, heading TEXT NOT NULL,
  text TEXT NOT NULL, UNIQUE(page_id, heading));
CREATE TABLE columns(page_id INTEGER NOT NULL REFERENCES pages(id), position INTEGER NOT NULL, name TEXT NOT NULL);
CREATE TABLE entries(id INTEGER PRIMARY KEY, page_id INTEGER NOT NULL REFERENCES pages(id), cells TEXT NOT NULL);
CREATE TABLE categories(page_id INTEGER NOT NULL REFERENCES pages(id), name TEXT NOT NULL, UNIQUE(page_id, name));
CREATE TABLE revisions(id INTEGER PRIMARY KEY, page_id INTEGER NOT NULL REFERENCES pages(id),
  user_id INTEGER NOT NULL REFERENCES users(id), at TEXT NOT NULL, summary TEXT NOT NULL, content TEXT NOT NULL);
CREATE INDEX revisions_page ON revisions(page_id);
CREATE TABLE talk(id INTEGER PRIMARY KEY, page_id INTEGER NOT NULL REFERENCES pages(id),
  user_id INTEGER NOT NULL REFERENCES users(id), at TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE watches(page_id INTEGER PRIMARY KEY REFERENCES pages(id));
"""

#: Id of the signed-in user.
ME = 1

_SPACE_BEFORE_MARK = re.compile(r"\s+([.,;:!?)\]])|([(\[])\s+")


def tidy(text: str) -> str:
    """A text on one line, without the spaces before marks that some writers leave."""
    return _SPACE_BEFORE_MARK.sub(r"\1\2", " ".join(text.split()))


@dataclass(frozen=True)
class Content:
    """What a page says.

    Attributes:
        title: Its name.
        fields: Label and value of the infobox, in order.
        sections: Heading and text in order; the first may have no heading.
        columns: Names of the table's columns; none: the page has no table.
        rows: The table's rows.
        categories: Sorted names.
    """

    title: str
    fields: tuple[tuple[str, str], ...] = ()
    sections: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    categories: tuple[str, ...] = ()

    def with_field(self, label: str, text: str) -> Content:
        """The same page with another value of a label."""
        return replace(self, fields=tuple((k, text if k == label else v) for k, v in self.fields))

    def with_section(self, heading: str, text: str) -> Content:
        """The same page with another text under a heading, or one more section."""
        if heading in dict(self.sections):
            return replace(self, sections=tuple((h, text if h == heading else t) for h, t in self.sections))
        return replace(self, sections=(*self.sections, (heading, text)))

    def field(self, label: str) -> str:
        """The value of a label; empty where there is none."""
        return dict(self.fields).get(label, "")

    def same(self, other: Content) -> bool:
        """Whether both say the same, whatever they are called, in whatever order."""
        return self.key == other.key

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for pages that say the same."""
        parts = (self.sections, self.rows, self.categories)
        return self.fields, self.columns, *(tuple(sorted(part)) for part in parts)


def read(db: sqlite3.Connection, page: int) -> Content:
    """A page as it is now."""
    cells = db.execute("SELECT cells FROM entries WHERE page_id=? ORDER BY id", (page,))
    return Content(
        str(value(db, "SELECT title FROM pages WHERE id=?", page)),
        tuple(db.execute("SELECT label, value FROM fields WHERE page_id=? ORDER BY position", (page,))),
        tuple(db.execute("SELECT heading, text FROM sections WHERE page_id=? ORDER BY position", (page,))),
        tuple(n for (n,) in db.execute("SELECT name FROM columns WHERE page_id=? ORDER BY position", (page,))),
        tuple(tuple(json.loads(c)) for (c,) in cells),
        tuple(n for (n,) in db.execute("SELECT name FROM categories WHERE page_id=? ORDER BY name", (page,))),
    )


def save(db: sqlite3.Connection, page: int, content: Content, user: int, summary: str) -> None:
    """Makes a page say something else, as a new revision. The title stays: `rename` changes it."""
    for table in ("fields", "sections", "columns", "entries", "categories"):
        db.execute(f"DELETE FROM {table} WHERE page_id=?", (page,))  # noqa: S608 - one of the names above
    db.executemany("INSERT INTO fields VALUES (?,?,?,?)", [(page, i, *f) for i, f in enumerate(content.fields)])
    db.executemany("INSERT INTO sections VALUES (?,?,?,?)", [(page, i, *s) for i, s in enumerate(content.sections)])
    db.executemany("INSERT INTO columns VALUES (?,?,?)", [(page, i, c) for i, c in enumerate(content.columns)])
    db.executemany("INSERT INTO entries(page_id,cells) VALUES (?,?)", [(page, json.dumps(r)) for r in content.rows])
    db.executemany("INSERT INTO categories VALUES (?,?)", [(page, c) for c in content.categories])
    now = value(db, "SELECT value FROM meta WHERE key='now'")
    db.execute(
        "INSERT INTO revisions(page_id,user_id,at,summary,content) VALUES (?,?,?,?,?)",
        (page, user, now, summary, json.dumps(asdict(content))),
    )


def create(db: sqlite3.Connection, content: Content, user: int, summary: str) -> int:
    """Makes a page; gives its id."""
    row = db.execute("INSERT INTO pages(title,creator_id) VALUES (?,?)", (content.title, user))
    page = int(row.lastrowid or 0)
    save(db, page, content, user, summary)
    return page


def revision(text: str) -> Content:
    """The content that a revision keeps."""
    kept = json.loads(text)
    return Content(
        kept["title"],
        tuple((k, v) for k, v in kept["fields"]),
        tuple((h, t) for h, t in kept["sections"]),
        tuple(kept["columns"]),
        tuple(tuple(row) for row in kept["rows"]),
        tuple(kept["categories"]),
    )


def page_called(db: sqlite3.Connection, title: str) -> int | None:
    """Id of the page of this title, in any case; None where there is none."""
    found = value(db, "SELECT id FROM pages WHERE title=? COLLATE NOCASE AND NOT deleted", title)
    return None if found is None else int(found)
