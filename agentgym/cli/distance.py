"""``agentgym distance``: how far two reward files are apart on stored episodes (`agentgym.rewards.distance`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agentgym.cli.common import console, emit_json
from agentgym.cli.stored import StoredRun, build_rewards, load_rewards, shaped
from agentgym.rewards.distance import Transitions, distance, turn_rewards
from agentgym.rewards.table import Floats
from agentgym.trajectory import Trajectory


def measure_distance(path: Path, files: tuple[Path, Path], *, gamma: float, as_json: bool) -> None:
    """Prints how far two reward files are apart.

    Args:
        path: Folder of the run on whose training episodes they are compared.
        files: YAML files with ``rewards:``.
        gamma: Discount of each further turn.
        as_json: Print JSON.

    Raises:
        ConfigError: No such run, or a file that cannot be used.
        DataError: A damaged file of episodes.
    """
    run = StoredRun(path)
    loaded = [load_rewards(file) for file in files]
    scored: tuple[list[Floats], list[Floats]] = ([], [])
    env = run.make_env()

    def episodes() -> Iterator[Trajectory]:
        pipelines = [build_rewards(content, env.signals, file) for file, content in zip(files, loaded, strict=True)]
        for batch, tables in shaped(pipelines, run.batches(), env.taskset):
            for rewards, table in zip(scored, tables, strict=True):
                rewards.append(turn_rewards(table))
            yield from (t for g in batch.groups for t in g.trajectories)

    try:
        transitions = Transitions.of(episodes())
    finally:
        env.close()
    a, b = (np.concatenate([np.zeros(0), *rewards]) for rewards in scored)
    found, turns = distance(a, b, transitions, gamma), len(a)
    if as_json:
        emit_json({"files": [str(f) for f in files], "gamma": gamma, "turns": turns, "distance": found})
        return
    out = console()
    out.print(f"distance {found:.4f} over {turns} turns")
    out.print("(0: they order policies alike; 0.71: unrelated; 1: opposed)")
