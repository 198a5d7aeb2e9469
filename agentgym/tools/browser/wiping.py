"""Makes a used context as good as a new one, for sites that every lease trusts alike.

A page that is trusted cannot hide anything; still everything that one episode could hand to the next goes: the
document and its timers, storage of every kind, cookies, the history, the window's name.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection

from agentgym.faults import EnvironmentFault
from agentgym.tools.browser.tab import BrowserTab, DocumentGone

_BLANK = "about:blank"
#: Seconds within which the empty page must be there.
LEAVE_S = 5.0
_LOOK_S = 0.001


async def wipe(tab: BrowserTab, origins: Collection[str]) -> bool:
    """Returns whether the context of a tab is clean; one that is not must be thrown away.

    Args:
        tab: The only one of its context; shows whatever the last lease left there.
        origins: All that it could have stored something for.
    """
    try:
        async with asyncio.timeout(LEAVE_S):
            if tab.url != _BLANK:
                with contextlib.suppress(DocumentGone):
                    await tab.evaluate("void sessionStorage.clear()", isolated=True)
            documents = tab.activity.documents
            await tab.send("Page.navigate", url=_BLANK)
            while tab.activity.documents == documents or tab.activity.moving:
                await asyncio.sleep(_LOOK_S)
            tab.forget_world()
            url, *_ = await asyncio.gather(
                tab.evaluate("(window.name = '', location.href)", isolated=False),
                tab.send("Page.resetNavigationHistory"),
                tab.send("Network.clearBrowserCookies"),
                *(tab.send("Storage.clearDataForOrigin", origin=one, storageTypes="all") for one in origins),
            )
            cookies = await tab.send("Network.getCookies", urls=list(origins))
    except (TimeoutError, EnvironmentFault, DocumentGone):
        return False
    tab.url, tab.title, tab.popups = _BLANK, "", 0
    return bool(url == _BLANK and not cookies["cookies"])
