"""One pool for all tests of the browser: a session is fresh in any case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browsing import ORIGIN, need_chromium, page, site

from agentgym.aio import run_blocking
from agentgym.tools.browser import BrowserOptions, BrowserPool, Session

Open = Callable[..., Session]


@pytest.fixture(scope="session")
def chromium() -> str:
    return need_chromium()


@pytest.fixture(scope="session")
def pool(chromium: str) -> Iterator[BrowserPool]:
    pool = BrowserPool(BrowserOptions(ready=2))
    yield pool
    run_blocking(pool.close())


@pytest.fixture
def visit(pool: BrowserPool) -> Iterator[Open]:
    """Opens the first page of a site made of HTML (of the body alone, or a dictionary of pages) in a new session."""
    sessions: list[Session] = []

    def visit(pages: Any, **options: Any) -> Session:
        async def start() -> Session:
            app = site({"/": page(pages)} if isinstance(pages, str) else pages)
            session = await pool.lease({ORIGIN: app, **options.pop("sites", {})}, **options)
            sessions.append(session)
            await session.goto(f"{ORIGIN}/")
            return session

        return run_blocking(start())

    yield visit
    for session in sessions:
        run_blocking(session.close())
