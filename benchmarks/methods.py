"""How the published methods compare: same warm starts, same number of turns collected, held-out success at the end.

    python benchmarks/methods.py --seeds 0 1 2 --updates 40 --out runs/methods

For each seed one warm start is trained (that of `benchmarks/credit.py`); every method goes on from it. Reported for 3
and 4 hops, greedy, last checkpoint, nothing selected; and after how many episodes a method first reaches the final
4-hop success of outcome-only GRPO. Given again, the command goes on where it stopped.

SLATE collects one step at a time: k continuations of each step of one path are as many turns as k episodes of that
length, and are counted as k episodes.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from credit import SETTINGS, episodes_to, go_on, read, warm_start

from agentgym.trainers.config import load_config

EVIDENCE = "rewards=[{weigh: {evidence: 1.0}}]"
GATED = "rewards=[{weigh: {evidence: 1.0}}, {gate: {when: answered, at_least: 1.0, drop: process}}]"
OUTCOME = "rewards=[]"

#: Name -> overrides of the main job.
METHODS: dict[str, list[str]] = {
    "grpo (outcome only)": [OUTCOME, "credit={name: grpo}"],
    "rloo": [OUTCOME, "credit={name: rloo}"],
    "salt": [OUTCOME, "credit={name: salt}"],
    "prime": [
        OUTCOME,
        "credit={name: prime, process_weight: 1}",
        # The published rate, 1e-6, is for billions of parameters.
        "companions={implicit_reward: {optimizer: {lr: 0.0001}, scale: beta}}",
    ],
    "gated accumulation": [GATED, "credit={name: grpo}"],
    "mt_grpo": [GATED, "credit={name: mt_grpo}"],
    "gigpo": [GATED, "credit={name: gigpo}"],
    "return_to_go": [GATED, "credit={name: return_to_go}"],
    "step_grpo, gated (default)": [GATED, "credit={name: step_grpo}"],
    "ppo (gae)": [
        GATED,
        "credit={name: gae}",
        "companions={value: {optimizer: {lr: 0.001}, epochs: 1}}",
    ],
    "slate": [OUTCOME, "credit={name: slate}", "collect={name: steps}"],
}
BASELINE = "grpo (outcome only)"
HOPS = (3, 4)


def curve(report: dict[str, Any], difficulty: int) -> dict[int, float]:
    """Episodes -> greedy held-out success; a path of k continuations a step counts as k episodes."""
    per_update = max(e["episodes"] for e in report["evaluations"]) // report["updates"]
    scale = report["episodes_per_update"] // per_update
    return {
        evaluation["episodes"] * scale: score["success"]
        for evaluation in report["evaluations"]
        for score in evaluation["scores"]
        if (score["difficulty"], score["mode"]) == (difficulty, "greedy")
    }


def summarise(reports: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """One row a method: final success by hops, each seed's, episodes to the baseline's final success, wall time."""
    curves = {name: [curve(r, max(HOPS)) for r in runs] for name, runs in reports.items()}
    mean = {
        name: {e: float(np.mean([one[e] for one in many])) for e in sorted(many[0])} for name, many in curves.items()
    }
    level = list(mean[BASELINE].values())[-1] if BASELINE in mean else None
    table = {}
    for name, runs in reports.items():
        final = {hops: [round(list(curve(r, hops).values())[-1], 3) for r in runs] for hops in HOPS}
        table[name] = {
            **{f"success_{hops}": round(float(np.mean(final[hops])), 3) for hops in HOPS},
            f"seeds_{max(HOPS)}": final[max(HOPS)],
            "curve": {e: round(v, 3) for e, v in mean[name].items()},
            "episodes_to_outcome_only": None if level is None else episodes_to(mean[name], level),
            "wall_s": round(float(np.mean([r["wall_s"] for r in runs])), 1),
        }
    return table


def markdown(table: dict[str, Any]) -> str:
    """The table as the documentation shows it."""
    head = [f"| method | {' | '.join(f'{h} hops' for h in HOPS)} | each seed, {max(HOPS)} hops | episodes | s a run |"]
    head.append("|" + "---|" * (len(HOPS) + 4))
    for name, row in table.items():
        seeds = " ".join(f"{s:.3f}".lstrip("0") for s in row[f"seeds_{max(HOPS)}"])
        success = " | ".join(f"{row[f'success_{h}']:.3f}".lstrip("0") for h in HOPS)
        reached = row["episodes_to_outcome_only"]
        head.append(
            f"| {name} | {success} | {seeds} | {reached if reached is not None else '-'} | {row['wall_s']:.0f} |"
        )
    return "\n".join(head)


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).parents[1] / "examples" / "search.yaml")
    parser.add_argument("--setting", choices=SETTINGS, default="sparse")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/methods"))
    parser.add_argument("--json", type=Path, help="write the table here")
    args = parser.parse_args()

    def run(job: tuple[str, int]) -> dict[str, Any]:
        name, seed = job
        folder = go_on(args.config, args.out, args.setting, seed, args.updates, name, METHODS[name])
        config = load_config(folder / "config.yaml")
        return read(folder) | {"episodes_per_update": config.tasks_per_update * config.samples_per_task}

    jobs = [(name, seed) for seed in args.seeds for name in args.methods]
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda seed: warm_start(args.config, args.out, args.setting, seed), args.seeds))
        done = list(pool.map(run, jobs))
    reports: dict[str, list[dict[str, Any]]] = {name: [] for name in args.methods}
    for (name, _), report in zip(jobs, done, strict=True):
        reports[name].append(report)
    table = summarise(reports)
    print(markdown(table))
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
