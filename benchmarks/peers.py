"""Episodes per second against TRL: the same search task, policy, episodes and threads through its GRPOTrainer.

    python benchmarks/peers.py --updates 10

One command does everything: TRL gets a virtual environment of its own, the policy is warm-started once, the sides play
the same tasks with the same environment code and stop each turn at the same tags, and the learning rate is so small
that an update is the same work from the first to the last. The sides take turns, an update each, so that a
ratio compares neighbours in time; reported are medians. See `peer_sides/` for what each side runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import venv
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from peer_sides.baton import Row, Work

from agentgym.envs.search import SearchEnv
from agentgym.trainers.config import load_config
from agentgym.trainers.sampler import SamplerConfig, TaskSampler

ROOT = Path(__file__).resolve().parents[1]
SIDES = ROOT / "benchmarks" / "peer_sides"
TRL = "1.16.0"
#: Of the demonstrations: an unneeded search now and then.
MISTAKES = {hops: {"query": 0.05} for hops in (1, 2, 3, 4)}


class Side:
    """A trainer in a process of its own; see `peer_sides.baton`.

    Args:
        name: For messages.
        command: Starts it.
        log: Where its standard error goes.
        threads: What numeric libraries may use.
    """

    def __init__(self, name: str, command: list[str], log: Path, threads: int) -> None:
        self.name, self.log, self.rows = name, log, list[Row]()
        env = {**os.environ, "OMP_NUM_THREADS": str(threads), "TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_OFFLINE": "1"}
        with log.open("w") as stderr:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env
            )
        self.versions: dict[str, str] = self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            tail = self.log.read_text(errors="replace").strip()[-2000:]
            raise SystemExit(f"{self.name} stopped; the end of {self.log}:\n{tail}")
        return json.loads(line)

    def ask(self) -> Any:
        """Has one update run; returns what the side reports."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # then there is nothing to read either, and that is reported
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return self._read()

    def update(self) -> Row:
        """Runs one update."""
        row = Row(**self.ask())
        self.rows.append(row)
        return row

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()


def make_peer(folder: Path) -> Path:
    """The Python of the virtual environment that holds TRL and this package; made when it is not there."""
    python = folder / "bin" / "python"
    check = f"import agentgym, trl; assert trl.__version__ == {TRL!r}"
    if not python.exists() or subprocess.run([python, "-c", check], capture_output=True).returncode:
        print(f"installing trl {TRL} into {folder}")
        venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-c", ROOT / "constraints.txt"]
        subprocess.run([*pip, "torch", f"trl=={TRL}", "-e", ROOT], check=True)
    return python


def make_policy(config: Path, work: Path) -> Path:
    """The warm-started policy, trained when it is not there.

    It has seen good demonstrations of every length, so that its episodes are as long as those of a trained policy: the
    shipped warm start gives up early on long questions.
    """
    folder = work / "warm" / "model"
    if not (folder / "model.safetensors").exists():
        print(f"training the warm start into {folder}")
        overrides = ["name=warm", f"runs={work}", "updates=0", "eval.final_tasks=20", f"warm_start.mistakes={MISTAKES}"]
        subprocess.run([sys.executable, "-m", "agentgym", "train", config, *overrides], check=True)
    return folder


def make_work(args: argparse.Namespace, model: Path) -> Work:
    """The tasks of every update and the settings, as the shipped run has them."""
    config = load_config(args.config, ["name=peers"])
    env = config.env.kwargs | {"hops": [args.hops], "worlds": args.worlds}
    search = SearchEnv(**env)
    sampler = TaskSampler(search.taskset, SamplerConfig(name="uniform", mix={args.hops: 1}), config.seed)
    tasks = [sampler.draw(update, args.groups) for update in range(args.warmup + args.updates)]
    return Work(
        model=str(model.resolve()),
        env=env,
        tasks=tasks,
        samples=args.samples,
        turns=search.turn_budget(search.taskset[tasks[0][0]]),
        max_tokens=config.sampling.max_tokens,
        lr=args.lr,
        threads=args.threads,
    )


def summarise(rows: list[Row], peer: list[Row]) -> dict[str, Any]:
    """Medians of a side's updates; the ratio is that of neighbouring updates."""
    return {
        "episodes_per_s": statistics.median(r.episodes / r.seconds for r in rows),
        "ratio": statistics.median(p.seconds / r.seconds for p, r in zip(peer, rows, strict=True)),
        "median": {key: statistics.median(asdict(r)[key] for r in rows) for key in asdict(rows[0])},
        "updates": [asdict(r) for r in rows],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=10, help="updates measured")
    parser.add_argument("--warmup", type=int, default=3, help="updates before them")
    parser.add_argument("--groups", type=int, default=16, help="tasks an update")
    parser.add_argument("--samples", type=int, default=8, help="episodes a task")
    parser.add_argument("--hops", type=int, default=4, help="hops of a question")
    parser.add_argument("--worlds", type=int, default=8, help="worlds asked about; few are all built in the warm-up")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="Ray workers of agentgym, each measured")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each side")
    parser.add_argument("--micro-batches", type=int, default=4, help="passes TRL splits an update into")
    parser.add_argument("--lr", type=float, default=1e-6)
    parser.add_argument("--config", type=Path, default=ROOT / "examples" / "search.yaml")
    parser.add_argument("--model", type=Path, help="folder of a policy made for this task; none: warm-start one")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv-peers", help="TRL's virtual environment")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "peers", help="where the files of the runs go")
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()

    python = make_peer(args.venv)
    args.work.mkdir(parents=True, exist_ok=True)
    work = make_work(args, args.model or make_policy(args.config, args.work))
    settings = args.work / "work.json"
    settings.write_text(json.dumps(asdict(work)))

    commands = {f"TRL {TRL}": [str(python), str(SIDES / "with_trl.py"), str(settings), str(args.micro_batches)]}
    for n in args.workers:
        name = f"agentgym, {n} workers" if n else "agentgym, in process"
        commands[name] = [sys.executable, str(SIDES / "with_agentgym.py"), str(settings), str(args.config), str(n)]
    with ExitStack() as stack:
        sides = [
            stack.enter_context(Side(name, command, args.work / f"{name}.log", args.threads))
            for name, command in commands.items()
        ]
        for number in range(len(work.tasks)):
            seconds = [f"{side.name} {side.update().seconds:.2f} s" for side in sides]
            print(f"update {number + 1}/{len(work.tasks)}: {', '.join(seconds)}", file=sys.stderr)

    peer, *_ = measured = [side.rows[args.warmup :] for side in sides]
    result = {side.name: summarise(rows, peer) for side, rows in zip(sides, measured, strict=True)}
    print(f"an update: {args.groups} tasks x {args.samples} episodes, {args.hops} hops, {args.threads} threads a side")
    print(f"{'':22}episodes/s  s/update   rollout  learning  turns  written   tokens  success  trained   ratio")
    for name, row in result.items():
        m = row["median"]
        print(
            f"{name:22}{row['episodes_per_s']:10.0f}{m['seconds']:10.3f}{m['rollout_s']:10.3f}{m['learn_s']:10.3f}"
            f"{m['turns']:7.2f}{m['policy_tokens']:9.1f}{m['tokens']:9.1f}{m['outcome']:9.2f}{m['trained']:9.2f}"
            f"{row['ratio']:7.1f}x"
        )
    if args.json is not None:
        shown = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
        data = {"settings": shown, "versions": {side.name: side.versions for side in sides}, "sides": result}
        args.json.write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
