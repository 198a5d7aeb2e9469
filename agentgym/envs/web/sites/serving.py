"""How the bundled sites answer requests: handlers that read a `Visit` and give a page or a redirect.

Rules that keep an episode restorable from its database and URL alone: no cookies, no server-side sessions, notices
travel as a code in the URL (``?notice=added``), and every path that takes a POST also answers a GET.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlencode

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from agentgym.envs.web.sites.base import Scalar, money, value
from agentgym.tools.browser.gateway import ASGIApp, Message, Receive, Send

_HERE = Path(__file__).parent
#: Bytes of a form that are read; a longer one is refused.
MAX_BODY = 64_000
#: Characters of a field that are kept.
MAX_FIELD = 2_000
#: The largest number that a page takes from a field or a path.
MAX_NUMBER = 1_000_000_000


class Missing(Exception):
    """What was asked for does not exist: the page of status 404."""


class Visit:
    """One request, as a handler reads it.

    Attributes:
        db: The episode's database.
        method: ``"GET"`` or ``"POST"``.
        path: The path of the URL.
        args: The path's parameters.
        query: The query's fields, the last value of each.
        form: The form's fields, all values of each.
    """

    def __init__(self, request: Request, db: sqlite3.Connection, form: Mapping[str, list[str]], looks: Looks) -> None:
        self.db, self.form, self._looks = db, form, looks
        self.method, self.path = request.method, request.url.path
        self.args: dict[str, str] = dict(request.path_params)
        self.query: dict[str, str] = {key: text[:MAX_FIELD] for key, text in request.query_params.items()}

    @property
    def posted(self) -> bool:
        """Whether a form was sent."""
        return self.method == "POST"

    def text(self, name: str) -> str:
        """A field of the form or, in its absence, the query: one line, without surplus spaces."""
        found = self.form.get(name)
        return " ".join((found[-1] if found else self.query.get(name, ""))[:MAX_FIELD].replace("\0", "").split())

    def number(self, name: str, low: int = 0, high: int = MAX_NUMBER) -> int | None:
        """A whole number of the form, query or path; None where it is absent, none, or outside of the bounds."""
        text = self.args[name] if name in self.args else self.text(name)
        if not text.isascii() or not text.isdigit() or len(text) > len(str(MAX_NUMBER)):
            return None
        return int(text) if low <= int(text) <= high else None

    def several(self, name: str) -> list[str]:
        """All values of a field that may come several times (check boxes)."""
        return [text[:MAX_FIELD] for text in self.form.get(name, [])]

    def rows(self, sql: str, *args: Scalar) -> list[dict[str, Any]]:
        """The rows of a query, as dictionaries for the page."""
        cursor = self.db.execute(sql, args)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def row(self, sql: str, *args: Scalar) -> dict[str, Any]:
        """The first row of a query.

        Raises:
            Missing: There is none.
        """
        found = self.rows(sql, *args)
        if not found:
            raise Missing
        return found[0]

    def value(self, sql: str, *args: Scalar) -> Any:
        """The first column of a query's first row; None where there is no row."""
        return value(self.db, sql, *args)

    def write(self, sql: str, *args: Scalar) -> int:
        """Runs a statement that changes the database; gives the id of the last row inserted."""
        return self.db.execute(sql, args).lastrowid or 0

    @property
    def now(self) -> str:
        """The site's own present, an ISO date or date and time."""
        return str(self.value("SELECT value FROM meta WHERE key = 'now'"))

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """Renders a template of the site; it also sees `visit`, `site` (the title), `query`, `path` and `notice`."""
        notice = self._looks.notices.get(self.query.get("notice", ""), "")
        made = self._looks.pages.get_template(template).render(
            visit=self, site=self._looks.title, query=self.query, path=self.path, notice=notice, **values
        )
        return HTMLResponse(made, status)

    def checked(self, template: str, *, errors: Sequence[str], **values: Any) -> Response:
        """Renders a page with a form and what was wrong with what was sent, with status 422 where something was."""
        return self.page(template, 422 if errors else 200, errors=errors, **values)

    def json(self, content: Any) -> Response:
        """An answer for the page's own script."""
        return JSONResponse(content)

    def go(self, path: str, **query: str | int) -> Response:
        """Sends the browser on to another page, e.g. ``visit.go("/cart", notice="added")``."""
        return RedirectResponse(path + (f"?{urlencode(query)}" if query else ""), 303)

    def missing(self) -> NoReturn:
        """Ends the request with the page of status 404."""
        raise Missing


