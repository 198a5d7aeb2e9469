"""Work that is started again in another process: real processes, killed for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from agentgym.cli.supervising import supervise
from agentgym.faults import AgentGymError, ConfigError


def ending(folder: Path, ends: list[str]) -> int:
    """Ends in another way each time it is called; notes each call."""
    number = len(list(folder.iterdir()))
    (folder / str(number)).touch()
    match ends[number]:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            raise AgentGymError("the workers cannot be started")
        case "misuse":
            raise ConfigError("no such key")
    return int(ends[number])


def calls(folder: Path) -> int:
    return len(list(folder.iterdir()))


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def supervised(folder: Path, ends: list[str], restarts: int, progress: bool = False) -> int:
    from test_supervising import ending as work  # by the name that the child knows it by

    return supervise(partial(work, folder, ends), lambda: calls(folder) if progress else 0, restarts)


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize(
    ("ends", "restarts", "progress", "starts", "code", "said"),
    [
        (["kill", "crash", "0"], 2, False, 3, 0, ["was killed by SIGKILL", "failed"]),
        (["kill", "kill", "kill"], 1, False, 2, 137, ["2 times without anything new; giving up"]),
        (["crash", "crash", "kill", "0"], 1, True, 4, 0, ["(1 of 1 without anything new)"]),
        (["misuse"], 5, False, 1, 2, []),
        (["143"], 5, False, 1, 143, []),
    ],
)
def test_what_died_is_started_again(
    tmp_path: Path,
    ends: list[str],
    restarts: int,
    progress: bool,
    starts: int,
    code: int,
    said: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agentgym.cli.supervising._LONGEST_WAIT_S", 0.0)
    assert supervised(tmp_path, ends, restarts, progress) == code
    assert calls(tmp_path) == starts
    err = capfd.readouterr().err
    for text in said:
        assert text in err


def test_a_signal_is_handed_on_once_and_a_dead_supervisor_leaves_nothing(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(
        "import pathlib, signal, sys, time\n"
        "from functools import partial\n"
        "from agentgym.cli.supervising import supervise\n"
        "def work(folder):\n"
        "    got = []\n"
        "    for s in (signal.SIGINT, signal.SIGTERM):\n"
        "        signal.signal(s, lambda signum, frame: got.append(signum))\n"
        "    (folder / 'ready').touch()\n"
        "    while not got:\n"
        "        time.sleep(0.02)\n"
        "    time.sleep(0.3)\n"
        "    (folder / 'got').write_text(repr([int(s) for s in got]))\n"
        "    return 128 + got[0]\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(supervise(partial(work, pathlib.Path(sys.argv[1])), lambda: 0, 3))\n"
    )
    for signum, code, got in ((signal.SIGINT, 130, [2]), (signal.SIGKILL, -9, [15])):
        folder = tmp_path / str(signum)
        folder.mkdir()
        process = subprocess.Popen([sys.executable, str(script), str(folder)], start_new_session=True)
        wait_for(folder / "ready")
        os.kill(process.pid, signum)
        assert process.wait(20) == code
        wait_for(folder / "got")
        assert (folder / "got").read_text() == repr(got)


def wait_for(file: Path) -> None:
    until = time.monotonic() + 30
    while not (file.exists() and (file.name == "ready" or file.read_text())):
        assert time.monotonic() < until
        time.sleep(0.02)
