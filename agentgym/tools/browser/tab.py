"""`BrowserTab`: one tab over Chromium's own protocol: a world of our own in its page, its activity, its input.

The page's scripts cannot see or change that world (an isolated world, as extensions have), so what it reports of the
page is true even when the page is hostile. Playwright runs the browser; the protocol is used directly where a step
would otherwise take many messages.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from agentgym.faults import EnvironmentFault
from agentgym.tools.browser.settle import EVENTS, Activity

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page

#: Name of our world in the pages.
WORLD = "agentgym"
#: Seconds after which a page that does not answer is a fault of the world.
ANSWER_S = 20.0


class Waits:
    """Waits that end at once when what they wait for is gone."""

    def __init__(self) -> None:
        self._open: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def most(self, seconds: float) -> AsyncIterator[None]:
        """Raises TimeoutError after so many seconds, or at `end`."""
        async with asyncio.timeout(seconds) as wait:
            self._open.add(wait)
            try:
                yield
            finally:
                self._open.discard(wait)

    def end(self) -> None:
        """Ends all that wait."""
        for wait in self._open:
            if not wait.expired():
                wait.reschedule(0)


class DocumentGone(Exception):
    """The document was replaced while it was asked something."""


@cache
def script() -> str:
    """What runs in our world of every document."""
    here = files("agentgym.tools.browser")
    parts = [here.joinpath(name).read_text(encoding="utf-8") for name in ("names.js", "tree.js", "acting.js")]
    return "\n".join(['(() => {\n"use strict";\nif (globalThis.agentgym) return;', *parts, "})();"])


class BrowserTab:
    """One tab. `open` makes it ready."""

    def __init__(self, page: Page, cdp: CDPSession) -> None:
        self.page, self.cdp = page, cdp
        self.activity = Activity()
        self.url = page.url
        self.title = ""
        self.broken = ""  #: Why it cannot be used any more; empty while it can.
        self.popups = 0  #: Tabs that the page asked to open.
        self.waits = Waits()
        self._world: tuple[int, int] | None = None  # number of the document, id of our world in it

    async def open(self) -> None:
        """Puts our world into the tab's documents and listens to its events."""
        for name in EVENTS:
            self.cdp.on(name, self._listener(name))
        self.cdp.on("Page.windowOpen", self._opens)
        self.page.on("crash", lambda _: self.fail("the page crashed"))
        self.page.on("close", lambda _: self.fail("the tab was closed"))
        answers = await asyncio.gather(
            self.send("Page.getFrameTree"),
            self.send("Page.enable"),
            self.send("Network.enable", maxTotalBufferSize=0, maxResourceBufferSize=0, maxPostDataSize=0),
            self.send("Page.setInterceptFileChooserDialog", enabled=True),
            self.send("Page.addScriptToEvaluateOnNewDocument", source=script(), worldName=WORLD, runImmediately=True),
        )
        self.activity.frame = answers[0]["frameTree"]["frame"]["id"]

    def _listener(self, name: str) -> Any:
        return lambda event: self.activity.on_event(name, event)

    def _opens(self, _: dict[str, Any]) -> None:
        self.popups += 1

    def fail(self, why: str) -> None:
        """The tab cannot be used any more; whoever waits for it hears so at once."""
        self.broken = self.broken or why
        self.activity.stop()
        self.waits.end()

    # -- the protocol ---------------------------------------------------------------------------------------------
    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command.

        Raises:
            DocumentGone: The document that was meant is not there any more.
            EnvironmentFault: The tab is gone, or does not answer.
        """
        from playwright.async_api import Error

        if self.broken:
            raise EnvironmentFault("browser", self.broken)
        try:
            async with self.waits.most(ANSWER_S):
                return await self.cdp.send(method, parameters) or {}
        except TimeoutError:
            self.fail(f"the page did not answer to {method} in {ANSWER_S:g} s")
            raise EnvironmentFault("browser", self.broken) from None
        except Error as error:
            if self.broken or self.page.is_closed():
                raise EnvironmentFault("browser", self.broken or "the tab was closed") from None
            text = str(error)
            if any(part in text for part in ("context", "navigated", "collected", "frame")):
                raise DocumentGone(text) from None
            raise EnvironmentFault("browser", text.splitlines()[0][:200]) from None

    async def evaluate(self, expression: str, *, isolated: bool) -> Any:
        """The JSON value of an expression in our world, or in the page's own."""
        where: dict[str, Any] = {"contextId": await self._context()} if isolated else {}
        got = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, **where)
        if (wrong := got.get("exceptionDetails")) is not None:
            text = str(wrong.get("exception", {}).get("description") or wrong.get("text", ""))
            raise EnvironmentFault("browser", f"a script failed: {text.splitlines()[0][:200] if text else expression}")
        return got["result"].get("value")

    async def _context(self) -> int:
        """Id of our world in the document that is shown now."""
        if self._world is None or self._world[0] != self.activity.documents:
            documents = self.activity.documents
            got = await self.send("Page.createIsolatedWorld", frameId=self.activity.frame, worldName=WORLD)
            self._world = (documents, got["executionContextId"])
        return self._world[1]

    def forget_world(self) -> None:
        """Looks for our world again at the next call."""
        self._world = None

    # -- what our world can do ------------------------------------------------------------------------------------
    async def observe(
        self,
        *,
        fresh: bool,
        still_ms: float,
        most_ms: float,
        max_nodes: int,
        max_text: int,
        also: str,
        attributes: Sequence[str],
    ) -> dict[str, Any]:
        """Waits until the page is still (at most `most_ms`), then says what it shows: the data of `tree.parse`.

        `fresh`: for the first time since an action began.
        """
        wanted = {
            "fresh": fresh,
            "still": still_ms,
            "most": most_ms,
            "answered": self.activity.answered,
            "maxNodes": max_nodes,
            "maxText": max_text,
            "also": also,
            "attributes": list(attributes),
        }
        got: dict[str, Any] = json.loads(await self.evaluate(f"agentgym.observe({json.dumps(wanted)})", isolated=True))
        self.url, self.title = got["url"], got["title"]
        return got

    async def act(self, name: str, *given: Any) -> dict[str, Any]:
        """Asks our world to look at or to do something to an element; ``failed`` in the answer says why it cannot."""
        words = ", ".join(json.dumps(one) for one in (name, *given))
        answer: dict[str, Any] = json.loads(await self.evaluate(f"agentgym.act({words})", isolated=True))
        return answer

    async def screenshot(self) -> bytes:
        """The viewport as PNG."""
        import base64

        got = await self.send("Page.captureScreenshot", format="png", optimizeForSpeed=True)
        return base64.b64decode(got["data"])
