"""Runs coroutines on one event loop in a thread of its own that the whole process shares, for blocking callers first.

One loop, because objects such as a browser belong to the loop they were made in: every call must reach the same one.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

R = TypeVar("R")

_loop: asyncio.AbstractEventLoop | None = None
_lock = threading.Lock()


def run_blocking(work: Coroutine[Any, Any, R]) -> R:
    """The coroutine's result; an interrupted wait cancels it.

    Raises:
        RuntimeError: Called from the shared loop itself, which would wait for itself.
    """
    loop = _shared_loop()
    try:
        inside = asyncio.get_running_loop() is loop
    except RuntimeError:
        inside = False
    if inside:
        work.close()
        raise RuntimeError("a blocking call from the event loop that must serve it; await the asynchronous one")
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def on_shared_loop(work: Coroutine[Any, Any, R]) -> R:
    """The coroutine's result, from that loop, for callers on any loop; a cancelled wait cancels it."""
    loop = _shared_loop()
    if asyncio.get_running_loop() is loop:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def start_on_shared_loop(work: Coroutine[Any, Any, R]) -> Future[R]:
    """Starts the coroutine on that loop; for callers that need not, or on the loop itself cannot, wait for it."""
    return asyncio.run_coroutine_threadsafe(work, _shared_loop())


def _shared_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="agentgym-loop", daemon=True).start()
        return _loop


def _forget() -> None:
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


# A forked child (Gymnasium's AsyncVectorEnv) inherits the loop without the thread that runs it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
