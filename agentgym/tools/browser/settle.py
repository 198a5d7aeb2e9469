"""`Activity`: what a tab is busy with, so that a step waits for what it caused and no longer.

Busy means: a navigation was asked for or runs, or a request that was sent since the action began is not answered yet.
Events of the page's own process mostly come before the answer to a later command to it, so after one more round trip
all that an action caused at once is known; where one came late the page is looked at again. An answer may take another
way to the page, so what scripts asked for is kept: the page knows when they have got it. What never ends (event
streams, WebSockets, media, pings) does not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

#: Kinds of requests that nobody waits for.
ENDLESS = frozenset({"EventSource", "WebSocket", "Media", "Ping", "Prefetch", "CSPViolationReport", "Preflight"})
# Kinds of requests whose answers a script gets.
_OF_SCRIPTS = frozenset({"Fetch", "XHR"})
#: A page that leads itself elsewhere later than this many seconds is not waited for.
SOON_S = 0.5
#: Seconds without any sign of a request, while the gateway answers none, after which it counts as forgotten.
FORGOTTEN_S = 1.0
#: Seconds within which a navigation that a page asked for must have begun; else it was dropped on the way.
BEGIN_S = 0.25


class Activity:
    """What one tab is busy with; fed with events by `on_event`."""

    def __init__(self) -> None:
        self.frame = ""  #: Id of the main frame.
        self.documents = 0  #: How often the tab showed another document.
        self.loading = False  #: Between a navigation's begin and the end of the document's loading.
        self.asked = 0.0  #: When the page asked for a navigation that has not begun; 0: none.
        self.requests: dict[str, str] = {}  #: Open requests by id: the document's loader.
        self.answered: list[str] = []  #: What scripts of the page asked for since the action began, and was answered.
        self.scripted = 0  #: How many requests scripts of the page have made.
        self.heard = 0.0  #: When the last event came.
        self._scripts: dict[str, str] = {}  # open requests of scripts: their address
        self._changed = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return bool(self.moving or self.requests)

    @property
    def moving(self) -> bool:
        """Whether another page is on its way."""
        return bool(self.loading or self.asked)

    def stop(self) -> None:
        """The tab is gone: nobody need wait for it."""
        self.loading, self.asked = False, 0.0
        self.requests.clear()
        self._changed.set()

    def begin(self) -> None:
        """An action begins: requests that were open before are not its own."""
        self.requests.clear()
        self._scripts.clear()
        self.answered.clear()

    async def idle(self, deadline: float, latest: float, answering: Callable[[], int]) -> bool:
        """Waits until nothing is under way; False when the deadline came first.

        Args:
            deadline: Loop time until which requests of the page are waited for.
            latest: Loop time until which another page is waited for.
            answering: Tells how many requests the gateway is answering.
        """
        loop = asyncio.get_running_loop()
        while self.busy:
            now = loop.time()
            until = latest if self.moving else deadline
            if now >= until:
                return False
            if self.asked and now - self.asked > BEGIN_S and not self.loading:
                self.asked = 0.0
            if self.requests and not self.loading and not answering() and now - self.heard > FORGOTTEN_S:
                self.requests.clear()
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(until - now, FORGOTTEN_S / 4))
            except TimeoutError:
                continue
        return True

    def on_event(self, name: str, event: dict[str, Any]) -> None:
        """Takes note of a Page or Network event."""
        self.heard = asyncio.get_running_loop().time()
        main = event.get("frameId") == self.frame
        if name == "Network.requestWillBeSent":
            url = event["request"]["url"]
            if event.get("type") not in ENDLESS and url.startswith("http"):
                self.requests[event["requestId"]] = event.get("loaderId", "")
                if main and event.get("type") in _OF_SCRIPTS and "redirectResponse" not in event:
                    self._scripts[event["requestId"]] = url
                    self.scripted += 1
        elif name in ("Network.loadingFinished", "Network.loadingFailed", "Network.requestServedFromCache"):
            self.requests.pop(event["requestId"], None)
            asked = self._scripts.pop(event["requestId"], None)
            if asked is not None and name != "Network.loadingFailed":
                self.answered.append(asked)
        elif name == "Network.responseReceived":
            if event["response"].get("mimeType") == "text/event-stream":
                self.requests.pop(event["requestId"], None)
        elif name == "Page.frameNavigated":
            if "parentId" not in event["frame"]:
                self.frame = event["frame"]["id"]
                self.documents += 1
                self.asked = 0.0
                self.answered.clear()
                self._scripts.clear()
                loader = event["frame"].get("loaderId")
                self.requests = {key: one for key, one in self.requests.items() if one == loader}
        elif name == "Page.frameRequestedNavigation":
            if main and event.get("disposition", "currentTab") == "currentTab":
                self.asked = self.heard
        elif name == "Page.frameScheduledNavigation":
            if main and event.get("delay", 0) <= SOON_S:
                self.asked = self.heard
        elif name == "Page.frameStartedLoading":
            if main:
                self.loading, self.asked = True, 0.0
        elif name in ("Page.frameStoppedLoading", "Page.frameClearedScheduledNavigation") and main:
            self.asked = 0.0
            if name == "Page.frameStoppedLoading":
                self.loading = False
        if not self.busy:
            self._changed.set()


#: The events that `Activity.on_event` understands.
EVENTS = (
    "Network.requestWillBeSent",
    "Network.loadingFinished",
    "Network.loadingFailed",
    "Network.requestServedFromCache",
    "Network.responseReceived",
    "Page.frameNavigated",
    "Page.frameRequestedNavigation",
    "Page.frameScheduledNavigation",
    "Page.frameClearedScheduledNavigation",
    "Page.frameStartedLoading",
    "Page.frameStoppedLoading",
)
