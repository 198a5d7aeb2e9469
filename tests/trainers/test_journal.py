"""What befell a run, as it is kept and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentgym.rollout.request import FaultEvent
from agentgym.trainers.journal import BROKE, JOURNAL, KILLED, RESUMED, STARTED, STOPPED, Journal, read_journal


def kinds(path: Path) -> list[str]:
    return [entry["kind"] for entry in read_journal(path)]


def test_a_death_that_could_not_say_so_is_noticed(tmp_path: Path) -> None:
    Journal(tmp_path).open(0)
    Journal(tmp_path).open(3)
    assert kinds(tmp_path) == [STARTED, KILLED, RESUMED]


@pytest.mark.parametrize("end", [STOPPED, BROKE])
def test_an_end_that_was_told_is_no_death(tmp_path: Path, end: str) -> None:
    journal = Journal(tmp_path)
    journal.open(0)
    journal.note(end, 2, "SIGTERM")
    Journal(tmp_path).open(2)
    assert kinds(tmp_path) == [STARTED, end, RESUMED]


def test_the_report_counts_what_earlier_processes_met(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.open(0)
    first.fault(FaultEvent("timeout", "step: 3 s", "0.0.1", "0.0.1/2", 1, False), 1)
    first.fault(FaultEvent("worker", "worker 1 died; 2 groups run again", "", "", 1, False), 1)
    second = Journal(tmp_path)
    second.open(1)
    second.fault(FaultEvent("timeout", "step: 3 s", "1.0.1", "1.0.1/0", 1, False), 2)
    report = second.report()
    assert report["faults"] == {"timeout": 2, "worker": 1}
    assert report["starts"] == 2
    # Faults of episodes may be many; those are counted only.
    assert [e["kind"] for e in report["incidents"]] == ["worker", KILLED, RESUMED]
    assert report["incidents"][0]["detail"] == "worker 1 died; 2 groups run again"
    assert [e["update"] for e in report["incidents"]] == [1, 1, 1]


def test_a_line_that_was_cut_off_harms_no_other(tmp_path: Path) -> None:
    Journal(tmp_path).open(0)
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"at": "2026')
    Journal(tmp_path).open(1)
    assert kinds(tmp_path) == [STARTED, KILLED, RESUMED]
    lines = (tmp_path / JOURNAL).read_text().splitlines()
    assert json.loads(lines[-1])["kind"] == RESUMED


def test_a_full_disk_does_not_stop_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(tmp_path)
    (tmp_path / JOURNAL).symlink_to("/dev/full")
    journal.note("checkpoint", 1, "No space left on device")
    assert journal.faults == {"checkpoint": 1}
    assert "No space left" in caplog.text
