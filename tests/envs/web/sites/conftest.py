"""A browser on paper: reads the pages of a site's application and acts on them, without a browser.

It knows links, forms, fields and dialogs, which is what the sites are made of; scripts do not run. So hundreds of
episodes of every template can be tried in seconds. What a real browser does is tested with one elsewhere.
"""

from __future__ import annotations

import dataclasses
import random
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

from agentgym.envs.web.sites import all_sites, base
from agentgym.envs.web.sites.base import Call, Goal, Template, View
from agentgym.tools.browser.tree import Node, Tree

_VOID = frozenset({"meta", "link", "input", "br", "hr", "img"})
_ROLES = {
    "button": "button", "table": "table", "tr": "row", "td": "cell", "th": "columnheader", "li": "listitem",
    "dialog": "dialog", "h1": "heading", "h2": "heading", "h3": "heading", "textarea": "textbox", "option": "option",
    "article": "article", "nav": "navigation", "ul": "list", "form": "form", "section": "region", "p": "paragraph",
}  # fmt: skip
_INPUTS = {"checkbox": "checkbox", "radio": "radio", "search": "searchbox", "number": "spinbutton"}
#: How often something is done to a form where there is one, and what is written into it by chance.
HANDLED = 0.6
WRITTEN = ("2031-05-05", "List of towns", "x", "Quiz hour", "Team lunch", "Status round", "100", "", "Towns", "River")
#: Redirects followed for one request.
MAX_HOPS = 5


@dataclasses.dataclass(eq=False)
class Element:
    """An element of a page; `parts` are its elements and texts in order."""

    tag: str
    attrs: dict[str, str]
    parent: Element | None = None
    parts: list[Element | str] = dataclasses.field(default_factory=list)
    id: str = ""

    def walk(self) -> Iterator[Element]:
        yield self
        for part in self.parts:
            if isinstance(part, Element):
                yield from part.walk()

    @property
    def text(self) -> str:
        if self.tag in ("select", "textarea", "script", "style"):
            return ""
        return " ".join(" ".join(p if isinstance(p, str) else p.text for p in self.parts).split())

    def up(self, tag: str) -> Element | None:
        found = self.parent
        while found is not None and found.tag != tag:
            found = found.parent
        return found


class _Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = self.open = Element("html", {})
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {k: v or "" for k, v in attrs}, self.open)
        self.open.parts.append(made)
        if tag not in _VOID:
            self.open = made

    def handle_endtag(self, tag: str) -> None:
        found: Element | None = self.open
        while found is not None and found.tag != tag:
            found = found.parent
        if found is not None and found.parent is not None:
            self.open = found.parent

    def handle_data(self, data: str) -> None:
        self.open.parts.append(data)


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Runs what never waits for anything."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("an application waited")


