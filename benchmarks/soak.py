"""A training run whose processes are killed at random, again and again: does it come to its end, and to the right one?

    python benchmarks/soak.py --kills 100
    python benchmarks/soak.py --kills 100 --staleness 2

Real runs (`agentgym train --restarts`) on a private Ray: rollout workers, two learner processes, a driver, and Ray's
own servers. Now and then one of them gets SIGKILL (or SIGSTOP, which is what a hang looks like from outside).
After each run it is checked that no group was lost or learned from twice: every update learned from as many groups as
it wants, none of them twice in the run, all episodes of each are there; and that all updates, computed again from the
stored episodes, give the stored weights bit for bit (`agentgym replay`). Runs follow each other until there were enough
kills; the first fault that a check finds ends the soak with status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from agentgym.store import read_groups
from agentgym.trainers.replay import replay

CONFIG: dict[str, Any] = {
    "env": {
        "id": "agentgym/Search-v0",
        "kwargs": {"instructions": "none", "hops": [1, 2], "worlds": 4, "heldout_worlds": 2, "questions": 4},
    },
    "tiny": {"width": 32, "layers": 1, "heads": 2},
    "warm_start": {"phases": [{"steps": 12, "batch": 16, "lr": 0.01}], "mistakes": {2: {"answer": 0.3}}},
    "sampling": {"max_tokens": 8},
    # A worker that does not answer for as long as a step, an answer and a heartbeat may take is given up.
    "rollout": {"workers": 2, "limits": {"step_s": 3, "generate_s": 3}},
    "tasks_per_update": 4,
    "samples_per_task": 4,
    "rewards": [{"weigh": {"evidence": 1.0, "format": 0.1}}],
    "credit": {"name": "step_grpo"},
    "learner": {"optimizer": {"lr": 0.002}, "threads": 1},
    "eval": {"every": 10, "tasks": 3, "final_tasks": 4},
    "checkpoint": {"every": 1, "keep": 1000, "warm_start_every": 4},
}
#: Kind -> how its processes are told from others: by the beginning of what they are called.
NAMES = {"worker": "ray::RolloutWorker", "rank": "ray::RayTrainWorker", "gcs": "gcs_server", "raylet": "raylet"}
KINDS = (*NAMES, "hang", "driver")


def checkpoints(run: Path) -> int:
    """How many a run has."""
    return len(list(run.glob("checkpoints/step-*")))


def victims(supervisor: psutil.Process, kind: str) -> list[psutil.Process]:
    """The processes of a kind below a supervisor."""
    if kind == "hang":
        kind = "worker"
    found = []
    for process in supervisor.children(recursive=kind != "driver"):
        try:
            title, name = " ".join(process.cmdline()), process.name()
        except psutil.Error:
            continue
        if kind == "driver":
            if "spawn_main" in title:
                found.append(process)
        elif title.startswith(NAMES[kind]) or name == NAMES[kind]:
            found.append(process)
    return found


@dataclass
class Soak:
    """Runs under fire.

    Args:
        out: Folder of the runs.
        changes: Of `CONFIG`.
        kinds: Who is killed.
        kills: How often, all runs together.
        every_s: Mean seconds from a checkpoint (or the last kill) to a kill.
        seed: Of victims and moments.
        say: Is told of each run.
        learning: Share of the kills that wait for a new checkpoint first; others may hit a run that is still getting up
            from the last one.
    """

    out: Path
    changes: dict[str, Any]
    kinds: Sequence[str]
    kills: int
    every_s: float
    seed: int
    say: Callable[[str], None] = print
    learning: float = 0.75
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def run(self) -> dict[str, Any]:
        """All of it; returns what is to be reported.

        Raises:
            SystemExit: A run did not come to its end, or a check found something.
        """
        totals: Counter[str] = Counter()
        faults: Counter[str] = Counter()
        began = time.monotonic()
        while self.done.total() < self.kills:
            totals["runs"] += 1
            run = self.out / f"soak-{totals['runs']}"
            self.suffer(run.name)
            report = json.loads((run / "report.json").read_text())
            totals.update(check(run) | {"starts": report["starts"]})
            faults.update(report["faults"])
            self.say(
                f"{run.name}: sound; kills so far: {dict(self.done)}; {report['starts']} starts, {report['faults']}"
            )
        return {
            "kills": dict(self.done),
            "faults": dict(faults),
            **totals,
            "minutes": round((time.monotonic() - began) / 60, 1),
        }

    def suffer(self, name: str) -> None:
        """One run, from its beginning to its end."""
        config = CONFIG | {"name": name, "runs": str(self.out)}
        for key, value in self.changes.items():
            config[key] = {**config[key], **value} if isinstance(value, dict) else value
        self.out.mkdir(parents=True, exist_ok=True)
        file = self.out / f"{name}.yaml"
        file.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "agentgym", "train", str(file), "--restarts", "20"]
        with (self.out / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            try:
                self._kill_until_the_end(process, self.out / name)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait(60)
        if process.returncode != 0:
            raise SystemExit(f"{name}: ended with {process.returncode}; see {self.out / name}.log")

    def _kill_until_the_end(self, process: subprocess.Popen[bytes], run: Path) -> None:
        supervisor = psutil.Process(process.pid)
        while self.done.total() < self.kills and process.poll() is None:
            if self.random.random() < self.learning:
                saved = checkpoints(run)
                while process.poll() is None and checkpoints(run) <= saved:
                    time.sleep(0.2)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.random.expovariate(1 / self.every_s))
            if process.poll() is None:
                self._strike(supervisor)
        process.wait()

    def _strike(self, supervisor: psutil.Process) -> None:
        # The kind that was hit least goes first: a kind that is seldom there would hardly be hit otherwise.
        for kind in sorted(self.kinds, key=lambda kind: (self.done[kind], self.random.random())):
            try:
                found = victims(supervisor, kind)
                if found:
                    self.random.choice(found).send_signal(signal.SIGSTOP if kind == "hang" else signal.SIGKILL)
                    self.done[kind] += 1
                    return
            except psutil.Error:
                continue


def check(run: Path) -> dict[str, int]:
    """Whether a finished run learned from what it should have, once.

    Raises:
        SystemExit: It did not.
    """
    config = yaml.safe_load((run / "config.yaml").read_text())
    seen: set[str] = set()
    episodes = 0
    for update in range(1, config["updates"] + 1):
        groups = list(read_groups(run / "episodes" / f"train-{update:06d}.parquet"))
        names = [g.id for g in groups]
        if len(names) != config["tasks_per_update"]:
            raise SystemExit(f"{run.name}: update {update} learned from {len(names)} groups: {names}")
        if len(set(names)) < len(names) or seen & set(names):
            raise SystemExit(f"{run.name}: update {update} learned twice from one of {names}")
        short = [g.id for g in groups if len(g) != config["samples_per_task"]]
        if short:
            raise SystemExit(f"{run.name}: update {update}: episodes of {short} are missing")
        seen |= set(names)
        episodes += sum(len(g) for g in groups)
    found = replay(run)
    if (found.first, found.last) != (0, config["updates"]) or found.difference != 0:
        raise SystemExit(f"{run.name}: computed again, the weights are others: {found}")
    return {"updates": config["updates"], "groups": len(seen), "episodes": episodes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--every", type=float, default=2.0, help="mean seconds from a checkpoint to a kill")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--updates", type=int, default=60, help="of each run")
    parser.add_argument("--processes", type=int, default=2, help="of the learner")
    parser.add_argument("--staleness", type=int, default=0, help="rollout.max_staleness")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/soak"))
    args = parser.parse_args()
    changes = {
        "updates": args.updates,
        "learner": {"processes": args.processes},
        "rollout": {"max_staleness": args.staleness},
    }
    out = args.out / time.strftime("%Y%m%d-%H%M%S")
    soak = Soak(out, changes, args.kinds, args.kills, args.every, args.seed, lambda text: print(text, flush=True))
    print(json.dumps(soak.run(), indent=2))


if __name__ == "__main__":
    main()
