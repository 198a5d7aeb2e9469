"""`GroupStream`: groups come as they finish while their taker does something else, such as learning from earlier ones.

A thread of its own owns the fleet: it hands out what is asked for, gathers what has finished and brings new weights to
the engines, whose episodes go on under them. Everything it does, it does in the order in which it was asked to: groups
that are submitted after new weights begin under them.

Nothing piles up: no more groups are held than were submitted and not taken, and only one set of weights is on its way.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from agentgym.faults import AgentGymError
from agentgym.rollout.checking import RolloutMismatch, check_group
from agentgym.rollout.request import GroupRequest
from agentgym.trajectory import Group

if TYPE_CHECKING:
    from agentgym.rollout.fleet import Fleet

T = TypeVar("T")

_POLL_S = 0.02  # how long a command may wait for the workers' next news
_CLOSE_S = 30.0


class StreamClosed(AgentGymError, RuntimeError):
    """The stream was closed, or its thread has ended."""


class GroupStream:
    """The groups of a fleet, without an end.

    Args:
        fleet: The stream's alone while it is open; closing the stream leaves it open, with nothing in flight.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._commands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[Group | None] = queue.SimpleQueue()  # None: look at `_error`
        self._wanted: dict[str, GroupRequest] = {}
        self._aside: dict[str, queue.SimpleQueue[Group | None]] = {}
        self._lock = threading.Lock()
        self._installed = threading.Semaphore(1)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="group-stream", daemon=True)
        self._thread.start()

    # -- what the taker calls ----------------------------------------------------------------------------------------

    def submit(self, requests: Sequence[GroupRequest]) -> None:
        """Asks for groups; `take` brings them, in the order in which they finish.

        Raises:
            ValueError: A group of this name is on its way already.
        """
        self._register(requests, None)
        self._do(lambda: self._fleet.submit(requests))

    def take(self, timeout_s: float) -> Group | None:
        """The next group that has finished; None where none does in time.

        Raises:
            AgentGymError: What ended the stream: a task that does not exist, workers that cannot be started, ...
        """
        return self._next(self._finished, timeout_s)

    def waiting(self) -> int:
        """How many groups have finished and were not taken."""
        return self._finished.qsize()

    def collect(self, requests: Sequence[GroupRequest], ordered: bool = True) -> Iterator[Group]:
        """Yields these groups, before others that wait for a worker; those in flight go on meanwhile.

        Args:
            requests: With ids that differ from all on their way.
            ordered: In the order of the requests, rather than as they finish.

        Raises:
            AgentGymError: As `take`.
        """
        mine: queue.SimpleQueue[Group | None] = queue.SimpleQueue()
        self._register(requests, mine)
        self._do(lambda: self._fleet.submit(requests, first=True))
        early: dict[str, Group] = {}
        following = [request.id for request in reversed(requests)]
        for _ in requests:
            group = None
            while group is None:
                group = self._next(mine, timeout_s=1.0)
            if not ordered:
                yield group
                continue
            early[group.id] = group
            while following and following[-1] in early:
                yield early.pop(following.pop())

    def update_weights(self, version: int, state: Mapping[str, Any]) -> None:
        """Sends new weights on their way; they are copied before it returns.

        Waits where earlier ones have not arrived yet.
        """
        while not self._installed.acquire(timeout=1.0):
            self._alive()
        weights = self._fleet.publish(version, state)

        def install() -> None:
            try:
                self._fleet.install(weights)
            finally:
                self._installed.release()

        self._do(install)

    def ask(self, question: Callable[[Fleet], T]) -> T:
        """What the fleet answers, between two of its rounds."""
        answer: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._do(lambda: answer.put(question(self._fleet)))
        while True:
            try:
                return answer.get(timeout=1.0)
            except queue.Empty:
                self._alive()

    def close(self) -> None:
        """Drops what is in flight and ends the thread; may be called twice."""
        self._commands.put(None)
        self._thread.join(_CLOSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _register(self, requests: Sequence[GroupRequest], aside: queue.SimpleQueue[Group | None] | None) -> None:
        with self._lock:
            for request in requests:
                if request.id in self._wanted:
                    raise ValueError(f"group {request.id!r} is on its way already")
                self._wanted[request.id] = request
                if aside is not None:
                    self._aside[request.id] = aside

    def _do(self, command: Callable[[], None]) -> None:
        self._alive()
        self._commands.put(command)

    def _alive(self) -> None:
        if self._error is not None:
            raise self._error
        if not self._thread.is_alive():
            raise StreamClosed("the stream of groups is closed")

    def _next(self, finished: queue.SimpleQueue[Group | None], timeout_s: float) -> Group | None:
        try:
            group = finished.get(timeout=timeout_s)
        except queue.Empty:
            self._alive()
            return None
        if group is None:
            finished.put(None)  # whoever asks next hears of it too
            self._alive()
            raise StreamClosed("the stream of groups is closed")
        return group

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._obey():
                for group in self._fleet.advance(_POLL_S) if self._fleet.busy else ():
                    self._deliver(group)
        except BaseException as error:
            self._error = error
        finally:
            with self._lock:
                for finished in {id(q): q for q in (self._finished, *self._aside.values())}.values():
                    finished.put(None)
            if self._error is None:
                self._fleet.cancel()

    def _obey(self) -> bool:
        """Does what has been asked for, waiting for it where there is nothing else to do; False at the end."""
        while True:
            try:
                command = self._commands.get(block=not self._fleet.busy)
            except queue.Empty:
                return True
            if command is None:
                return False
            command()

    def _deliver(self, group: Group) -> None:
        with self._lock:
            request = self._wanted.pop(group.id, None)
            finished = self._aside.pop(group.id, self._finished)
        if request is None:
            raise RolloutMismatch(f"group {group.id!r} came back unasked, or twice")
        check_group(request, group)
        finished.put(group)
