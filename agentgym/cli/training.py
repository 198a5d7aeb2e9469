"""``agentgym train``: runs the training loop under a progress display."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from agentgym.cli.common import SIGNAL_EXIT, console, emit_json, number
from agentgym.cli.progress import ConsoleObserver, duration
from agentgym.cli.supervising import supervise
from agentgym.trainers.checkpoint import CheckpointStore
from agentgym.trainers.config import TrainConfig, load_config
from agentgym.trainers.interrupt import Interrupted
from agentgym.trainers.loop import train
from agentgym.trainers.rundir import CHECKPOINTS, choose_directory


def run_training(
    path: Path, overrides: Sequence[str], *, fresh: bool, restarts: int | None = None, as_json: bool
) -> int:
    """Trains and prints where the results are.

    Args:
        path: The configuration.
        overrides: ``key=value`` each, on top of it.
        fresh: Start anew even if an unfinished run of this configuration exists.
        restarts: Train in a process of its own, and in another one where that dies: so often without a new checkpoint
            in between. None: in this one.
        as_json: Progress goes to standard error, the report to standard output.

    Returns:
        The exit status: 0, or 128 + the number of the signal that stopped the run.

    Raises:
        ConfigError: The configuration cannot be used.
    """
    config = load_config(path, overrides)
    directory = choose_directory(config, fresh=fresh)
    work = partial(_train, config, directory, as_json)
    return work() if restarts is None else supervise(work, partial(_newest, directory), restarts)


def _newest(directory: Path) -> Path | None:
    """The newest sound checkpoint."""
    found = CheckpointStore(directory / CHECKPOINTS).latest()
    return None if found is None else found.path


def _train(config: TrainConfig, directory: Path, as_json: bool) -> int:
    out = console(stderr=as_json)
    with ConsoleObserver(out, title=f"run: {directory}") as observer:
        try:
            report = train(config, directory, observer)
        except Interrupted as stopped:
            print(f"{stopped}; the same command goes on from there", file=sys.stderr)
            return SIGNAL_EXIT + stopped.signum
    if as_json:
        emit_json(report)
        return 0
    low, high = report["final_success_ci"]
    out.print(
        f"held-out success at difficulty {report['target_difficulty']}: {number(report['warm_start_success'])} -> "
        f"{number(report['final_success'])} (95% interval {low:.2f}-{high:.2f}) in {duration(report['wall_s'])}, "
        f"{report['episodes']} episodes"
    )
    out.print(f"{directory}/curve.png  report.json  metrics.jsonl  episodes/  tensorboard/", markup=False)
    return 0
