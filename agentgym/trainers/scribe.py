"""`Scribe`: writes a run's files while the next episodes are being collected.

Whoever hands work over promises that what it reads stays as it is until `wait` returns: the loop waits before it
changes the weights again, so a checkpoint never holds half an update, and the disk costs no time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self


class Scribe:
    """One background thread; work is done in the order in which it came."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scribe")
        self._pending: list[Future[None]] = []
        self._failed = False

    def put(self, work: Callable[[], object]) -> None:
        """Hands work over; what it raises comes out of the next `wait`. After an error nothing more is done."""
        self._pending.append(self._thread.submit(self._do, work))

    def _do(self, work: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            work()
        except BaseException:
            self._failed = True
            raise

    def wait(self) -> None:
        """Returns when everything is done.

        Raises:
            Exception: The first that a piece of work raised.
        """
        pending, self._pending = self._pending, []
        for future in pending:
            future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