class PaperBrowser:
    """One tab over the applications of an episode."""

    def __init__(self, apps: Mapping[str, Any]) -> None:
        self.apps = apps
        self.url, self.status = "about:blank", 0
        self.said: str | None = None
        self.infeasible = False
        self.root = Element("html", {})
        self.values: dict[Element, str] = {}
        self.checked: set[Element] = set()
        self.dialog: Element | None = None

    def request(self, method: str, url: str, form: Sequence[tuple[str, str]] = ()) -> None:
        """Loads a page, redirects followed."""
        for _ in range(MAX_HOPS):
            parts, body = urlsplit(url), urlencode(form).encode()
            app = self.apps.get(f"{parts.scheme}://{parts.netloc}")
            if app is None:
                self.status, self.url, page, place = 403, url, "<main><p>outside</p></main>", ""
            else:
                page, place = self._ask(app, method, parts.path or "/", parts.query, body)
            if self.status not in (302, 303):
                break
            url, method, form = urljoin(url, place), "GET", ()
        else:
            raise AssertionError(f"redirects without end at {url}")
        self.url = url
        self._load(page)

    def _ask(self, app: Any, method: str, path: str, query: str, body: bytes) -> tuple[str, str]:
        got: dict[str, Any] = {"body": b""}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.status, got["headers"] = message["status"], dict(message["headers"])
            else:
                got["body"] += message.get("body", b"")

        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "headers": [], "server": ("site", 80), "scheme": "http", "root_path": "",
        }  # fmt: skip
        _run(app(scope, receive, send))
        return got["body"].decode(), got["headers"].get(b"location", b"").decode()

    def _load(self, page: str) -> None:
        self.root, self.values, self.checked, self.dialog = _Reader(page).root, {}, set(), None
        for i, element in enumerate(self.root.walk()):
            element.id = str(i)
            if element.tag == "select":
                options = [o for o in element.walk() if o.tag == "option"]
                chosen = [o for o in options if "selected" in o.attrs] or options[:1]
                self.values[element] = chosen[0].text if chosen else ""
            elif element.tag == "textarea":
                self.values[element] = "".join(p for p in element.parts if isinstance(p, str)).strip()
            elif element.tag == "input":
                self.values[element] = element.attrs.get("value", "")
                if "checked" in element.attrs:
                    self.checked.add(element)

    @property
    def tree(self) -> Tree:
        """The page as the accessibility tree that a browser would report."""
        nodes = self._nodes(self.root)
        return Tree(self.url, "", tuple(nodes))

    def _nodes(self, element: Element) -> list[Node]:
        if element.tag in ("head", "script", "style") or "hidden" in element.attrs:
            return []
        if element.tag == "dialog" and element is not self.dialog:
            return []
        if element.attrs.get("type") == "hidden":
            return []
        children: list[Node] = []
        for part in element.parts:
            if isinstance(part, Element):
                children += self._nodes(part)
            elif part.strip():
                children.append(Node("", "text", " ".join(part.split())))
        role = element.attrs.get("role") or self._role(element)
        if role is None:
            return children
        marks = tuple((k, element.attrs[k]) for k in ("id", "class", "name", "href") if k in element.attrs)
        value = self.values.get(element) if role not in ("checkbox", "radio") else None
        states = ("checked",) if element in self.checked else ()
        if "disabled" in element.attrs:
            states += ("disabled",)
        if element.attrs.get("aria-selected") == "true":
            states += ("selected",)
        value = element.attrs["href"] if role == "link" else value
        name = self._name(element, role)
        return [Node(element.id, role, name, value, states, tuple(children), None, element.tag, marks)]

    def _role(self, element: Element) -> str | None:
        if element.tag == "a":
            return "link" if "href" in element.attrs else None
        if element.tag == "input":
            return _INPUTS.get(element.attrs.get("type", ""), "textbox")
        if element.tag == "select":
            return "listbox" if "multiple" in element.attrs else "combobox"
        return _ROLES.get(element.tag)

    def _name(self, element: Element, role: str) -> str:
        if "aria-label" in element.attrs:
            return element.attrs["aria-label"]
        if element.tag in ("input", "select", "textarea"):
            label = element.up("label") or next(
                (e for e in self.root.walk() if e.attrs.get("for", "-") == element.attrs.get("id")), None
            )
            return label.text if label else element.attrs.get("placeholder", "")
        if role in ("link", "button", "heading", "cell", "columnheader", "option", "tab"):
            return element.text
        return ""

    def act(self, call: Call) -> None:
        """Does one call of an expert; raises AssertionError where a person could not."""
        if call.name == "goto":
            self.request("GET", str(call.args[0]))
        elif call.name in ("send_msg_to_user", "stop"):
            self.said = str(call.args[0]) if call.args else ""
        elif call.name == "report_infeasible":
            self.infeasible = True
        else:
            shown = {node.id for node in self.tree.walk()}
            element = next(e for e in self.root.walk() if e.id == call.args[0])
            assert element.id in shown, f"{call}: not on the page"
            assert self.dialog is None or self.dialog in _above(element), f"{call}: behind a dialog"
            act = {"click": self._click, "fill": self._fill, "select_option": self._select}[call.name]
            act(element, *map(str, call.args[1:]))

    def _fill(self, element: Element, text: str) -> None:
        assert element.tag in ("input", "textarea")
        self.values[element] = text

    def _select(self, element: Element, option: str) -> None:
        texts = [o.text for o in element.walk() if o.tag == "option"]
        assert option in texts, f"no option {option!r} in {texts}"
        self.values[element] = option

    def _click(self, element: Element) -> None:
        kind = element.attrs.get("type", "submit" if element.tag == "button" else "")
        assert "disabled" not in element.attrs
        if element.tag == "a":
            self.request("GET", urljoin(self.url, element.attrs["href"]).split("#")[0])
        elif "data-opens" in element.attrs:
            self.dialog = next(e for e in self.root.walk() if e.attrs.get("id") == element.attrs["data-opens"])
        elif "data-closes" in element.attrs:
            self.dialog = None
        elif "data-reveals" in element.attrs:
            self._show(element.attrs["data-reveals"])
        elif element.attrs.get("role") == "tab":
            self._show(element.attrs["aria-controls"])
            element.attrs["aria-selected"] = "true"
        elif kind == "checkbox":
            self.checked ^= {element}
        elif kind == "radio":
            name, form = element.attrs["name"], element.up("form")
            group = [e for e in self.root.walk() if e.attrs.get("name") == name and e.up("form") is form]
            self.checked = (self.checked - set(group)) | {element}
        elif kind == "submit":
            form = element.up("form")
            if form is not None:
                self._send(form, element)

    def _show(self, id: str) -> None:
        next(e for e in self.root.walk() if e.attrs.get("id") == id).attrs.pop("hidden", None)

    def _send(self, form: Element, button: Element) -> None:
        sent = []
        for field in form.walk():
            name = field.attrs.get("name")
            kind = field.attrs.get("type")
            if name is None or (field.tag == "button" and field is not button):
                continue
            if field is button:
                sent.append((name, field.attrs.get("value", "")))
            elif field.tag == "select":
                options = [o for o in field.walk() if o.tag == "option"]
                chosen = next((o for o in options if o.text == self.values[field]), None)
                sent += [(name, chosen.attrs.get("value", chosen.text))] if chosen else []
            elif field.tag in ("input", "textarea") and (kind not in ("checkbox", "radio") or field in self.checked):
                sent.append((name, self.values[field]))
        url = urljoin(self.url, button.attrs.get("formaction") or form.attrs.get("action", self.url))
        if (button.attrs.get("formmethod") or form.attrs.get("method", "get")).lower() == "post":
            self.request("POST", url, sent)
        else:
            self.request("GET", f"{url.split('?')[0]}?{urlencode(sent)}")


