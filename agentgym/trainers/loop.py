"""`train`: a run from wherever it was to its end, whatever dies on the way."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

from agentgym.faults import RayFault, first_line, typed_line
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.distributed.fault import LearnerFault
from agentgym.trainers.interrupt import Interrupted, StopFlag
from agentgym.trainers.journal import BROKE, RAY, STOPPED, Journal
from agentgym.trainers.observer import Observer
from agentgym.trainers.parts import build_parts
from agentgym.trainers.run import RETRIES, Run
from agentgym.trainers.rundir import RunDirectory
from agentgym.trainers.scribe import Scribe
from agentgym.trainers.status import StatusBoard
from agentgym.trainers.status_run import run_facts


def train(config: TrainConfig, directory: Path, observer: Observer | None = None) -> dict[str, Any]:
    """Runs (or goes on with) a training run.

    Args:
        config: The run.
        directory: Its folder (`choose_directory`).
        observer: Is told what happens.

    Returns:
        The report, as written to ``report.json``.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the run is saved.
        ConfigError: Something in the configuration cannot be used; nothing was trained.
        RayFault: A private Ray died, a few times without a new checkpoint.
    """
    observer = observer or Observer()
    lost: list[Path | None] = []
    with StopFlag() as stop, StatusBoard(directory, config.status.every_s, config.status.prometheus) as board:
        while True:
            try:
                return _train(config, directory, observer, stop, board)
            except RayFault as fault:
                newest = RunDirectory(directory).checkpoints.latest()
                update = 0 if newest is None else newest.state["progress"]["update"]
                Journal(directory).note(RAY, update, str(fault))
                lost.append(None if newest is None else newest.path)
                if lost.count(lost[-1]) > RETRIES:
                    raise
                observer.message(f"fault: {fault}; starting everything again")
                time.sleep(2.0 ** lost.count(lost[-1]))


def _train(
    config: TrainConfig, directory: Path, observer: Observer, stop: StopFlag, board: StatusBoard
) -> dict[str, Any]:
    with build_parts(config, directory) as parts, Scribe() as scribe:
        run = Run(config, parts, observer, stop, scribe)
        try:
            board.source("run", partial(run_facts, run))
            board.source("rollout", parts.pool.snapshot)
            while True:
                try:
                    return run.go()
                except LearnerFault as fault:
                    run.recover(fault)
        except Interrupted as interrupted:
            run.save()
            scribe.wait()
            if run.saver.error is not None:
                raise run.saver.error from None
            run.journal.note(STOPPED, run.progress.update, str(interrupted))
            raise Interrupted(interrupted.signum, f"saved at update {run.progress.update} in {directory}") from None
        except RayFault:
            raise
        except Exception as error:
            if _ray_died(config):  # what was called when it did may have raised anything
                raise RayFault(f"Ray's own processes on this machine died ({first_line(error)})") from error
            run.journal.note(BROKE, run.progress.update, typed_line(error))
            raise
        finally:
            run.close_stream()


def _ray_died(config: TrainConfig) -> bool:
    if not config.rollout.workers and config.learner.processes == 1:
        return False
    from agentgym.rollout.session import RaySession

    return RaySession.died()
