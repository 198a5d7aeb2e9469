"""What a folder says of its run: of live ones, dead ones, damaged ones, and those of old versions."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentgym.faults import ConfigError
from agentgym.trainers.status_facts import to_json
from agentgym.trainers.status_model import RunStatus
from agentgym.trainers.status_reading import STALE_S, State, read_run

CONFIG = """
name: search
runs: runs
updates: 40
warm_start: {phases: [{steps: 30}, {steps: 20}]}
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A live process of ours."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def write(run: Path, ago_s: float = 0.0, **facts: Any) -> None:
    run.mkdir(exist_ok=True, parents=True)
    written = datetime.now(UTC) - timedelta(seconds=ago_s)
    known = {"run": run.name, "host": socket.gethostname(), "every_s": 2.0, "started": datetime.now(UTC)}
    status = RunStatus(**{**known, "written": written, **facts})
    (run / "status.json").write_text(json.dumps(to_json(status)))


def test_alive_on_this_machine(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    run = tmp_path / "run"
    write(run, pid=sleeper.pid)
    assert (read_run(run).state, read_run(run).resume) == (State.RUNNING, None)
    write(run, pid=sleeper.pid, ago_s=STALE_S + 1)
    assert read_run(run).state is State.SILENT
    write(run, pid=sleeper.pid, ago_s=STALE_S + 1, every_s=60.0)
    assert read_run(run).state is State.RUNNING  # it writes once a minute
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    write(run, pid=sleeper.pid)
    assert read_run(run).state is State.KILLED  # not yet waited for: a zombie
    sleeper.wait()
    assert read_run(run).state is State.KILLED  # long before the file is stale


def test_another_process_with_its_number_is_not_the_run(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    write(tmp_path / "run", pid=sleeper.pid, started=datetime.now(UTC) - timedelta(hours=1))
    assert read_run(tmp_path / "run").state is State.KILLED


def test_on_another_machine_only_the_file_tells(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, pid=2**22 + 1, host="elsewhere")
    assert read_run(run).state is State.RUNNING
    write(run, pid=2**22 + 1, host="elsewhere", ago_s=-30)  # its clock is half a minute ahead
    assert read_run(run).state is State.RUNNING
    write(run, pid=os.getpid(), host="elsewhere", ago_s=STALE_S + 1)
    assert read_run(run).state is State.KILLED


@pytest.mark.parametrize("ended", ["interrupted", "failed"])
def test_a_run_that_said_goodbye(tmp_path: Path, ended: Any) -> None:
    write(tmp_path / "run", pid=os.getpid(), ended=ended, command="agentgym train a.yaml 'x=[1, 2]'", cwd=str(tmp_path))
    view = read_run(tmp_path / "run")
    assert view.state.value == ended
    assert view.resume == f"cd {tmp_path} && agentgym train a.yaml 'x=[1, 2]'"


def test_the_folder_is_left_out_where_one_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run", pid=0, host="elsewhere", ended="failed", command="agentgym train a.yaml", cwd=str(tmp_path))
    assert read_run(Path("run")).resume == "agentgym train a.yaml"


def test_a_report_means_finished_whatever_the_status_says(tmp_path: Path) -> None:
    write(tmp_path / "run", pid=2**22 + 1, ago_s=1000)
    (tmp_path / "run" / "report.json").write_text('{"final_success": 0.5}')
    view = read_run(tmp_path / "run")
    assert (view.state, view.report, view.resume) == (State.FINISHED, {"final_success": 0.5}, None)


# -- runs of versions that wrote no status ----------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> Path:
    run = tmp_path / "runs" / "search"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(CONFIG)
    return run


def rows(run: Path, *rows: dict[str, Any]) -> None:
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"upd')


def test_an_old_run_in_its_warm_start(old: Path) -> None:
    rows(old, {"update": 1, "phase": "warm_start", "loss": 3.0}, {"update": 2, "phase": "warm_start", "loss": 2.5})
    view = read_run(old)
    assert view.state is State.UNKNOWN
    assert view.status.warm_start is not None
    assert (view.status.warm_start.done, view.status.warm_start.of) == (2, 50)
    assert (view.status.update, view.status.updates) == (None, 40)
    assert view.since is not None
    assert abs(view.since - datetime.now(UTC)) < timedelta(minutes=5)


def test_an_old_run_in_its_updates(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows(old, {"update": 50, "phase": "warm_start"}, {"update": 7, "phase": "train", "success": 0.25, "episodes": 896})
    view = read_run(old)
    assert (view.status.update, view.status.metrics["success"]) == (7, 0.25)
    assert view.status.episodes is not None
    assert (view.status.episodes.done, view.status.episodes.in_flight) == (896, None)
    # `runs` is relative, so the command must be given where it was given before.
    command = f"agentgym train {old / 'config.yaml'}"
    assert view.resume == f"cd {old.parents[1]} && {command}"
    monkeypatch.chdir(old.parents[1])
    assert read_run(Path("runs/search")).resume == command


def test_an_old_finished_run(old: Path) -> None:
    report = {"updates": 40, "episodes": 5120, "wall_s": 99.5, "faults": {"timeout": 2}, "time_share": {"learn": 1.0}}
    (old / "report.json").write_text(json.dumps(report | {"evaluations": [{"update": 0}, {"update": 40}]}))
    view = read_run(old)
    assert view.state is State.FINISHED
    assert (view.status.update, view.status.wall_s, view.status.faults) == (40, 99.5, {"timeout": 2})
    assert view.status.evaluation == {"update": 40}


# -- folders that are none, files that are damaged --------------------------------------------------------------------


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ConfigError, match="is not the folder of a run"):
        read_run(tmp_path)
    with pytest.raises(ConfigError, match=r"no run '.*notes\.txt'"):
        read_run(tmp_path / "notes.txt")
    with pytest.raises(ConfigError, match=r"no run '.*nowhere'"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "status.json: not JSON"),
        ("[]", "status.json: not a JSON object"),
        ('{"update": "many"}', "status.json: update: Input should be a valid integer"),
        ('{"pid": 1, "written": "yesterday"}', "status.json: written: "),
    ],
)
def test_a_damaged_status_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_run(tmp_path)


def test_a_status_of_a_newer_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    write(tmp_path / "run", pid=os.getpid(), update=3)
    file = tmp_path / "run" / "status.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 2, "mood": "good"}))
    assert read_run(tmp_path / "run").status.update == 3
