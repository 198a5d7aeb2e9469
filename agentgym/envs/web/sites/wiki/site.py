"""The wiki's pages that show something: pages, history, categories, search, changes, contributions."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.responses import Response

from agentgym.envs.web.sites.base import Site
from agentgym.envs.web.sites.serving import Visit, application
from agentgym.envs.web.sites.wiki import editing, world
from agentgym.envs.web.sites.wiki.content import ME, SCHEMA, Content, page_called, read, revision
from agentgym.envs.web.sites.wiki.editing import page_of

#: Lines of one page of results, of changes, of all pages; names that the search box suggests.
PAGE, SUGGESTED = 20, 5


def _links(visit: Visit) -> dict[str, int]:
    """Ids of the pages by their title, for links."""
    return {r["title"]: r["id"] for r in visit.rows("SELECT id, title FROM pages WHERE NOT deleted")}


def start(visit: Visit) -> Response:
    """The first page."""
    island = visit.value("SELECT value FROM meta WHERE key='island'")
    lists = visit.rows(
        "SELECT p.id, p.title FROM pages p JOIN categories c ON c.page_id=p.id WHERE c.name='Lists' AND NOT p.deleted"
        " ORDER BY p.title"
    )
    return visit.page("start.html", island=island, lists=lists, count=visit.value(_COUNT))


_COUNT = "SELECT count(*) FROM pages WHERE NOT deleted"


def _sorted(visit: Visit, content: Content) -> tuple[list[dict[str, Any]], int | None, str]:
    """The rows of a page's table with their ids, in the order that the address asks for."""
    ids = [r["id"] for r in visit.rows("SELECT id FROM entries WHERE page_id=? ORDER BY id", page_of(visit))]
    rows = [{"id": i, "cells": cells} for i, cells in zip(ids, content.rows, strict=True)]
    column, order = visit.number("sort"), visit.text("order")
    if column is None or column >= len(content.columns):
        return rows, None, ""
    number = all(_is_number(r["cells"][column]) for r in rows)
    rows.sort(key=lambda r: (int(r["cells"][column]) if number else 0, r["cells"][column]), reverse=order == "desc")
    return rows, column, "desc" if order == "desc" else "asc"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def page(visit: Visit) -> Response:
    """A page."""
    number = page_of(visit)
    content = read(visit.db, number)
    rows, column, order = _sorted(visit, content)
    return visit.page(
        "page.html",
        id=number,
        content=content,
        rows=rows,
        column=column,
        order=order,
        links=_links(visit),
        watched=visit.value("SELECT 1 FROM watches WHERE page_id=?", number),
        comments=visit.value("SELECT count(*) FROM talk WHERE page_id=?", number),
        **visit.row("SELECT protected, creator_id=? AS own FROM pages WHERE id=?", ME, number),
    )


_REVISIONS = """SELECT r.id, r.page_id, r.at, r.summary, u.name, p.title FROM revisions r JOIN users u ON u.id=r.user_id
  JOIN pages p ON p.id=r.page_id WHERE NOT p.deleted"""


def history(visit: Visit) -> Response:
    """The revisions of a page, the newest first."""
    number = page_of(visit)
    sql = """SELECT r.id, r.at, r.summary, u.name FROM revisions r JOIN users u ON u.id=r.user_id
      WHERE page_id=? ORDER BY r.id DESC"""
    protected = visit.value("SELECT protected FROM pages WHERE id=?", number)
    return visit.page(
        "history.html",
        id=number,
        title=read(visit.db, number).title,
        revisions=visit.rows(sql, number),
        protected=protected,
    )


def old(visit: Visit) -> Response:
    """An old revision of a page."""
    number = page_of(visit)
    sql = """SELECT r.id, r.at, r.content, u.name FROM revisions r JOIN users u ON u.id=r.user_id
      WHERE r.page_id=? AND r.id=?"""
    found = visit.row(sql, number, visit.number("revision", 1))
    return visit.page(
        "old.html", id=number, revision=found, title=read(visit.db, number).title, content=revision(found["content"])
    )


def all_categories(visit: Visit) -> Response:
    """The categories, with the number of their pages."""
    sql = """SELECT c.name, count(*) AS pages FROM categories c JOIN pages p ON p.id=c.page_id WHERE NOT p.deleted
      GROUP BY c.name ORDER BY c.name"""
    return visit.page("categories.html", categories=visit.rows(sql))


