"""How far the rollout goes on one machine: workers against ideal, and ten thousand episodes at once.

Environments wait instead of computing (an `asyncio.sleep` stands for a slow tool or a container), a script stands for
the model: what is measured is the real `RolloutPool` on Ray and nothing else, and many workers fit on few cores.

- Workers: episodes a second of 1, 2, 4 and 8 workers, each with as many episodes to play. Ideal is that every place of
  every worker is always taken by an episode that waits for nothing but its environment; with whole groups, that a
  group's places are all taken until its last episode has ended.
- At once: 10,000 episodes in flight, which each says itself by the clock; seconds, and memory of a worker and of the
  driver. An engine's key-value cache and real environments come on top.

Figures are medians of several runs, taken in turn about. With `--address` the workers run on a cluster, on whose nodes
this file must be importable. What the driver costs is measured by `benchmarks/driver.py`, and
`benchmarks/cluster_model.py` computes from it what a thousand workers would do.

    python benchmarks/scale.py --json scale.json
    python benchmarks/scale.py --quick
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import psutil
from pydantic import BaseModel

from agentgym import ActionSpec, AgentEnv, Opening, Outcome, ParsedTurn, RewardSignal, Task, TaskSet
from agentgym.engines.scripted import Prompt
from agentgym.faults import EnvironmentFault
from agentgym.rollout import EngineSpec, EnvSpec, GroupRequest, Limits, RolloutPool
from agentgym.rollout.pool import DEFAULT_OBJECT_STORE_BYTES
from agentgym.rollout.session import RaySession
from agentgym.task import Split
from agentgym.trainers.tiny import make_tokenizer
from agentgym.trajectory import Trajectory

ENV_ID = "agentgym-benchmark/Waiting-v0"
#: Workers import this module to make the environment and the script.
ENV, SCRIPT = f"scale:{ENV_ID}", "scale:say"
SAID = "<wait> here </wait>"
#: Words of an observation.
WORDS = 20
MIB = 1 << 20
#: Seconds between two looks at the memory of the workers.
LOOK_S = 0.5
PARTS = ("workers", "at-once")


class Wait(BaseModel):
    """Waits."""

    where: str


class Tasks(TaskSet[Task]):
    def ids(self, split: Split) -> Sequence[str]:
        return [f"{split}-{i}" for i in range(64)]

    def __getitem__(self, task_id: str) -> Task:
        return Task(id=task_id, split="train" if task_id.startswith("train") else "heldout")


class Waiting(AgentEnv[Task]):
    """Every step takes a time that is drawn anew, log-normally distributed.

    Args:
        latency_s: Mean seconds of a step.
        spread: Standard deviation of the time's logarithm; 0: all steps take the mean.
        max_turns: Steps of an episode.
        faulty: Share of the steps that break instead.
    """

    actions = (ActionSpec("wait", Wait, body="where"),)
    signals: ClassVar[Mapping[str, str]] = {
        "began": "when the episode began, in seconds of the machine's clock",
        "ended": "when the step ended",
        "waited": "seconds that the step was to take",
    }
    blocking = False

    def __init__(self, latency_s: float, spread: float, max_turns: int, faulty: float = 0.0) -> None:
        super().__init__(Tasks(), max_turns=max_turns, instructions="none")
        self.latency_s, self.spread, self.faulty = latency_s, spread, faulty
        self._rng = np.random.default_rng()

    def begin(self, task: Task) -> Opening:
        self._began = time.monotonic()
        return Opening(f"wait {task.id}", "waiting")

    async def act_async(self, turn: ParsedTurn) -> Outcome:
        if self.faulty and self._rng.random() < self.faulty:
            raise EnvironmentFault("crash", "as it was told to")
        wait_s = self.latency_s * float(np.exp(self._rng.normal(-(self.spread**2) / 2, self.spread)))
        await asyncio.sleep(wait_s)
        parts = {"began": self._began, "ended": time.monotonic(), "waited": wait_s}
        return Outcome("you waited " + "a while " * ((WORDS - 2) // 2), RewardSignal(None, parts), "waiting")


def say(prompt: Prompt) -> str:
    """The policy."""
    return SAID


if ENV_ID not in gymnasium.registry:
    gymnasium.register(ENV_ID, entry_point="scale:Waiting")


# -- collecting --------------------------------------------------------------------------------------------------------


class Setup:
    """What all pools of a measurement share.

    Args:
        group: Episodes of a group.
        address: Of a Ray cluster.
    """

    def __init__(self, group: int, address: str | None = None) -> None:
        self.group, self.address = group, address
        self.tokenizer = make_tokenizer(["wait", "here", "you", "waited", "a", "while", *map(str, range(64))], ["wait"])

    def pool(self, workers: int, places: int, env: Mapping[str, Any], retries: int = 2) -> RolloutPool:
        """Workers with so many places for episodes each."""
        limits = Limits(concurrency=places, retries=retries)
        spec, engine = EnvSpec(ENV, env), EngineSpec("scripted", {"policy": SCRIPT})
        return RolloutPool(spec, engine, self.tokenizer, workers, address=self.address, limits=limits)

    def requests(self, groups: int) -> list[GroupRequest]:
        seeds = tuple(range(self.group))
        return [GroupRequest(str(i), f"train-{i % 64}", seeds) for i in range(groups)]


@contextmanager
def one_ray(address: str | None = None) -> Iterator[None]:
    """Keeps Ray running between pools, which would each start one of their own."""
    entered = RaySession.enter(address, DEFAULT_OBJECT_STORE_BYTES)
    try:
        yield
    finally:
        if entered:
            RaySession.leave()


def warm_up(pool: RolloutPool, setup: Setup, workers: int) -> None:
    """Has every worker import and make what it needs."""
    list(pool.collect(setup.requests(2 * workers), ordered=True))


def parts(episode: Trajectory, name: str) -> list[float]:
    return [turn.signal.process[name] for turn in episode.turns]


def ideal_s(durations: Sequence[float], places: int) -> float:
    """Seconds that episodes take which are begun in this order, each as soon as one of the places is free."""
    free = [0.0] * places
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """The largest number of spans (begin, end) that overlap at any time."""
    steps = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    return int(np.cumsum([step for _, step in steps]).max())


def medians(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


# -- workers -----------------------------------------------------------------------------------------------------------


def play(setup: Setup, workers: int, args: argparse.Namespace) -> dict[str, float]:
    """One run of so many workers."""
    env = {"latency_s": args.latency, "spread": args.spread, "max_turns": args.turns}
    with setup.pool(workers, args.places, env) as pool:
        warm_up(pool, setup, workers)
        began, cpu = time.perf_counter(), time.process_time()
        groups = list(pool.collect(setup.requests(args.rounds * workers * args.places // setup.group)))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    waited = [[sum(parts(episode, "waited")) for episode in group.trajectories] for group in groups]
    places = workers * args.places
    return {
        "episodes": sum(map(len, waited)),
        "seconds": seconds,
        "ideal_s": ideal_s([episode for group in waited for episode in group], places),
        "whole_s": ideal_s([max(group) for group in waited], places // setup.group),
        "driver_cpu_s": cpu,
    }


def measure_workers(setup: Setup, args: argparse.Namespace) -> list[dict[str, float]]:
    runs: dict[int, list[dict[str, float]]] = {workers: [] for workers in args.workers}
    for _ in range(args.runs):
        for workers, found in runs.items():
            found.append(play(setup, workers, args))
    rows = []
    print(f"workers: {args.places} places each, episodes of {args.turns} steps of {args.latency} s (mean)")
    print("workers  episodes  episodes/s    ideal  of ideal  of ideal with whole groups  driver's CPU")
    for workers, found in runs.items():
        row = {"workers": workers, **medians(found)}
        for name in ("ideal", "whole"):
            row[f"of_{name}"] = statistics.median(run[f"{name}_s"] / run["seconds"] for run in found)
        rows.append(row)
        rate, ideal = row["episodes"] / row["seconds"], row["episodes"] / row["ideal_s"]
        share = row["driver_cpu_s"] / row["seconds"]
        print(
            f"{workers:7d}  {row['episodes']:8.0f}  {rate:10.1f}  {ideal:7.1f}  {row['of_ideal']:8.1%}  "
            f"{row['of_whole']:26.1%}  {share:12.2%}"
        )
    return rows


# -- at once -----------------------------------------------------------------------------------------------------------


def own_bytes(process: psutil.Process) -> int:
    """Memory that nobody shares with the process."""
    return int(process.memory_full_info().uss)


def worker_processes() -> list[psutil.Process]:
    """Rollout workers of a Ray that this process has started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::RolloutWorker"):
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def watched(processes: Sequence[psutil.Process]) -> Iterator[list[int]]:
    """The largest memory of each process meanwhile, in bytes; complete at the end."""
    most = [own_bytes(process) for process in processes]
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_S):
            for i, process in enumerate(processes):
                most[i] = max(most[i], own_bytes(process))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def crowd(setup: Setup, workers: int, args: argparse.Namespace) -> dict[str, float]:
    """All episodes at the same time on so many workers."""
    groups = -(-args.at_once // setup.group)
    places = -(-groups // workers) * setup.group
    env = {"latency_s": args.at_once_latency, "spread": 0.0, "max_turns": args.at_once_turns}
    with setup.pool(workers, places, env) as pool:
        driver, processes = psutil.Process(), worker_processes()
        before, driver_before = [own_bytes(process) for process in processes], own_bytes(driver)
        began = time.perf_counter()
        with watched([driver, *processes]) as most:
            played = list(pool.collect(setup.requests(groups), ordered=True))
        seconds = time.perf_counter() - began
        faults = len(pool.drain_events())
    episodes = [episode for group in played for episode in group.trajectories]
    spans = [(episode.turns[0].signal.process["began"], parts(episode, "ended")[-1]) for episode in episodes]
    return {
        "at_once": most_at_once(spans),
        "seconds": seconds,
        "ideal_s": args.at_once_latency * args.at_once_turns,
        "worker_before_mib": statistics.mean(before) / MIB,
        "worker_mib": statistics.mean(most[1:]) / MIB,
        "driver_before_mib": driver_before / MIB,
        "driver_mib": most[0] / MIB,
        "faults": faults,
    }


def measure_at_once(setup: Setup, args: argparse.Namespace) -> list[dict[str, float]]:
    runs: dict[int, list[dict[str, float]]] = {workers: [] for workers in args.at_once_workers}
    for _ in range(args.runs):
        for workers, found in runs.items():
            found.append(crowd(setup, workers, args))
    rows = []
    steps = f"{args.at_once_turns} steps of {args.at_once_latency} s"
    print(f"\nat once: {args.at_once} episodes of {steps}; memory without what processes share")
    print("workers  at once  seconds  ideal  a worker before / most MiB  the driver MiB  faults")
    for workers, found in runs.items():
        row = {"workers": workers, **medians(found)}
        rows.append(row)
        worker = f"{row['worker_before_mib']:.0f} / {row['worker_mib']:.0f}"
        driver = f"{row['driver_before_mib']:.0f} / {row['driver_mib']:.0f}"
        print(
            f"{workers:7d}  {row['at_once']:7.0f}  {row['seconds']:7.1f}  {row['ideal_s']:5.1f}  {worker:>26}  "
            f"{driver:>14}  {row['faults']:6.0f}"
        )
    return rows


# -- all of it ---------------------------------------------------------------------------------------------------------

#: Sizes of `--quick`.
QUICK = {
    "workers": [1, 2], "places": 16, "rounds": 4, "latency": 0.1, "runs": 1, "at_once": 400, "at_once_workers": [2],
    "at_once_latency": 2.0,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--address", help="of a Ray cluster; memory is measured without one only")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--group", type=int, default=8, help="episodes of a group")
    parser.add_argument("--turns", type=int, default=5, help="steps of an episode")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--places", type=int, default=64, help="episodes in flight in a worker")
    parser.add_argument("--rounds", type=int, default=10, help="episodes that each place plays")
    parser.add_argument("--latency", type=float, default=0.4, help="mean seconds of a step")
    parser.add_argument(
        "--spread", type=float, default=0.5, help="standard deviation of the logarithm of a step's time"
    )
    parser.add_argument("--at-once", type=int, default=10_000, help="episodes in flight at the same time")
    parser.add_argument("--at-once-workers", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--at-once-latency", type=float, default=15.0, help="seconds of each of their steps")
    parser.add_argument("--at-once-turns", type=int, default=2, help="steps of each of them")
    parser.add_argument("--quick", action="store_true", help="small sizes, one run: a look, no figures")
    parser.add_argument("--json", type=Path, help="write the result here")
    chosen = parser.parse_args()
    if chosen.quick:
        parser.set_defaults(**QUICK)
        chosen = parser.parse_args()

    setup = Setup(chosen.group, chosen.address)
    measures: dict[str, Callable[[Setup, argparse.Namespace], Any]] = {
        "workers": measure_workers,
        "at-once": measure_at_once,
    }
    with one_ray(chosen.address):
        result = {part: measures[part](setup, chosen) for part in chosen.parts}
    if chosen.json is not None:
        settings = {key: value for key, value in vars(chosen).items() if key != "json"}
        chosen.json.write_text(json.dumps({"settings": settings, **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
