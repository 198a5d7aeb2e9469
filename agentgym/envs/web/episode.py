"""One episode in a browser: its world, its session, and what both show. Everything here runs on the shared loop."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentgym.actions import Action
from agentgym.envs.web.doing import OF_HISTORY, do
from agentgym.envs.web.forks import Fork
from agentgym.envs.web.progress import Progress
from agentgym.envs.web.task import View, WebTask, WebTaskSet
from agentgym.faults import EnvironmentFault
from agentgym.tools.browser.session import ActionFailed
from agentgym.tools.browser.tree import Tree

if TYPE_CHECKING:
    from agentgym.tools.browser.pool import BrowserPool
    from agentgym.tools.browser.session import Session, Tab


@dataclass(frozen=True, slots=True)
class Did:
    """What an action led to.

    Attributes:
        error: Why it was not carried out; empty where it was.
        notes: What happened besides: dialogs, tabs, refused addresses.
        outside: Addresses out of the task's sites that it asked for or led to; they were refused.
    """

    error: str = ""
    notes: tuple[str, ...] = ()
    outside: int = 0


NOTHING = Did()


class Episode:
    """A task being played.

    Args:
        tasks: Makes the world.
        task: What is played.
        pool: Where sessions come from.
    """

    def __init__(self, tasks: WebTaskSet, task: WebTask, pool: BrowserPool) -> None:
        self.task, self.goal = task, task.goal
        self.world = tasks.world(task)
        self.progress = Progress()
        self.view = View(Tree(), goal=task.goal)
        self.tabs: tuple[Tab, ...] = ()
        self.ended: float | None = None
        self.session: Session | None = None
        self._tasks, self._pool = tasks, pool
        self._fork: Fork | None = None
        self._copied = False

    async def open(self) -> None:
        """Opens the first page.

        Raises:
            EnvironmentFault: The browser or the page is not to be had.
        """
        await self._lease()
        await self._open_first()
        self.progress.begin(self.world, self.view)

    async def do(self, action: Action) -> Did:
        """Carries out an action in the browser.

        Raises:
            EnvironmentFault: The browser broke, or a fork could not be brought back.
        """
        await self._bring_back(exact=action.name in OF_HISTORY)
        session, progress = self._session, self.progress
        before, error = session.blocked, ""
        notes: tuple[str, ...] = ()
        # One that fails is kept too: it may have scrolled the page.
        progress.actions.append(action)
        progress.plain = False
        try:
            effect = await do(session, action)
            progress.plain, notes = effect.navigated, effect.messages
        except ActionFailed as failure:
            error, before = failure.detail, before - (failure.kind == "address")
        await self._look(session)
        return Did(error, notes, session.blocked - before)

    async def screenshot(self, marks: bool) -> bytes:
        """The page as PNG."""
        await self._bring_back(exact=False)
        return await self._session.screenshot(marks=marks)

    async def close(self) -> None:
        """Gives the session back. What was seen last, the world included, stays."""
        session, self.session = self.session, None
        if session is not None:
            await session.close()

    # -- forks -------------------------------------------------------------------------------------------------------

    def fork(self) -> Fork:
        """The state as plain data; nothing is asked of the browser."""
        if self._fork is not None:
            return Fork(self.view, self._fork.world, self._fork.digest, self.progress)
        return Fork(self.view, self.world.save(), self.world.digest(), self.progress)

    def load(self, fork: Fork) -> None:
        """Puts a fork back; the browser follows with the next action."""
        self.world.load(fork.world)
        self.view, self.goal, self.progress, self._fork = fork.view, fork.view.goal, fork.progress, fork

    async def _bring_back(self, exact: bool) -> None:
        fork = self._fork
        if fork is not None:
            copied = fork.progress.plain and len(fork.view.tabs) == 1 and self.world.copyable and not exact
            if not (copied and await self._copy(fork)):
                await self._again(fork)
            self._fork = None
        elif exact and self._copied:
            await self._again(Fork(self.view, None, self.world.digest(), self.progress))

    async def _copy(self, fork: Fork) -> bool:
        """Opens the page again; whether that has led to the same state."""
        await self._lease()
        with contextlib.suppress(ActionFailed):
            await self._session.goto(fork.view.url)
        await self._look(self._session)
        self._copied = fork.same(self.view, self.world.digest())
        return self._copied

    async def _again(self, fork: Fork) -> None:
        """Does everything again from the beginning."""
        await self.close()
        self.world.close()
        self.world, self._copied = self._tasks.world(self.task), False
        await self._lease()
        await self._open_first()
        for action in fork.progress.actions:
            with contextlib.suppress(ActionFailed):
                await do(self._session, action)
            await self._look(self._session)
        if not fork.same(self.view, self.world.digest()):
            raise EnvironmentFault("fork", "the same actions have led to another state")

    # -- the browser -------------------------------------------------------------------------------------------------

    @property
    def _session(self) -> Session:
        if self.session is None:
            raise EnvironmentFault("browser", "the episode has no session")
        return self.session

    async def _lease(self) -> None:
        await self.close()
        self.session = await self._pool.lease(self.world.sites(), trusted=self.world.trusted)

    async def _open_first(self) -> None:
        session = self._session
        await self.world.prepare(session)
        try:
            await session.goto(self.task.start)
        except ActionFailed as failure:
            raise EnvironmentFault("browser", f"the first page cannot be opened: {failure.detail}") from None
        self.goal = await self.world.opened(session) or self.task.goal
        await self._look(session)

    async def _look(self, session: Session) -> None:
        self.ended = await self.world.ended(session)
        self.tabs = session.tabs
        active = next((tab.index for tab in self.tabs if tab.active), 0)
        urls = tuple(tab.url for tab in self.tabs)
        messages: Sequence[str] = self.progress.messages
        self.view = View(session.tree, session.url, urls, active, tuple(messages), self.goal)
