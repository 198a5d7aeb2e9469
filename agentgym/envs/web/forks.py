"""Snapshots of an episode, and how one is brought back: by a copy where that is exact, else by doing all of it again.

A copy is the databases, the storage of the browser and the URL, opened again. It stands for the state only where the
page holds nothing else: one tab, just opened, of a site whose pages follow from URL and databases. What is typed into
a form, an open menu, the way back through the pages gone through, are no part of it. Then, and as soon as an action
after a copy asks for what went before (``go_back``), the episode's actions are done again from its beginning; worlds
are deterministic, so that leads to the same state, numbers of the elements included. Both ways are checked against the
tree and the databases as they were.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from agentgym.envs.web.progress import Progress
from agentgym.envs.web.task import View


@dataclass(slots=True)
class Fork:
    """State of an episode as plain data.

    Attributes:
        view: What was open.
        world: The world's own state (`World.save`).
        digest: Of its databases.
        progress: What had been reached.
    """

    view: View
    world: Any
    digest: str
    progress: Progress

    def __deepcopy__(self, memo: dict[int, Any]) -> Fork:
        # Views are immutable, and large.
        return Fork(self.view, copy.deepcopy(self.world, memo), self.digest, copy.deepcopy(self.progress, memo))

    def same(self, view: View, digest: str) -> bool:
        """Whether a state that was brought back is this one."""
        mine, other = self.view, view
        return (
            digest == self.digest
            and (mine.url, mine.tabs, mine.active) == (other.url, other.tabs, other.active)
            and mine.tree.lines() == other.tree.lines()
        )
