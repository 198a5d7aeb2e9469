"""Web-v0 against BrowserGym on the same MiniWoB pages, and what Web-v0 does on its own sites.

    python benchmarks/web.py                      # both parts
    python benchmarks/web.py --skip-peer          # our own part only
    python benchmarks/web.py --growth 1000        # what a thousand episodes leave behind

One command does everything: BrowserGym gets a virtual environment of its own. Both sides play the same pages with the
same actions (a page's script does not depend on the seed; each side draws its own), one episode at a time and 16 at
once: BrowserGym in as many processes, Web-v0 in one. A step is all that `env.step` does: act, wait for what that
caused, observe, reward. The sides take turns; reported are medians over the runs. BrowserGym waits half a second
before each observation unless told otherwise, so it is also measured without (`no delay`); Web-v0 gives each episode
a context of its own unless told otherwise, so it is also measured with contexts wiped and used again (`reuse`).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peer_sides.with_browsergym import SCRIPTS

from agentgym.aio import run_blocking
from agentgym.envs.web.env import WebEnv
from agentgym.envs.web.miniwob.site import html_root
from agentgym.tools.browser import BrowserOptions, shared_pool
from agentgym.tools.browser.options import find_chromium

ROOT = Path(__file__).resolve().parents[1]
SIDE = ROOT / "benchmarks" / "peer_sides" / "with_browsergym.py"
BROWSERGYM = "0.14.3"
PAGES = tuple(SCRIPTS)
#: Contexts of the part on the bundled sites that are live at once.
LIVE = 32
#: Leases of a context that is used again.
REUSE = 50
PEERS = ("BrowserGym", "BrowserGym, no delay")
MIB = 1 << 20


@dataclass(frozen=True)
class Run:
    """What one run of a side took, in seconds; of every step and every start of an episode."""

    steps: list[float]
    resets: list[float]
    episodes: int
    solved: int
    seconds: float

    def row(self) -> dict[str, float]:
        """Milliseconds of a step and of a start, episodes a minute, share solved."""
        return {
            "step_ms": 1000 * statistics.median(self.steps),
            "step_p90_ms": 1000 * statistics.quantiles(self.steps, n=10)[-1],
            "reset_ms": 1000 * statistics.median(self.resets),
            "episodes_per_min": 60 * self.episodes / self.seconds,
            "solved": self.solved / self.episodes,
        }


def make_peer(folder: Path) -> Path:
    """The Python of the virtual environment that holds BrowserGym; made when it is not there."""
    python = folder / "bin" / "python"
    check = f"import importlib.metadata as m; assert m.version('browsergym-miniwob') == {BROWSERGYM!r}"
    if not python.exists() or subprocess.run([python, "-c", check], capture_output=True).returncode:
        print(f"installing browsergym-miniwob {BROWSERGYM} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        pip += ["-c", str(ROOT / "constraints.txt")]
        subprocess.run([*pip, f"browsergym-miniwob=={BROWSERGYM}"], check=True)
    return python


def peer(python: Path, at_once: int, episodes: int, first: int, delay_s: float | None) -> Run:
    """A run of BrowserGym."""
    work = {
        "pages": PAGES,
        "url": f"{(html_root() / 'miniwob').as_uri()}/",
        "chromium": find_chromium(BrowserOptions()),
        "at_once": at_once,
        "episodes": episodes,
        "first": first,
        "delay_s": delay_s,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(work, file)
        file.flush()
        done = subprocess.run([python, SIDE, file.name], stdout=subprocess.PIPE, check=True, text=True)
    return Run(**json.loads(done.stdout.splitlines()[-1]))


async def episode(env: WebEnv, task: str, steps: list[float], resets: list[float]) -> bool:
    """The expert's episode; whether it was solved."""
    start = time.perf_counter()
    await env.reset_async(options={"task": task})
    resets.append(time.perf_counter() - start)
    while True:
        action = env.expert()
        start = time.perf_counter()
        *_, ended, truncated, info = await env.step_async(action)
        steps.append(time.perf_counter() - start)
        if ended or truncated:
            return bool(info["signal"].outcome == 1.0)


async def _play(envs: Sequence[WebEnv], tasks: Sequence[str]) -> Run:
    left, steps, resets = list(reversed(tasks)), list[float](), list[float]()

    async def player(env: WebEnv) -> int:
        solved = 0
        while left:
            solved += await episode(env, left.pop(), steps, resets)
        return solved

    start = time.perf_counter()
    solved = sum(await asyncio.gather(*map(player, envs)))
    return Run(steps, resets, len(tasks), solved, time.perf_counter() - start)


def play(envs: Sequence[WebEnv], tasks: Sequence[str]) -> Run:
    """A run of ours: as many episodes at once as there are environments."""
    return run_blocking(_play(envs, tasks))


def miniwob(at_once: int, reuse: int = 1) -> list[WebEnv]:
    options: dict[str, Any] = {
        "pages": PAGES,
        "seeds": 1000,
        "action_format": "browsergym",
        "browser": {"reuse": reuse},
    }
    return [WebEnv("miniwob", **options) for _ in range(at_once)]


