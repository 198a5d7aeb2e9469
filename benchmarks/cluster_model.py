"""What a thousand workers would do: a discrete-event simulation of the rollout, the driver and the learner.

A cluster of that size is not at hand, but what it is made of can be measured one by one: `benchmarks/driver.py`
measures what the driver spends; how long episodes take, how fast learner and network are is said on the command line.
The model then plays the fleet's own rules. A worker has so many places and is given groups that fill them, and more
while there is plenty waiting; it begins an episode when a place is free. A group that has ended waits for its
worker's next answer. The driver takes answers one after another. Groups go to the learner, whose weights go back to all
nodes, and no more groups are out than the staleness allows. The learner computes beside the driver, each undisturbed by
the other.

It answers how many episodes a second so many workers bring, and which part is the first to hold the others up, at how
many workers. Its tests hold it to queues whose answers are known.

    python benchmarks/cluster_model.py --constants driver.json
    python benchmarks/cluster_model.py --workers 250 500 1000 2000 --episode-s 120 --learner-group-s 0.002
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from cluster_parts.simulation import MOST, PARTS, SATURATED, Cluster, Constants, Simulation, saturation


def table(title: str, clusters: Sequence[Cluster], constants: Constants, updates: int, seed: int) -> dict[str, Any]:
    """Simulates and prints; says which part is the first to be saturated."""
    print(f"{title}\nworkers  episodes/s  of ideal   places   driver  network  learner  (share of the time at work)")
    rows = []
    for cluster in clusters:
        found = Simulation(cluster, constants, seed).run(updates, skip=cluster.staleness + 1)
        rows.append(
            {"workers": cluster.workers, "episodes_s": found.episodes_s, "of_ideal": found.of_ideal} | found.busy
        )
        shares = "  ".join(f"{found.busy[name]:7.1%}" for name in ("places", *PARTS))
        print(f"{cluster.workers:7d}  {found.episodes_s:10.1f}  {found.of_ideal:8.1%}  {shares}")
    limits = saturation(clusters[-1], constants)
    said = ", ".join(f"the {part} at {workers} workers" for part, workers in limits.items())
    print(f"busy {SATURATED:.0%} of the time, were all places taken: {said or f'nothing below {MOST} workers'}\n")
    return {"rows": rows, "saturated_at": limits}


def main() -> None:
    about = f"{__doc__}\nConstants.\n{Constants.__doc__}\nCluster.\n{Cluster.__doc__}"
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 30, 100, 300, 1000, 2000])
    parser.add_argument("--constants", type=Path, help="what benchmarks/driver.py wrote with --json")
    parser.add_argument("--updates", type=int, default=4, help="updates that are simulated and counted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few workers, few updates: a look, no figures")
    parser.add_argument("--json", type=Path, help="write the result here")
    for entry in (*fields(Constants), *fields(Cluster)[1:]):
        name, kind = f"--{entry.name.replace('_', '-')}", type(entry.default)
        parser.add_argument(name, type=kind, help=f"default: {entry.default}")
    args = parser.parse_args()

    measured = json.loads(args.constants.read_text())["constants"] if args.constants else {}
    given = {key: value for key, value in vars(args).items() if value is not None}
    constants = Constants(**pick(Constants, measured | given))
    numbers, updates = ([8, 64], 2) if args.quick else (args.workers, args.updates)
    clusters = [Cluster(**(pick(Cluster, given) | {"workers": number})) for number in numbers]
    print(f"constants: {', '.join(f'{name} {value:.3g}' for name, value in asdict(constants).items())}\n")
    variants = {
        "as it is": constants,
        "with a learner that takes no time": replace(constants, learner_group_s=0.0, learner_update_s=0.0),
    }
    result = {title: table(title, clusters, of, updates, args.seed) for title, of in variants.items()}
    if args.json is not None:
        asked = {"constants": asdict(constants), "cluster": asdict(clusters[-1])}
        args.json.write_text(json.dumps({**asked, **result}, indent=2) + "\n")


def pick(of: type[Constants] | type[Cluster], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that are fields of the class."""
    return {entry.name: values[entry.name] for entry in fields(of) if entry.name in values}


if __name__ == "__main__":
    main()
