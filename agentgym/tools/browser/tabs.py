"""`Tabs`: the tabs of a context, what pages do to them by themselves, and the waiting after each action.

Pages open and close tabs, show dialogs, start downloads and lead elsewhere; all of it is dealt with here and told in
`Effect.messages`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentgym.faults import EnvironmentFault, first_line
from agentgym.tools.browser.failures import ActionFailed
from agentgym.tools.browser.gateway import Gateway
from agentgym.tools.browser.options import BrowserOptions
from agentgym.tools.browser.tab import BrowserTab, DocumentGone, Waits
from agentgym.tools.browser.tree import Tree, parse, shown

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Dialog, Page

#: Tabs that may be open at once; further ones are closed again.
MAX_TABS = 8
#: Seconds that a tab which the page asked for is waited for.
POPUP_S = 2.0
#: Dialogs that are answered in one step; a page with more is stopped.
MAX_DIALOGS = 20
#: Messages of one step, and characters of each.
MAX_MESSAGES, MAX_MESSAGE = 10, 300
#: Seconds until an action of the browser itself must be done.
BROWSER_S = 20.0
#: Why a session that is over cannot go on.
CLOSED = "the session was closed"
#: Attributes of elements that `Node.marks` carries, by default.
ATTRIBUTES = ("id", "class", "name", "type", "href")


@dataclass(frozen=True, slots=True)
class Effect:
    """What an action did, besides what the tree shows."""

    navigated: bool = False  #: The active tab shows another document now, or is another one.
    settled: bool = True  #: False: the page was still busy when the longest wait was over.
    messages: tuple[str, ...] = ()  #: One line each: dialogs answered, tabs opened, downloads and addresses refused.
    seconds: float = 0.0  #: What the action and the waiting took.


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab as a list of tabs shows it."""

    index: int
    title: str
    url: str
    active: bool


