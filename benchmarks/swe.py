"""Containers for episodes: what a pool of warm ones saves, against one container created and removed an episode; and
what grading costs.

    scripts/docker.sh run python benchmarks/swe.py --json swe.json
    python benchmarks/swe.py --run runs/swe      # where the time of a training run went; needs no daemon

An episode here is a workspace of some files, three commands in it, and the end. `cold` is a lease that has to start
its container, `warm` one that finds it ready; `fresh` is a container of one's own, started and removed in the episode.
All with the limits' defaults. Memory and disk are what the kernel and the daemon say of a container that waits. A
grading is that of a shipped task's gold patch: its tests and the canaries, in a fresh workspace.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.envs.swe.env import SweEnv
from agentgym.envs.swe.grading import grade
from agentgym.store import read_groups
from agentgym.tools.sandbox import Sandbox, make_sandbox
from agentgym.tools.sandbox.docker import connect
from agentgym.tools.sandbox.image import make_image
from agentgym.tools.sandbox.pool import SandboxPool

SPEC = {"name": "docker", "run_id": "benchmark"}
#: Files of the workspace, and bytes in each: a small repository.
FILES, FILE_BYTES = 60, 4_000
COMMANDS = ("ls -R", "grep -rn word . | head", "python3 -c 'print(1)'")
CONCURRENT = (1, 4, 8)
MIB = 1 << 20


def repository() -> bytes:
    """A workspace as a tar archive."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for number in range(FILES):
            member = tarfile.TarInfo(f"package/module_{number}.py")
            member.size = FILE_BYTES
            archive.addfile(member, io.BytesIO(b"# word\n" * (FILE_BYTES // 7 + 1)))
    return data.getvalue()


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def spread(times: list[float]) -> dict[str, float]:
    """Milliseconds."""
    return {"p50_ms": float(np.percentile(times, 50)) * 1e3, "p90_ms": float(np.percentile(times, 90)) * 1e3}


def work_in(sandbox: Sandbox) -> None:
    for command in COMMANDS:
        sandbox.exec(command)


def one_at_a_time(archive: bytes, rounds: int) -> dict[str, dict[str, float]]:
    """Times of the parts of an episode."""
    times: dict[str, list[float]] = {}
    with SandboxPool(SPEC, size=1, ready=0) as pool:
        for _ in range(rounds):
            with pool.lease(archive) as lease:
                times.setdefault("start, warm" if lease.warm else "start, the first", []).append(lease.seconds)
                sandbox = lease.sandbox
                times.setdefault("exec of true", []).append(seconds(lambda s=sandbox: s.exec(["true"])))  # type: ignore[misc]
                times.setdefault("restore", []).append(seconds(lambda s=sandbox: s.restore(archive)))  # type: ignore[misc]
                times.setdefault("snapshot", []).append(seconds(lambda s=sandbox: s.snapshot()))  # type: ignore[misc]
            time.sleep(0.02)  # as long as a model takes at the very least
    del times["start, the first"]
    with SandboxPool(SPEC, size=1, ready=0, max_uses=1) as pool:
        for _ in range(max(3, rounds // 4)):
            with pool.lease(archive) as lease:
                times.setdefault("start, cold", []).append(lease.seconds)
            while pool.stats().sandboxes:
                time.sleep(0.01)
    return {name: spread(seen) for name, seen in times.items()}


def all_at_once(archive: bytes, count: int) -> dict[str, float]:
    """So many leases at the same moment, of a pool that has nothing started."""
    with SandboxPool(SPEC, size=count, ready=0) as pool, ThreadPoolExecutor(count) as threads:
        began = time.perf_counter()
        leases = list(threads.map(lambda _: pool.lease(archive), range(count)))
        whole = time.perf_counter() - began
        found = spread([lease.seconds for lease in leases])
        for lease in leases:
            lease.close()
    return {**found, "all_ms": whole * 1e3}


def episodes_a_minute(archive: bytes, concurrent: int, count: int) -> dict[str, float]:
    """With a pool, and with a fresh container for each."""

    def pooled(_: int) -> None:
        with pool.lease(archive) as lease:
            work_in(lease.sandbox)

    def fresh(_: int) -> None:
        with make_sandbox(SPEC) as sandbox:
            sandbox.restore(archive)
            work_in(sandbox)

    with ThreadPoolExecutor(concurrent) as threads:
        with SandboxPool(SPEC, size=concurrent, ready=concurrent) as pool:
            while pool.stats().ready < concurrent:
                time.sleep(0.01)
            warm = seconds(lambda: list(threads.map(pooled, range(4 * count))))
        cold = seconds(lambda: list(threads.map(fresh, range(count))))
    return {"pool": 4 * count / warm * 60, "fresh": count / cold * 60, "ratio": 4 * cold / warm}


def footprint(archive: bytes) -> dict[str, float]:
    """Of one container that holds the workspace: memory by its cgroup, and its layer on the host's disk."""
    client = connect()
    with SandboxPool(SPEC, size=1, ready=0) as pool, pool.lease(archive):
        (container,) = client.containers.list(filters={"label": f"agentgym.run={SPEC['run_id']}"})
        used = container.stats(stream=False)["memory_stats"].get("usage", 0)
        (listed,) = client.api.containers(size=True, filters={"id": container.id})
        return {"memory_mb": used / MIB, "disk_bytes": float(listed.get("SizeRw") or 0)}


def gradings(rounds: int) -> dict[str, float]:
    """Seconds of grading gold patches, whole and the tests' part of it, tasks taken in turn."""
    env = SweEnv()
    taskset = env.taskset
    ids = taskset.ids("train")
    whole, tests = [], []
    with SandboxPool(SPEC, size=1, ready=1) as pool:
        for number in range(rounds + 1):
            task = taskset[ids[number * len(ids) // (rounds + 1)]]
            graded = grade(task, taskset, task.gold_patch, pool)
            assert graded.resolved, f"{task.id}: {graded.why}"
            whole.append(graded.seconds)
            tests.append(graded.tests_s)
    env.close()
    return {**spread(whole[1:]), "tests_p50_ms": float(np.percentile(tests[1:], 50)) * 1e3}


def time_of_a_run(folder: Path) -> dict[str, float]:
    """Seconds of its training episodes, added up over episodes that ran at the same time: waiting for the model, in
    tests, in containers apart from tests (starting, commands, files), and in the machinery around them."""
    report = json.loads((folder / "report.json").read_text())["rollout"]
    tests = waited = 0.0
    for path in sorted((folder / "episodes").glob("train-*.parquet")):
        for group in read_groups(path):
            for turn in (turn for trajectory in group.trajectories for turn in trajectory.turns):
                tests += turn.signal.process.get("tests_s", 0.0)
                waited += turn.signal.process.get("lease_s", 0.0)
    return {
        "episodes": report["episodes"], "model": report["engine_s"], "tests": tests, "container starts": waited,
        "containers": report["env_s"] - tests - waited, "framework": report["framework_s"],
    }  # fmt: skip


def measure(rounds: int) -> dict[str, Any]:
    make_image(connect())
    archive = repository()
    return {
        "times": one_at_a_time(archive, rounds),
        "leases_at_once": {str(count): all_at_once(archive, count) for count in CONCURRENT},
        "episodes_a_minute": {
            str(count): episodes_a_minute(archive, count, max(count, rounds // 4)) for count in CONCURRENT
        },
        "container": footprint(archive),
        "grading": gradings(rounds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="how often each is measured")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    parser.add_argument("--run", metavar="FOLDER", type=Path, help="say where the time of this training run went")
    args = parser.parse_args()
    if args.run:
        spent = time_of_a_run(args.run)
        count, all_s = spent.pop("episodes"), sum(spent.values())
        print(f"{count:.0f} episodes, {all_s / count:.2f} s each")
        for name, figure in spent.items():
            print(f"{name:24} {figure:9.1f} s   {figure / all_s:6.1%}")
        return
    found = measure(args.rounds)
    for name, figures in found["times"].items():
        print(f"{name:24} p50 {figures['p50_ms']:8.1f} ms   p90 {figures['p90_ms']:8.1f} ms")
    for count, figures in found["leases_at_once"].items():
        print(f"{count} leases at once, cold   p50 {figures['p50_ms']:8.1f} ms   all {figures['all_ms']:8.1f} ms")
    for count, figures in found["episodes_a_minute"].items():
        print(
            f"{count} at once: {figures['pool']:7.0f} episodes a minute; "
            f"{figures['fresh']:.0f} with a fresh container each (x {figures['ratio']:.1f})"
        )
    print(
        f"a container: {found['container']['memory_mb']:.1f} MiB, {found['container']['disk_bytes']:.0f} bytes on disk"
    )
    cost = found["grading"]
    print(f"{'grading':24} p50 {cost['p50_ms']:8.1f} ms   p90 {cost['p90_ms']:8.1f} ms")
    print(f"{'  its tests':24} p50 {cost['tests_p50_ms']:8.1f} ms")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"rounds": args.rounds, **found}, file, indent=2)


if __name__ == "__main__":
    main()
