"""`Tree`: a page as its accessibility tree, the text that an agent reads of it, and what changed since the last one.

One line a node, indented by depth: ``[12] button "Add to cart" disabled``. Ids are numbers that stay with their element
while its document lives and start at 1 in each document. Names and values are written by web pages, which may be
hostile: a line break, a quote or an id inside of one cannot make a line or an id of its own.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

#: Characters of a name or a value that a line shows, and nodes that a rendered tree shows, by default.
MAX_TEXT, MAX_LINES = 200, 400
#: What cannot be told from the layout of the text, or not be seen at all: control, bidirectional and invisible ones.
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]+"
)
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Box:
    """Where a node is, in CSS pixels from the top left of the viewport."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """The middle, as (x, y)."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Node:
    """An element that says something to a reader of the page, or a piece of text (`role` ``text``, no id)."""

    id: str
    role: str
    name: str = ""
    value: str | None = None  #: Of a field; of a choice the options that are chosen.
    states: tuple[str, ...] = ()  #: E.g. ``focused``, ``disabled``, ``checked``, ``expanded``, ``level=2``.
    children: tuple[Node, ...] = ()
    box: Box | None = None  #: None for what has no place, e.g. the options of a closed list.
    tag: str = ""  #: The element's tag name.
    marks: tuple[tuple[str, str], ...] = ()  #: Attributes that programs go by: ``id``, ``class``, ``name``, ``href``.

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in the page's order."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def text(self) -> str:
        """All that is to be read in it: its name, value and those of the nodes below, joined by spaces."""
        return " ".join(part for node in self.walk() for part in (node.name, node.value or "") if part)

    def attribute(self, name: str) -> str:
        """The value of one of `marks`; empty when it has none."""
        return dict(self.marks).get(name, "")


@dataclass(frozen=True)
class Tree:
    """A page at one moment."""

    url: str = "about:blank"
    title: str = ""
    roots: tuple[Node, ...] = ()
    focus: str = ""  #: Id of the element with the focus; empty when that is the page itself.
    cut: int = 0  #: Nodes that were left out because the page has too many.
    scroll: tuple[int, int, int, int] = field(default=(0, 0, 0, 0))  #: x, y, largest x, largest y, in pixels.

    def walk(self) -> Iterator[Node]:
        """All nodes in the page's order."""
        for root in self.roots:
            yield from root.walk()

    @cached_property
    def by_id(self) -> dict[str, Node]:
        """Nodes by id."""
        return {node.id: node for node in self.walk() if node.id}

    def find(self, role: str | None = None, name: str | None = None, *, exact: bool = False) -> Node | None:
        """The first node of a role and name, an exact name before one that contains it; `None` when there is none."""
        nodes = self.find_all(role, name, exact=exact)
        return next((node for node in nodes if node.name == name), nodes[0] if nodes else None)

    def find_all(self, role: str | None = None, name: str | None = None, *, exact: bool = False) -> list[Node]:
        """Nodes with an id, of a role (``"link|button"`` for either), whose name contains (or is) a text, any case."""
        roles, wanted = (role or "").split("|"), (name or "").casefold()
        return [
            node
            for node in self.walk()
            if node.id
            and (role is None or node.role in roles)
            and (name is None or (node.name.casefold() == wanted if exact else wanted in node.name.casefold()))
        ]

    def within(self, id: str) -> Tree:
        """The same page with one node and what is below it alone; without any node when there is no such id."""
        node = self.by_id.get(id)
        return Tree(self.url, self.title, (node,) if node else (), self.focus, 0, self.scroll)

    def row(self, *texts: str) -> Node | None:
        """The first table row, list item or article whose text holds all of these texts, the smallest one."""
        parts = [text.casefold() for text in texts]
        rows = [node for node in self.walk() if node.role in ("row", "listitem", "article", "group", "option")]
        fitting = [node for node in rows if all(part in node.text.casefold() for part in parts)]
        return min(fitting, key=lambda node: sum(1 for _ in node.walk()), default=None)

    @cached_property
    def digest(self) -> str:
        """Equal for pages that read the same: address, nodes and states, without ids and places."""
        text = "\n".join([self.url, *_lines(self.roots, None, with_ids=False)])
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def lines(self, *, max_text: int = MAX_TEXT) -> list[str]:
        """One line a node.

        Args:
            max_text: Characters of a name or value, after which it is cut.
        """
        return list(_lines(self.roots, max_text))

    def render(self, *, max_lines: int = MAX_LINES, max_text: int = MAX_TEXT) -> str:
        """The text an agent reads, with a last line that says what was left out.

        Args:
            max_lines: Nodes shown.
            max_text: Characters of a name or value.
        """
        lines = self.lines(max_text=max_text)
        return "\n".join(_bounded(lines, max_lines, self.cut))


def diff(old: Tree, new: Tree, *, max_lines: int = MAX_LINES, max_text: int = MAX_TEXT) -> str:
    """What changed between two moments of a page: lines that went (``- ``) and came (``+ ``); empty when none did."""
    before, after = old.lines(max_text=max_text), new.lines(max_text=max_text)
    changes = [
        f"{sign} {line.strip()}"
        for tag, i, j, k, m in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        if tag != "equal"
        for sign, part in (("-", before[i:j]), ("+", after[k:m]))
        for line in part
    ]
    return "\n".join(_bounded(changes, max_lines, 0))


def shown(text: str, limit: int | None = MAX_TEXT) -> str:
    """A text of a page as it may stand in a line: one line, visible, quotes turned, cut to a length."""
    text = _SPACES.sub(" ", _UNSEEN.sub(" ", text)).strip().replace('"', "'")
    return text if limit is None or len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"


def _bounded(lines: Sequence[str], most: int, cut: int) -> list[str]:
    left = max(0, len(lines) - most) + cut
    return [*lines[:most], *([f"({left} more lines are not shown)"] if left else [])]


def _lines(nodes: Sequence[Node], limit: int | None, *, with_ids: bool = True, depth: int = 0) -> Iterator[str]:
    for node in nodes:
        parts = [f"[{node.id}]"] if node.id and with_ids else []
        parts.append(node.role)
        if node.name:
            parts.append(f'"{shown(node.name, limit)}"')
        if node.value is not None:
            parts.append(f'value "{shown(node.value, limit)}"')
        parts += [shown(state, limit) for state in node.states]
        yield "  " * depth + " ".join(parts)
        yield from _lines(node.children, limit, with_ids=with_ids, depth=depth + 1)


def parse(data: dict[str, Any]) -> Tree:
    """The tree that the walker in the page reported (`tree.js`: a node is id, role, name, value, states, ...)."""
    return Tree(
        url=str(data["url"]),
        title=str(data["title"]),
        roots=tuple(map(_node, data["nodes"])),
        focus=str(data["focus"] or ""),
        cut=int(data["cut"]),
        scroll=tuple(data["scroll"]),
    )


def _node(raw: list[Any]) -> Node:
    id, role, name, value, states, box, tag, marks, children = raw
    return Node(
        str(id or ""),
        role,
        name,
        value,
        tuple(states),
        tuple(map(_node, children)),
        Box(*box) if box else None,
        tag,
        tuple((key, text) for key, text in marks),
    )
