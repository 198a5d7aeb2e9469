"""Where the wall clock goes: seconds by phase."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class PhaseClock:
    """Adds up the seconds spent in named phases; phases do not nest.

    Args:
        seconds: Totals of an earlier part of the same run.

    Attributes:
        phase: The one under way, or else the last; None before the first.
    """

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds = dict(seconds or {})
        self.phase: str | None = None
        self._running: tuple[str, float] | None = None

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        self.phase, self._running = phase, (phase, start)
        try:
            yield
        finally:
            self._running = None
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start

    def steps(self, phase: str, work: Iterator[T]) -> Iterator[T]:
        """What an iterator gives; the time it takes over it counts for the phase."""
        while True:
            with self(phase):
                step = next(work, None)
            if step is None:
                return
            yield step

    def running(self) -> dict[str, float]:
        """The seconds with those of the phase under way; for another thread to look at."""
        seconds, running = dict(self.seconds), self._running
        if running is not None:
            phase, start = running
            seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - start
        return seconds

    def share(self) -> dict[str, float]:
        """Each phase's share of the total."""
        total = sum(self.seconds.values())
        return {phase: round(s / total, 4) for phase, s in self.seconds.items()} if total > 0 else {}
