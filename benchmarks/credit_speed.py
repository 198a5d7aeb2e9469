"""How long credit assignment takes: every method on many trajectories at once, on one core.

The claim: 1,024 trajectories (groups of 8) of 50 turns are credited by each method in under 50 ms. Methods that work on
single tokens are also given as many policy tokens as there are. Beside it the growth in turns of what compares texts
(SALT's graph, GiGPO's similar anchors): where states repeat, and where every turn comes to a state never seen before.

Times are the processor's, of the one thread that works, so that other work on the machine hardly counts.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy reads it: one core

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.rewards.shaping import build_stages
from agentgym.rewards.table import RewardTable
from agentgym.trainers.credit import CREDIT, Values, gigpo, salt

ROOMS = ("kitchen", "hall", "study", "garden", "cellar", "attic", "library", "bathroom", "garage", "porch")
THINGS = ("lamp", "mug", "book", "key", "towel", "plate", "vase", "coin", "letter", "candle", "map", "clock")
ACTIONS = ("look", "open the drawer", "go north", "go south", "take the key", "read the letter", "wait", "go back")

#: Turns a trajectory at which growth is measured.
GROWTH = (50, 100, 200, 400)


def states_of(count: int, rng: np.random.Generator) -> list[str]:
    """Texts as an environment would describe its states: about 150 characters, most of them not alike."""
    texts = []
    for number in range(count):
        room, *near = rng.choice(ROOMS, 4, replace=False)
        seen, held = rng.choice(THINGS, 5, replace=False), rng.choice(THINGS, 2, replace=False)
        texts.append(
            f"Step {number}. You are in the {room}. You see {', '.join(seen)}. You hold {' and '.join(held)}. "
            f"Exits lead to {', '.join(near)}."
        )
    return texts


def synthetic(trajectories: int, group: int, turns: int, states: int, tokens: int = 20, seed: int = 0) -> RewardTable:
    """Trajectories of `turns` turns in groups; anchor states drawn from `states` a group (0: all of them differ)."""
    rng = np.random.default_rng(seed)
    m = trajectories * turns
    groups = np.arange(trajectories) // group
    pool = states or group * turns
    keys = states_of(pool, rng)
    drawn = rng.integers(0, pool, m) if states else np.arange(m) % pool
    return RewardTable(
        group=groups,
        offsets=np.arange(trajectories + 1) * turns,
        outcome=rng.integers(0, 2, trajectories).astype(np.float64),
        turn_reward=np.zeros(m),
        parts={
            "evidence": rng.random(m),
            "format": -rng.integers(0, 2, m).astype(np.float64),
            **{f"slate_{name}": rng.integers(-1, 2, m).astype(float) for name in ("reasoning", "query", "answer")},
        },
        state=np.repeat(groups, turns) * pool + drawn,
        tokens=np.full(m, tokens),
        truncated=rng.random(trajectories) < 0.1,
        difficulty=np.ones(trajectories, np.int64),
        task_id=tuple(f"t{g}" for g in groups),
        answer=tuple(f"answer {a}" for a in rng.integers(0, 4, trajectories)),
        said=tuple(ACTIONS[a] for a in rng.integers(0, len(ACTIONS), m)),
        state_key=tuple(keys[k] for k in drawn),
    )


def handed_over(table: RewardTable, seed: int = 1) -> dict[str, Any]:
    """What the models trained beside the policy would say, by need."""
    rng = np.random.default_rng(seed)
    p = int(table.tokens.sum())
    return {
        "value": Values(rng.normal(size=table.m), rng.normal(size=table.n), rng.normal(size=p)),
        "implicit_reward": rng.normal(size=p),
        "latent_reward": rng.normal(size=table.m),
        "influence": rng.normal(size=p),
    }


def median_ms(function: Callable[[], object], repeats: int) -> float:
    """Median processor milliseconds of a call, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        function()
        times.append(time.thread_time() - start)
    return 1e3 * statistics.median(times)


def growth(trajectories: int, group: int, states: int, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of the methods that compare texts, at each of `GROWTH` turns a trajectory."""
    variants: dict[str, Callable[[RewardTable], object]] = {
        "salt": salt,
        "salt, normalised": lambda table: salt(table, compare="normalised"),
        "salt, similarity": lambda table: salt(table, compare="similarity"),
        "gigpo": gigpo,
        "gigpo, similarity": lambda table: gigpo(table, similarity=0.95),
    }
    figures: dict[str, list[float]] = {}
    for many, word in ((states, f"{states} states"), (0, "all differ")):
        tables = [synthetic(trajectories, group, turns, many, tokens=1) for turns in GROWTH]
        for name, method in variants.items():
            figures[f"{name} ({word})"] = [
                median_ms(lambda m=method, t=table: m(t), repeats)  # type: ignore[misc]
                for table in tables
            ]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=int, default=1024)
    parser.add_argument("--group", type=int, default=8, help="trajectories of a group")
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=20, help="policy tokens of a turn")
    parser.add_argument("--states", type=int, default=20, help="distinct anchor states a group visits")
    parser.add_argument("--repeats", type=int, default=21, help="calls of which the median is taken")
    parser.add_argument("--growing", type=int, default=16, help="trajectories when growth in turns is measured")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()

    raw = synthetic(args.trajectories, args.group, args.turns, args.states, args.tokens)
    pipeline = build_stages([{"weigh": {"evidence": 0.3, "format": 0.1}}, {"gate": {}}], {"evidence": "", "format": ""})
    table, inputs = pipeline(raw), handed_over(raw)
    figures = {"shaping (weigh, gate)": median_ms(lambda: pipeline(raw), args.repeats)}
    for method in CREDIT.all():
        given = [inputs[need] for need in method.needs]
        figures[method.name] = median_ms(lambda m=method.function, g=given: m(table, *g), args.repeats)  # type: ignore[misc]
    figures["gigpo, similarity .95"] = median_ms(lambda: gigpo(table, similarity=0.95), args.repeats)
    print(
        f"{args.trajectories} trajectories in groups of {args.group}, {args.turns} turns of {args.tokens} tokens each, "
        f"median of {args.repeats}"
    )
    for name, value in figures.items():
        print(f"{name:>32} {value:9.2f} ms")
    grown = growth(args.growing, args.group, args.states, max(1, args.repeats // 7))
    print(f"\n{args.growing} trajectories in groups of {args.group}, turns each: {', '.join(map(str, GROWTH))}")
    for name, values in grown.items():
        print(f"{name:>32} {' '.join(f'{value:9.2f}' for value in values)} ms, x{values[-1] / values[0]:.1f}")
    if args.json:
        setting = {k: v for k, v in vars(args).items() if k != "json"}
        written = {"setting": setting, "median_ms": figures, "growth_turns": GROWTH, "growth_ms": grown}
        args.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
