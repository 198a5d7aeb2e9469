"""The live view of real runs: while they run, killed, stopped, finished; and a board that nothing can stop."""

from __future__ import annotations

import errno
import json
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgym.faults import ConfigError
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.interrupt import Interrupted
from agentgym.trainers.loop import train
from agentgym.trainers.rundir import RunDirectory
from agentgym.trainers.status import StatusBoard, worker_parts
from agentgym.trainers.status_model import RunStatus
from agentgym.trainers.status_reading import State, read_run

#: A run that goes on for ever, as far as a test is concerned.
CONFIG: dict[str, Any] = {
    "name": "toy",
    "env": {
        "id": "agentgym/Search-v0",
        "kwargs": {"instructions": "none", "hops": [1], "worlds": 2, "heldout_worlds": 1, "questions": 4},
    },
    "tiny": {"width": 16, "layers": 1, "heads": 2},
    "sampling": {"max_tokens": 4},
    "rollout": {"workers": 0},
    "updates": 100_000,
    "tasks_per_update": 2,
    "samples_per_task": 2,
    "learner": {"threads": 1},
    "eval": {"every": 0, "tasks": 1, "final_tasks": 1},
    "status": {"every_s": 0.1, "prometheus_port": 0},
}
PATIENCE_S = 120.0


def until(true: Callable[[], Any], what: str) -> Any:
    """Waits until something is the case, and returns it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.05)
    pytest.fail(f"{what} did not come about in {PATIENCE_S:g} s")


@contextmanager
def process(command: list[str], cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def said(run: Path, least: int, pid: int) -> RunStatus | None:
    """What that process says of its run, once it has done so many updates."""
    if not (run / "status.json").exists():
        return None
    status = read_run(run).status
    return status if status.pid == pid and (status.update or 0) >= least and status.eta_s is not None else None


@pytest.mark.timeout(300)
def test_a_run_from_its_first_update_to_its_end(tmp_path: Path) -> None:
    """One run: alive, killed by SIGKILL, gone on with by the command it names, stopped by SIGTERM, finished."""
    file, run = tmp_path / "toy.yaml", tmp_path / "runs" / "toy"
    file.write_text(yaml.safe_dump(CONFIG))
    begin = [sys.executable, "-m", "agentgym", "train", "toy.yaml", "--fresh"]
    with process(begin, tmp_path) as running:
        status = until(lambda: said(run, 2, running.pid), "a running run")
        view = read_run(run)
        assert (view.state, view.resume) == (State.RUNNING, None)
        assert (status.host, status.updates, status.ended) == (socket.gethostname(), 100_000, None)
        assert status.phase in {"rollout", "learn", "credit", "companions", "weights", "checkpoint", "log"}
        assert status.eta_s is not None
        assert status.eta_s > 0
        assert status.episodes is not None
        assert status.episodes.done is not None
        assert abs(status.episodes.done - 4 * (status.update or 0)) <= 4  # an update counts before its episodes do
        assert status.share["rollout"] > 0
        assert sum(status.share.values()) == pytest.approx(1, abs=0.01)
        assert sum(status.recent.values()) == pytest.approx(1, abs=0.01)
        assert sum(status.workers["0"].share.values()) == pytest.approx(1, abs=0.01)
        assert status.workers["0"].share["generating"] > 0
        assert status.tokens_per_s["rollout"] > 0
        assert status.tokens_per_s["learner"] > 0
        assert status.engine["generated"] > 0
        assert "success" in status.metrics
        assert status.evaluation is not None
        assert not status.errors
        check_prometheus(status)
        running.kill()
        running.wait()
        view = read_run(run)
        assert view.state is State.KILLED
        assert view.since is not None
        assert view.resume == f"cd {shlex.quote(str(tmp_path))} && agentgym train toy.yaml"
        before = view.status.update or 0

    # The command that it names, as this interpreter runs it, goes on in the same folder.
    resume = [sys.executable, "-m", *shlex.split(view.resume.partition(" && ")[2])]
    with process(resume, tmp_path) as running:
        until(lambda: said(run, max(before, 2), running.pid), "the run gone on with")
        running.terminate()
        assert running.wait(PATIENCE_S) == 128 + signal.SIGTERM
        view = read_run(run)
        assert view.state is State.INTERRUPTED
        assert "SIGTERM; saved at update" in (view.status.error or "")
        assert view.status.eta_s is None
        assert view.resume is not None

    last = (view.status.update or 0) + 1
    subprocess.run([*resume, f"updates={last}"], cwd=tmp_path, check=True, capture_output=True)
    view = read_run(run)
    assert (view.state, view.resume, view.status.ended) == (State.FINISHED, None, "finished")
    assert view.status.update == view.status.updates == last
    assert view.report is not None
    assert view.report["updates"] == last
    assert [path.name for path in run.parent.iterdir()] == ["toy"]
    assert [path.name for path in run.glob(".status*")] == []


def check_prometheus(status: RunStatus) -> None:
    """What curl reads is in Prometheus' format and says the same as the file."""
    from prometheus_client.parser import text_string_to_metric_families

    assert status.prometheus is not None
    assert status.prometheus.startswith("http://127.0.0.1:")
    text = subprocess.run(["curl", "-sSf", status.prometheus], check=True, capture_output=True, text=True).stdout
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert all(name.startswith("agentgym_") for name, *_ in samples)
    assert samples["agentgym_updates",] == status.updates
    assert samples["agentgym_update",] >= (status.update or 0)
    assert samples["agentgym_episodes_total",] >= 4
    assert samples["agentgym_phase_seconds_total", ("phase", "rollout")] > 0
    assert samples["agentgym_worker_share", ("kind", "generating"), ("worker", "0")] > 0
    assert samples["agentgym_tokens_per_second", ("kind", "rollout")] > 0
    assert ("agentgym_heldout_success", ("difficulty", "1"), ("kind", "greedy")) in samples


