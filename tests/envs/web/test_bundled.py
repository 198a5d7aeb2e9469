from __future__ import annotations

import pytest

from agentgym.actions import Action
from agentgym.envs.sourcing import make_source
from agentgym.envs.web.bundled import BundledTaskSet, SiteWorld
from agentgym.envs.web.sites import all_templates
from agentgym.envs.web.sources import SOURCES
from agentgym.envs.web.task import View
from agentgym.faults import ConfigError
from agentgym.tools.browser.tree import Tree


def tasks(**options: object) -> BundledTaskSet:
    made = make_source(SOURCES, "bundled", {"seeds": 2, "heldout_seeds": 1, **options}).make()
    assert isinstance(made, BundledTaskSet)
    return made


def test_templates_and_splits() -> None:
    made, known = tasks(), all_templates()
    train, heldout = made.ids("train"), made.ids("heldout")
    assert len(known) >= 60
    assert len(train) == 2 * sum(not t.heldout for t in known.values())
    assert {i.rpartition("/")[0] for i in heldout} == set(known)
    assert not set(train) & set(heldout)
    assert {made.difficulty(i) for i in train} == {1, 2, 3, 4, 5}
    assert 0.15 < sum(t.heldout for t in known.values()) / len(known) < 0.4
    assert {known[i.rpartition("/")[0]].sites[0] for i in train} == {"shop", "tracker", "calendar", "wiki"}


def test_a_task_is_made_from_its_id() -> None:
    made = tasks()
    for task_id in (made.ids("train")[5], made.ids("heldout")[-1]):
        task = made[task_id]
        assert (task.id, task) == (task_id, tasks()[task_id])
        assert task.split == ("heldout" if "/h" in task_id else "train")
        assert task.goal
        assert task.start.startswith(task.origins)
    with pytest.raises(ConfigError, match="no task 'shop/nothing/0'"):
        made["shop/nothing/0"]
    with pytest.raises(ConfigError, match="no task"):
        made[f"{made.ids('train')[0]}0000"]


def test_selection() -> None:
    made = tasks(sites=["wiki"], difficulties=[1])
    assert made.ids("train")
    assert all(i.startswith("wiki/") and made.difficulty(i) == 1 for i in made.ids("train"))
    one = made.ids("train")[0].rpartition("/")[0]
    assert tasks(templates=[one]).ids("train") == (f"{one}/0", f"{one}/1")


def test_worlds_are_of_their_own() -> None:
    made = tasks()
    task = made[made.ids("train")[0]]
    world, other = made.world(task), made.world(task)
    assert set(world.sites()) == set(task.origins)
    assert world.digest() == other.digest()
    saved = world.save()
    db = next(iter(world.dbs.values()))
    db.execute("UPDATE meta SET value = 'never' WHERE key = 'now'")
    assert world.digest() != other.digest()
    other.load(world.save())
    assert world.digest() == other.digest()
    world.load(saved)
    assert world.digest() == made.world(task).digest()


def test_nothing_done_is_nothing_reached() -> None:
    made = tasks(seeds=1)
    for task_id in made.ids("train"):
        world = made.world(made[task_id])
        assert world.outcome(None, False) == 0.0, task_id
        assert world.outcome("", False) == 0.0, task_id
        assert world.broken() == 0, task_id
        world.close()


def test_the_expert_knows_where_to_begin() -> None:
    made = tasks(seeds=1)
    world = made.world(made[made.ids("train")[0]])
    assert isinstance(world, SiteWorld)
    action = world.next_action(View(Tree("about:blank"), "about:blank"))
    assert isinstance(action, Action)
    assert action.name == "goto"


def test_texts() -> None:
    made = tasks(sites=["calendar"], difficulties=[1], seeds=1)
    texts = list(made.texts())
    for task_id in made.ids("train"):
        assert made[task_id].goal in texts
    assert any("People" in text for text in texts)
