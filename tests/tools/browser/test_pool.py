"""The pool: fresh contexts, bounds, crashes, restarts, and nothing that stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import ORIGIN, page, site

from agentgym.aio import run_blocking as run
from agentgym.faults import ConfigError, EnvironmentFault
from agentgym.tools.browser import BrowserOptions, BrowserPool, shared_pool

APP = site({"/": page("<h1>Here</h1><a href=/>Again</a>")})
SITES = {ORIGIN: APP}


def children(process: int) -> list[int]:
    """All processes below one."""
    found: list[int] = []
    waiting = [process]
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def browsers(process: int) -> list[int]:
    """The main processes of the browsers that a process started, without the shells that may have started them."""
    said = {one: command(one) for one in children(process)}
    return [
        one
        for one, line in said.items()
        if "--remote-debugging-pipe" in line and "--type=" not in line and not line.startswith("/bin/sh ")
    ]


@pytest.fixture
def own(chromium: str) -> Iterator[BrowserPool]:
    pool = BrowserPool(BrowserOptions(ready=1, size=4))
    yield pool
    run(pool.close())


def test_a_session_is_fresh_and_cannot_see_another(own: BrowserPool) -> None:
    async def work() -> None:
        async with await own.lease(SITES) as one, await own.lease(SITES) as two:
            await one.goto(f"{ORIGIN}/")
            await two.goto(f"{ORIGIN}/")
            await one.evaluate("(document.cookie = 'a=1', localStorage.setItem('a', 1))")
            assert await two.evaluate("document.cookie + localStorage.length") == "0"
            assert own.stats().leased == 2
        assert own.stats().leased == 0

    run(work())


def test_the_size_bounds_the_sessions_and_a_lease_that_waits_too_long_is_a_fault(chromium: str) -> None:
    async def work() -> None:
        async with BrowserPool(BrowserOptions(ready=0, size=1, lease_s=0.2)) as pool:
            async with await pool.lease(SITES):
                with pytest.raises(EnvironmentFault, match="no session was free"):
                    await pool.lease(SITES)
            async with await pool.lease(SITES) as session:
                await session.goto(f"{ORIGIN}/")

    run(work())


def test_warm_contexts_are_made_ahead(own: BrowserPool) -> None:
    async def work() -> None:
        await own.warm_up()
        assert own.stats().ready == 1
        async with await own.lease(SITES):
            assert own.stats().warm == 1

    run(work())


def test_a_crashed_page_is_a_fault_of_that_session_alone(own: BrowserPool) -> None:
    async def work() -> None:
        async with await own.lease(SITES) as one, await own.lease(SITES) as two:
            await one.goto(f"{ORIGIN}/")
            await two.goto(f"{ORIGIN}/")
            crash = asyncio.ensure_future(one._active.cdp.send("Page.crash"))
            began = time.monotonic()
            with pytest.raises(EnvironmentFault, match="browser"):
                await one.wait(10_000)
            assert time.monotonic() - began < 15
            crash.cancel()
            assert (await two.observe()).find("heading", "Here") is not None
        assert own.stats().faults == 1

    run(work())


def test_a_killed_browser_is_a_fault_and_another_one_takes_its_place(own: BrowserPool) -> None:
    async def work() -> None:
        before = set(browsers(os.getpid()))
        session = await own.lease(SITES)
        await session.goto(f"{ORIGIN}/")
        (mine,) = set(browsers(os.getpid())) - before
        os.kill(mine, signal.SIGKILL)
        with pytest.raises(EnvironmentFault, match="browser"):
            await session.wait(10_000)
        await session.close()
        async with await own.lease(SITES) as after:
            await after.goto(f"{ORIGIN}/")
            assert after.tree.find("heading", "Here") is not None
        stats = own.stats()
        assert (stats.restarts, stats.faults, stats.browsers) == (1, 1, 1)

    run(work())


def test_a_page_that_hangs_is_a_fault(own: BrowserPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentgym.tools.browser.tab.ANSWER_S", 1.0)
    monkeypatch.setattr("agentgym.tools.browser.tabs.BROWSER_S", 1.0)
    hanging = site({"/": page("<button onclick='for (;;);'>Hang</button>")})

    async def work() -> None:
        session = await own.lease({ORIGIN: hanging})
        await session.goto(f"{ORIGIN}/")
        button = session.tree.find("button")
        assert button is not None
        with pytest.raises(EnvironmentFault, match="browser"):
            await session.click(button.id)
        await session.close()
        async with await own.lease(SITES) as after:
            await after.goto(f"{ORIGIN}/")

    run(work())


def test_many_sessions_leave_nothing_behind(own: BrowserPool) -> None:
    async def one() -> None:
        async with await own.lease(SITES) as session:
            await session.goto(f"{ORIGIN}/")

    async def work() -> tuple[int, int, int]:
        await asyncio.gather(*(one() for _ in range(4)))
        await own.warm_up()
        (browser,) = [home.browser for home in own._browsers]
        return len(children(os.getpid())), len(browser.contexts), len(asyncio.all_tasks())

    first = run(work())
    for _ in range(3):
        last = run(work())
    assert last[1:] == (own.stats().ready, first[2])
    until = time.monotonic() + 10
    while (now := len(children(os.getpid()))) > first[0] + 1 and time.monotonic() < until:  # some are on their way out
        time.sleep(0.05)
    assert now <= first[0] + 1
    assert own.stats().leases == 16


def test_a_browser_is_renewed_after_many_contexts(own: BrowserPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentgym.tools.browser.pool.RENEW", 2)

    async def work() -> None:
        await own.warm_up()
        (first,) = own._browsers
        kept = await own.lease(SITES)
        used = set()
        for _ in range(3):
            async with await own.lease(SITES) as session:
                await session.goto(f"{ORIGIN}/")
                assert session.context.browser is not None
                used.add(session.context.browser)
        assert len(used) > 1
        assert first.browser.is_connected()
        assert (await kept.goto(f"{ORIGIN}/")).settled
        await kept.close()
        assert not first.browser.is_connected()
        assert (own.stats().restarts, own.stats().faults) == (0, 0)

    run(work())


def test_a_closed_pool_ends_its_processes(chromium: str) -> None:
    async def work() -> None:
        before = set(children(os.getpid()))
        pool = BrowserPool(BrowserOptions(ready=1))
        session = await pool.lease(SITES)
        await session.goto(f"{ORIGIN}/")
        assert set(browsers(os.getpid())) - before
        await pool.close()
        for _ in range(100):
            if not set(children(os.getpid())) - before:
                break
            await asyncio.sleep(0.05)
        assert not set(children(os.getpid())) - before
        await session.close()
        with pytest.raises(EnvironmentFault, match="closed"):
            await pool.lease(SITES)

    run(work())


SCRIPT = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[2] / "support")!r})
from browsing import *
from agentgym.aio import run_blocking
from agentgym.tools.browser import BrowserOptions, shared_pool
pool = shared_pool(BrowserOptions(ready=1))
run_blocking(pool.lease({{ORIGIN: site({{"/": page("x")}})}}))
print("open", flush=True)
if sys.argv[1] == "wait":
    time.sleep(60)
"""


