"""What the process that drives a rollout spends: on a group, on an answer of a worker, on a fault, on weights.

First its processor time and its memory by number of groups, with the exponents of their growth (1 is linear); then the
constants from which `benchmarks/cluster_model.py` computes a large cluster. Workers play the waiting episodes of
`benchmarks/scale.py`, which do not wait here, through the real `RolloutPool` on a local Ray. Figures are medians of
several runs.

    python benchmarks/driver.py --json driver.json
    python benchmarks/cluster_model.py --constants driver.json
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import pickle
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scale import MIB, Setup, medians, one_ray, warm_up

from agentgym.trajectory import Group


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """k of the best fit of cost = c * size^k."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def line(sizes: Sequence[float], costs: Sequence[float]) -> tuple[float, float]:
    """The best fit of cost = start + slope * size."""
    slope, start = np.polyfit(sizes, costs, 1)
    return float(start), float(slope)


def cpu_s(work: Callable[[], Any]) -> float:
    """Processor seconds of this process, all of its threads."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def allocated(groups: Iterator[Group], keep: bool) -> int:
    """Bytes that Python has allocated when all groups have come, with or without them."""
    gc.collect()
    tracemalloc.start()
    kept = [group for group in groups if keep]
    gc.collect()
    found, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) > 0 or not keep
    return found if keep else most


def growth(setup: Setup, args: argparse.Namespace) -> tuple[list[dict[str, float]], dict[str, float]]:
    """The driver's costs by number of groups, and their exponents."""
    env = {"latency_s": 0.0, "spread": 0.0, "max_turns": args.turns}
    runs: dict[int, list[dict[str, float]]] = {number: [] for number in args.groups}
    with setup.pool(2, args.places, env) as pool:
        warm_up(pool, setup, 2)
        for _ in range(args.runs):
            for number, found in runs.items():
                work = setup.requests(number)
                found.append(
                    {
                        "cpu_s": cpu_s(lambda w=work: list(pool.collect(w))),  # type: ignore[misc]
                        "kept_bytes": allocated(pool.collect(work), keep=True),
                        "passing_bytes": allocated(pool.collect(work), keep=False),
                    }
                )
    rows = [{"groups": number, **medians(found)} for number, found in runs.items()]
    grows = {key: exponent(args.groups, [row[key] for row in rows]) for key in ("cpu_s", "kept_bytes", "passing_bytes")}
    return rows, grows


def group_cost(setup: Setup, args: argparse.Namespace) -> dict[str, float]:
    """Processor seconds of the driver for a group, for a byte of it, and for an answer of a worker."""
    number, costs = args.groups[-1], {}
    short, long = args.turns, 8 * args.turns
    for turns in (short, long):
        env = {"latency_s": 0.0, "spread": 0.0, "max_turns": turns}
        with setup.pool(1, setup.group, env) as pool:  # room for one group: each comes with an answer of its own
            warm_up(pool, setup, 1)
            size = len(pickle.dumps(next(pool.collect(setup.requests(1)))))
            work = setup.requests(number)
            together = [cpu_s(lambda w=work: list(pool.collect(w, ordered=True))) for _ in range(args.runs)]  # type: ignore[misc]
            alone = [cpu_s(lambda w=work: list(pool.collect(w))) for _ in range(args.runs)]  # type: ignore[misc]
            costs[turns] = (size, statistics.median(together) / number, statistics.median(alone) / number)
    start, slope = line([costs[short][0], costs[long][0]], [costs[short][1], costs[long][1]])
    return {
        "driver_group_s": max(start, 0.0),
        "driver_byte_s": max(slope, 0.0),
        "driver_report_s": max(costs[short][2] - costs[short][1], 0.0),
    }


def fault_cost(setup: Setup, args: argparse.Namespace) -> float:
    """Processor seconds of the driver for the report of a fault."""
    number, spent = args.groups[-1], []
    for faulty in (0.0, 0.2):
        env = {"latency_s": 0.0, "spread": 0.0, "max_turns": args.turns, "faulty": faulty}
        with setup.pool(2, args.places, env, retries=1000) as pool:
            warm_up(pool, setup, 2)
            work = setup.requests(number)
            pool.drain_events()
            times = [cpu_s(lambda w=work: list(pool.collect(w, ordered=True))) for _ in range(args.runs)]  # type: ignore[misc]
            spent.append((statistics.median(times), len(pool.drain_events()) / args.runs))
    (sound_s, _), (faulty_s, faults) = spent
    return float(max(faulty_s - sound_s, 0.0) / faults)