Handler = Callable[[Visit], Response]


@dataclass(frozen=True)
class Looks:
    """What the pages of a site are made from.

    Attributes:
        title: What they call the site.
        pages: The templates.
        notices: What a notice's code in the URL stands for; other codes show nothing.
    """

    title: str
    pages: jinja2.Environment
    notices: Mapping[str, str]


def day(text: str) -> str:
    """An ISO date (or the date of an ISO date and time) as people read it, e.g. ``4 March 2031``."""
    found = date.fromisoformat(text[:10])
    return f"{found.day} {found:%B %Y}"


def zipped(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Options of a list whose values are what they show."""
    return [(text, text) for text in texts]


def _pages(folder: Path) -> jinja2.Environment:
    """The templates of a site's folder and those that all sites share, escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _HERE / "pages"]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(money=money, day=day, zipped=zipped)
    return made


async def _form(request: Request) -> dict[str, list[str]]:
    """The fields of a sent form; raises ValueError where it is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise ValueError("form too long")
    form: dict[str, list[str]] = {}
    for name, text in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, errors="replace"):
        form.setdefault(name, []).append(text)
    return form


def _endpoint(handler: Handler, looks: Looks) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        db: sqlite3.Connection = request.scope["database"]
        try:
            form = await _form(request) if request.method == "POST" else {}
        except ValueError:
            return HTMLResponse("The form is too long.", 413)
        visit = Visit(request, db, form, looks)
        # No await until the commit: on one loop a request is a transaction of its own.
        db.execute("BEGIN")
        try:
            response = handler(visit)
        except Missing:
            response = visit.page("missing.html", 404)
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
        return response

    return endpoint


async def _asset(request: Request) -> Response:
    found = _assets().get(request.path_params["name"])
    if found is None:
        return Response(status_code=404)
    body, kind = found
    return Response(body, media_type=kind, headers={"Cache-Control": "max-age=86400, immutable"})


@cache
def _assets() -> dict[str, tuple[bytes, str]]:
    kinds = {".css": "text/css", ".js": "text/javascript"}
    return {path.name: (path.read_bytes(), kinds[path.suffix]) for path in sorted((_HERE / "assets").iterdir())}


def application(
    title: str, folder: Path, handlers: Sequence[tuple[str, str, Handler]], notices: Mapping[str, str]
) -> Starlette:
    """A site's application, shared by all episodes; each gives its database by `serve`.

    Args:
        title: What the pages call the site.
        folder: Where its templates lie.
        handlers: Path (with Starlette's parameters, e.g. ``/item/{slug}``), methods (``"GET"``, ``"GET POST"``),
            handler.
        notices: What the codes of ``?notice=`` stand for.
    """
    looks = Looks(title, _pages(folder), notices)
    routes = [Route("/assets/{name}", _asset, methods=["GET"])]
    for path, methods, handler in handlers:
        routes.append(Route(path, _endpoint(handler, looks), methods=methods.split()))

    def absent(visit: Visit) -> Response:
        raise Missing

    routes.append(Route("/{path:path}", _endpoint(absent, looks), methods=["GET", "POST"]))
    return Starlette(routes=routes)


def serve(shared: Starlette, db: sqlite3.Connection) -> ASGIApp:
    """An episode's application: the shared one over its own database."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        scope["database"] = db
        await shared(scope, receive, send)

    return app
