"""The simulation behind `benchmarks/cluster_model.py`: queues, the cluster made of them, and what each part can do."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

#: A part that is busy for so much of the time holds the others up.
SATURATED = 0.9
#: Numbers of workers up to which such a part is looked for.
MOST = 100_000
PARTS = ("driver", "network", "learner")


# -- queues ------------------------------------------------------------------------------------------------------------


class Clock:
    """Simulated time: calls what was put off, in order of time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Calls after a delay; of two at the same time, the one that was put off first."""
        self._count += 1
        heapq.heappush(self._coming, (self.now + delay_s, self._count, call))

    def run(self, while_true: Callable[[], bool] = lambda: True) -> None:
        """Lets time pass until nothing comes any more, or a condition ends."""
        while self._coming and while_true():
            self.now, _, call = heapq.heappop(self._coming)
            call()


class Server:
    """Does one thing after another, in the order of asking.

    Attributes:
        busy_s: Seconds of the work that is done.
        waited_s: Seconds that all of it waited before it was begun.
        served: How much of it there was.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.busy_s = self.waited_s = 0.0
        self.served = 0
        self._waiting: deque[tuple[float, float, Callable[[], None]]] = deque()
        self._busy = False

    def ask(self, work_s: float, then: Callable[[], None] = lambda: None, first: bool = False) -> None:
        """Does some seconds of work and then calls; with `first`, before all other work that waits."""
        (self._waiting.appendleft if first else self._waiting.append)((self.clock.now, work_s, then))
        self._next()

    def _next(self) -> None:
        if self._busy or not self._waiting:
            return
        asked, work_s, then = self._waiting.popleft()
        self._busy = True
        self.waited_s += self.clock.now - asked

        def done() -> None:
            self._busy = False
            self.busy_s += work_s
            self.served += 1
            then()
            self._next()

        self.clock.later(work_s, done)


# -- the cluster -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Constants:
    """What is measured, or known of the hardware. The defaults are of the order of what two cores need; 700 kB are
    eight episodes of 4,000 tokens, 3 GB the weights of a model of 1.5 billion parameters in bfloat16.

    Attributes:
        driver_report_s: The driver's seconds for an answer of a worker.
        driver_worker_s: What each worker that it waits for adds to that.
        driver_group_s: For a group.
        driver_byte_s: For a byte of it.
        driver_fault_s: For the report of a fault.
        group_bytes: Size of a group.
        weights_bytes: Size of the weights.
        put_bytes_s: Bytes a second into the object store.
        network_bytes_s: Bytes a second between two nodes.
        learner_group_s: The learner's seconds for a group.
        learner_update_s: And for an update, however large.
    """

    driver_report_s: float = 2.0e-3
    driver_worker_s: float = 3.0e-7
    driver_group_s: float = 2.0e-4
    driver_byte_s: float = 3.0e-8
    driver_fault_s: float = 1.5e-5
    group_bytes: float = 7.0e5
    weights_bytes: float = 3.0e9
    put_bytes_s: float = 1.0e9
    network_bytes_s: float = 3.0e9
    learner_group_s: float = 0.01
    learner_update_s: float = 1.0