class Tabs:
    """The tabs of one context; `Session` adds the actions."""

    def __init__(
        self,
        context: BrowserContext,
        tab: BrowserTab,
        gateway: Gateway,
        options: BrowserOptions,
    ) -> None:
        self.context, self.gateway, self.options = context, gateway, options
        self.tree = Tree()  #: The active tab as it was after the last action.
        self.also = ""  #: CSS selector of elements that the tree lists even where they say nothing by themselves.
        self.attributes: Sequence[str] = ATTRIBUTES  #: Attributes that `Node.marks` carries.
        self.broken = ""  #: Why the session cannot go on; empty while it can.
        self.crashed = False  #: Whether it was broken when it was closed.
        self._tabs, self._active = [tab], tab
        self._waits = Waits()
        self._under_way = False  # whether an action is
        self._messages: list[str] = []
        self._dialogs = 0
        self._arrived = asyncio.Event()
        self._making = False  # whether a tab is being made that no page asked for
        self._opened = 0  # tabs that were opened by pages
        self._opening: set[asyncio.Task[None]] = set()
        self._coming: set[Page] = set()  # pages that are becoming tabs
        self._listeners: list[tuple[Any, str, Any]] = []
        self._listen_to(context, "page", self._on_page)
        self._listen_to(context, "dialog", self._on_dialog)
        self._listen(tab)

    # -- state ----------------------------------------------------------------------------------------------------
    @property
    def page(self) -> Page:
        """Playwright's page of the active tab."""
        return self._active.page

    @property
    def url(self) -> str:
        """Address of the active tab when it was last looked at."""
        return self._active.url

    @property
    def tabs(self) -> tuple[Tab, ...]:
        """Open tabs."""
        return tuple(Tab(index, tab.title, tab.url, tab is self._active) for index, tab in enumerate(self._tabs))

    @property
    def blocked(self) -> int:
        """Requests out of the sites so far."""
        return self.gateway.blocked

    # -- acting ---------------------------------------------------------------------------------------------------
    @contextlib.asynccontextmanager
    async def _acting(self) -> AsyncIterator[BrowserTab]:
        """Around what an action does: notes where it began, looks again when it cannot be done."""
        self._began = asyncio.get_running_loop().time()
        self._before = (self._active, self._active.activity.documents)
        self._dialogs = 0
        self._check_alive()
        self._under_way = True
        self._active.activity.begin()
        if self.options.slow_mo_ms:
            await asyncio.sleep(self.options.slow_mo_ms / 1000)
        try:
            yield self._active
        except ActionFailed:
            await self._settle()  # looking for a way to do it may have scrolled the page
            raise
        except DocumentGone:
            self._active.forget_world()
            await self._settle()
            raise ActionFailed("gone", "the page was replaced before this could be done") from None
        except EnvironmentFault:
            self._check_alive()
            if self._active.broken != "the tab was closed":
                raise

    async def _do(self, work: Awaitable[Any]) -> Any:
        """Runs a call of Playwright with this package's errors."""
        from playwright.async_api import Error

        try:
            async with self._waits.most(BROWSER_S):
                return await work
        except TimeoutError:
            self._check_alive()
            raise EnvironmentFault("browser", f"the browser did not answer in {BROWSER_S:g} s") from None
        except Error as error:
            raise EnvironmentFault("browser", first_line(error)) from None

    def fail(self, why: str) -> None:
        """The session cannot go on; whoever waits for it hears so at once."""
        self.broken = self.broken or why
        self._waits.end()
        for tab in self._tabs:
            tab.fail(self.broken)

    def _check_alive(self) -> None:
        if self.broken:
            raise EnvironmentFault("browser", self.broken)

    # -- waiting --------------------------------------------------------------------------------------------------
    async def _settle(self) -> Effect:
        """Waits until what the action caused has happened, then looks."""
        loop = asyncio.get_running_loop()
        bound = self.options.settle_ms / 1000
        deadline, latest = self._began + bound, self._began + self.options.load_ms / 1000
        documents = -1
        settled = fresh = True
        while True:
            self._check_alive()
            await self._await_popups(deadline)
            tab = await self._current()
            try:
                settled = await tab.activity.idle(deadline, latest, lambda: self.gateway.active)
                if documents not in (-1, tab.activity.documents):
                    deadline = min(latest, loop.time() + bound)  # the new page's own time begins
                documents = tab.activity.documents
                left = max(0.0, deadline - loop.time()) * 1000
                asked = tab.activity.scripted
                seen = await tab.observe(
                    fresh=fresh,
                    still_ms=self.options.still_ms,
                    most_ms=left,
                    max_nodes=self.options.max_nodes,
                    max_text=self.options.max_text,
                    also=self.also,
                    attributes=self.attributes,
                )
                fresh = False
            except DocumentGone:
                tab.forget_world()
                if loop.time() > latest + BROWSER_S:
                    raise EnvironmentFault("browser", "the page never stays") from None
                continue
            except EnvironmentFault:
                if tab.broken != "the tab was closed" or self.broken:
                    raise
                continue
            until = latest if tab.activity.moving else deadline
            # News of a request may come later than the answer to what caused it: what it changed was not seen yet.
            under_way = tab.activity.busy or tab.activity.scripted != asked or self._awaited
            if under_way and settled and loop.time() < until:
                continue
            if tab is self._active:
                break
        if tab.url != "about:blank" and not tab.url.startswith(("http:", "https:")):
            return await self._leave(tab)
        self.tree = parse(seen)
        self._under_way = False
        messages, self._messages = tuple(self._messages[:MAX_MESSAGES]), []
        return Effect(
            navigated=self._before != (tab, tab.activity.documents),
            settled=settled and bool(seen["still"]),
            messages=messages,
            seconds=loop.time() - self._began,
        )

    async def _leave(self, tab: BrowserTab) -> Effect:
        """Leaves a document that is none of a site, such as ``blob:``."""
        self._say(f"{shown(tab.url, 40)} was refused")
        with contextlib.suppress(DocumentGone):
            await tab.send("Page.navigate", url="about:blank")
        return await self._settle()

    @property
    def _awaited(self) -> bool:
        """Whether a page asked for a tab that is not there yet."""
        return sum(tab.popups for tab in self._tabs) > self._opened

    async def _await_popups(self, deadline: float) -> None:
        while self._awaited or self._opening:
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(min(deadline, self._began + POPUP_S)):
                    await self._arrived.wait()
            except TimeoutError:
                self._opened = sum(tab.popups for tab in self._tabs)
                return

    async def _current(self) -> BrowserTab:
        """The active tab; the last one, or an empty new one, where it is gone."""
        if self._active not in self._tabs:
            if self._tabs:
                self._active = self._tabs[-1]
            else:
                await self._new_tab()
        return self._active

    async def _new_tab(self) -> None:
        self._making = True
        try:
            page = await self._do(self.context.new_page())
        finally:
            self._making = False
        self._active = await self._adopt(page)

    # -- what pages do by themselves ------------------------------------------------------------------------------
    def _listen_to(self, source: Any, event: str, listener: Any) -> None:
        source.on(event, listener)
        self._listeners.append((source, event, listener))

    def part(self) -> None:
        """The session is over; its context and tab go on without it."""
        self.broken = self.broken or CLOSED
        self._waits.end()
        for source, event, listener in self._listeners:
            source.remove_listener(event, listener)
        self._listeners.clear()

    def _listen(self, tab: BrowserTab) -> None:
        def closed(_: Page) -> None:
            self._drop(tab)

        def crashed(_: Page) -> None:
            self.fail("the page crashed")

        self._listen_to(tab.page, "close", closed)
        self._listen_to(tab.page, "crash", crashed)
        self._listen_to(tab.page, "download", lambda _: self._say("a download was refused"))

    def _drop(self, tab: BrowserTab) -> None:
        if tab in self._tabs:
            self._opened -= tab.popups
            self._tabs.remove(tab)
        self._arrived.set()

    def _say(self, text: str) -> None:
        if len(self._messages) < MAX_MESSAGES:
            self._messages.append(shown(text, MAX_MESSAGE))

    async def _adopt(self, page: Page) -> BrowserTab:
        """Makes a page a tab of this session."""
        known = next((tab for tab in self._tabs if tab.page is page), None)
        if known is not None:
            return known
        tab = BrowserTab(page, await self._do(self.context.new_cdp_session(page)))
        self._tabs.append(tab)
        self._listen(tab)
        await tab.open()
        return tab

    def _on_page(self, page: Page) -> None:
        if self._making or any(tab.page is page for tab in self._tabs):
            return
        task = asyncio.get_running_loop().create_task(self._arrive(page))
        self._opening.add(task)
        task.add_done_callback(self._arrival)

    async def _arrive(self, page: Page) -> None:
        """A tab that was opened by a page becomes the active one."""
        try:
            self._coming.add(page)  # several may come at once
            if len(self._coming.union(tab.page for tab in self._tabs)) > MAX_TABS:
                self._say(f"a further tab was refused: there are {MAX_TABS} already")
                await page.close()
                return
            self._active = await self._adopt(page)
            self._say(f"tab {self._tabs.index(self._active)} was opened")
        except Exception as error:  # it may be gone already; the browser's end is told elsewhere
            self._say(f"a tab could not be opened: {type(error).__name__}")
        finally:
            self._coming.discard(page)
            self._opened += 1

    def _arrival(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._arrived.set()

    async def _on_dialog(self, dialog: Dialog) -> None:
        from playwright.async_api import Error

        self._dialogs += 1
        self._say(f"the page showed a dialog ({dialog.type}), which was accepted: {dialog.message}")
        if self._dialogs > MAX_DIALOGS:
            self.fail(f"the page shows more than {MAX_DIALOGS} dialogs a step")
        with contextlib.suppress(Error):
            await dialog.accept()
