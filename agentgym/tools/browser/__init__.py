"""A real browser for many agents at once: a closed world, warm contexts, exact waiting, pages as accessibility trees.

`BrowserPool.lease` gives a `Session`: a fresh context that can reach the sites it was leased with and nothing else.
Importing this is light; Playwright and h11 are loaded when a pool is opened.
"""

from agentgym.tools.browser.failures import ActionFailed
from agentgym.tools.browser.gateway import ASGIApp, Site, Upstream
from agentgym.tools.browser.options import BrowserOptions, find_chromium
from agentgym.tools.browser.pool import BrowserPool, PoolStats
from agentgym.tools.browser.session import Effect, Session, Tab
from agentgym.tools.browser.shared import shared_pool
from agentgym.tools.browser.tree import Box, Node, Tree

__all__ = [
    "ASGIApp",
    "ActionFailed",
    "Box",
    "BrowserOptions",
    "BrowserPool",
    "Effect",
    "Node",
    "PoolStats",
    "Session",
    "Site",
    "Tab",
    "Tree",
    "Upstream",
    "find_chromium",
    "shared_pool",
]