def test_a_port_in_use_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = TrainConfig.model_validate({**CONFIG, "status": {"prometheus_port": port}})
        with pytest.raises(ConfigError, match=rf"status.prometheus_port: 127.0.0.1:{port} cannot be listened on"):
            train(config, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_tells_of_itself_does_not_make_it_another_run(tmp_path: Path) -> None:
    """Nor does a configuration that was stored before there was anything to tell."""
    directory = RunDirectory(tmp_path)
    directory.write_config(TrainConfig.model_validate(CONFIG))
    other = TrainConfig.model_validate({**CONFIG, "status": {"every_s": 30}})
    assert directory.same_config(other)
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    del stored["status"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(stored))
    assert directory.same_config(other)
    assert not directory.same_config(other.model_copy(update={"seed": 1}))


# -- the board alone -----------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "search"
    path.mkdir()
    return path


def stored(run: Path) -> RunStatus:
    return RunStatus.model_validate_json((run / "status.json").read_text())


def test_facts_are_told_asked_for_and_merged(run: Path) -> None:
    with StatusBoard(run, every_s=60) as board:
        board.set(phase="rollout", update=3, faults={"timeout": 1})
        board.source("a", lambda: {"groups": {"waiting": 1}, "faults": {"timeout": 2, "worker": 1}, "phase": "learn"})
        board.source("b", lambda: {"groups": {"in_flight": 2}, "gpu": {"memory": 0.5}})
        status = board.refresh()
    assert (status.phase, status.update) == ("learn", 3)
    assert status.groups is not None
    assert (status.groups.waiting, status.groups.in_flight, status.groups.finished) == (1, 2, None)
    assert status.faults == {"timeout": 3, "worker": 1}
    assert status.more == {"b": {"gpu": {"memory": 0.5}}}
    assert stored(run).faults == status.faults
    data = json.loads((run / "status.json").read_text())
    assert data["format"] == 1
    assert "updates" not in data  # not known, so not there: neither null nor 0
    assert data["groups"] == {"waiting": 1, "in_flight": 2}


def test_what_a_source_cannot_say_is_an_error_and_nothing_else_is_lost(run: Path) -> None:
    def broken() -> Mapping[str, Any]:
        raise RuntimeError("two\nlines")

    with StatusBoard(run, every_s=0.01) as board:
        board.source("broken", broken)
        board.source("none", lambda: None)  # type: ignore[arg-type,return-value]
        board.source("wrong", lambda: {"update": "many", "version": 4})
        until(lambda: (run / "status.json").exists() and len(stored(run).errors) == 3, "three errors")
    status = stored(run)
    assert status.errors["broken"] == "RuntimeError: two lines"
    assert "update" in status.errors["update"]
    assert (status.update, status.version, status.ended) == (None, 4, "finished")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_numbers_that_are_none_are_not_known(run: Path, value: float | None) -> None:
    with StatusBoard(run, every_s=60) as board:
        board.set(metrics={"loss": value, "success": 0.5}, eta_s=value)
        assert board.refresh().metrics == {"success": 0.5}
    assert stored(run).metrics == {"success": 0.5}


def test_a_full_disk_is_said_once_and_the_run_goes_on(
    run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every write fails as on a full disk, then there is room again."""
    full = threading.Event()
    write = Path.write_text
    failed = 0

    def write_text(path: Path, *args: Any, **kwargs: Any) -> int:
        nonlocal failed
        if full.is_set():
            failed += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", write_text)
    with caplog.at_level(logging.WARNING, "agentgym.trainers.status"), StatusBoard(run, every_s=0.005) as board:
        until((run / "status.json").exists, "the first write")
        full.set()
        until(lambda: failed > 5, "failing writes")
        full.clear()
        board.set(update=7)
        until(lambda: stored(run).update == 7, "a write")
    assert caplog.text.count("status cannot be written") == 1
    assert "No space left on device" in caplog.text
    assert [path.name for path in run.iterdir()] == ["status.json"]


def test_readers_never_see_half_a_file(run: Path) -> None:
    with StatusBoard(run, every_s=0.001) as board:
        board.set(metrics={f"figure_{n}": n / 7 for n in range(2000)})
        until((run / "status.json").exists, "the first write")
        for _ in range(50):
            json.loads((run / "status.json").read_text())


def test_nothing_is_written_before_there_is_a_folder(tmp_path: Path) -> None:
    with StatusBoard(tmp_path / "later", every_s=0.01):
        time.sleep(0.05)
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "later").mkdir()
        until((tmp_path / "later" / "status.json").exists, "a write")


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (None, "finished"),
        (Interrupted(signal.SIGINT, "saved"), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (ConfigError("no such key"), "failed"),
    ],
)
def test_how_a_run_ended_is_said(run: Path, error: BaseException | None, ended: str) -> None:
    with suppress(*(() if error is None else (type(error),))), StatusBoard(run, every_s=60) as board:
        board.set(update=1, updates=9)
        if error is not None:
            raise error
    status = stored(run)
    assert (status.ended, status.pid, status.run) == (ended, os.getpid(), "search")
    assert (status.error is None) == (error is None)


def test_a_source_that_hangs_holds_nobody_up(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentgym.trainers.status._JOIN_S", 0.1)
    release, asked = threading.Event(), threading.Event()

    def hang() -> Mapping[str, Any]:
        asked.set()
        release.wait(PATIENCE_S)
        return {}

    began = time.monotonic()
    with StatusBoard(run, every_s=0.01) as board:
        board.source("hanging", hang)
        assert asked.wait(PATIENCE_S)
        board.set(update=5)
    assert time.monotonic() - began < PATIENCE_S / 2
    assert (stored(run).update, stored(run).ended) == (5, "finished")
    release.set()
    board._thread.join(PATIENCE_S)
    assert (stored(run).update, stored(run).ended) == (5, "finished")  # it has nothing more to say


def test_rates_shares_and_the_time_left(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute of a run whose every figure is known: an update takes 10 s, of which 4 s are learning."""
    now = 0.0
    monkeypatch.setattr("agentgym.trainers.status.time.monotonic", lambda: now)
    board = StatusBoard(run)
    board.set(updates=100, update=0, phase="warm_start")
    for _ in range(100):  # the warm start says nothing of the pace of updates
        now += 1.0
        status = board.refresh()
    assert status.eta_s is None
    for second in range(1, 61):
        now += 1.0
        update, within = divmod(second, 10)
        learned = 4 * update + max(within - 6, 0)
        board.set(
            update=update,
            phase="rollout",
            seconds={"warm_start": 100, "learn": learned, "rollout": second - learned},
            tokens={"rollout": 50 * second, "learner": 600 * update},
            workers={
                "3": {
                    "tokens": 50 * second,
                    "seconds": {"up": second, "playing": second / 2, "generating": 0.3 * second},
                }
            },
        )
        status = board.refresh()
    assert status.eta_s == pytest.approx(94 * 10, rel=0.05)
    assert status.share == {"warm_start": 0.625, "learn": 0.15, "rollout": 0.225}
    assert status.recent["learn"] == pytest.approx(0.4, abs=0.02)
    assert status.recent["warm_start"] == 0
    assert status.tokens_per_s["rollout"] == pytest.approx(50, rel=0.05)
    assert status.tokens_per_s["learner"] == pytest.approx(60, rel=0.1)
    worker = status.workers["3"]
    assert worker.tokens_per_s == pytest.approx(50)
    assert worker.share == pytest.approx({"generating": 0.3, "stepping": 0.2, "idle": 0.5}, abs=1e-3)


@pytest.mark.parametrize(
    ("rises", "parts"),
    [
        ({}, {}),
        ({"up": 10, "playing": 4}, {"playing": 4, "idle": 6}),
        ({"up": 10, "playing": 12, "generating": 11}, {"generating": 10, "stepping": 0, "idle": 0}),
    ],
)
def test_what_a_worker_does_adds_up(rises: dict[str, float], parts: dict[str, float]) -> None:
    assert worker_parts(rises) == parts


def test_an_endpoint_goes_with_its_board(run: Path) -> None:
    with StatusBoard(run, every_s=60, prometheus=("127.0.0.1", 0)) as board:
        board.set(update=3, faults={'od"d\n': 2}, staleness={"versions": {"0": 4, "1": 2}, "dropped": {"stale": 1}})
        url = board.refresh().prometheus
        assert url is not None
        text = urllib.request.urlopen(url).read().decode()  # noqa: S310 - our own
    assert 'agentgym_faults_total{kind="od\\"d\\n"} 2.0' in text
    assert 'agentgym_staleness_groups{kind="1"} 2.0' in text
    assert 'agentgym_dropped_groups_total{kind="stale"} 1.0' in text
    assert "agentgym_updates" not in text  # not known
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url)  # noqa: S310
