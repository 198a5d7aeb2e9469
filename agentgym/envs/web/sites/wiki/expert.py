"""The wiki's expert: compares the wiki with the wish and makes the next change, from any state."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus

from agentgym.envs.web.sites.base import Call, Goal, View, rows, value
from agentgym.envs.web.sites.hands import form, node, path_of, press_button
from agentgym.envs.web.sites.trails import Plan, at, link, reach, walk
from agentgym.envs.web.sites.wiki.content import ME, Content, page_called, read, revision
from agentgym.envs.web.sites.wiki.site import SITE
from agentgym.envs.web.sites.wiki.wishes import my_comments

FORMS: dict[str, tuple[Mapping[str, str], str]] = {"/search": ({"q": "Search the wiki"}, "Search")}
#: What a page is called for a while when its title is another page's.
_ASIDE = " aside"


def search(words: str) -> str:
    """The address of a search, for trails."""
    return f"/search?q={quote_plus(words)}"


def moves(goal: Goal, view: View) -> Iterator[Call | None]:
    """The expert's moves in order (see `hands.Guided`)."""
    plan: Plan = goal.params["wiki"]
    call = next(_Work(view, plan).calls(), None)
    if call is not None and goal.answer is None and not goal.infeasible:
        yield _look(view, plan["trail"])
    yield call
    yield _keep_it(view)
    if goal.answer is not None or goal.infeasible:
        yield walk(view, SITE.origin, plan["trail"], FORMS)


def _keep_it(view: View) -> Call | None:
    """Closes the dialog that would delete a page."""
    return press_button(view, "Keep it") if node(view, "button", "Yes, delete it") else None


def _look(view: View, trail: tuple[str, ...]) -> Call | None:
    """Looks at what the change depends on, unless the change is already under way."""
    on_trail = any(at(view, SITE.origin, target) for target in trail)
    under_way = path_of(view).startswith(("/page/", "/search", "/new"))
    if not trail or (under_way and not on_trail):
        return None
    return walk(view, SITE.origin, trail, FORMS)


