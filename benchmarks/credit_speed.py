"""How long credit assignment takes: every method on many trajectories at once, on one core.

The claim: 1,024 trajectories (groups of 8) of 50 turns are credited by each method in under 50 ms. Methods that read
a companion's numbers are given random ones, and their tokens (20 a turn) are a million. SALT and the similarity anchors
of GiGPO compare texts; what they cost is shown by its growth with the number of turns.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy reads it: one core

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.rewards.shaping import build_stages
from agentgym.rewards.table import RewardTable
from agentgym.trainers.credit import CREDIT, Values, gigpo, salt

#: Methods that compare texts.
GROWING: dict[str, Callable[[RewardTable], Any]] = {
    "salt, exact": salt,
    "salt, similarity": lambda table: salt(table, compare="similarity"),
    "gigpo, similarity": lambda table: gigpo(table, similarity=0.95),
}


def synthetic(trajectories: int, group: int, turns: int, states: int, seed: int = 0) -> RewardTable:
    """Trajectories of `turns` turns in groups; anchor states drawn from `states` a group."""
    rng = np.random.default_rng(seed)
    m = trajectories * turns
    groups = np.arange(trajectories) // group
    visited = rng.integers(0, states, m)
    keys = [
        f"page {s} of the shop; in the cart: {'apples ' * (s % 4)}; looking at item {s * 7919}" for s in range(states)
    ]
    said = [f"<look> item {s} </look>" for s in range(2 * states)]
    return RewardTable(
        group=groups,
        offsets=np.arange(trajectories + 1) * turns,
        outcome=rng.integers(0, 2, trajectories).astype(np.float64),
        turn_reward=np.zeros(m),
        parts={"evidence": rng.random(m), "format": -rng.integers(0, 2, m).astype(np.float64)},
        state=np.repeat(groups, turns) * states + visited,
        tokens=np.full(m, 20),
        truncated=rng.random(trajectories) < 0.1,
        difficulty=np.ones(trajectories, np.int64),
        task_id=tuple(f"t{g}" for g in groups),
        answer=tuple(f"a{a}" for a in rng.integers(0, 4, trajectories)),
        said=tuple(said[2 * s + a] for s, a in zip(visited, rng.integers(0, 2, m), strict=True)),
        state_key=tuple(keys[s] for s in visited),
    )


def companions(table: RewardTable, needs: Sequence[str], seed: int = 0) -> list[Any]:
    """Random numbers in place of what companions estimate."""
    rng = np.random.default_rng(seed)
    p = int(table.tokens.sum())
    make: dict[str, Callable[[], Any]] = {
        "value": lambda: Values(rng.random(table.m), rng.random(table.n), rng.random(p)),
        "implicit_reward": lambda: rng.normal(size=p),
        "latent_reward": lambda: rng.random(table.m),
        "influence": lambda: rng.normal(size=p),
    }
    return [make[need]() for need in needs]


def median_ms(function: Callable[[], object], repeats: int) -> float:
    """Median wall milliseconds of a call, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=int, default=1024)
    parser.add_argument("--group", type=int, default=8, help="trajectories of a group")
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--states", type=int, default=20, help="distinct anchor states a group visits")
    parser.add_argument("--growth", type=int, nargs="+", default=[50, 100, 200, 400], help="turns of the long runs")
    parser.add_argument("--repeats", type=int, default=21, help="calls of which the median is taken")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()

    raw = synthetic(args.trajectories, args.group, args.turns, args.states)
    pipeline = build_stages([{"weigh": {"evidence": 0.3, "format": 0.1}}, {"gate": {}}], {"evidence": ""})
    table = pipeline(raw)
    figures = {"shaping (weigh, gate)": median_ms(lambda: pipeline(raw), args.repeats)}
    for method in CREDIT.all():
        inputs = companions(table, method.needs)
        figures[method.name] = median_ms(lambda one=method, more=inputs: one.function(table, *more), args.repeats)
    growth: dict[str, dict[int, float]] = {}
    for turns in args.growth:
        longer = synthetic(args.trajectories, args.group, turns, args.states)
        for name, estimate in GROWING.items():
            growth.setdefault(name, {})[turns] = median_ms(lambda e=estimate, t=longer: e(t), max(3, args.repeats // 4))
    print(
        f"{args.trajectories} trajectories in groups of {args.group}, {args.turns} turns each, median of {args.repeats}"
    )
    for name, value in figures.items():
        print(f"{name:>24} {value:8.2f} ms")
    print(f"\nby turns a trajectory: {', '.join(map(str, args.growth))}")
    for name, by_turns in growth.items():
        print(f"{name:>24} {'  '.join(f'{value:8.2f}' for value in by_turns.values())} ms")
    if args.json:
        setting = {k: v for k, v in vars(args).items() if k != "json"}
        args.json.write_text(
            json.dumps({"setting": setting, "median_ms": figures, "growth_ms": growth}, indent=2) + "\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
