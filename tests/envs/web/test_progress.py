from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.actions import Action
from agentgym.envs.web.progress import Progress, matching
from agentgym.envs.web.task import View, World
from agentgym.tools.browser.tree import Tree


class Told(World):
    """A world that is in the state it is told to be in."""

    def __init__(self, facts: Sequence[bool] = (), broken: int = 0, pages: Sequence[str] = ()) -> None:
        self.now, self.wrong, self.way = tuple(facts), broken, tuple(pages)

    def sites(self) -> Mapping[str, Any]:
        return {}

    def facts(self) -> Sequence[bool]:
        return self.now

    def broken(self) -> int:
        return self.wrong

    def pages(self) -> Sequence[str]:
        return self.way

    def outcome(self, answer: str | None, infeasible: bool) -> float:
        return 0.0

    def next_action(self, view: View) -> Action:
        return Action("stop")


def look(progress: Progress, world: Told, url: str = "http://a.test/") -> dict[str, float]:
    parts: dict[str, float] = {}
    progress.look(world, View(Tree(url=url), url), parts)
    return parts


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=20))
def test_subgoals_are_never_paid_twice(course: list[list[bool]]) -> None:
    world, progress = Told(course[0]), Progress()
    progress.begin(world, View(Tree()))
    paid = 0.0
    for facts in course[1:]:
        world.now = tuple(facts)
        paid += look(progress, world)["subgoals"]
    assert paid == pytest.approx((sum(course[-1]) - sum(course[0])) / 3)


@given(st.lists(st.sampled_from(["/", "/cart", "/item/1", "/item/2", "/else"]), max_size=20))
def test_pages_are_paid_once(paths: list[str]) -> None:
    world, progress = Told(pages=["/cart", "/item/*", "/"]), Progress()
    progress.begin(world, View(Tree(), "http://a.test/"))
    paid = sum(look(progress, world, f"http://a.test{path}?notice=1")["navigation"] for path in paths)
    assert paid == pytest.approx((("/cart" in paths) + any(p.startswith("/item") for p in paths)) / 3)


def test_violations_are_counted_once() -> None:
    world, progress = Told(), Progress()
    progress.begin(world, View(Tree()))
    told = []
    for broken in (0, 2, 2, 0, 2, 3):
        world.wrong = broken
        told.append(look(progress, world)["violation"])
    assert told == [0, 2, 0, 0, 0, 1]


def test_what_was_there_at_the_start_pays_nothing() -> None:
    world, progress = Told([True], 1, ["/"]), Progress()
    progress.begin(world, View(Tree(), "http://a.test/"))
    assert set(look(progress, world).values()) == {0.0}
    assert progress.useful is False


def test_useful() -> None:
    world, progress = Told([False], pages=["/cart"]), Progress()
    progress.begin(world, View(Tree()))
    look(progress, world, "http://a.test/cart")
    assert progress.useful
    world.now = (True,)
    look(progress, world)
    assert progress.useful
    look(progress, world)
    assert progress.useful is False


def test_answer_is_the_last_message() -> None:
    assert Progress().answer is None
    assert Progress(messages=["a", "b"]).answer == "b"


def test_patterns() -> None:
    assert matching("http://a.test/item/3?x=/cart", ["/item/*", "/cart", "/item/4"]) == {"/item/*"}
    assert matching("http://a.test", ["/"]) == {"/"}
