"""Asynchronous collecting: episodes are played while the learner learns, and none is learned from when it is too old.

The staleness of a group is how many updates the learner has made since the weights that wrote its oldest token. The
capacity rule (as in AReaL, arXiv 2505.24298): with `n` groups an update and staleness at most `k`, no more than
`(k + 1) n` groups are asked for and not yet learned from or dropped. So what is learned from in the order in which it
finishes is at most `k` updates old, but for groups that others overtook; these are dropped, or corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from agentgym.rollout.request import GroupRequest
from agentgym.rollout.stream import GroupStream
from agentgym.trajectory import Group

_POLL_S = 0.2  # how often a wait for groups looks up
#: Groups that an update may look at, in batches, before it does with fewer than it wants.
_MOST_BATCHES = 3


@dataclass
class Book:
    """What a checkpoint must know of the groups on their way; plain data.

    Attributes:
        rounds: Times that groups were asked for.
        outstanding: Group id -> (task id, seeds): asked for, and neither learned from nor dropped.
        dropped: Groups dropped, by reason.
        corrected: Groups learned from although they were too old.
    """

    rounds: int = 0
    outstanding: dict[str, tuple[str, list[int]]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    corrected: int = 0


#: Whether a group says anything to learn from; the reason to drop it, or None.
Judge = Callable[[Group], str | None]
#: (round, number of groups) -> requests.
Draw = Callable[[int, int], Sequence[GroupRequest]]


class Streaming:
    """Keeps a stream of groups filled, and takes an update's worth of them out of it.

    Args:
        stream: Where they come from.
        per_update: Groups an update learns from.
        max_staleness: See the module's docstring; at least 1.
        stale: What becomes of a group that is older.
        draw: Makes new requests.
        book: As a checkpoint had it: what was on its way then is asked for again.
        remake: (id, task id, seeds) -> the request that it was.
    """

    def __init__(
        self,
        stream: GroupStream,
        per_update: int,
        max_staleness: int,
        stale: Literal["drop", "correct"],
        draw: Draw,
        book: Mapping[str, Any],
        remake: Callable[[str, str, tuple[int, ...]], GroupRequest],
    ) -> None:
        self.stream, self.per_update, self.max_staleness, self.stale = stream, per_update, max_staleness, stale
        self._draw = draw
        self.book = Book(**book)
        self.ages: list[int] = []
        self._taken: list[str] = []
        self.stream.submit([remake(name, task, tuple(seeds)) for name, (task, seeds) in self.book.outstanding.items()])

    def fill(self, updates_left: int) -> None:
        """Asks for as many groups as may be on their way; called when the engines have been sent new weights."""
        self._ask(min(self.max_staleness + 1, updates_left) * self.per_update - len(self.book.outstanding))

    def learned(self) -> None:
        """The groups taken last have been learned from; until then a checkpoint has them played again."""
        for name in self._taken:
            del self.book.outstanding[name]
        self._taken = []

    def _ask(self, n: int) -> None:
        if n <= 0:
            return
        requests = self._draw(self.book.rounds, n)
        self.book.rounds += 1
        self.book.outstanding |= {r.id: (r.task_id, list(r.seeds)) for r in requests}
        self.stream.submit(requests)

    def take(self, update: int, judge: Judge, check: Callable[[], None]) -> list[Group]:
        """An update's groups, in the order in which they finished.

        Args:
            update: Updates made so far.
            judge: Says which groups are of no use; others are asked for in their place.
            check: Called while there is nothing to do; what it raises ends the wait.
        """
        taken: list[Group] = []
        self.ages, self._taken = [], []
        for _ in range(_MOST_BATCHES * self.per_update):
            group = None
            while group is None:
                check()
                group = self.stream.take(_POLL_S)
            reason = judge(group)
            age = update - min((t.version for t in group.trajectories), default=update)
            if reason is None and age > self.max_staleness:
                if self.stale == "drop":
                    reason = "stale"
                else:
                    self.book.corrected += 1
            if reason is None:
                taken.append(group)
                self._taken.append(group.id)
                self.ages.append(age)
                if len(taken) == self.per_update:
                    break
            else:
                del self.book.outstanding[group.id]
                self.book.dropped[reason] = self.book.dropped.get(reason, 0) + 1
                self._ask(1)
        return taken

    def figures(self) -> dict[str, float]:
        """Of the last update, and counters of the run."""
        row = {f"dropped_{reason}": float(n) for reason, n in self.book.dropped.items()}
        row["groups_in_flight"] = float(len(self.book.outstanding) - self.stream.waiting())
        row["groups_waiting"] = float(self.stream.waiting())
        if self.ages:
            row |= {"staleness": float(np.mean(self.ages)), "staleness_max": float(max(self.ages))}
        return row | ({"corrected": float(self.book.corrected)} if self.book.corrected else {})
