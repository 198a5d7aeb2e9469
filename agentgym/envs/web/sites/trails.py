"""How experts get to a page the way a person does: by links, the search box and small forms; by address at last.

A *trail* is a list of addresses (path and query) that lead from page to page. Where the open page is on it, the next
one follows; anywhere else it starts anew. So an expert without a memory has seen every page of a trail when it reaches
its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from agentgym.envs.web.sites.base import Call, View
from agentgym.envs.web.sites.hands import form

#: Fields of a query that do not make another page of it.
_IGNORED = frozenset({"notice"})


class Plan(dict[str, Any]):
    """What an expert goes by, among a goal's `params`; as a text it is what the expert may write.

    Args:
        says: Texts that may be written into forms.
        known: What the expert needs to know, by name.
    """

    def __init__(self, says: Iterable[str], **known: Any) -> None:
        super().__init__(known)
        self._says = tuple(says)

    def __str__(self) -> str:
        return "\n".join(self._says)


def place(url: str) -> tuple[str, dict[str, str]]:
    """Path and query of an address, without what makes no difference; equal for equal pages."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    return parts.path or "/", {key: text for key, text in query.items() if key not in _IGNORED}


def at(view: View, origin: str, target: str) -> bool:
    """Whether a page is open.

    Args:
        view: What is open.
        origin: Of the site, e.g. ``"http://wiki.test"``.
        target: Path and query.
    """
    return view.url.startswith(f"{origin}/") and place(view.url) == place(target)


def link(view: View, origin: str, target: str) -> Call | None:
    """Clicks a link that leads to a page of a site; None where there is none."""
    wanted = place(target)
    for node in view.tree.find_all("link"):
        href = urljoin(view.url, node.attribute("href") or node.value or "")
        if href.startswith(f"{origin}/") and place(href) == wanted:
            return Call("click", (node.id,))
    return None


def reach(view: View, origin: str, target: str, forms: Mapping[str, tuple[Mapping[str, str], str]]) -> Call | None:
    """The call that leads to a page: a link, a form that gives just this query, its address; None where it is open.

    Args:
        view: What is open.
        origin: Of the site.
        target: Path and query.
        forms: By path: the label of each field of the query that the path's form has, and the form's button; a form
            is used on the page that has it.
    """
    if at(view, origin, target):
        return None
    path, query = place(target)
    found = link(view, origin, target)
    if found is None and path in forms and view.url.startswith(f"{origin}/"):
        labels, button = forms[path]
        found = form(view, {label: query.get(key, "") for key, label in labels.items()}, button)
    return found or Call("goto", (origin + target,))


def walk(
    view: View, origin: str, trail: Sequence[str], forms: Mapping[str, tuple[Mapping[str, str], str]]
) -> Call | None:
    """The next call along a trail; None at its end."""
    here = next((i for i in reversed(range(len(trail))) if at(view, origin, trail[i])), -1)
    return reach(view, origin, trail[here + 1], forms) if here + 1 < len(trail) else None