@pytest.mark.parametrize("how", ["exit", "wait"])
def test_nothing_outlives_the_process(chromium: str, how: str) -> None:
    """It ends by itself, or is killed."""
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    mine = children(process.pid)
    if how == "wait":
        assert browsers(process.pid)
        process.kill()
    process.wait(timeout=30)
    process.stdout.close()
    until = time.monotonic() + 20
    while (left := [one for one in mine if command(one)]) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left


def test_no_chromium_is_told_with_what_mends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    pool = BrowserPool(BrowserOptions(executable_path=str(program)))
    with pytest.raises(ConfigError, match="cannot be started as a browser"):
        run(pool.lease(SITES))
    run(pool.close())
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.delenv("AGENTGYM_CHROMIUM", raising=False)
    pool = BrowserPool()
    with pytest.raises(ConfigError, match="apt-get install chromium"):
        run(pool.lease(SITES))
    run(pool.close())


def test_sites_are_checked(own: BrowserPool) -> None:
    for origin in ("shop.test", "http://shop.test/", "HTTP://shop.test", "ftp://shop.test", "", "http://"):
        with pytest.raises(ConfigError, match="sites"):
            run(own.lease({origin: APP}))
    with pytest.raises(ConfigError, match="Upstream"):
        run(own.lease({"https://shop.test": APP}))
    assert own.stats().leased == 0


def test_a_pool_belongs_to_its_loop(own: BrowserPool) -> None:
    run(own.warm_up())
    with pytest.raises(RuntimeError, match="loop"):
        asyncio.run(own.lease(SITES))


def test_the_shared_pool_is_one_of_its_options() -> None:
    assert shared_pool() is shared_pool(BrowserOptions())
    assert shared_pool() is not shared_pool(BrowserOptions(size=3))