def _above(element: Element) -> Iterator[Element]:
    above: Element | None = element
    while above is not None:
        yield above
        above = above.parent


class Episode:
    """A task in a browser on paper."""

    def __init__(self, template: Template, seed: int, heldout: bool = False) -> None:
        self.template = template
        contents, self.goal = base.instance(template, seed, heldout, all_sites())
        self.goal: Goal
        self.dbs = {name: base.open_database(content) for name, content in contents.items()}
        sites = all_sites()
        self.browser = PaperBrowser({sites[name].origin: sites[name].app(db) for name, db in self.dbs.items()})
        self.browser.request("GET", self.goal.start)
        self.calls: list[Call] = []

    @property
    def view(self) -> View:
        return View(self.browser.tree, self.browser.url, self.dbs, (self.browser.url,), self.browser.said)

    @property
    def done(self) -> bool:
        return self.goal.done(self.dbs, self.browser.said, self.browser.infeasible)

    @property
    def over(self) -> bool:
        return self.browser.said is not None or self.browser.infeasible

    def solve(self, most: int = 60) -> int:
        """Lets the expert play to the end; gives its calls."""
        for step in range(most):
            if self.over:
                return step
            call = self.template.next_action(self.goal, self.view)
            self.calls.append(call)
            self.browser.act(call)
        raise AssertionError(f"{self.template.id}: no end: {self.calls[-8:]} at {self.browser.url}: {self.goal.text}")

    def wander(self, seed: int, steps: int) -> None:
        """Does what chance decides, with forms rather than links; the page must always be answered."""
        rng = random.Random(seed)
        for _ in range(steps):
            dialog = self.browser.dialog
            shown = self.browser.tree.within(dialog.id) if dialog is not None else self.browser.tree
            handles = shown.find_all("button|textbox|searchbox|spinbutton|combobox|checkbox|radio|tab")
            links = shown.find_all("link")
            node = rng.choice(handles if handles and (not links or rng.random() < HANDLED) else links)
            if node.tag == "select":
                options = [option.name for option in node.children]
                if options:
                    self.browser.act(Call("select_option", (node.id, rng.choice(options))))
            elif node.role in ("textbox", "searchbox", "spinbutton", "combobox"):
                self.browser.act(Call("fill", (node.id, rng.choice(WRITTEN))))
            else:
                self.browser.act(Call("click", (node.id,)))
            assert self.browser.status < 500, self.browser.url

    def close(self) -> None:
        for db in self.dbs.values():
            db.close()


@pytest.fixture
def db(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """A database of the module's ``SITE``."""
    made = base.open_database(request.module.SITE.build(1, False))
    yield made
    made.close()


@pytest.fixture
def paper() -> Callable[[Mapping[str, sqlite3.Connection]], PaperBrowser]:
    """Makes browsers over databases by their site's name."""

    def open_sites(dbs: Mapping[str, sqlite3.Connection]) -> PaperBrowser:
        return PaperBrowser({all_sites()[name].origin: all_sites()[name].app(db) for name, db in dbs.items()})

    return open_sites


@pytest.fixture
def episode() -> Iterator[Callable[..., Episode]]:
    """Starts episodes: ``episode(template, seed, heldout=False)``."""
    made: list[Episode] = []

    def start(template: Template, seed: int, heldout: bool = False) -> Episode:
        made.append(Episode(template, seed, heldout))
        return made[-1]

    yield start
    for one in made:
        one.close()
