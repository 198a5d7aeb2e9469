"""What `agentgym status` shows of runs in every state; the runs themselves are tried in tests/trainers."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from agentgym.cli import status as command
from agentgym.cli.status_view import MAX_WORKERS, render
from agentgym.trainers.status_facts import to_json
from agentgym.trainers.status_model import RunStatus
from agentgym.trainers.status_reading import read_run

WORKER = {
    "groups": 3,
    "in_flight": 24,
    "episodes": 1200,
    "tokens": 1e6,
    "tokens_per_s": 5321.4,
    "heard_s": 1.2,
    "share": {"generating": 0.5, "stepping": 0.25, "idle": 0.25},
}
SCORES = [
    {"mode": "greedy", "difficulty": 2, "success": 0.75, "ci": [0.6, 0.86]},
    {"mode": "sampled", "difficulty": 2, "success": 0.5, "ci": [0.3, 0.7]},
]
FACTS = {
    "phase": "learn",
    "update": 30,
    "updates": 120,
    "wall_s": 754.0,
    "eta_s": 2262.0,
    "every_s": 2.0,
    "command": "agentgym train search.yaml",
    "episodes": {"done": 7296, "in_flight": 48},
    "groups": {"waiting": 0, "in_flight": 6, "finished": 2},
    "queues": {"weights": 1},
    "staleness": {"versions": {"0": 12, "1": 1}, "dropped": {"stale": 3, "no_signal": 9}, "corrected": 4},
    "tokens_per_s": {"rollout": 12431.2, "learner": 8012.0},
    "share": {"rollout": 0.6, "learn": 0.3, "checkpoint": 0.1, "log": 0.0001},
    "recent": {"rollout": 0.5, "learn": 0.5, "checkpoint": 0.0, "log": 0.0},
    "workers": {"0": WORKER, "1": {**WORKER, "share": {"playing": 0.9, "idle": 0.1}}},
    "faults": {"timeout": 3, "worker": 1},
    "engine": {"generated": 1_234_567, "busy_s": 99.0, "evictions": 0},
    "metrics": {"loss": -0.0125, "success": 0.8125, "groups_with_signal": 0.5, "lr": 1e-4},
    "evaluation": {"update": 20, "scores": SCORES},
    "errors": {"gpu": "RuntimeError: no driver"},
    "more": {"cache": {"hits": 0.5}},
    "prometheus": "http://127.0.0.1:9400/metrics",
}


@pytest.fixture
def told(tmp_path):
    """``told(**facts)``: the folder of a run of this process that said so a moment ago; `ago` seconds ago, if given."""

    def write(ago=0.0, **facts):
        run = tmp_path / "search-4"
        run.mkdir(exist_ok=True)
        now = datetime.now(UTC)
        known = {"host": socket.gethostname(), "pid": os.getpid(), "started": now, "cwd": str(tmp_path)}
        status = RunStatus(**{**known, "written": now - timedelta(seconds=ago), **FACTS, **facts})
        (run / "next.json").write_text(json.dumps(to_json(status)))
        (run / "next.json").replace(run / "status.json")
        return run

    return write


def screen(run, width=120, ascii_only=False):
    """Lines of text, without what pads them."""
    out = Console(width=width, file=io.StringIO())
    out.print(render(read_run(run), width, ascii_only))
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_a_run_at_work_fits_one_screen(told):
    lines = screen(told())
    text = "\n".join(lines)
    assert len(lines) < 35
    assert lines[0].startswith(f"search-4  running  process {os.getpid()} on {socket.gethostname()} · 12:34 so far")
    assert lines[0].endswith("about 37:42 left")
    assert lines[1].startswith("update 30/120")
    assert lines[1].split()[-2:] == ["25%", "learn"]
    for line in (
        "episodes     7,296 done · 48 in flight",
        "groups       0 waiting · 6 in flight · 2 finished",
        "queues       weights 1",
        "tokens/s     12,431 sampled · 8,012 learned from",
        "staleness    12 groups 0 behind · 1 group 1 behind",
        "left out     3 stale · 9 no signal",
        "corrected    4 stale groups",
        "last update  loss -0.013 · success 0.812 · signal 0.500",
        "held out     after update 20 · difficulty 2: 0.75 (0.60-0.86)",
        "engine       generated 1.23 M",
        "faults       timeout 3 · worker 1",
        "not known    gpu: RuntimeError: no driver",
        "cache        hits 0.5",
        "prometheus   http://127.0.0.1:9400/metrics",
    ):
        assert line in lines, text
    assert not any(line.startswith("log ") for line in lines)  # no time worth a line
    workers = [line.split() for line in lines[lines.index("") :] if line.startswith(("0 ", "1 "))]
    assert workers[0][:7] == ["0", "3", "24", "1,200", "5,321", "1", "s"]
    assert workers[0][7] == "█" * 12 + "▒" * 6 + "·" * 6
    assert workers[0][8:] == ["50%", "25%", "25%"]
    assert workers[1][7] == "█" * 22 + "·" * 2
    assert "goes on with it" not in text


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_it_fits_any_terminal(told, width, ascii_only):
    lines = screen(told(), width, ascii_only)
    assert max(map(len, lines)) <= width
    assert all("…" not in line for line in lines)
    (bars,) = [line for line in lines if line.startswith("0 ")]
    assert ("#" in bars, "█" in bars) == (ascii_only, not ascii_only)


def test_many_workers_are_not_all_listed(told):
    lines = screen(told(workers={str(n): WORKER for n in range(500)}))
    assert f"and {500 - MAX_WORKERS} more, which --json has" in lines
    assert len(lines) < 50


def test_a_killed_run_says_since_when_and_what_goes_on_with_it(told, tmp_path):
    lines = screen(told(ago=600.0, pid=2**22 + 1), width=300)
    assert lines[0].startswith("search-4  killed  last heard of 10 min ago (2")
    assert lines[1] == f"this goes on with it:  cd {tmp_path} && agentgym train search.yaml"
    text = "\n".join(lines)
    assert "in flight" not in text
    assert "tokens/s" not in text
    assert "7,296 done" in text


def test_stopped_and_failed_runs_say_why(told):
    stopped = "Interrupted: stopped by SIGTERM; saved at update 30"
    lines = screen(told(ended="interrupted", error=stopped))
    assert "interrupted" in lines[0]
    assert lines[1] == stopped
    assert lines[2].startswith("this goes on with it:")
    lines = screen(told(ended="failed", error="OSError: \x1b[2J no space"))
    assert "failed" in lines[0]
    assert "\x1b" not in lines[1]
    assert lines[1].endswith("no space")


def test_a_silent_run_is_not_called_dead(told):
    lines = screen(told(ago=180.0))
    assert "silent" in lines[0]
    assert "silent for 3 min" in lines[0]
    assert "its process lives and does not write" in lines[1]


def test_a_finished_run_shows_what_it_reached(told):
    run = told(ended="finished", update=120)
    report = {
        "target_difficulty": 4,
        "warm_start_success": 0.05,
        "final_success": 0.98,
        "final_success_ci": [0.95, 0.99],
    }
    (run / "report.json").write_text(json.dumps(report))
    lines = screen(run)
    assert "finished" in lines[0]
    assert "took 12:34" in lines[0]
    assert lines[1] == "held-out success at difficulty 4: 0.05 -> 0.98 (95% interval 0.95-0.99)"


def test_a_run_in_its_warm_start(told):
    lines = screen(told(update=0, warm_start={"done": 50, "of": 200}, phase="warm_start", eta_s=None))
    assert lines[1].startswith("warm start 50/200")
    assert lines[1].endswith("25%")


def test_an_old_run_says_that_it_cannot_tell(run, tmp_path):
    (tmp_path / "config.yaml").write_text("updates: 10\n")
    (tmp_path / "metrics.jsonl").write_text('{"update": 4, "phase": "train", "success": 0.5, "episodes": 64}\n')
    text = run("status", tmp_path).stdout
    assert "unknown" in text
    assert "it has no status.json, so nothing says whether it is running" in text
    assert "update 4/10" in text
    assert "64 done" in text


def test_json_has_everything(run, told):
    folder = told()
    data = json.loads(run("status", folder, "--json").stdout)
    assert (data["run"], data["state"]) == (str(folder), "running")
    assert data["status"]["workers"]["1"]["share"] == {"playing": 0.9, "idle": 0.1}
    assert "resume" not in data
    data = json.loads(run("status", told(pid=2**22 + 1), "--json").stdout)
    assert data["state"] == "killed"
    assert data["resume"].endswith("agentgym train search.yaml")


def test_mistakes_are_one_line(error, tmp_path, told):
    assert error("status", tmp_path / "nowhere") == f"no run '{tmp_path / 'nowhere'}'"
    assert "is not the folder of a run" in error("status", tmp_path)
    assert error("status", told(), "--json", "--watch") == "give --watch or --json, not both"


def test_watching_ends_with_the_run(run, told, monkeypatch):
    monkeypatch.setattr(command, "WATCH_S", 0.02)
    folder = told()

    def go_on() -> None:
        for update in range(31, 40):
            time.sleep(0.03)
            told(update=update)
        told(update=120, ended="finished")

    thread = threading.Thread(target=go_on)
    thread.start()
    text = run("status", folder, "--watch").stdout
    thread.join()
    assert "finished" in text
    assert "update 120/120" in text


def test_watching_in_a_terminal_ends_with_ctrl_c(told, tmp_path):
    """A real terminal, and the key that people press."""
    folder = told()
    terminal, theirs = pty.openpty()
    command_line = [sys.executable, "-m", "agentgym", "status", str(folder), "--watch"]
    with subprocess.Popen(
        command_line,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=os.environ | {"TERM": "xterm"},  # on a dumb one nothing is drawn over
        # Whoever runs the tests in the background has its children deaf to it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as watching:
        os.close(theirs)
        text = b""
        try:
            while text.count(b"search-4") < 2:  # drawn, and drawn again over it
                text += os.read(terminal, 4096)
            watching.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # how Linux says that nobody holds the other end any more
                while more := os.read(terminal, 4096):
                    text += more
            assert watching.wait(60) == 0
        finally:
            watching.kill()  # its end is waited for
    os.close(terminal)
    assert b"Traceback" not in text
    assert b"\x1b[?25h" in text  # the cursor is back