def ray_costs(setup: Setup, args: argparse.Namespace) -> dict[str, float]:
    """What waiting for one more worker adds to each of the driver's waits; bytes a second into the object store."""
    import ray
    import torch

    env = {"latency_s": 0.0, "spread": 0.0, "max_turns": 1}
    with setup.pool(1, setup.group, env) as pool:

        class Silent:
            async def answer(self) -> None:
                await asyncio.sleep(3600)

        silent: Any = ray.remote(Silent).options(num_cpus=0, max_concurrency=args.waits[-1]).remote()
        refs = [silent.answer.remote() for _ in range(args.waits[-1])]
        ready = ray.put(None)
        waits = []
        for number in args.waits:
            times = [cpu_s(lambda n=number: ray.wait([*refs[:n], ready], num_returns=1)) for _ in range(10 * args.runs)]  # type: ignore[misc]
            waits.append(statistics.median(times))
        ray.kill(silent)

        state = {"weights": torch.zeros(args.weights_mib * MIB // 4)}
        puts = []
        for version in range(1, 2 + args.runs):
            began = time.perf_counter()
            pool.update_weights(version, state)
            puts.append(time.perf_counter() - began)
    return {
        "driver_worker_s": max(line(args.waits, waits)[1], 0.0),
        "put_bytes_s": args.weights_mib * MIB / statistics.median(puts[1:]),
    }


def measure(setup: Setup, args: argparse.Namespace) -> dict[str, Any]:
    rows, grows = growth(setup, args)
    constants = group_cost(setup, args) | {"driver_fault_s": fault_cost(setup, args)} | ray_costs(setup, args)
    print(f"groups of {setup.group} episodes of {args.turns} turns, 2 workers")
    print("groups  CPU ms a group  KiB a group, kept  MiB at most, none kept")
    for row in rows:
        number = row["groups"]
        cpu, kept, passing = row["cpu_s"] / number * 1e3, row["kept_bytes"] / number / 1024, row["passing_bytes"] / MIB
        print(f"{number:6.0f}  {cpu:14.2f}  {kept:17.1f}  {passing:22.2f}")
    print(
        f"grows with exponent {grows['cpu_s']:.2f} (CPU), {grows['kept_bytes']:.2f} (memory, groups kept), "
        f"{grows['passing_bytes']:.2f} (memory, none kept)"
    )
    for name, value in constants.items():
        print(f"{name:16} {value:.3g}")
    return {"groups": rows, "exponents": grows, "constants": constants}


#: Sizes of `--quick`.
QUICK = {"groups": [16, 32, 64], "waits": [10, 100], "weights_mib": 16, "runs": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--group", type=int, default=8, help="episodes of a group")
    parser.add_argument("--turns", type=int, default=5, help="steps of an episode")
    parser.add_argument("--places", type=int, default=64, help="episodes in flight in a worker")
    parser.add_argument("--groups", type=int, nargs="+", default=[64, 128, 256, 512, 1024], help="numbers of groups")
    parser.add_argument(
        "--waits", type=int, nargs="+", default=[10, 100, 1000], help="workers that the driver waits for"
    )
    parser.add_argument("--weights-mib", type=int, default=64, help="size of the weights")
    parser.add_argument("--quick", action="store_true", help="small sizes, one run: a look, no figures")
    parser.add_argument("--json", type=Path, help="write the result here")
    chosen = parser.parse_args()
    if chosen.quick:
        parser.set_defaults(**QUICK)
        chosen = parser.parse_args()
    with one_ray():
        result = measure(Setup(chosen.group), chosen)
    if chosen.json is not None:
        settings = {key: value for key, value in vars(chosen).items() if key != "json"}
        chosen.json.write_text(json.dumps({"settings": settings, **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
