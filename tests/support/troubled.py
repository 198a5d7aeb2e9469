"""A training run that has trouble at given updates; run as a program, so that what dies with it is not the tests.

    python troubled.py CONFIG.yaml '{"2": "kill ray::RayTrainWorker"}'

Writes one JSON document: the report, or the error, and what the run said.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import psutil

from agentgym.faults import AgentGymError
from agentgym.trainers.config import load_config
from agentgym.trainers.loop import train
from agentgym.trainers.observer import Observer
from agentgym.trainers.rundir import choose_directory


def limit_files(size: int) -> None:
    """Files of this process cannot become larger: the disk is full for a checkpoint, not for a line of a log."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def kill(name: str) -> None:
    """Kills a process that this one has started, by the beginning of what it is called."""
    below = psutil.Process().children(recursive=True)
    victims = [p for p in below if p.name() == name or " ".join(p.cmdline()).startswith(name)]
    if not victims:
        raise SystemExit(f"no process {name}")
    victims[-1].kill()


def trouble(what: str) -> None:
    """Makes it."""
    kind, _, detail = what.partition(" ")
    match kind:
        case "full":
            limit_files(int(detail))
        case "room":
            limit_files(resource.RLIM_INFINITY)
        case "kill":
            kill(detail)
        case "stop":
            os.kill(os.getpid(), signal.SIGTERM)


class Troubled(Observer):
    """Makes trouble once an update is done.

    Args:
        plan: Update -> `trouble`.
    """

    def __init__(self, plan: dict[str, str]) -> None:
        self.plan, self.update, self.said = plan, -1, list[str]()

    def phase(self, name: str, total: int, done: int = 0) -> None:
        self.update = done if name == "training" else -1

    def advance(self, metrics: Any) -> None:
        if self.update >= 0:
            self.update += 1
            if what := self.plan.pop(str(self.update), ""):
                trouble(what)

    def message(self, text: str) -> None:
        self.said.append(text)


def main() -> None:
    config = load_config(Path(sys.argv[1]))
    observer = Troubled(json.loads(sys.argv[2]))
    result: dict[str, Any] = {}
    try:
        result["report"] = train(config, choose_directory(config), observer)
    except AgentGymError as error:
        result["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(result | {"said": observer.said}))


if __name__ == "__main__":
    main()
