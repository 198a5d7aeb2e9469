"""MiniWoB++ pages as tasks of `agentgym/Web-v0`: a page and a seed make a task (arXiv 1802.08802)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from pydantic import Field, field_validator

from agentgym.actions import Action
from agentgym.envs.web.miniwob import episode
from agentgym.envs.web.miniwob.elements import Element
from agentgym.envs.web.miniwob.episode import Asked, Status
from agentgym.envs.web.miniwob.experts import EXPERTS, Scene
from agentgym.envs.web.miniwob.labels import ALSO, LABELS_JS
from agentgym.envs.web.miniwob.pages import PAGES, REALTIME
from agentgym.envs.web.miniwob.site import ORIGIN, MiniwobSite, html_root, page_url
from agentgym.envs.web.miniwob.words import page_words
from agentgym.envs.web.sources import WebSource
from agentgym.envs.web.task import View, WebTask, WebTaskSet, World
from agentgym.faults import ConfigError, did_you_mean
from agentgym.task import Split

if TYPE_CHECKING:
    from agentgym.tools.browser.session import Session
    from agentgym.tools.browser.tree import Node, Tree

#: First of a page's ids, e.g. ``miniwob/click-test/17``.
PREFIX: Final = "miniwob"
#: Seed of the first held-out task of each page, where pages are in both splits; more than any page has training seeds.
FIRST_HELDOUT: Final = 1_000_000
#: Of the families of pages, this share is held out where the split is by page.
HELDOUT_SHARE: Final = 0.25
#: How far apart the boxes of an element and of its node may be, in pixels: things move.
NEAR: Final = 2.0
#: How long the expert waits where the page is not what it expects, in ms.
WAIT_MS: Final = 500

SplitBy = Literal["seed", "page"]


class MiniwobWorld(World):
    """One episode of a page.

    Args:
        page: Name of the page.
        seed: Of the page's generator.
    """

    # What a page draws at random goes on with every action.
    copyable: ClassVar[bool] = False
    trusted: ClassVar[str] = "miniwob"

    def __init__(self, page: str, seed: int) -> None:
        self.page, self.seed = page, seed
        self.asked, self.status = Asked(""), Status()
        self.elements: Sequence[Element] = ()

    def sites(self) -> Mapping[str, Any]:
        return {ORIGIN: MiniwobSite(self.page)}

    async def prepare(self, session: Session) -> None:
        session.also = ALSO
        await session.add_script(LABELS_JS)

    async def opened(self, session: Session) -> str:
        self.asked = await episode.start(session.evaluate, self.page, self.seed)
        await session.wait()
        return self.asked.goal

    async def ended(self, session: Session) -> float | None:
        self.status, self.elements = await episode.look(session.evaluate)
        return self.outcome(None, False) if self.status.done or self.status.left else None

    def outcome(self, answer: str | None, infeasible: bool) -> float:
        """Raw reward; 1 from where the page counts as solved, 0 for less than none, and where the page was left."""
        if self.status.left or not self.status.done:
            return 0.0
        raw = self.status.raw
        return 1.0 if raw >= PAGES[self.page].solved_at else max(raw, 0.0)

    def next_action(self, view: View) -> Action:
        if self.page not in EXPERTS:
            raise NotImplementedError(f"MiniWoB page {self.page} has no expert")
        names = _Names(view.tree)
        try:
            return EXPERTS[self.page](Scene(self.asked, self.elements, names.of))
        except LookupError:
            return Action("noop", {"wait_ms": WAIT_MS})

    def digest(self) -> str:
        return f"{self.status.done:d}{self.status.left:d}{self.status.raw}"


class _Names:
    """Ids of a tree's nodes, by the elements they stand for."""

    def __init__(self, tree: Tree) -> None:
        self._by_tag: dict[str, list[Node]] = {}
        for node in tree.walk():
            if node.id and node.box is not None:
                self._by_tag.setdefault(node.tag, []).append(node)

    def of(self, element: Element) -> str | None:
        near = [(gap, node) for node in self._by_tag.get(element.tag, ()) if (gap := _gap(element, node)) < NEAR]
        return min(near, key=lambda pair: pair[0])[1].id if near else None


