from __future__ import annotations

import pytest

from agentgym.envs.web.gold import GoldWorld
from agentgym.envs.web.task import ListedTaskSet, WebTask, World
from agentgym.faults import ConfigError
from agentgym.task import Split


class Listed(ListedTaskSet):
    def world(self, task: WebTask) -> World:
        return GoldWorld(task, ["page"])


def task(name: str, split: Split = "train") -> WebTask:
    return WebTask(id=name, split=split, goal="go", steps=({"name": "stop", "arguments": {}},))


def test_lists() -> None:
    made = Listed([task("a"), task("b", "heldout"), task("c")])
    assert (list(made.ids("train")), list(made.ids("heldout"))) == (["a", "c"], ["b"])
    assert made["b"].goal == "go"
    with pytest.raises(ConfigError, match="no task 'd'"):
        made["d"]
    with pytest.raises(ConfigError, match="two tasks have the id 'a'"):
        Listed([task("a"), task("a")])
    with pytest.raises(ConfigError, match="lists no words"):
        made.texts()


def test_a_world_that_asks_for_nothing() -> None:
    world = Listed([task("a")]).world(task("a"))
    assert (world.facts(), world.broken(), world.pages()) == ((), 0, ())
    world.close()
