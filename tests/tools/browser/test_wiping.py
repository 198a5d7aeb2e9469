"""A context that serves several leases is as good as new for each; anything odd, and it is thrown away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import pytest
from browsing import ORIGIN, page, site

from agentgym.aio import run_blocking as run
from agentgym.tools.browser import BrowserOptions, BrowserPool, Session

APP = site({"/": page("<h1>Here</h1><a href=/next>Next</a><a href=/ target=_blank>Tab</a>"), "/next": page("<p>Next")})
LEAVE_TRACES = """(async () => {
  document.cookie = 'a=1; max-age=1000';
  localStorage.a = sessionStorage.a = '1';
  window.name = 'mine';
  await new Promise(done => { indexedDB.open('base').onsuccess = done; });
  setInterval(() => { localStorage.late = '1'; document.cookie = 'late=1'; }, 1);
})()"""
TRACES = """(async () => [document.cookie, {...localStorage}, {...sessionStorage}, window.name,
  (await indexedDB.databases()).map(base => base.name), typeof agentgym, history.length])()"""
CLEAN = ["", {}, {}, "", [], "undefined", 2]


@pytest.fixture
def pool(chromium: str) -> Iterator[BrowserPool]:
    made = BrowserPool(BrowserOptions(size=2, ready=0, reuse=3, executable_path=chromium))
    yield made
    run(made.close())


async def visit(pool: BrowserPool, does: Callable[[Session], Awaitable[object]], trusted: str = "t") -> object:
    """What a session of its own did; and, as `context`, which context that was."""
    async with await pool.lease({ORIGIN: APP}, trusted=trusted) as session:
        await session.goto(f"{ORIGIN}/")
        return await does(session), session.context


def contexts(pool: BrowserPool, does: Callable[[Session], Awaitable[object]], trusted: str = "t") -> list[object]:
    """The contexts of a visit and of the one after it."""

    async def work() -> list[object]:
        first = await visit(pool, does, trusted)
        second = await visit(pool, does, trusted)
        return [first[1], second[1]]  # type: ignore[index]

    return run(work())


async def nothing(session: Session) -> None:
    pass


def test_nothing_is_handed_on(pool: BrowserPool) -> None:
    async def traces(session: Session) -> object:
        found = await session.evaluate(TRACES)
        blocked = session.blocked
        await session.evaluate(LEAVE_TRACES)
        await session.evaluate("fetch('http://elsewhere.test/').then(() => 0, () => 0)")
        assert session.blocked == 1
        return found, blocked

    async def work() -> list[object]:
        return [await visit(pool, traces) for _ in range(4)]

    visits = run(work())
    assert [found for (found, _), _ in visits] == [CLEAN] * 4  # type: ignore[misc]
    assert [blocked for (_, blocked), _ in visits] == [0] * 4  # type: ignore[misc]
    used = [context for _, context in visits]  # type: ignore[misc]
    assert used[0] is used[1] is used[2]
    assert used[3] is not used[0], "a context serves as many leases as the options say"


def test_the_way_back_ends_where_the_lease_began(pool: BrowserPool) -> None:
    async def wander(session: Session) -> list[str]:
        link = next(node for node in session.tree.walk() if node.name == "Next")
        await session.click(link.id)
        await session.back()
        shown = [node.id for node in session.tree.walk() if node.id]
        with pytest.raises(Exception, match="there is no page before"):
            await session.back()
        return shown

    async def work() -> list[object]:
        return [await visit(pool, wander) for _ in range(2)]

    (first, one), (second, two) = run(work())  # type: ignore[misc]
    assert one is two
    assert first == second, "elements are numbered as in a new context"


def test_only_leases_of_one_name_share(pool: BrowserPool) -> None:
    first, second = contexts(pool, nothing)
    assert first is second
    third, fourth = contexts(pool, nothing, trusted="other")
    assert third is fourth
    assert third is not first
    fifth, sixth = contexts(pool, nothing, trusted="")
    assert len({id(x) for x in (first, third, fifth, sixth)}) == 4


def test_scripts_run_once_in_each_document(pool: BrowserPool) -> None:
    async def count(session: Session) -> object:
        return await session.evaluate("window.count")

    async def work() -> list[object]:
        found: list[object] = []
        for _ in range(3):
            async with await pool.lease({ORIGIN: APP}, trusted="t") as session:
                await session.add_script("window.count = (window.count || 0) + 1;")
                await session.goto(f"{ORIGIN}/")
                found.append(await count(session))
        return found

    assert run(work()) == [1, 1, 1]


async def open_tab(session: Session) -> None:
    link = next(node for node in session.tree.walk() if node.name == "Tab")
    await session.click(link.id)


async def open_and_close_tab(session: Session) -> None:
    await open_tab(session)
    await session.tab_close()


async def hold_key(session: Session) -> None:
    await session.key("Shift", True)


async def hold_button(session: Session) -> None:
    await session.mouse_button(10, 10, True)


async def resize(session: Session) -> None:
    await session.page.set_viewport_size({"width": 300, "height": 300})


async def close_page(session: Session) -> None:
    await session.page.close()


@pytest.mark.parametrize("does", [open_tab, open_and_close_tab, hold_key, hold_button, resize, close_page])
def test_what_is_out_of_the_ordinary_is_thrown_away(
    pool: BrowserPool, does: Callable[[Session], Awaitable[object]]
) -> None:
    first, second = contexts(pool, does)
    assert first is not second


def test_a_key_let_go_again_is_ordinary(pool: BrowserPool) -> None:
    async def tap(session: Session) -> None:
        await session.key("Shift", True)
        await session.key("Shift", False)

    first, second = contexts(pool, tap)
    assert first is second


def test_kept_contexts_count_and_end_with_the_pool(pool: BrowserPool) -> None:
    async def work() -> None:
        for _ in range(2):
            await visit(pool, nothing)
        assert pool.stats().ready == 1
        assert pool.stats().leased == 0
        await pool.close()
        assert pool.stats().ready == 0

    run(work())
