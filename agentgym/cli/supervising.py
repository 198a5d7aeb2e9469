"""``agentgym train --restarts``: the run goes on in another process where the one that trains dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import FrameType

from agentgym.cli.common import EXIT_FAILED, SIGNAL_EXIT, complain
from agentgym.faults import AgentGymError

_LONGEST_WAIT_S = 30.0


def supervise(work: Callable[[], int], progress: Callable[[], object], restarts: int) -> int:
    """Does work in a process of its own, and again in another one where that was killed or failed.

    It is not tried again where it ended by itself, was asked to stop, or cannot be done as it was asked for.

    Args:
        work: Returns an exit status. Can be pickled, and goes on where an earlier process was.
        progress: Differs once there is something new that is saved.
        restarts: How many there may be in a row that came to nothing new.

    Returns:
        The exit status of the last process; 128 plus the number of the signal that killed it.
    """
    failures, before = 0, progress()
    while True:
        process = multiprocessing.get_context("spawn").Process(target=_child, args=(work,))
        process.start()
        with _forwarding(process):
            process.join()
        code = process.exitcode or 0
        if code >= 0 and code != EXIT_FAILED:
            return code
        after = progress()
        failures = failures + 1 if after == before else 1
        before = after
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else "failed"
        if failures > restarts:
            print(f"the run {how}, {failures} times without anything new; giving up", file=sys.stderr)
            return SIGNAL_EXIT - code if code < 0 else code
        print(f"the run {how}; starting it again ({failures} of {restarts} without anything new)", file=sys.stderr)
        time.sleep(min(2.0 ** (failures - 1), _LONGEST_WAIT_S))


def _child(work: Callable[[], int]) -> None:
    # A group of its own, so that Ctrl-C reaches the supervisor alone, which hands it on once.
    os.setpgrp()
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        code = work()
    except AgentGymError as error:
        code = complain(error)
    sys.exit(code)


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _forwarding(process: BaseProcess) -> Iterator[None]:
    def forward(signum: int, frame: FrameType | None) -> None:
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signum)

    previous = {signum: signal.signal(signum, forward) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
