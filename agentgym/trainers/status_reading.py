"""`read_run`: what a run's folder says of the run, and whether it is alive.

``status.json`` says most; a run of an older version has none, and then ``metrics.jsonl`` and ``report.json`` say what
they can. A process that was killed cannot say so: it is known by its process id on its own machine, and anywhere by a
file that has become too old.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from agentgym.faults import ConfigError
from agentgym.trainers.rundir import CONFIG, METRICS, REPORT, read_metrics
from agentgym.trainers.status_model import STATUS, EpisodeCounts, RunStatus, Steps

#: A file is fresh until it is older than this many of the seconds between two writes ...
STALE_AFTER = 5.0
#: ... and than this many seconds: a busy machine and a network disk are slow at times.
STALE_S = 15.0
_PID_SLACK_S = 60.0  # by which a clock that is set anew may seem to make a process younger


class State(StrEnum):
    """What has become of a run."""

    RUNNING = "running"
    SILENT = "silent"
    """Its process lives and says nothing: stopped, hanging, or unable to write."""
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    KILLED = "killed"
    UNKNOWN = "unknown"
    """Unfinished, and written by a version that does not say more."""


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as its folder shows it.

    Attributes:
        directory: The folder.
        state: What has become of it.
        status: What it said last; with hardly a fact for a run of an older version.
        since: When it said that.
        report: Of a finished run.
        resume: The command that goes on with an unfinished one.
    """

    directory: Path
    state: State
    status: RunStatus
    since: datetime | None
    report: dict[str, Any] | None
    resume: str | None


def read_run(directory: Path) -> RunView:
    """Looks at a run's folder.

    Raises:
        ConfigError: It is not the folder of a run, or a file in it is damaged.
    """
    if not directory.is_dir():
        raise ConfigError(f"no run {str(directory)!r}")
    if not any((directory / name).is_file() for name in (STATUS, CONFIG, METRICS, REPORT)):
        raise ConfigError(
            f"{directory} is not the folder of a run: it has no {STATUS}, {CONFIG}, {METRICS} or {REPORT}"
        )
    status = _status(directory)
    report = _json(directory / REPORT)
    state = State.FINISHED if report is not None else _state(status)
    since = status.written or _last_change(directory)
    alive = state in (State.RUNNING, State.SILENT, State.FINISHED)
    return RunView(directory, state, status, since, report, None if alive else resume_command(directory, status))


def _status(directory: Path) -> RunStatus:
    data = _json(directory / STATUS)
    if data is None:
        return _reconstructed(directory)
    try:
        return RunStatus.model_validate(data)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise ConfigError(f"{directory / STATUS}: {where}: {problem['msg']}") from None


def _reconstructed(directory: Path) -> RunStatus:
    """What a run of an older version says of itself."""
    status = RunStatus(run=directory.resolve().name)
    config, report = _config(directory), _json(directory / REPORT)
    if isinstance(config.get("updates"), int):
        status.updates = config["updates"]
    rows = read_metrics(directory)
    trained = [row for row in rows if row.get("phase") == "train"]
    if rows and not trained:
        phases = (config.get("warm_start") or {}).get("phases", ())
        status.phase = "warm_start"
        status.warm_start = Steps(done=rows[-1]["update"], of=sum(phase.get("steps", 0) for phase in phases))
    if trained:
        last = trained[-1]
        status.update = last["update"]
        status.metrics = {k: v for k, v in last.items() if isinstance(v, float | int) and k != "update"}
        if "episodes" in last:
            status.episodes = EpisodeCounts(done=int(last["episodes"]))
    if report is not None:
        status.update = report.get("updates", status.update)
        status.wall_s, status.faults = report.get("wall_s"), report.get("faults", {})
        status.share, status.seconds = report.get("time_share", {}), report.get("seconds", {})
        status.evaluation = next(iter(reversed(report.get("evaluations", []))), None)
        if "episodes" in report:
            status.episodes = EpisodeCounts(done=report["episodes"])
    return status


def _state(status: RunStatus) -> State:
    if status.written is None:
        return State.UNKNOWN
    if status.ended is not None:
        return State(status.ended)
    fresh = age_s(status.written) < max(STALE_AFTER * (status.every_s or 0.0), STALE_S)
    if status.host != socket.gethostname() or status.pid is None:
        return State.RUNNING if fresh else State.KILLED
    if not _lives(status.pid, status.started):
        return State.KILLED
    return State.RUNNING if fresh else State.SILENT


def age_s(moment: datetime) -> float:
    """Seconds since then; not below 0, whatever the other machine's clock says."""
    return max((datetime.now(UTC) - moment).total_seconds(), 0.0)


def _lives(pid: int, started: datetime | None) -> bool:
    """Whether the process is there, and not another one that has got its number since."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, so it is there
        pass
    if started is None:
        return True
    with suppress(ImportError):
        import psutil

        try:
            process = psutil.Process(pid)
            ours = bool(process.create_time() <= started.timestamp() + _PID_SLACK_S)
            return ours and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True
    return True


def resume_command(directory: Path, status: RunStatus) -> str:
    """The command that goes on with an unfinished run: its own, or one that its stored configuration allows."""
    if status.command is not None and status.cwd is not None:
        command, cwd = status.command, Path(status.cwd)
    else:
        command = shlex.join(["agentgym", "train", str(directory.resolve() / CONFIG)])
        runs = str(_config(directory).get("runs", "runs"))
        parent = str(directory.resolve().parent)
        # A relative folder of runs is found from where the run was begun.
        cwd = (
            Path(parent.removesuffix(runs)) if not Path(runs).is_absolute() and parent.endswith(f"/{runs}") else Path()
        )
    return command if cwd.resolve() == Path.cwd() else f"cd {shlex.quote(str(cwd))} && {command}"


def _last_change(directory: Path) -> datetime | None:
    files = [file for file in (directory / METRICS, directory / REPORT, directory / CONFIG) if file.is_file()]
    return datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC) if files else None


def _json(file: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"{file}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: not a JSON object")
    return data


def _config(directory: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load((directory / CONFIG).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return data if isinstance(data, dict) else {}