def medians(runs: Sequence[Run]) -> dict[str, float]:
    rows = [run.row() for run in runs]
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def show(name: str, row: dict[str, float]) -> None:
    print(
        f"{name:34}{row['step_ms']:9.1f}{row['step_p90_ms']:9.1f}{row['reset_ms']:10.1f}"
        f"{row['episodes_per_min']:13.1f}{row['solved']:9.2f}",
        flush=True,
    )


def side_by_side(args: argparse.Namespace) -> dict[str, Any]:
    """MiniWoB on both sides."""
    python = make_peer(args.venv)
    result: dict[str, Any] = {}
    for at_once in args.at_once:
        ours = {"Web-v0": miniwob(at_once), "Web-v0, reuse": miniwob(at_once, REUSE)}
        tasks = [f"miniwob/{PAGES[seed % len(PAGES)]}/{seed}" for seed in range(args.episodes * at_once)]
        sides: dict[str, list[Run]] = {name: [] for name in (*ours, *PEERS)}
        for envs in ours.values():
            play(envs, tasks[: 2 * at_once])  # starts the browser and fills its caches
        for number in range(args.runs):
            for name, envs in ours.items():
                sides[name].append(play(envs, tasks))
            count = max(args.peer_episodes, at_once)
            sides["BrowserGym"].append(peer(python, at_once, count, number * count, None))
            sides["BrowserGym, no delay"].append(peer(python, at_once, count, number * count, 0.0))
        for env in (env for envs in ours.values() for env in envs):
            env.close()
        rows = {name: medians(runs) for name, runs in sides.items()}
        for name, row in rows.items():
            show(f"{name}, {at_once} at once", row)
        for own, name in itertools.product(ours, PEERS):
            step = rows[name]["step_ms"] / rows[own]["step_ms"]
            episodes = rows[own]["episodes_per_min"] / rows[name]["episodes_per_min"]
            print(
                f"    {own} against {name}: {step:.1f} times faster a step, {episodes:.1f} times the episodes a minute"
            )
        result[str(at_once)] = {
            "medians": rows,
            "runs": {name: [run.row() for run in runs] for name, runs in sides.items()},
        }
    return result


def bundled(args: argparse.Namespace) -> dict[str, Any]:
    """The bundled sites: one at a time, and `LIVE` at once."""
    result: dict[str, Any] = {}
    for at_once in (1, LIVE):
        envs = [WebEnv("bundled", seeds=2, action_format="browsergym") for _ in range(at_once)]
        ids = list(envs[0].taskset.ids("train"))
        tasks = (ids * (1 + at_once * args.episodes // len(ids)))[: at_once * args.episodes]
        play(envs, tasks[:at_once])
        runs = [play(envs, tasks) for _ in range(args.runs)]
        for env in envs:
            env.close()
        result[str(at_once)] = row = medians(runs)
        show(f"Web-v0, bundled, {at_once} at once", row)
    return result


def descendants(pid: int) -> list[int]:
    """Processes below one, itself first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def memory(pids: Sequence[int]) -> float:
    """Proportional share of the memory of processes, in MiB: what they share is counted once."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / MIB


def growth(envs: Sequence[WebEnv], episodes: int) -> list[dict[str, float]]:
    """What is there after each tenth of so many episodes."""
    at_once = len(envs)
    ids = list(envs[0].taskset.ids("train"))
    rows = []
    pool = shared_pool(envs[0].browser)
    for part in range(11):
        count = at_once if part == 0 else episodes // 10
        play(envs, [ids[n % len(ids)] for n in range(count)])
        pids = descendants(os.getpid())
        row = {"episodes": part * (episodes // 10), "processes": len(pids), "memory_mib": memory(pids)}
        rows.append({**row, **asdict(pool.stats())})
        print(", ".join(f"{key} {value:.0f}" for key, value in rows[-1].items()), flush=True)
    for env in envs:
        env.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of each side; medians are reported")
    parser.add_argument("--episodes", type=int, default=16, help="our episodes of a run, for each that is live at once")
    parser.add_argument("--peer-episodes", type=int, default=8, help="episodes of a run of BrowserGym, at least")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--growth", type=int, default=0, help="episodes of the part on growth; 0 leaves it out")
    parser.add_argument("--skip-peer", action="store_true", help="leave BrowserGym out")
    parser.add_argument("--skip-bundled", action="store_true", help="leave the bundled sites out")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv-browsergym", help="its virtual environment")
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()

    print(f"{'':34}{'step ms':>9}{'p90':>9}{'start ms':>10}{'episodes/min':>13}{'solved':>9}")
    result: dict[str, Any] = {}
    if not args.skip_peer:
        result["miniwob"] = side_by_side(args)
    if not args.skip_bundled:
        result["bundled"] = bundled(args)
    if args.growth:
        at_once = 8
        own = [WebEnv("bundled", seeds=2, action_format="browsergym") for _ in range(at_once)]
        for name, envs in (("bundled", own), ("miniwob, reuse", miniwob(at_once, REUSE))):
            print(f"{name}, {at_once} at once:")
            result[f"growth, {name}"] = growth(envs, args.growth)
    if args.json is not None:
        shown = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
        args.json.write_text(json.dumps({"settings": shown, **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
