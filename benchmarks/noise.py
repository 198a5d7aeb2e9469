"""What an erring verifier costs, and what correction regains: fictional search with a verifier made noisy on purpose.

    python benchmarks/noise.py --seeds 0 1 2 --updates 40 --out runs/noise

The outcome that training sees is wrong at the given rates (`corrupt`); held-out success is measured with the true one.
Credit is `dr_grpo` on outcome plus evidence: it subtracts the group's mean and keeps the scale. That is where a
correction can matter at all: dividing by the group's deviation undoes any linear correction, while here noise shrinks
the outcome's share against the evidence by 1 - rho0 - rho1, which `denoise` restores.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from credit import SETTINGS, curve, go_on, read, warm_start


def variants(false_positive: float, false_negative: float) -> dict[str, list[str]]:
    """Name -> overrides of the main job."""
    noise = f"{{corrupt: {{false_positive: {false_positive}, false_negative: {false_negative}}}}}"
    rates = f"false_positive: {false_positive}, false_negative: {false_negative}"
    evidence = "{weigh: {evidence: 1.0}}"
    credit = "credit={name: dr_grpo}"
    return {
        "clean": [f"rewards=[{evidence}]", credit],
        "noisy": [f"rewards=[{noise}, {evidence}]", credit],
        "noisy, backward": [f"rewards=[{noise}, {{denoise: {{{rates}}}}}, {evidence}]", credit],
        "noisy, forward": [f"rewards=[{noise}, {{denoise: {{{rates}, how: forward}}}}, {evidence}]", credit],
    }


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).parents[1] / "examples" / "search.yaml")
    parser.add_argument("--setting", choices=SETTINGS, default="main")
    parser.add_argument("--false-positive", type=float, default=0.2)
    parser.add_argument("--false-negative", type=float, default=0.4)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/noise"))
    parser.add_argument("--json", type=Path, help="write the table here")
    args = parser.parse_args()

    settings = variants(args.false_positive, args.false_negative)

    def run(job: tuple[str, int]) -> dict[str, Any]:
        name, seed = job
        title = f"noise {args.false_positive:g} {args.false_negative:g} {name}"
        return read(go_on(args.config, args.out, args.setting, seed, args.updates, title, settings[name]))

    jobs = [(name, seed) for seed in args.seeds for name in settings]
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda seed: warm_start(args.config, args.out, args.setting, seed), args.seeds))
        done = list(pool.map(run, jobs))
    table: dict[str, Any] = {}
    for name in settings:
        curves = [curve(r, r["target_difficulty"], "greedy") for (n, _), r in zip(jobs, done, strict=True) if n == name]
        table[name] = {
            "mean": {e: round(float(np.mean([c[e] for c in curves])), 3) for e in sorted(curves[0])},
            "final_by_seed": [round(c[max(c)], 3) for c in curves],
        }
    print(json.dumps(table, indent=1))
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
