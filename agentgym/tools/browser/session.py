"""`Session`: a browser of one's own for an episode. It acts, waits until what that caused has happened, and looks.

Before it acts it asks the page whether the action can be done, and says in one line why not (`ActionFailed`), instead
of waiting for the page to change its mind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from agentgym.tools.browser.failures import ActionFailed, check
from agentgym.tools.browser.gateway import Gateway, Site, check_sites, origin_of
from agentgym.tools.browser.keys import combination
from agentgym.tools.browser.options import BrowserOptions
from agentgym.tools.browser.tab import BrowserTab
from agentgym.tools.browser.tabs import MAX_TABS, Effect, Tab, Tabs
from agentgym.tools.browser.tree import Tree, shown

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

__all__ = ["ActionFailed", "Effect", "Session", "Tab"]

#: Steps in which the mouse is dragged from one place to another.
DRAG_STEPS = 5
#: Pixels that one scrolling may ask for.
MAX_SCROLL = 100_000
#: Seconds that one wait may take.
MAX_WAIT_S = 15.0
BUTTONS = ("left", "middle", "right")
_SIZE = ("width", "height")


class Session(Tabs):
    """One fresh context, its tabs, and the sites that it can reach; made by `BrowserPool.lease`.

    Elements are named by the ids of `tree`. Each action returns when what it caused has happened and `tree` is new:
    there is no need to `observe` after it. The methods raise `ActionFailed` when the page does not allow the action
    (nothing was done then, `tree` is new all the same), and `EnvironmentFault` when page or browser broke.
    """

    def __init__(
        self,
        context: BrowserContext,
        tab: BrowserTab,
        gateway: Gateway,
        options: BrowserOptions,
        release: Callable[[Session], Awaitable[None]],
        scripts: set[str],
    ) -> None:
        super().__init__(context, tab, gateway, options)
        self._release, self._scripts = release, scripts
        self._first = tab
        self._held: set[str] = set()  # keys and mouse buttons that are down

    # -- elements, by id ------------------------------------------------------------------------------------------
    async def click(self, id: str, *, button: str = "left", count: int = 1, modifiers: Sequence[str] = ()) -> Effect:
        """Clicks an element; `count` 2 is a double click; modifiers are ``Alt``, ``Control``, ``Meta``, ``Shift``."""
        held = [combination(one) for one in modifiers]
        async with self._acting() as tab:
            at = check(await tab.act("reach", id), id)
            await self._click(tab, at["x"], at["y"], button, count, held)
        return await self._settle()

    async def check(self, id: str, checked: bool = True) -> Effect:
        """Ticks a checkbox, radio button or switch, or takes the tick away."""
        async with self._acting() as tab:
            box = check(await tab.act("ticked", id), id)
            if box["ticked"] != checked:
                if box["radio"] and not checked:
                    raise ActionFailed("radio", f"[{id}] is a radio button: choose another one of its group instead")
                at = check(await tab.act("reach", id), id)
                await self._click(tab, at["x"], at["y"], "left", 1, ())
        return await self._settle()

    async def fill(self, id: str, text: str) -> Effect:
        """Replaces a field's text."""
        text = _sayable(text)
        async with self._acting() as tab:
            done = check(await tab.act("fill", id, text), id)
            if done.get("type"):
                if text:
                    await self._do(tab.page.keyboard.insert_text(text))
                elif done["filled"]:
                    await self._do(tab.page.keyboard.press("Delete"))
        return await self._settle()

    async def select(self, id: str, options: Sequence[str]) -> Effect:
        """Chooses options of a list by label or value; all others are no longer chosen."""
        async with self._acting() as tab:
            check(await tab.act("choose", id, list(options)), id)
        return await self._settle()

    async def hover(self, id: str) -> Effect:
        """Moves the mouse onto an element."""
        async with self._acting() as tab:
            at = check(await tab.act("reach", id, False), id)
            await self._do(tab.page.mouse.move(at["x"], at["y"]))
        return await self._settle()

    async def focus(self, id: str) -> Effect:
        """Gives an element the focus."""
        async with self._acting() as tab:
            check(await tab.act("focus", id), id)
        return await self._settle()

    async def press(self, keys: str, id: str | None = None) -> Effect:
        """Presses a key combination (``Enter``, ``Control+a``), on an element or on what has the focus."""
        keys = combination(keys)
        async with self._acting() as tab:
            if id is not None:
                check(await tab.act("focus", id), id)
            await self._do(tab.page.keyboard.press(keys))
        return await self._settle()

    async def drag(self, id: str, onto: str) -> Effect:
        """Drags one element onto another."""
        async with self._acting() as tab:
            end = check(await tab.act("reach", onto, False), onto)
            start = check(await tab.act("reach", id), id)
            end = check(await tab.act("reach", onto, False), onto)  # the page may have been scrolled in between
            await self._drag(tab, start["x"], start["y"], end["x"], end["y"])
        return await self._settle()

    async def scroll(self, dx: float, dy: float, id: str | None = None) -> Effect:
        """Scrolls the page, or the scrolling part around an element, by pixels."""
        if max(abs(dx), abs(dy)) > MAX_SCROLL:
            raise ActionFailed("place", f"scroll by at most {MAX_SCROLL} pixels")
        async with self._acting() as tab:
            check(await tab.act("scroll", id or "", dx, dy), id or "")
        return await self._settle()

    # -- keyboard and mouse ---------------------------------------------------------------------------------------
    async def type_text(self, text: str) -> Effect:
        """Types a text into what has the focus, key by key."""
        async with self._acting() as tab:
            await self._do(tab.page.keyboard.type(_sayable(text)))
        return await self._settle()

    async def insert_text(self, text: str) -> Effect:
        """Puts a text into what has the focus at once, without key events."""
        async with self._acting() as tab:
            await self._do(tab.page.keyboard.insert_text(_sayable(text)))
        return await self._settle()

    async def key(self, key: str, down: bool) -> Effect:
        """Holds a key down, or lets it go."""
        name = combination(key)
        self._hold(name, down)
        async with self._acting() as tab:
            await self._do(tab.page.keyboard.down(name) if down else tab.page.keyboard.up(name))
        return await self._settle()

    async def mouse_move(self, x: float, y: float) -> Effect:
        """Moves the mouse to a place in the viewport."""
        self._check_place(x, y)
        async with self._acting() as tab:
            await self._do(tab.page.mouse.move(x, y))
        return await self._settle()

    async def mouse_click(self, x: float, y: float, *, button: str = "left", count: int = 1) -> Effect:
        """Clicks at a place in the viewport."""
        self._check_place(x, y)
        async with self._acting() as tab:
            await self._click(tab, x, y, button, count, ())
        return await self._settle()

    async def mouse_button(self, x: float, y: float, down: bool, *, button: str = "left") -> Effect:
        """Presses a mouse button at a place, or lets it go."""
        self._check_place(x, y)
        _check_button(button)
        self._hold(button, down)
        async with self._acting() as tab:
            await self._do(tab.page.mouse.move(x, y))
            await self._do(tab.page.mouse.down(button=button) if down else tab.page.mouse.up(button=button))  # type: ignore[arg-type]
        return await self._settle()

    async def mouse_drag(self, x: float, y: float, to_x: float, to_y: float) -> Effect:
        """Drags from one place to another."""
        self._check_place(x, y)
        self._check_place(to_x, to_y)
        async with self._acting() as tab:
            await self._drag(tab, x, y, to_x, to_y)
        return await self._settle()

    # -- pages and tabs -------------------------------------------------------------------------------------------
    async def goto(self, url: str) -> Effect:
        """Opens an address of the episode's sites in the active tab; ``/cart`` is of the page's site."""
        if url.startswith("/") and not url.startswith("//"):
            url = origin_of(self.url) + url
        url = _sayable(url)
        if url != "about:blank" and origin_of(url) not in self.gateway.sites:
            known = ", ".join(sorted(self.gateway.sites)) or "none"
            raise ActionFailed("address", f"{shown(url, 80)} is outside of this task; its sites: {known}")
        async with self._acting() as tab:
            tab.activity.asked = asyncio.get_running_loop().time()
            got = await tab.send("Page.navigate", url=url)
            if got.get("errorText") and got["errorText"] != "net::ERR_ABORTED":
                tab.activity.asked = 0.0
                self._say(f"{shown(url, 80)} could not be opened: {got['errorText']}")
            elif "loaderId" not in got:
                tab.activity.asked = 0.0
        return await self._settle()

    async def back(self) -> Effect:
        """The page before."""
        return await self._history(-1)

    async def forward(self) -> Effect:
        """The page after."""
        return await self._history(1)

    async def _history(self, step: int) -> Effect:
        async with self._acting() as tab:
            got = await tab.send("Page.getNavigationHistory")
            entries, index = got["entries"], got["currentIndex"] + step
            if not 0 <= index < len(entries) or entries[index]["url"] == "about:blank":
                raise ActionFailed("history", f"there is no page {'before' if step < 0 else 'after'} this one")
            tab.activity.asked = asyncio.get_running_loop().time()
            await tab.send("Page.navigateToHistoryEntry", entryId=entries[index]["id"])
        return await self._settle()

    async def reload(self) -> Effect:
        """The page again."""
        async with self._acting() as tab:
            tab.activity.asked = asyncio.get_running_loop().time()
            await tab.send("Page.reload")
        return await self._settle()

    async def tab_new(self) -> Effect:
        """Opens an empty tab and makes it the active one."""
        async with self._acting():
            if len(self._tabs) >= MAX_TABS:
                raise ActionFailed("tab", f"there are {MAX_TABS} tabs already; close one first")
            await self._new_tab()
        return await self._settle()

    async def tab_focus(self, index: int) -> Effect:
        """Makes another tab the active one."""
        if not 0 <= index < len(self._tabs):
            raise ActionFailed("tab", f"there is no tab {index}; there are {len(self._tabs)}, counted from 0")
        async with self._acting():
            self._active = self._tabs[index]
            await self._do(self._active.page.bring_to_front())
        return await self._settle()

    async def tab_close(self) -> Effect:
        """Closes the active tab; the last one is replaced by an empty one."""
        async with self._acting() as tab:
            if len(self._tabs) == 1:
                await self._new_tab()
            await self._do(tab.page.close())
            self._drop(tab)
        return await self._settle()

    # -- looking --------------------------------------------------------------------------------------------------
    async def wait(self, ms: float = 0.0) -> Effect:
        """Lets time pass, then waits until the page is still."""
        async with self._acting():
            await self._do(asyncio.sleep(min(max(0.0, ms) / 1000, MAX_WAIT_S)))
        return await self._settle()

    async def observe(self) -> Tree:
        """The active tab as it is now; also `tree` from then on."""
        async with self._acting():
            pass
        await self._settle()
        return self.tree

    async def screenshot(self, *, marks: bool = False) -> bytes:
        """The viewport as PNG, with the ids drawn onto the elements that can be acted on (set of marks) on request."""
        picture = await self._active.screenshot()
        if not marks:
            return picture
        from agentgym.tools.browser.marks import draw

        return draw(picture, self.tree)

    # -- for environments, never for agents -----------------------------------------------------------------------
    async def evaluate(self, expression: str, *, isolated: bool = False) -> Any:
        """The JSON value of a JavaScript expression, promises awaited, in the page's own world or in ours."""
        return await self._active.evaluate(expression, isolated=isolated)

    async def add_script(self, source: str) -> None:
        """Runs a script in the page's own world before the scripts of each document that is opened from now on."""
        if source not in self._scripts:
            self._scripts.add(source)
            await self._do(self.context.add_init_script(script=source))

    async def restore_storage(self, storage: Mapping[str, Any]) -> None:
        """Replaces cookies and local storage by what `storage` gave."""
        await self._do(self.context.set_storage_state(cast(Any, dict(storage))))

    async def storage(self) -> dict[str, Any]:
        """Cookies and local storage, for `BrowserPool.lease(storage=...)`."""
        return dict(await self._do(self.context.storage_state()))

    def serve(self, sites: Mapping[str, Site]) -> None:
        """Replaces the sites that the session can reach.

        Raises:
            ConfigError: As `BrowserPool.lease`.
        """
        check_sites(sites)
        self.gateway.serve(sites)

    @property
    def tidy(self) -> bool:
        """Whether nothing but documents and what they stored would have to go for the context to be as it was."""
        alone = self._tabs == [self._first] and not (self._opening or self._opened or self._first.popups)
        size = self.page.viewport_size
        as_made = size == dict(zip(_SIZE, self.options.viewport, strict=True))
        return alone and as_made and not (self.broken or self._held or self._under_way)

    async def close(self) -> None:
        """Gives the session back; its context is thrown away, or wiped where it may serve another lease."""
        self.crashed = bool(self.broken)
        for task in self._opening:
            task.cancel()
        await self._release(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _hold(self, name: str, down: bool) -> None:
        if down:
            self._held.add(name)
        else:
            self._held.discard(name)

    # -- mouse --------------------------------------------------------------------------------------------------
    async def _click(
        self, tab: BrowserTab, x: float, y: float, button: str, count: int, modifiers: Sequence[str]
    ) -> None:
        _check_button(button)
        page = tab.page
        for key in modifiers:
            await self._do(page.keyboard.down(key))
        try:
            await self._do(page.mouse.click(x, y, button=button, click_count=count))  # type: ignore[arg-type]
        finally:
            for key in modifiers:
                await self._do(page.keyboard.up(key))

    async def _drag(self, tab: BrowserTab, x: float, y: float, to_x: float, to_y: float) -> None:
        mouse = tab.page.mouse
        for work in (mouse.move(x, y), mouse.down(), mouse.move(to_x, to_y, steps=DRAG_STEPS), mouse.up()):
            await self._do(work)

    def _check_place(self, x: float, y: float) -> None:
        size = self.page.viewport_size or {"width": self.options.viewport[0], "height": self.options.viewport[1]}
        if not (0 <= x < size["width"] and 0 <= y < size["height"]):
            raise ActionFailed("place", f"({x:g}, {y:g}) is outside of the page's {size['width']} x {size['height']}")


def _check_button(button: str) -> None:
    if button not in BUTTONS:
        raise ActionFailed("key", f"{shown(button, 20)!r} is no mouse button: {', '.join(BUTTONS)}")


def _sayable(text: str) -> str:
    """A text without the halves of characters that no message can carry."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