def _gap(element: Element, node: Node) -> float:
    box = node.box
    if box is None:
        return float("inf")
    edges = zip(element.box, (box.x, box.y, box.width, box.height), strict=True)
    return max(abs(a - b) for a, b in edges)


class MiniwobTaskSet(WebTaskSet):
    """Tasks on pages; ids are ``miniwob/page/seed``.

    Args:
        pages: Names of the pages.
        seeds: Training tasks of each page.
        heldout_seeds: Held-out tasks of each page.
        split_by: ``seed``: all pages are in both splits, with other seeds; ``page``: a quarter of the families of
            pages is held out as a whole.
    """

    def __init__(self, pages: Sequence[str], seeds: int, heldout_seeds: int, split_by: SplitBy) -> None:
        self.pages = tuple(pages)
        held = {page for page in pages if split_by == "page" and is_heldout(page)}
        trained = [page for page in pages if page not in held]
        tested = [page for page in pages if page in held] if split_by == "page" else trained
        # Seeds first: the beginning of the list holds every page.
        self._ids: dict[Split, tuple[str, ...]] = {
            "train": tuple(f"{PREFIX}/{page}/{seed}" for seed in range(seeds) for page in trained),
            "heldout": tuple(
                f"{PREFIX}/{page}/{FIRST_HELDOUT + seed}" for seed in range(heldout_seeds) for page in tested
            ),
        }
        self._split: dict[str, Split] = {i: split for split, ids in self._ids.items() for i in ids}

    def ids(self, split: Split) -> Sequence[str]:
        return self._ids[split]

    def difficulty(self, task_id: str) -> int:
        return PAGES[self._parts(task_id)[0]].difficulty

    def __getitem__(self, task_id: str) -> WebTask:
        name, _ = self._parts(task_id)
        page = PAGES[name]
        return WebTask(
            id=task_id,
            split=self._split[task_id],
            difficulty=page.difficulty,
            goal="Do what the page asks for.",
            start=page_url(name),
            origins=(ORIGIN,),
            length=page.turns,
            points=page.points,
        )

    def world(self, task: WebTask) -> MiniwobWorld:
        html_root()
        return MiniwobWorld(*self._parts(task.id))

    def texts(self) -> Iterable[str]:
        for page in self.pages:
            yield from page_words(page)

    def _parts(self, task_id: str) -> tuple[str, int]:
        if task_id not in self._split:
            raise self.unknown(task_id)
        _, page, seed = task_id.split("/")
        return page, int(seed)


@lru_cache(None)
def family(page: str) -> str:
    """The page of which another is a variant: the shortest name that its own begins with."""
    return min((p for p in PAGES if page == p or page.startswith(f"{p}-")), key=len)


def is_heldout(page: str) -> bool:
    """Whether a page is held out where the split is by page: by a stable hash of its family."""
    digest = blake2b(family(page).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32 < HELDOUT_SHARE


class MiniwobSource(WebSource):
    """Pages of MiniWoB++, from the installed wheel."""

    pages: tuple[str, ...] = ()
    """Names of pages; none: all that have an expert."""
    seeds: int = Field(100, ge=1, lt=FIRST_HELDOUT)
    """Training tasks of each page."""
    heldout_seeds: int = Field(10, ge=0)
    """Held-out tasks of each page."""
    split_by: SplitBy = "seed"
    """What the held-out tasks differ in: ``seed`` or ``page``."""
    realtime: bool = False
    """With the pages that go on by the clock: the same actions need not lead to the same there."""

    @field_validator("pages")
    @classmethod
    def _known(cls, pages: tuple[str, ...]) -> tuple[str, ...]:
        for page in pages:
            if page not in PAGES:
                raise ValueError(f"no MiniWoB page {page!r}; {did_you_mean(page, PAGES)}")
        return tuple(dict.fromkeys(pages))

    def make(self) -> MiniwobTaskSet:
        pages = self.pages or tuple(page for page in PAGES if page in EXPERTS)
        clocked = [page for page in self.pages if page in REALTIME]
        if clocked and not self.realtime:
            raise ConfigError(f"MiniWoB page {clocked[0]!r} goes on by the clock; allow it with realtime: true")
        if not self.realtime:
            pages = tuple(page for page in pages if page not in REALTIME)
        return MiniwobTaskSet(pages, self.seeds, self.heldout_seeds, self.split_by)
