"""What a web task is, and the world that one episode of it plays in.

A `WebTask` is data. What it plays in (databases, applications, the check of the goal) is a `World`, which the task set
makes anew for every episode, so that no two episodes share anything that can be written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from agentgym.actions import Action
from agentgym.faults import ConfigError
from agentgym.task import ListedTasks, Task, TaskSet

if TYPE_CHECKING:  # the machinery needs a browser's libraries
    from agentgym.tools.browser.session import Session
    from agentgym.tools.browser.tree import Tree


class WebTask(Task):
    """Something to do in a browser.

    Attributes:
        goal: What is asked, in words.
        start: URL of the first page; empty where the task is read from rows and needs no browser.
        origins: What the episode can reach, e.g. ``("http://shop.test",)``; nothing else exists for it.
        length: Turns that the expert takes at most; the turn budget follows from it.
        asks: The goal asks for an answer: a message to the user then gives it and ends the episode.
        points: Elements alone are not enough: places of the screen must be pointed at.
        steps: The right actions, turn by turn, where they are known: ``{"name": ..., "arguments": {...}}``.
    """

    goal: str
    start: str = ""
    origins: tuple[str, ...] = ()
    length: int = Field(1, ge=1)
    asks: bool = False
    points: bool = False
    steps: tuple[Mapping[str, Any], ...] = ()

    @property
    def action(self) -> str:
        """Name of the last right action; empty where none is known."""
        return str(self.steps[-1]["name"]) if self.steps else ""

    @property
    def box(self) -> Sequence[float] | None:
        """Where the last right action points, (x1, y1, x2, y2) in pixels."""
        return self.steps[-1].get("arguments", {}).get("box") if self.steps else None


@dataclass(frozen=True, slots=True)
class View:
    """What the expert looks at; plain data, so that it can be asked at any time.

    Attributes:
        tree: The active page's accessibility tree.
        url: The active page's URL.
        tabs: URLs of the open tabs.
        active: Index of the active one.
        messages: What was said to the user so far.
        goal: What is asked.
    """

    tree: Tree
    url: str = ""
    tabs: tuple[str, ...] = ()
    active: int = 0
    messages: tuple[str, ...] = ()
    goal: str = ""


class World(ABC):
    """One episode's own copy of what a task plays in.

    Class attributes a kind of world sets:
        copyable: A page that was just opened is the same when it is opened again with `load`ed contents: it depends
            on nothing but its URL and the databases.
        trusted: Name of its sites, where they are trusted not to work against their visitors and are the same for all
            worlds of this name: these may share a browser context, one after the other; see `BrowserPool.lease`.
    """

    copyable: ClassVar[bool] = False
    trusted: ClassVar[str] = ""

    @abstractmethod
    def sites(self) -> Mapping[str, Any]:
        """Origin -> ASGI application or upstream server; nothing else can be reached. Empty: there is no browser."""

    async def prepare(self, session: Session) -> None:  # noqa: B027 - most worlds need nothing
        """Does what must be done in the session before the first page is opened."""

    async def opened(self, session: Session) -> str | None:
        """Does what must be done once the first page is open; the goal's words where only the page knows them."""
        return None

    async def ended(self, session: Session) -> float | None:
        """The outcome where the page itself has ended the episode; asked when a page was opened and after every action.

        The place to read what `next_action` needs of the page besides the tree."""
        return None

    def facts(self) -> Sequence[bool]:
        """The subgoals: which of them hold now."""
        return ()

    def broken(self) -> int:
        """How many things that had to stay as they were are not: orders nobody asked for, data given away."""
        return 0

    def pages(self) -> Sequence[str]:
        """Paths of pages on the way to the goal, as patterns of `fnmatch`."""
        return ()

    def digest(self) -> str:
        """The same for equal contents of the databases, and for no others."""
        return ""

    @abstractmethod
    def outcome(self, answer: str | None, infeasible: bool) -> float:
        """How far the goal is reached, 0..1.

        Args:
            answer: What the agent answered; None for nothing.
            infeasible: It says that the goal cannot be reached.
        """

    async def judged(self, session: Session | None, answer: str | None, infeasible: bool) -> float:
        """`outcome` at the end that the agent says; for worlds that must look at pages or ask a judge to know it."""
        return self.outcome(answer, infeasible)

    @abstractmethod
    def next_action(self, view: View) -> Action:
        """What the expert does now; from any state it gets to the goal."""

    def save(self) -> Any:
        """The state, picklable: where `forkable`."""
        return None

    def load(self, state: Any) -> None:  # noqa: B027 - a world without state
        """Puts a `save` back."""

    def close(self) -> None:  # noqa: B027 - a world that holds nothing
        """Lets go of what the world holds."""


class WebTaskSet(TaskSet[WebTask]):
    """A `TaskSet` that makes the worlds of its tasks.

    Class attributes:
        forkable: Snapshots of its tasks can be restored.
    """

    forkable: ClassVar[bool] = True

    @abstractmethod
    def world(self, task: WebTask) -> World:
        """A fresh world for one episode; deterministic.

        Raises:
            EnvironmentFault: It cannot be set up.
        """

    def texts(self) -> Iterable[str]:
        """Texts that hold every word an agent can meet, for tokenizers that are made for a task set.

        Raises:
            ConfigError: They cannot be listed.
        """
        raise ConfigError(f"{type(self).__name__} lists no words, so model: tiny cannot be made for it")


class ListedTaskSet(ListedTasks[WebTask], WebTaskSet):
    """Tasks that were read from files, or are few enough to be listed."""
