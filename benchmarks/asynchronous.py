"""Collecting while the learner learns, against waiting for each other: wall clock and held-out success, same budget.

    python benchmarks/asynchronous.py --seeds 0 1 2 --updates 60 --staleness 0 1 2 --out runs/asynchronous

The main job's questions, in an environment whose answers take a time with a heavy tail (an `asyncio.sleep` stands for a
slow tool), so that the longest episode of a batch takes many times the mean. All ways go on from the same warm start,
one a seed, and learn from the same number of episodes. Reported: seconds of the updates (warm start and evaluations
left out), 4-hop success of the last checkpoint, staleness. Given again, the command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from credit import train, warm_start

from agentgym import Outcome, ParsedTurn
from agentgym.envs.search.env import SearchEnv

ENV_ID = "agentgym-benchmark/SlowSearch-v0"
#: Workers import this module to make the environment.
ENV = f"asynchronous:{ENV_ID}"
#: Phases that are not the updates'.
BESIDE = ("warm_start", "evaluation")


class SlowSearch(SearchEnv):
    """Search whose training episodes take their time.

    Args:
        latency_s: Mean seconds of a step.
        spread: Standard deviation of the logarithm of an episode's mean; steps of an episode are alike.
        **kwargs: As `SearchEnv`.
    """

    def __init__(self, latency_s: float = 0.1, spread: float = 1.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.latency_s, self.spread = latency_s, spread
        self._chance = np.random.default_rng()
        self._pause = 0.0

    async def begin_async(self, task: Any) -> Any:
        log = self._chance.normal(-(self.spread**2) / 2, self.spread)
        self._pause = self.latency_s * float(np.exp(log)) if task.split == "train" else 0.0
        return self.begin(task)

    async def act_async(self, turn: ParsedTurn) -> Outcome:
        if self._pause:
            await asyncio.sleep(self._pause)
        return self.act(turn)


if ENV_ID not in gymnasium.registry:
    gymnasium.register(ENV_ID, "asynchronous:SlowSearch", disable_env_checker=True, order_enforce=False)


def run(args: argparse.Namespace, seed: int, staleness: int) -> dict[str, Any]:
    """One run, and what is reported of it."""
    model = warm_start(args.config, args.out, "main", seed) / "model"
    overrides = [
        f"env.id={ENV}",
        f"env.kwargs.latency_s={args.latency}",
        f"env.kwargs.spread={args.spread}",
        f"model={model}",
        "warm_start=null",
        f"seed={seed}",
        f"updates={args.updates}",
        f"rollout.workers={args.workers}",
        f"rollout.max_staleness={staleness}",
        "learner.threads=1",
        f"eval.every={args.updates // 2}",
        "checkpoint.every=20",
        "store_episodes=false",
    ]
    folder = train(args.config, args.out, f"staleness-{staleness}-{seed}-{args.updates}", overrides)
    report = json.loads((folder / "report.json").read_text())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    ages = [row["staleness"] for row in rows if "staleness" in row]
    scores = {
        (s["difficulty"], s["mode"]): s["success"] for s in report["evaluations"][-1]["scores"] if s["difficulty"] == 4
    }
    return {
        "seed": seed,
        "staleness": staleness,
        "seconds": sum(s for phase, s in report["seconds"].items() if phase not in BESIDE),
        "waited_s": report["seconds"]["rollout"],
        "greedy": scores[4, "greedy"],
        "sampled": scores[4, "sampled"],
        "age": statistics.mean(ages) if ages else 0.0,
        "dropped": max((row.get("dropped_stale", 0.0) for row in rows), default=0.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).parents[1] / "examples" / "search.yaml")
    parser.add_argument("--out", type=Path, default=Path("runs/asynchronous"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--staleness", type=int, nargs="+", default=[0, 1, 2], help="updates; 0 waits")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.1, help="mean seconds of a step")
    parser.add_argument("--spread", type=float, default=1.2, help="of the logarithm of an episode's latency")
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    args.out = args.out.resolve()
    # The runs' own processes import this module too.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    runs = [run(args, seed, k) for seed in args.seeds for k in args.staleness]
    print(
        f"{'staleness':>9}{'seconds':>10}{'waiting':>10}{'faster':>8}{'greedy':>8}{'sampled':>9}{'age':>6}{'dropped':>9}"
    )
    base: float | None = None
    for k in args.staleness:
        mine = [r for r in runs if r["staleness"] == k]
        row = {name: statistics.mean(r[name] for r in mine) for name in mine[0] if name != "seed"}
        base = base or row["seconds"]
        print(
            f"{k:>9}{row['seconds']:>10.1f}{row['waited_s']:>10.1f}{base / row['seconds']:>8.2f}{row['greedy']:>8.3f}"
            f"{row['sampled']:>9.3f}{row['age']:>6.2f}{row['dropped']:>9.1f}"
        )
    if args.json is not None:
        args.json.write_text(
            json.dumps({"settings": {k: str(v) for k, v in vars(args).items()}, "runs": runs}, indent=2)
        )


if __name__ == "__main__":
    main()
