"""`Journal`: what befell a run, line by line in ``journal.jsonl``, whoever dies."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter, deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentgym.faults import first_line
from agentgym.rollout.request import FaultEvent

logger = logging.getLogger(__name__)

JOURNAL = "journal.jsonl"
#: Kinds of entries that tell of the run itself; all others are faults.
STARTED, RESUMED, KILLED, STOPPED, BROKE = "started", "resumed", "killed", "stopped", "broke"
#: Kinds of faults of a run's own processes, besides workers.
LEARNER, CHECKPOINT, RAY = "learner", "checkpoint", "ray"
_OF_THE_RUN = (STARTED, RESUMED, KILLED, STOPPED, BROKE)
#: Faults of one episode or group: there may be thousands, so a report counts them and lists the others.
_LISTED = 200


class Journal:
    """Entries are appended and never changed. Safe to use from several threads.

    Args:
        path: The run's folder.

    Attributes:
        counts: Entries by kind, those of earlier processes included.
    """

    def __init__(self, path: Path) -> None:
        self._file = path / JOURNAL
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self._processes: deque[dict[str, Any]] = deque(maxlen=_LISTED)
        last = ""
        for entry in read_journal(path):
            self._count(entry)
            last = entry["kind"]
        self._last = last
        if self._file.exists() and not self._file.read_bytes().endswith(b"\n"):
            with self._file.open("a", encoding="utf-8") as file:
                file.write("\n")  # of a line that was cut off

    def open(self, update: int) -> None:
        """A process begins, or goes on with the run: after a stop, or after a death that could not say so."""
        if not self._last:
            self.note(STARTED, update)
            return
        if self._last not in (STOPPED, BROKE, RAY):
            self.note(KILLED, update, "the process before this one ended without a word")
        self.note(RESUMED, update)

    def note(self, kind: str, update: int, detail: str = "", group: str = "") -> None:
        """Appends an entry.

        Args:
            kind: What happened; counted by it.
            update: Updates done.
            detail: One line for people.
            group: The group of episodes it befell, if it was one of them.
        """
        entry: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "update": update, "kind": kind}
        entry |= {name: text for name, text in (("detail", detail), ("group", group)) if text}
        with self._lock:
            try:
                with self._file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")
            except OSError as error:  # a full disk is among the things that are told of here
                logger.warning("%s: %s", self._file, first_line(error))
            self._count(entry)
            self._last = kind

    def fault(self, event: FaultEvent, update: int) -> None:
        """Appends a fault of an episode or a worker."""
        self.note(event.kind, update, event.detail, event.group_id)

    @property
    def faults(self) -> dict[str, int]:
        """Faults by kind."""
        return {kind: count for kind, count in sorted(self.counts.items()) if kind not in _OF_THE_RUN}

    def report(self) -> dict[str, Any]:
        """For ``report.json``: faults by kind; starts; and what befell processes, the newest of it."""
        starts = self.counts[STARTED] + self.counts[RESUMED]
        return {"faults": self.faults, "starts": starts, "incidents": list(self._processes)}

    def _count(self, entry: dict[str, Any]) -> None:
        self.counts[entry["kind"]] += 1
        if "group" not in entry and entry["kind"] != STARTED:
            self._processes.append(entry)


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The entries of a run, oldest first; lines that a crash cut off are passed over."""
    try:
        lines = (path / JOURNAL).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("kind"), str):
            entries.append(entry)
    return entries
