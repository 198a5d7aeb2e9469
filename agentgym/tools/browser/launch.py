"""How Chromium is started: nothing of it reaches the network but through a context's gateway."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agentgym.faults import ConfigError, first_line
from agentgym.tools.browser.options import BrowserOptions, find_chromium

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

#: Where the browser's own requests go (updates, lists of bad sites): a port that nobody may listen on.
NOWHERE = "http://127.0.0.1:1"
#: What Playwright turns off; a second such list on the command line would replace the first.
PLAYWRIGHT_OFF = (
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCORSURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
    "Translate",
)
#: What costs a process or two for each context and shows nothing: popups of the address bar, a process held ready.
COSTLY = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup", "SpareRendererForSitePerProcess")
#: What asks a server of its own about every form that is shown, and would be counted as the agent's request.
ASKING = ("AutofillServerCommunication",)
#: What would isolate the frames of one episode from each other: episodes have contexts, and so processes, of their own.
ISOLATION = ("IsolateOrigins", "site-per-process")
#: What keeps a page that was left, or shows the same site's next page in another process.
KEEPING = ("BackForwardCache", "ProactivelySwapBrowsingInstance", "RenderDocument")
FLAGS = (
    f"--disable-features={','.join(PLAYWRIGHT_OFF + COSTLY + ASKING + ISOLATION + KEEPING)}",
    "--disable-site-isolation-trials",
    # No name is looked up, whatever asks for it.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    # Peer connections would send UDP past the proxy.
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--disable-print-preview",
    "--dns-prefetch-disable",
    "--no-pings",
    "--disable-gpu",
)
HOW = "install one with 'apt-get install chromium' or 'playwright install --with-deps chromium'"


async def launch(playwright: Playwright, options: BrowserOptions) -> Browser:
    """Starts a browser.

    Raises:
        ConfigError: There is no Chromium, or it cannot be started.
    """
    from playwright.async_api import Error

    path = find_chromium(options)
    try:
        return await playwright.chromium.launch(
            executable_path=path,
            headless=not options.headed,
            args=list(FLAGS),
            chromium_sandbox=os.geteuid() != 0 if hasattr(os, "geteuid") else True,
            proxy={"server": NOWHERE, "bypass": "<-loopback>"},
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )
    except Error as error:
        reason = first_line(error)
        if path is None:
            raise ConfigError(f"no Chromium was found: {HOW}, or name it in AGENTGYM_CHROMIUM ({reason})") from None
        raise ConfigError(f"{path} cannot be started as a browser: {reason}") from None
