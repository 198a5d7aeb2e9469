"""Does knowing which step earned the reward help? Step-aware against outcome-only GRPO from the same warm starts.

    python benchmarks/credit.py --setting main --seeds 0 1 2 3 4 --out runs/credit

For each seed one warm start is trained; every method then goes on from it for the same number of episodes, and is
measured on held-out tasks, last checkpoint, nothing selected. Given again, the command goes on where it stopped.

Settings: `main` is the main job (1 to 4 hops; 4-hop success is near 0 after the warm start, but a fourth search is
tried now and then); in `sparse` the warm start hardly ever shows a fourth search; `dense` has 1 to 3 hops, which the
warm start solves often; `deep` goes up to 6 hops, of which the warm start solves 4 to 6 next to never.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

METHODS: dict[str, list[str]] = {
    "step-aware, gated": [],
    "step-aware": ["rewards=[{weigh: {evidence: 1.0}}]"],
    "outcome-only": ["rewards=[]", "credit={name: grpo}"],
    "summed scalar": ["rewards=[{weigh: {evidence: 1.0}}]", "credit={name: grpo}"],
}


@dataclass(frozen=True)
class Setting:
    """Overrides of the main job.

    Attributes:
        warm: Of warm start and training.
        train: Of training alone.
    """

    warm: tuple[str, ...] = ()
    train: tuple[str, ...] = ()


def phases(steps: int, mix: str) -> str:
    """The main job's warm start with another second phase."""
    common = "lr: 0.008, observation_weight: 0.2"
    first = f"{{steps: 280, schedule: constant, warmup_steps: 50, {common}, mix: {{1: 1, 2: 1}}}}"
    return f"warm_start.phases=[{first}, {{steps: {steps}, min_lr_ratio: 0.02, {common}, mix: {mix}}}]"


RELIABLE = "1: {query: 0.05, answer: 0.02}, 2: {query: 0.05, answer: 0.02}, 3: {query: 0.05, answer: 0.02}"
SETTINGS: dict[str, Setting] = {
    "main": Setting(),
    "sparse": Setting(
        warm=(
            f"warm_start.mistakes={{{RELIABLE}, 4: {{query: 0.1, answer: 0.55}}}}",
            phases(360, "{1: 1, 2: 1, 3: 1, 4: 2}"),
        )
    ),
    "dense": Setting(train=("sampler.mix={1: 1, 2: 1, 3: 1}", "eval.target=3")),
    "deep": Setting(
        warm=(
            "env.kwargs.hops=[1, 2, 3, 4, 5, 6]",
            f"warm_start.mistakes={{{RELIABLE}, 4: {{query: 0.1, answer: 0.5}}, 5: {{query: 0.1, answer: 0.5}}, "
            "6: {query: 0.1, answer: 0.5}}",
            phases(520, "{1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2}"),
        ),
        train=("sampler.mix={1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2}", "eval.target=6"),
    ),
}
#: An update is in the trough when more than this share of its episodes ran into the turn budget without an answer.
TROUGH_SHARE = 0.5


def train(config: Path, out: Path, name: str, overrides: list[str]) -> Path:
    """Runs `agentgym train` in a process of its own; returns the run's folder."""
    folder = out / name
    if (folder / "report.json").exists():
        return folder
    command = [sys.executable, "-m", "agentgym", "train", str(config), f"name={name}", f"runs={out}", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip()[-2000:]}")
    return folder


#: One process a run, one thread: several runs share a machine without waiting for each other.
ALONE = ["rollout.workers=0", "learner.threads=1", "engine.kwargs.threads=1", "store_episodes=false"]


def warm_start(config: Path, out: Path, setting: str, seed: int) -> Path:
    """Trains the warm start of a setting, unless it is there; returns its folder."""
    chosen = SETTINGS[setting]
    name = f"warm-{setting}-{seed}" if chosen.warm else f"warm-{seed}"
    return train(config, out, name, [*ALONE, *chosen.warm, f"seed={seed}", "updates=0", "eval.final_tasks=20"])


def go_on(config: Path, out: Path, setting: str, seed: int, updates: int, name: str, overrides: list[str]) -> Path:
    """Trains on from a setting's warm start; returns the run's folder, whose name says what was trained."""
    chosen, model = SETTINGS[setting], warm_start(config, out, setting, seed) / "model"
    common = [*ALONE, *chosen.warm, *chosen.train, f"seed={seed}", f"updates={updates}", "checkpoint.every=20"]
    slug = "".join(c if c.isalnum() else "-" for c in name)
    folder = f"{setting}-{slug}-{seed}-{updates}"
    return train(config, out, folder, [*common, f"model={model}", "warm_start=null", *overrides])