def category(visit: Visit) -> Response:
    """The pages of a category."""
    name = visit.args["name"]
    sql = """SELECT p.id, p.title FROM categories c JOIN pages p ON p.id=c.page_id WHERE c.name=? AND NOT p.deleted
      ORDER BY p.title"""
    found = visit.rows(sql, name)
    if not found:
        visit.missing()
    return visit.page("category.html", name=name, pages=found)


def _found(visit: Visit, words: str) -> list[dict[str, Any]]:
    like = "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    sql = """SELECT p.id, p.title, p.title LIKE ?1 ESCAPE '\\' AS named FROM pages p WHERE NOT p.deleted AND (
      p.title LIKE ?1 ESCAPE '\\'
      OR EXISTS (SELECT 1 FROM sections WHERE page_id=p.id AND text LIKE ?1 ESCAPE '\\')
      OR EXISTS (SELECT 1 FROM fields WHERE page_id=p.id AND value LIKE ?1 ESCAPE '\\'))
      ORDER BY p.title<>?2 COLLATE NOCASE, named DESC, p.title"""
    return visit.rows(sql, like, words)


def search(visit: Visit) -> Response:
    """The pages whose title or text hold the words, those with the title first."""
    words = visit.text("q")
    found = _found(visit, words) if words else []
    number = visit.number("page", 1) or 1
    return visit.page(
        "search.html",
        words=words,
        count=len(found),
        found=found[(number - 1) * PAGE : number * PAGE],
        page=number,
        pages=-(-len(found) // PAGE),
        exact=page_called(visit.db, words) is not None,
    )


def suggest(visit: Visit) -> Response:
    """Titles that begin with what is in the search box."""
    words = visit.text("q").casefold()
    titles = [t for t in sorted(_links(visit)) if words and t.casefold().startswith(words)]
    return visit.json(titles[:SUGGESTED])


def every_page(visit: Visit) -> Response:
    """All pages by title."""
    number = visit.number("page", 1) or 1
    sql = "SELECT id, title FROM pages WHERE NOT deleted ORDER BY title LIMIT ? OFFSET ?"
    return visit.page(
        "all.html",
        found=visit.rows(sql, PAGE, (number - 1) * PAGE),
        page=number,
        pages=-(-visit.value(_COUNT) // PAGE),
    )


def changes(visit: Visit) -> Response:
    """The last changes of all pages."""
    return visit.page("changes.html", heading="Recent changes", changes=visit.rows(_LATEST, PAGE), count=None)


_LATEST = f"{_REVISIONS} ORDER BY r.id DESC LIMIT ?"
_OF_USER = f"{_REVISIONS} AND u.name=? ORDER BY r.id DESC"


def user(visit: Visit) -> Response:
    """What a user has changed."""
    name = visit.args["name"]
    if visit.value("SELECT 1 FROM users WHERE name=?", name) is None:
        visit.missing()
    found = visit.rows(_OF_USER, name)
    return visit.page("changes.html", heading=f"Changes by {name}", changes=found, count=len(found))


def watchlist(visit: Visit) -> Response:
    """The pages that I watch."""
    sql = "SELECT p.id, p.title FROM watches JOIN pages p ON p.id=page_id WHERE NOT p.deleted ORDER BY p.title"
    return visit.page("watchlist.html", found=visit.rows(sql))


class Wiki(Site):
    """A wiki about an invented island, signed in as user `content.ME`."""

    name = "wiki"
    title = "Islandwiki"
    schema = SCHEMA

    def fill(self, db: sqlite3.Connection, rng: random.Random, heldout: bool) -> None:
        world.fill(db, rng, heldout)

    def application(self) -> Starlette:
        return application(
            self.title,
            Path(__file__).parent / "html",
            [
                ("/", "GET", start),
                *editing.HANDLERS,
                ("/page/{id}", "GET", page),
                ("/page/{id}/history", "GET", history),
                ("/page/{id}/history/{revision}", "GET", old),
                ("/categories", "GET", all_categories),
                ("/category/{name}", "GET", category),
                ("/search", "GET", search),
                ("/suggest", "GET", suggest),
                ("/all", "GET", every_page),
                ("/changes", "GET", changes),
                ("/user/{name}", "GET", user),
                ("/watchlist", "GET", watchlist),
            ],
            editing.NOTICES,
        )


SITE = Wiki()
