"""Task sets of pages: ids, splits, and what a page's verdict is worth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.envs.sourcing import make_source
from agentgym.envs.web.miniwob.episode import Status
from agentgym.envs.web.miniwob.experts import EXPERTS
from agentgym.envs.web.miniwob.pages import PAGES, REALTIME
from agentgym.envs.web.miniwob.tasks import MiniwobSource, MiniwobWorld, family, is_heldout
from agentgym.envs.web.sources import SOURCES
from agentgym.faults import ConfigError


def test_by_default_all_pages_with_an_expert_are_in_both_splits_with_other_seeds() -> None:
    tasks = MiniwobSource(seeds=3, heldout_seeds=2).make()
    train, heldout = tasks.ids("train"), tasks.ids("heldout")
    pages = set(EXPERTS)
    assert {i.split("/")[1] for i in train} == {i.split("/")[1] for i in heldout} == pages
    assert len(train) == 3 * len(pages)
    assert len(heldout) == 2 * len(pages)
    assert not {i.rpartition("/")[2] for i in train} & {i.rpartition("/")[2] for i in heldout}


def test_a_split_by_page_keeps_families_together() -> None:
    tasks = MiniwobSource(seeds=1, heldout_seeds=1, split_by="page").make()
    train, heldout = ({family(i.split("/")[1]) for i in tasks.ids(split)} for split in ("train", "heldout"))
    assert heldout
    assert not train & heldout
    assert len(heldout) < len(train)


def test_families() -> None:
    assert family("click-tab-2-hard") == "click-tab"
    assert family("click-test") == "click-test"
    assert all(is_heldout(page) == is_heldout(family(page)) for page in PAGES)


def test_a_task() -> None:
    tasks = MiniwobSource(pages=("click-test", "draw-line"), seeds=1).make()
    task = tasks["miniwob/draw-line/0"]
    assert task.start.endswith("/draw-line.html")
    assert task.split == "train"
    assert task.points
    assert tasks["miniwob/click-test/1000000"].split == "heldout"
    assert tasks.difficulty("miniwob/click-test/0") == 1
    with pytest.raises(ConfigError, match="did you mean"):
        tasks["miniwob/click-tests/0"]


def test_wrong_options() -> None:
    with pytest.raises(ConfigError, match="did you mean 'click-test'"):
        make_source(SOURCES, "miniwob", {"pages": ["click-tst"]})
    with pytest.raises(ConfigError, match="clock"):
        make_source(SOURCES, "miniwob", {"pages": ["moving-items"]}).make()
    assert MiniwobSource(pages=("moving-items",), realtime=True).make().ids("train")
    assert not set(REALTIME) & {i.split("/")[1] for i in MiniwobSource(seeds=1).make().ids("train")}


def test_words_are_listed_where_they_can_be() -> None:
    words = set(" ".join(MiniwobSource(pages=("enter-text", "click-link")).make().texts()).split())
    assert {"Ignacio", "Enter", "lorem", "Submit", "7"} <= words
    with pytest.raises(ConfigError, match="random letters"):
        list(MiniwobSource(pages=("enter-password",)).make().texts())


@given(st.floats(-1, 1), st.booleans(), st.booleans())
def test_an_outcome_is_the_raw_reward_from_0_to_1(raw: float, done: bool, left: bool) -> None:
    world = MiniwobWorld("find-midpoint", 0)
    world.status = Status(done, raw, left=left)
    value = world.outcome(None, False)
    if left or not done or raw <= 0:
        assert value == 0.0
    else:
        assert value == (1.0 if raw >= PAGES["find-midpoint"].solved_at else raw)