def read(folder: Path) -> dict[str, Any]:
    """A run's report, with the longest trough of its training added."""
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    longest = current = 0
    for row in rows:
        if row["phase"] == "train":
            current = current + 1 if row.get("truncated", 0.0) > TROUGH_SHARE else 0
            longest = max(longest, current)
    report["trough"] = longest
    return report


def curve(report: dict[str, Any], difficulty: int, mode: str) -> dict[int, float]:
    """Episodes -> held-out success."""
    return {
        evaluation["episodes"]: score["success"]
        for evaluation in report["evaluations"]
        for score in evaluation["scores"]
        if (score["difficulty"], score["mode"]) == (difficulty, mode)
    }


def episodes_to(points: dict[int, float], level: float) -> int | None:
    """Episodes after which success first reached a level."""
    return next((episodes for episodes, rate in sorted(points.items()) if rate >= level), None)


def summarise(reports: dict[str, list[dict[str, Any]]], difficulty: int) -> dict[str, Any]:
    """Means over seeds, and how many episodes each method needs to reach outcome-only's final success."""
    table: dict[str, Any] = {}
    for method, runs in reports.items():
        modes = {}
        for mode in ("greedy", "sampled"):
            curves = [curve(r, difficulty, mode) for r in runs]
            modes[mode] = {e: [round(c[e], 4) for c in curves] for e in sorted(curves[0])}
        means = {e: float(np.mean(v)) for e, v in modes["greedy"].items()}
        table[method] = {
            "greedy": modes["greedy"],
            "sampled": modes["sampled"],
            "mean_greedy": {e: round(v, 4) for e, v in means.items()},
            "wall_s": round(float(np.mean([r["wall_s"] for r in runs])), 1),
            "trough_updates": [r["trough"] for r in runs],
            "other_difficulties": {
                s["difficulty"]: round(
                    float(
                        np.mean(
                            [
                                t["success"]
                                for r in runs
                                for t in r["evaluations"][-1]["scores"]
                                if (t["difficulty"], t["mode"]) == (s["difficulty"], "greedy")
                            ]
                        )
                    ),
                    4,
                )
                for s in runs[0]["evaluations"][-1]["scores"]
                if s["mode"] == "greedy"
            },
        }
    if "outcome-only" in table:
        final = list(table["outcome-only"]["mean_greedy"].values())[-1]
        for row in table.values():
            row["episodes_to_outcome_only_final"] = episodes_to(row["mean_greedy"], final)
    return table


def draw(path: Path, table: dict[str, Any], difficulty: int, setting: str) -> None:
    """Mean over seeds, a thin line a seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 4.2), dpi=130)
    for number, (method, row) in enumerate(table.items()):
        x = list(row["greedy"])
        seeds = np.array(list(row["greedy"].values())).T
        for line in seeds:
            axes.plot(x, line, color=f"C{number}", alpha=0.3, linewidth=0.8)
        axes.plot(x, seeds.mean(0), color=f"C{number}", marker="o", markersize=3, label=method)
    axes.set(
        xlabel="training episodes (after the same warm start)",
        ylabel=f"greedy success, {difficulty}-hop held-out tasks",
        ylim=(-0.02, 1.02),
        title=f"{setting}: mean and each of {len(seeds)} seeds",
    )
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).parents[1] / "examples" / "search.yaml")
    parser.add_argument("--setting", choices=SETTINGS, default="main")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["step-aware, gated", "outcome-only"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=80)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/credit"))
    parser.add_argument("--json", type=Path, help="write the table here")
    parser.add_argument("--picture", type=Path, help="draw the curves here")
    args = parser.parse_args()

    def run(job: tuple[str, int]) -> dict[str, Any]:
        name, seed = job
        return read(go_on(args.config, args.out, args.setting, seed, args.updates, name, METHODS[name]))

    jobs = [(name, seed) for seed in args.seeds for name in args.methods]
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda seed: warm_start(args.config, args.out, args.setting, seed), args.seeds))
        done = list(pool.map(run, jobs))
    reports: dict[str, list[dict[str, Any]]] = {name: [] for name in args.methods}
    for (name, _), report in zip(jobs, done, strict=True):
        reports[name].append(report)
    difficulty = done[0]["target_difficulty"]
    table = summarise(reports, difficulty)
    print(json.dumps(table, indent=1))
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n")
    if args.picture:
        draw(args.picture, table, difficulty, args.setting)


if __name__ == "__main__":
    main()