class _Work:
    """What is still to be done."""

    def __init__(self, view: View, wish: Mapping[str, Any]) -> None:
        self.view, self.wish = view, wish
        self.db: sqlite3.Connection = view.dbs["wiki"]

    def calls(self) -> Iterator[Call]:
        """The next call of each thing that is still to be done."""
        for call in self._calls():
            if call is not None:
                yield call

    def _calls(self) -> Iterator[Call | None]:
        matched, surplus = self._match()
        for page in surplus:
            yield self._delete(page)
        for page, wanted in {**self.wish["pages"], **matched}.items():
            now = read(self.db, page)
            if now.title != wanted.title:
                yield self._rename(page, now, wanted.title)
            if not now.same(wanted):
                yield _keep_it(self.view)
                yield from self._content(page, now, wanted)
        for page, summary in self.wish["summaries"].items():
            sql = "SELECT 1 FROM revisions WHERE page_id=? AND id>? AND user_id=? AND summary=?"
            if value(self.db, sql, page, self.wish["last"]["revisions"], ME, summary) is None:
                yield self._again(page, read(self.db, page))
        if len(matched) < len(self.wish["new"]):
            yield self._create(next(c for c in self.wish["new"] if c not in matched.values()))
        yield from self._comments()
        watched = {int(str(p)) for (p,) in rows(self.db, "SELECT page_id FROM watches")}
        for page in sorted(watched ^ self.wish["watched"]):
            name = "Unwatch" if page in watched else "Watch"
            yield self._open(page) or press_button(self.view, name)

    def _match(self) -> tuple[dict[int, Content], list[int]]:
        """Which pages that were made since are which of the new ones, and which of them nobody asked for."""
        sql = "SELECT id FROM pages WHERE id>? AND NOT deleted ORDER BY id"
        made = [int(str(p)) for (p,) in rows(self.db, sql, self.wish["last"]["pages"])]
        matched: dict[int, Content] = {}
        for wanted in self.wish["new"]:
            titled = [p for p in made if read(self.db, p).title.casefold() == wanted.title.casefold()]
            if titled:
                matched[titled[0]] = wanted
        return matched, [p for p in made if p not in matched]

    def _open(self, page: int, more: str = "") -> Call | None:
        """Opens a page (or its history, talk, ...): by a link, or by a search for its title."""
        target = f"/page/{page}"
        if at(self.view, SITE.origin, target + more):
            return None
        if more and at(self.view, SITE.origin, target):
            return reach(self.view, SITE.origin, target + more, {})
        title = str(value(self.db, "SELECT title FROM pages WHERE id=?", page))
        found = link(self.view, SITE.origin, target + more) or link(self.view, SITE.origin, target)
        if found is not None:
            return found
        if at(self.view, SITE.origin, search(title)):
            return Call("goto", (SITE.origin + target,))
        return reach(self.view, SITE.origin, search(title), FORMS)

    def _delete(self, page: int) -> Call | None:
        if not at(self.view, SITE.origin, f"/page/{page}"):
            return _keep_it(self.view) or self._open(page)
        return press_button(self.view, "Yes, delete it") or press_button(self.view, "Delete page")

    def _rename(self, page: int, now: Content, title: str) -> Call | None:
        other = page_called(self.db, title)
        if other is not None and other != page:
            # Its title is taken by a page that will be renamed too: that one makes room first.
            page, title = other, title + _ASIDE
        return _keep_it(self.view) or self._open(page, "/move") or form(self.view, {"New title": title}, "Rename page")

    def _content(self, page: int, now: Content, wanted: Content) -> Iterator[Call | None]:
        """Makes a page say what it should: by an old revision that does, or part by part."""
        if page not in self.wish["summaries"]:
            sql = "SELECT id, content FROM revisions WHERE page_id=? ORDER BY id DESC"
            for number, text in rows(self.db, sql, page):
                if revision(str(text)).same(wanted):
                    yield self._open(page, "/history") or press_button(self.view, f"Restore revision {number}")
        if now.fields != wanted.fields:
            yield self._form(page, "/infobox", dict(wanted.fields))
        yield from self._sections(page, now, wanted)
        yield from self._rows(page, now, wanted)
        for name in now.categories:
            if name not in wanted.categories:
                yield self._open(page) or press_button(self.view, f"Remove category {name}")
        for name in wanted.categories:
            if name not in now.categories:
                yield self._open(page) or form(self.view, {"Category": name}, "Add category")

    def _form(self, page: int, path: str, fields: Mapping[str, str], button: str = "Save page") -> Call | None:
        """Opens one of a page's forms, fills it in and sends it."""
        if path_of(self.view) != f"/page/{page}{path}":
            return self._open(page) or reach(self.view, SITE.origin, f"/page/{page}{path}", {})
        summary = {"Summary": self.wish["summaries"].get(page, "")} if node(self.view, "textbox", "Summary") else {}
        call = form(self.view, {**fields, **summary}, button)
        return call or Call("goto", (f"{SITE.origin}/page/{page}",))

    def _sections(self, page: int, now: Content, wanted: Content) -> Iterator[Call | None]:
        for number, (heading, _) in enumerate(now.sections):
            if heading not in dict(wanted.sections):
                yield self._form(page, f"/section/{number}", {}, "Delete section")
        for heading, text in wanted.sections:
            if heading not in dict(now.sections):
                yield self._form(page, "/section/new", {"Heading": heading, "Text": text})
            elif dict(now.sections)[heading] != text:
                number = [h for h, _ in now.sections].index(heading)
                yield self._form(page, f"/section/{number}", {"Heading": heading, "Text": text})

    def _rows(self, page: int, now: Content, wanted: Content) -> Iterator[Call | None]:
        missing = [r for r in wanted.rows if r not in now.rows]
        ids = [int(str(i)) for (i,) in rows(self.db, "SELECT id FROM entries WHERE page_id=? ORDER BY id", page)]
        surplus = [
            (i, r)
            for place, (i, r) in enumerate(zip(ids, now.rows, strict=True))
            if r not in wanted.rows or r in now.rows[:place]
        ]
        for entry, cells in surplus:
            same = next((m for m in missing if m[0] == cells[0]), None)
            if same is None:
                yield self._form(page, f"/row/{entry}", {}, "Delete row")
            else:
                yield self._form(page, f"/row/{entry}", dict(zip(wanted.columns, same, strict=True)))
        for cells in missing:
            yield self._form(page, "/row/new", dict(zip(wanted.columns, cells, strict=True)))

    def _again(self, page: int, now: Content) -> Call | None:
        """Saves a page once more, for its summary."""
        if now.fields:
            return self._form(page, "/infobox", dict(now.fields))
        heading, text = now.sections[0]
        return self._form(page, "/section/0", {"Heading": heading, "Text": text})

    def _create(self, content: Content) -> Call | None:
        if path_of(self.view) != "/new":
            return reach(self.view, SITE.origin, "/new", {})
        text = content.sections[0][1]
        category = content.categories[0] if content.categories else ""
        return form(self.view, {"Title": content.title, "Text": text, "Category": category}, "Save page")

    def _comments(self) -> Iterator[Call | None]:
        left = list(self.wish["comments"])
        for comment, page, text in my_comments(self.db, self.wish["last"]["talk"]):
            if (page, text) in left:
                left.remove((page, text))
            else:
                yield self._open(page, "/talk") or press_button(self.view, f"Delete comment {comment}")
        for page, text in left:
            yield self._open(page, "/talk") or form(self.view, {"Comment": text}, "Post comment")
