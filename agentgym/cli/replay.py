"""``agentgym replay``: a run's updates computed again from its stored episodes, and compared with its checkpoints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from agentgym.cli.common import console, emit_json
from agentgym.trainers.replay import replay

#: Largest difference of a weight that arithmetic in another order explains (other threads, a GPU, more processes).
TOLERANCE = 1e-4


def run_replay(run: Path, *, as_json: bool) -> int:
    """Prints what came of it.

    Returns:
        The exit status: 0 where the weights are the same up to `TOLERANCE`.
    """

    def told(update: int, groups: int) -> None:
        if not as_json:
            console().print(f"update {update}: {groups} groups")

    found = replay(run, told)
    same = found.difference <= TOLERANCE
    if as_json:
        emit_json({**asdict(found), "identical": found.difference == 0, "same": same})
        return 0 if same else 1
    updates = f"updates {found.first + 1} to {found.last} computed again from {found.groups} stored groups: "
    if found.difference == 0:
        console().print(f"{updates}the weights are the stored ones, bit for bit")
    else:
        verdict = "the weights are the stored ones" if same else "the weights are NOT the stored ones"
        console().print(f"{updates}{verdict}; the largest difference is {found.difference:.3g}, in {found.weight}")
    return 0 if same else 1
