"""The browsers that a process's environments share: one pool for equal options, closed when the process ends."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os

from agentgym.aio import run_blocking
from agentgym.tools.browser.options import BrowserOptions
from agentgym.tools.browser.pool import CLOSE_S, BrowserPool

_shared: dict[BrowserOptions, BrowserPool] = {}


def shared_pool(options: BrowserOptions | None = None) -> BrowserPool:
    """The process's pool of these options, for callers on the loop of `agentgym.aio`; closed at exit."""
    options = options or BrowserOptions()
    pool = _shared.get(options)
    if pool is None or pool.closed:
        if not _shared:
            atexit.register(_close_shared)
        pool = _shared[options] = BrowserPool(options)
    return pool


def _close_shared() -> None:
    pools = list(_shared.values())
    _shared.clear()
    for pool in pools:
        with contextlib.suppress(Exception):
            run_blocking(asyncio.wait_for(pool.close(), CLOSE_S * 2))


# What a parent process opened is not its forked child's to use or to close.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.clear)
