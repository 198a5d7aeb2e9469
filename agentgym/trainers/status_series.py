"""`Series`: how fast a counter rose lately, from the moments at which it was seen to change."""

from __future__ import annotations

from collections import deque

#: What "lately" means, in seconds.
WINDOW_S = 60.0


class Series:
    """A counter that only rises, seen at moments.

    One that falls has been started anew from 0 (a worker was replaced): what it counted before stays counted.

    Args:
        window_s: Seconds that count as lately.
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self.window_s = window_s
        self._points: deque[tuple[float, float]] = deque()  # (moment, total) at which the total was new
        self._seen = 0.0

    def add(self, now: float, value: float) -> None:
        """The counter stands at `value`; moments do not go back."""
        if not self._points:
            self._points.append((now, 0.0))  # what was counted before the first look did not happen lately
        elif (more := value - self._seen if value >= self._seen else value) > 0:
            self._points.append((now, self._points[-1][1] + more))
        self._seen = value
        while len(self._points) > 2 and self._points[1][0] <= now - self.window_s:
            self._points.popleft()

    def restart(self, now: float) -> None:
        """Forgets what was seen, as if the counter had been looked at for the first time now."""
        self._points = deque([(now, 0.0)])

    @property
    def changed(self) -> bool:
        """Whether it has risen since the first look."""
        return len(self._points) > 1

    def rise(self, now: float) -> float:
        """How much it rose within the window."""
        if not self._points:
            return 0.0
        base = next((p for p in reversed(self._points) if p[0] <= now - self.window_s), self._points[0])
        return self._points[-1][1] - base[1]

    def rate(self, now: float) -> float | None:
        """Its rise a second over the window; a counter that changes more rarely is looked at back to the change before
        the last. None before the first change."""
        if not self.changed:
            return None
        since, base = self._points[0]
        return (self._points[-1][1] - base) / (now - since) if now > since else None

    def left(self, now: float, target: float) -> float | None:
        """Seconds until it reaches `target` at its latest pace; None before the first change."""
        if not self.changed:
            return None
        (since, base), (last, top) = self._points[0], self._points[-1]
        return max((target - self._seen) * (last - since) / (top - base) - (now - last), 0.0)
