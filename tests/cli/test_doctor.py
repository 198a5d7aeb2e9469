from __future__ import annotations

import json
import re
import stat

import pytest
from sandboxes import PROVIDERS, need

from agentgym.cli import doctor
from agentgym.cli.doctor import Library, Status, check_chromium, check_library, check_sandbox


def library(**changes: object) -> Library:
    return Library(**{"part": "x", "module": "json", "purpose": "p", "mend": "pip install x", **changes})


def test_a_library_that_works():
    finding = check_library(library(trial="detail = f'made {json.dumps([1])}'"))
    assert (finding.status, finding.detail, finding.mend) == (Status.OK, "made [1]", "")


@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({"module": "a_library_nobody_has"}, Status.MISSING, "not installed"),
        ({"trial": "assert False, 'it does not add up'"}, Status.BROKEN, "it does not add up"),
        ({"trial": "import os; os.abort()"}, Status.BROKEN, "exit status -6"),
        ({"trial": "import a_part_of_it"}, Status.BROKEN, "No module named 'a_part_of_it'"),
    ],
)
def test_a_library_that_does_not(changes, status, detail):
    finding = check_library(library(**changes))
    assert finding.status is status
    assert detail in finding.detail
    assert finding.mend == "pip install x"


def test_a_library_that_hangs(monkeypatch):
    monkeypatch.setattr(doctor, "CHECK_S", 0.5)
    finding = check_library(library(trial="import time; time.sleep(60)"))
    assert finding.status is Status.BROKEN
    assert "no answer within" in finding.detail


def test_quick_starts_nothing():
    started = library(trial="raise SystemExit(3)", starts=True)
    assert check_library(started).status is Status.BROKEN
    assert check_library(started, quick=True).status is Status.OK


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program of that name and script alone on the path."""

    def make(name: str, script: str) -> None:
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    monkeypatch.setenv("PATH", f"{tmp_path}")
    return make


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_sandbox_that_works(name):
    need(name)
    finding = check_sandbox(name, "p")
    assert (finding.part, finding.status, finding.mend) == (f"sandbox {name}", Status.OK, "")
    assert re.match(r"starts in \d+\.\d\d s, runs a command in \d\.\d{3} s", finding.detail)


def test_a_sandbox_that_does_not(program, monkeypatch, tmp_path):
    finding = check_sandbox("bwrap", "p")
    assert (finding.status, finding.detail) == (Status.MISSING, "sandbox 'bwrap' needs bubblewrap")
    assert finding.mend == "apt-get install -y --no-install-recommends bubblewrap"

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    program("dockerd", "exit 1")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    finding = check_sandbox("docker", "p")
    assert (finding.status, finding.mend) == (Status.BROKEN, "sudo systemctl start docker")
    assert "the Docker daemon does not answer" in finding.detail


def test_chromium(program, monkeypatch):
    monkeypatch.delenv("AGENTGYM_CHROMIUM", raising=False)
    assert check_chromium().status is Status.MISSING
    program("chromium", "echo Chromium 130")
    assert (check_chromium().status, check_chromium().detail) == (Status.OK, "Chromium 130")
    monkeypatch.setenv("AGENTGYM_CHROMIUM", "no-such-browser")
    assert "'no-such-browser' is not a program that can be run" in check_chromium().detail


def test_report_and_exit_status(run, monkeypatch):
    monkeypatch.setattr(doctor, "LIBRARIES", (library(part="good", required=True), library(part="no", module="nobody")))
    data = json.loads(run("doctor", "--json").stdout)
    assert data["ready"]
    elsewhere = {"sandbox bwrap": "", "sandbox docker": "", "chromium": ""}
    assert {p["part"]: p["status"] for p in data["parts"]} | elsewhere == {
        "python": "ok",
        "good": "ok",
        "no": "missing",
        **elsewhere,
    }
    assert "pip install x" in run("doctor").stdout
    monkeypatch.setattr(doctor, "LIBRARIES", (library(module="nobody", required=True),))
    assert "not ready to train" in run("doctor", code=1).stdout


def test_the_commands_that_mend_are_pinned():
    mends = [one.mend for one in doctor.LIBRARIES if one.mend]
    assert all(mend.startswith("pip install -c constraints.txt ") for mend in mends)
