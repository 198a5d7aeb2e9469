"""`BrowserPool`: browsers whose contexts are made before they are asked for.

A new context with its process, its gateway and our world in its page takes some ten to hundred milliseconds; a lease
takes a warm one and the next is made in the background. No context is used by two leases, but for those that trust
their sites and say so (`BrowserPool.lease`), one after the other and wiped in between. When a browser crashes, its
sessions are faults of the world (their collectors try again), and another one is started.

A pool belongs to the event loop in which it was first used; see `agentgym.aio`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentgym.faults import ConfigError, EnvironmentFault, MissingExtra, first_line
from agentgym.tools.browser.gateway import Gateway, Site, check_sites
from agentgym.tools.browser.launch import launch
from agentgym.tools.browser.options import BrowserOptions
from agentgym.tools.browser.session import Session
from agentgym.tools.browser.tab import BrowserTab
from agentgym.tools.browser.tabs import CLOSED
from agentgym.tools.browser.wiping import wipe

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Playwright

log = logging.getLogger(__name__)

#: How often a lease tries to get a context before it gives up, and the pause after the first failure, in seconds; each
#: further one is twice as long.
TRIES, PAUSE_S = 4, 0.1
#: Contexts of one browser after which another one takes its place: long-lived browsers grow.
RENEW = 1_000
#: Seconds in which a context, and a browser, must be made or closed.
MAKE_S, CLOSE_S = 30.0, 10.0
#: What each page finds instead of a printer.
NO_PRINTER = "window.print = () => {};"


@dataclass(frozen=True, slots=True)
class PoolStats:
    """What a pool holds now (to `waiting`), and what it has done."""

    size: int  #: Most sessions at once.
    browsers: int  #: Browsers that run.
    ready: int  #: Warm contexts that wait for a lease.
    leased: int  #: Sessions in use.
    waiting: int  #: Leases that wait for their turn.
    leases: int
    warm: int  #: Leases that found a context ready.
    restarts: int  #: Browsers started in the place of one that crashed.
    faults: int  #: Sessions that ended because a page or a browser broke.
    blocked: int  #: Requests out of the sites of their sessions.


class _Browser:
    """A browser and how much it was used."""

    def __init__(self, browser: Browser) -> None:
        self.browser, self.contexts, self.open = browser, 0, 0
        self.retired = False  # it makes no further contexts, and ends with its last session


class _Warm:
    """A context that was made ahead."""

    def __init__(self, home: _Browser, context: BrowserContext, gateway: Gateway, tab: BrowserTab) -> None:
        self.home, self.context, self.gateway, self.tab = home, context, gateway, tab
        self.scripts: set[str] = set()  # that run in its documents
        self.leases = 0
        self.trusted = ""  # for whom it is kept

    @property
    def sound(self) -> bool:
        return self.home.browser.is_connected() and not self.tab.broken


class BrowserPool:
    """Browsers with warm contexts.

    Args:
        options: How browsers are run.
    """

    def __init__(self, options: BrowserOptions | None = None) -> None:
        self.options = options or BrowserOptions()
        self._playwright: Playwright | None = None
        self._browsers: list[_Browser] = []
        self._ready: deque[_Warm] = deque()
        self._leased: dict[Session, _Warm] = {}
        self._kept: dict[str, list[_Warm]] = {}  # wiped contexts, by whom they are kept for
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._wiping: Counter[str] = Counter()  # contexts that will be kept soon, by whom they are wiped for
        self._waiting = self._leases = self._warm = self._restarts = self._faults = self._blocked = 0

    async def lease(
        self,
        sites: Mapping[str, Site],
        *,
        storage: Mapping[str, Any] | None = None,
        viewport: tuple[int, int] | None = None,
        trusted: str = "",
    ) -> Session:
        """A session in a fresh context that can reach these sites and nothing else. Close it when it is done.

        Args:
            sites: What answers for which origin: ``{"http://shop.test": app}``.
            storage: Cookies and local storage to begin with, as `Session.storage` gave them.
            viewport: Width and height of the page in CSS pixels; None: that of the options.
            trusted: What to call sites that do their visitors no harm and are the same for every lease of this name;
                these may share a context, one after the other, wiped in between (`BrowserOptions.reuse`). Empty: the
                context is this session's alone.

        Raises:
            ConfigError: An origin is none, or there is no Chromium.
            EnvironmentFault: There is no session in time, or no browser can be started.
            MissingExtra: Playwright is not installed.
        """
        check_sites(sites)
        self._enter()
        self._waiting += 1
        try:
            async with asyncio.timeout(self.options.lease_s):
                await self._room.acquire()
        except TimeoutError:
            raise EnvironmentFault("browser", f"no session was free in {self.options.lease_s:g} s") from None
        finally:
            self._waiting -= 1
        try:
            warm = await self._take(trusted)
            warm.trusted = trusted
            warm.leases += 1
            session = Session(warm.context, warm.tab, warm.gateway, self.options, self._give_back, warm.scripts)
            self._leased[session] = warm
        except BaseException:
            self._room.release()
            raise
        self._leases += 1
        try:
            session.serve(sites)
            if viewport is not None and viewport != self.options.viewport:
                await session.page.set_viewport_size({"width": viewport[0], "height": viewport[1]})
            if storage is not None:
                await session.restore_storage(storage)
        except BaseException:
            await session.close()
            raise
        self._refill()
        return session

    def stats(self) -> PoolStats:
        """Counts."""
        leased = self._leased.values()
        return PoolStats(
            size=self.options.size,
            browsers=sum(one.browser.is_connected() for one in self._browsers),
            ready=self._idle - self._wiping.total(),
            leased=len(self._leased),
            waiting=self._waiting,
            leases=self._leases,
            warm=self._warm,
            restarts=self._restarts,
            faults=self._faults,
            blocked=self._blocked + sum(warm.gateway.blocked for warm in leased),
        )

    @property
    def closed(self) -> bool:
        return self._closed

    async def warm_up(self) -> None:
        """Starts the browsers and waits until the contexts that are made ahead are ready."""
        self._enter()
        self._refill()
        if self._filling is not None:
            await asyncio.shield(self._filling)

    async def close(self) -> None:
        """Ends all sessions and browsers."""
        if self._closed:
            return
        self._closed = True
        if self._loop is None:
            return
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        for session in list(self._leased):
            session.fail("the pool was closed")
        kept = [warm for contexts in self._kept.values() for warm in contexts]
        gateways = [warm.gateway for warm in (*self._ready, *kept, *self._leased.values())]
        self._ready.clear()
        self._kept.clear()
        await asyncio.gather(*(_quietly(one.browser.close()) for one in self._browsers))
        await asyncio.gather(*(gateway.close() for gateway in gateways))
        self._browsers.clear()
        if self._playwright is not None:
            await _quietly(self._playwright.stop())

    async def __aenter__(self) -> BrowserPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- inside ---------------------------------------------------------------------------------------------------
    def _enter(self) -> None:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise EnvironmentFault("browser", "the pool was closed")
        if self._loop is None:
            self._loop = loop
            self._room = asyncio.Semaphore(self.options.size)
            self._starting = asyncio.Lock()
            self._wiped = asyncio.Event()
            self._filling: asyncio.Task[None] | None = None
        elif self._loop is not loop:
            raise RuntimeError("a browser pool belongs to the event loop in which it was first used")

    @property
    def _idle(self) -> int:
        """Contexts that wait for a lease, or soon will."""
        return len(self._ready) + sum(map(len, self._kept.values())) + self._wiping.total()

    async def _take(self, trusted: str) -> _Warm:
        """A context kept for these, a warm one, or one made now; one that is being wiped for these is waited for."""
        while (kept := self._kept.get(trusted, [])) or self._ready or self._wiping[trusted]:
            if not (kept or self._ready):
                self._wiped.clear()
                await self._wiped.wait()
                continue
            warm = kept.pop() if kept else self._ready.popleft()
            if warm.sound:
                self._warm += 1
                return warm
            await self._discard(warm)
        pause = PAUSE_S
        for left in reversed(range(TRIES)):
            try:
                return await self._make()
            except EnvironmentFault:
                if not left:
                    raise
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")

    def _refill(self) -> None:
        """Makes contexts ahead in the background."""
        if self._closed or (self._filling is not None and not self._filling.done()):
            return
        self._filling = asyncio.get_running_loop().create_task(self._fill())

    async def _fill(self) -> None:
        pause = PAUSE_S
        while not self._closed and self._idle < min(self.options.ready, self.options.size - len(self._leased)):
            try:
                self._ready.append(await self._make())
            except (ConfigError, MissingExtra):
                return  # the next lease says so
            except EnvironmentFault as fault:
                log.warning("a browser context could not be made ahead: %s", fault)
                if pause > PAUSE_S * 2**TRIES:
                    return
                await asyncio.sleep(pause)
                pause *= 2

    async def _make(self) -> _Warm:
        from playwright.async_api import Error

        home = await self._home()
        gateway = Gateway()
        home.contexts += 1
        home.open += 1
        context = None
        try:
            await gateway.start()
            async with asyncio.timeout(MAKE_S):
                width, height = self.options.viewport
                context = await home.browser.new_context(
                    proxy={"server": gateway.address, "bypass": "<-loopback>"},
                    service_workers="block",
                    accept_downloads=False,
                    permissions=[],
                    viewport={"width": width, "height": height},
                    locale="en-US",
                    timezone_id="UTC",
                )
                page, _ = await asyncio.gather(context.new_page(), context.add_init_script(script=NO_PRINTER))
                tab = BrowserTab(page, await context.new_cdp_session(page))
                await tab.open()
            return _Warm(home, context, gateway, tab)
        except (Error, TimeoutError, EnvironmentFault) as error:
            await self._end(home, context, gateway)
            reason = first_line(error) if str(error) else "it took too long"
            raise EnvironmentFault("browser", f"no context could be made: {reason}") from None
        except BaseException:
            await self._end(home, context, gateway)
            raise

    async def _home(self) -> _Browser:
        """The browser that holds the fewest sessions; one is started while there are too few."""
        async with self._starting:
            for one in list(self._browsers):
                if not one.browser.is_connected():
                    self._browsers.remove(one)
                    self._restarts += not one.retired
                elif one.contexts >= RENEW:
                    one.retired = True
                    for kept in self._kept.values():
                        for warm in [warm for warm in kept if warm.home is one]:
                            kept.remove(warm)
                            await self._discard(warm)
                    await self._end_retired(one)
            running = [one for one in self._browsers if not one.retired]
            if len(running) < self.options.browsers:
                running.append(await self._launch())
            return min(running, key=lambda one: one.open)

    async def _launch(self) -> _Browser:
        if self._playwright is None:
            try:
                from playwright.async_api import async_playwright
            except ImportError as error:
                raise MissingExtra("playwright", "web") from error
            self._playwright = await async_playwright().start()
        one = _Browser(await launch(self._playwright, self.options))
        one.browser.on("disconnected", lambda _: self._lost(one))
        self._browsers.append(one)
        return one

    def _lost(self, home: _Browser) -> None:
        """A browser is gone: its sessions are faults, another one is started."""
        for session, warm in self._leased.items():
            if warm.home is home:
                session.fail("the browser crashed")
        if not self._closed and not home.retired:
            self._refill()

    async def _give_back(self, session: Session) -> None:
        warm = self._leased.pop(session, None)
        if warm is None:
            return
        self._room.release()
        self._faults += session.crashed
        self._blocked += warm.gateway.blocked
        again = bool(warm.trusted) and warm.leases < self.options.reuse and session.tidy and not warm.home.retired
        session.part()
        if not (again and await self._keep(warm)):
            session.fail(CLOSED)
            await self._discard(warm)
        if not self._closed:
            self._refill()

    async def _keep(self, warm: _Warm) -> bool:
        """Wipes a context and keeps it for the next lease of its kind, if that succeeds and there is room for it."""
        if len(self._leased) + self._idle >= self.options.size + self.options.ready:
            return False
        origins = list(warm.gateway.sites)
        warm.gateway.serve({})
        self._wiping[warm.trusted] += 1
        try:
            if not await wipe(warm.tab, origins) or self._closed:
                return False
            warm.gateway.blocked = 0
            self._kept.setdefault(warm.trusted, []).append(warm)
            return True
        finally:
            self._wiping[warm.trusted] -= 1
            self._wiped.set()

    async def _discard(self, warm: _Warm) -> None:
        await self._end(warm.home, warm.context, warm.gateway)

    async def _end(self, home: _Browser, context: BrowserContext | None, gateway: Gateway) -> None:
        home.open -= 1
        if context is not None:
            await _quietly(context.close())
        await gateway.close()
        await self._end_retired(home)

    async def _end_retired(self, home: _Browser) -> None:
        if home.retired and not home.open and home in self._browsers:
            self._browsers.remove(home)
            await _quietly(home.browser.close())


async def _quietly(work: Any) -> None:
    """Closes what may be gone already."""
    from playwright.async_api import Error

    with contextlib.suppress(Error, TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await work
