"""How the workers are doing, as of their last report: what a live view of a run shows of them.

Nobody is asked anything: a worker adds its `Vitals` to every report that it sends anyway, `LastKnown` keeps them, and
whoever looks gets plain data at once, from any thread.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentgym.rollout.stats import add_up

#: `Collector.counters` of the engine begin with it.
ENGINE = "engine."


class Activity:
    """How many things are going on, and for how long there has been any."""

    def __init__(self) -> None:
        self._made = time.perf_counter()
        self._now = (0, 0.0, 0.0)  # (count, since when there is any, seconds before that): swapped whole, for readers

    def begin(self, count: int = 1) -> None:
        running, since, before = self._now
        self._now = (running + count, since if running else time.perf_counter(), before)

    def end(self, count: int = 1) -> None:
        running, since, before = self._now
        left = running - count
        self._now = (left, since, before if left else before + time.perf_counter() - since)

    def look(self) -> tuple[int, float, float]:
        """(how many, seconds with any, seconds since this was made)."""
        running, since, before = self._now
        now = time.perf_counter()
        return running, before + (now - since if running else 0.0), now - self._made


@dataclass(frozen=True, slots=True)
class Vitals:
    """How one collector is doing.

    Attributes:
        counters: `Collector.counters`.
        playing: Episodes in flight.
        playing_s: Wall seconds in which there was any.
        up_s: Wall seconds since it was made.
    """

    counters: dict[str, float]
    playing: int
    playing_s: float
    up_s: float


@dataclass(frozen=True, slots=True)
class Hand:
    """What a worker has been given: groups (None: not counted), and their episodes at most in flight at once."""

    groups: int | None
    episodes: int

    @classmethod
    def of(cls, widths: Sequence[int], most: int) -> Hand:
        """Groups of so many episodes each, of which at most `most` are played at once."""
        return cls(len(widths), min(sum(widths), most))


class LastKnown:
    """What each worker said last. Written by the one who hears them, read by anybody."""

    def __init__(self) -> None:
        self._heard: dict[int, tuple[float, Vitals]] = {}
        self._gone: dict[str, float] = {}

    def heard(self, number: int, vitals: Vitals) -> None:
        now = time.monotonic()
        if number in self._heard:  # a report that took longer than the last would set the worker's clock back
            before, last = self._heard[number]
            vitals = replace(vitals, up_s=max(vitals.up_s, last.up_s + now - before))
        self._heard[number] = (now, vitals)

    def lost(self, number: int) -> None:
        """The worker is gone and another will have its number; what it did stays done."""
        if number in self._heard:
            self._gone = add_up([self._gone, self._heard.pop(number)[1].counters])

    def snapshot(self, hands: Mapping[int, Hand]) -> dict[str, Any]:
        """Plain data: the worker's episodes in flight, tokens and seconds, one by one and added up.

        Args:
            hands: What each worker holds now.

        Returns:
            ``workers`` (by number), ``episodes``, ``groups``, ``tokens``, ``engine``. A worker's ``seconds`` contain
            each other: ``up``, of these ``playing`` any episode, of these ``generating`` (where its engine counts
            them; what remains of playing is environments, and the collector's own work).
        """
        now, heard = time.monotonic(), dict(self._heard)
        workers = {str(n): self._worker(hand, now, heard.get(n)) for n, hand in hands.items()}
        total = add_up([self._gone, *(vitals.counters for _, vitals in heard.values())])
        groups = [hand.groups for hand in hands.values() if hand.groups is not None]
        facts: dict[str, Any] = {
            "workers": workers,
            "groups": {"in_flight": sum(groups)} if groups else {},
            "episodes": {"in_flight": sum(worker["in_flight"] for worker in workers.values())},
            "engine": {k.removeprefix(ENGINE): v for k, v in total.items() if k.startswith(ENGINE)},
        }
        if total:
            facts["tokens"] = {"rollout": total[f"{ENGINE}generated"]}
        return facts

    @staticmethod
    def _worker(hand: Hand, now: float, heard: tuple[float, Vitals] | None) -> dict[str, Any]:
        if heard is None:
            return {"groups": hand.groups, "in_flight": hand.episodes}
        moment, vitals = heard
        counters = vitals.counters
        silent_s = now - moment
        seconds = {"up": vitals.up_s + silent_s, "playing": vitals.playing_s}
        if counters[f"{ENGINE}busy_s"]:
            seconds["generating"] = counters[f"{ENGINE}busy_s"]
        return {
            "groups": hand.groups,
            # A report may be older than the groups that the worker was given last.
            "in_flight": min(vitals.playing or hand.episodes, hand.episodes),
            "episodes": int(counters["episodes"]),
            "tokens": counters[f"{ENGINE}generated"],
            "heard_s": round(silent_s, 1),
            "seconds": {name: round(s, 3) for name, s in seconds.items()},
        }