@dataclass(frozen=True)
class Cluster:
    """What is asked.

    Attributes:
        workers: Rollout workers, each with an engine.
        places: Episodes in flight in each.
        ahead: Times its places, what a worker is given while there is plenty waiting.
        plenty: Times all places, what that is.
        workers_per_node: Workers that share a copy of the weights.
        group: Episodes of a group.
        episode_s: Mean seconds of an episode.
        spread: Standard deviation of the logarithm of that time; 0: all take the mean.
        faults: Share of the episodes that break at some point and are played again.
        update_groups: Groups of an update; 0: as many as fill all places.
        staleness: Updates that may pass between an episode's begin and the update that learns from it; 0: everything
            waits for the update.
    """

    workers: int
    places: int = 64
    ahead: float = 3.0
    plenty: float = 0.25
    workers_per_node: int = 8
    group: int = 8
    episode_s: float = 60.0
    spread: float = 0.75
    faults: float = 0.01
    update_groups: int = 0
    staleness: int = 1

    @property
    def slots(self) -> int:
        """Groups that fill a worker's places."""
        return max(1, self.places // self.group)

    @property
    def per_update(self) -> int:
        return self.update_groups or self.workers * self.slots

    @property
    def everywhere(self) -> int:
        """Episodes that fill all places."""
        return self.workers * self.slots * self.group


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        episodes_s: Episodes a second that the learner learned from.
        ideal_s: The same if all places were always taken and nobody waited.
        busy: Share of the time that each part was at work; of `places`, the share that held an episode.
    """

    episodes_s: float
    ideal_s: float
    busy: dict[str, float] = field(default_factory=dict)

    @property
    def of_ideal(self) -> float:
        return self.episodes_s / self.ideal_s


@dataclass
class _Worker:
    held: int = 0  # groups
    playing: int = 0  # episodes
    begun: deque[list[int]] = field(default_factory=deque)  # groups with episodes that wait for a place
    done: int = 0  # groups that wait for the next answer
    faults: int = 0
    answering: bool = False


def copies_s(cluster: Cluster, constants: Constants) -> float:
    """Seconds until all nodes have the weights: each that has them passes them on, so their number doubles."""
    nodes = math.ceil(cluster.workers / cluster.workers_per_node)
    return constants.weights_bytes / constants.network_bytes_s * math.ceil(math.log2(nodes + 1))


class Simulation:
    """One cluster, from the beginning.

    Args:
        cluster: What is asked.
        constants: What its parts take.
        seed: Decides everything random.
        draw: Seconds of the next episode; None: as `cluster` says.
    """

    def __init__(
        self, cluster: Cluster, constants: Constants, seed: int = 0, draw: Callable[[], float] | None = None
    ) -> None:
        self.cluster, self.constants = cluster, constants
        self.clock = Clock()
        self.driver, self.learner, self.network = (Server(self.clock) for _ in range(3))
        self.workers = [_Worker() for _ in range(cluster.workers)]
        self.rng = np.random.default_rng(seed)
        self._draw = draw or self._episode_s
        self._drawn: list[float] = []
        self._place_s = 0.0  # seconds of episodes that have ended
        self._allowed = self._out = 0  # groups that may be given out in all, and that were
        self._buffer = 0  # groups for the learner
        self._learning = False
        self.updates = 0
        self._spread_s = copies_s(cluster, constants)

    def run(self, updates: int, skip: int) -> Outcome:
        """Plays so many updates, of which the first ones are not counted."""
        self._allow((1 + self.cluster.staleness) * self.cluster.per_update)
        self.clock.run(lambda: self.updates < skip)
        before = self._marks()
        self.clock.run(lambda: self.updates < skip + updates)
        seconds, *busy = (now - then for now, then in zip(self._marks(), before, strict=True))
        c = self.cluster
        return Outcome(
            episodes_s=updates * c.per_update * c.group / seconds,
            ideal_s=c.everywhere / c.episode_s,
            busy=dict(zip((*PARTS, "places"), (spent / seconds for spent in busy), strict=True)),
        )

    def _marks(self) -> tuple[float, ...]:
        servers = (server.busy_s for server in (self.driver, self.network, self.learner))
        return (self.clock.now, *servers, self._place_s / self.cluster.everywhere)

    # -- workers -------------------------------------------------------------------------------------------------------

    def _episode_s(self) -> float:
        if not self._drawn:
            c = self.cluster
            self._drawn = (c.episode_s * np.exp(self.rng.normal(-(c.spread**2) / 2, c.spread, size=4096))).tolist()
        return self._drawn.pop()

    def _allow(self, groups: int) -> None:
        """Lets so many more begin; whoever has the least is given the next."""
        self._allowed += groups
        least = [(worker.held, index) for index, worker in enumerate(self.workers)]
        heapq.heapify(least)
        while self._room(worker := self.workers[least[0][1]]):
            self._give(worker)
            heapq.heapreplace(least, (worker.held, least[0][1]))
        for worker in self.workers:
            self._begin(worker)

    def _fill(self, worker: _Worker) -> None:
        while self._room(worker):
            self._give(worker)
        self._begin(worker)

    def _room(self, worker: _Worker) -> bool:
        waiting = self._allowed - self._out
        c = self.cluster
        ahead = c.ahead if waiting > c.plenty * c.workers * c.slots else 1
        return waiting > 0 and worker.held < c.slots * ahead

    def _give(self, worker: _Worker) -> None:
        self._out += 1
        worker.held += 1
        worker.begun.append([self.cluster.group, self.cluster.group])

    def _begin(self, worker: _Worker) -> None:
        while worker.begun and worker.playing < self.cluster.slots * self.cluster.group:
            group = worker.begun[0]  # episodes that wait, and that have not ended
            group[0] -= 1
            if not group[0]:
                worker.begun.popleft()
            worker.playing += 1
            self._play(worker, group)

    def _play(self, worker: _Worker, group: list[int]) -> None:
        seconds = self._draw()

        def end() -> None:
            self._place_s += seconds
            if self.cluster.faults and self.rng.random() < self.cluster.faults:
                worker.faults += 1
                self._play(worker, group)
                return
            worker.playing -= 1
            group[1] -= 1
            if not group[1]:
                worker.done += 1
                self._answer(worker)
            self._begin(worker)

        self.clock.later(seconds, end)

    def _answer(self, worker: _Worker) -> None:
        """A worker has one answer on its way at a time; what ends meanwhile goes with the next one."""
        if worker.answering or not worker.done:
            return
        worker.answering = True
        groups, faults, worker.done, worker.faults = worker.done, worker.faults, 0, 0
        k = self.constants
        bytes_ = groups * k.group_bytes

        def arrived() -> None:
            work_s = k.driver_report_s + k.driver_worker_s * len(self.workers)
            work_s += groups * k.driver_group_s + bytes_ * k.driver_byte_s + faults * k.driver_fault_s
            self.driver.ask(work_s, taken)

        def taken() -> None:
            worker.answering = False
            worker.held -= groups
            self._buffer += groups
            self._fill(worker)
            self._answer(worker)
            self._learn()

        self.network.ask(bytes_ / k.network_bytes_s, arrived)

    # -- the learner ---------------------------------------------------------------------------------------------------

    def _learn(self) -> None:
        size = self.cluster.per_update
        if self._learning or self._buffer < size:
            return
        self._learning = True
        self._buffer -= size
        k = self.constants

        def published() -> None:
            self.updates += 1
            self._learning = False
            # Between two answers the driver has all workers take the weights, and waits until they have.
            self.driver.ask(self._spread_s, lambda: self._allow(size), first=True)
            self._learn()

        copy_s = k.weights_bytes / k.put_bytes_s
        self.learner.ask(k.learner_update_s + size * k.learner_group_s + copy_s, published)


# -- what each part can do ---------------------------------------------------------------------------------------------


def work_s(cluster: Cluster, constants: Constants) -> dict[str, float]:
    """Seconds that each part works for a group, all told, at best."""
    k, size = constants, cluster.per_update
    # A driver that is busy gets a worker's groups with one answer.
    answer_s = (k.driver_report_s + k.driver_worker_s * cluster.workers) / cluster.slots
    fault_s = cluster.faults * cluster.group * k.driver_fault_s
    spread_s, copy_s = copies_s(cluster, constants), k.weights_bytes / k.put_bytes_s
    return {
        "driver": answer_s + k.driver_group_s + k.group_bytes * k.driver_byte_s + fault_s + spread_s / size,
        "network": k.group_bytes / k.network_bytes_s,
        "learner": k.learner_group_s + (k.learner_update_s + copy_s) / size,
    }


def saturation(cluster: Cluster, constants: Constants) -> dict[str, int]:
    """At how many workers each part is busy `SATURATED` of the time if all others keep up; in order, up to `MOST`."""
    found = {}
    for part in PARTS:
        for workers in sorted({round(1.02**i) for i in range(math.ceil(math.log(MOST, 1.02)))}):
            asked = replace(cluster, workers=workers)
            if workers * asked.slots / asked.episode_s * work_s(asked, constants)[part] >= SATURATED:
                found[part] = workers
                break
    return dict(sorted(found.items(), key=lambda item: item[1]))
