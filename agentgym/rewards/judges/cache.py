"""Verdicts kept by content: a bounded memory of the latest, and a file that outlives the run.

The key is a hash of everything that decides a verdict: the judge with its parameters, its model's identity, and every
field of the request.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sqlite3
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from agentgym.faults import DataError
from agentgym.rewards.judges.tree import Criterion
from agentgym.rewards.judges.verdict import Request, Verdict

#: Seconds that one process waits for another which is writing the same file.
LOCK_TIMEOUT_S = 30.0
_TABLE = "CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, score REAL, label TEXT, reason TEXT) WITHOUT ROWID"


def content_key(judge: str, request: Request) -> str:
    """Hash of all that decides a verdict.

    Args:
        judge: The judge's identity: its name, parameters and model.
        request: What is judged.
    """
    fields = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    rubric = fields["rubric"]
    fields["rubric"] = rubric.model_dump(mode="json") if isinstance(rubric, Criterion) else None
    return digest({"judge": judge, "request": fields})


def digest(data: Mapping[str, Any]) -> str:
    """Hash of plain data; equal data, equal hash."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return blake2b(text.encode(), digest_size=20).hexdigest()


class VerdictCache:
    """The latest verdicts in memory, and all of them in a file if one is named.

    Several processes may share the file (SQLite). What is read from it is checked like any data from outside.

    Args:
        size: Verdicts held in memory.
        path: The file; made where there is none. None: memory only.

    Raises:
        DataError: The file is no cache of verdicts.
    """

    def __init__(self, size: int, path: Path | str | None = None) -> None:
        self._size = size
        self._memory: OrderedDict[str, Verdict] = OrderedDict()
        self._path = path
        self._file: sqlite3.Connection | None = None
        if path is not None:
            try:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                # Only ever used by one thread at a time, but not always by the one that made it.
                self._file = sqlite3.connect(
                    path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
                )
                self._file.execute(_TABLE)
            except (OSError, sqlite3.Error) as error:
                raise DataError(path, f"cannot be used as a cache of verdicts: {error}") from error

    def get(self, key: str) -> Verdict | None:
        """The verdict of that key; None where there is none.

        Raises:
            DataError: The file holds something else under it.
        """
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key]
        verdict = self._read(key)
        if verdict is not None:
            self._remember(key, verdict)
        return verdict

    def put(self, key: str, verdict: Verdict) -> None:
        """Keeps a verdict.

        Raises:
            DataError: The file cannot be written.
        """
        self._remember(key, verdict)
        if self._file is not None:
            try:
                self._file.execute(
                    "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)",
                    (key, verdict.score, _storable(verdict.label), _storable(verdict.reason)),
                )
            except sqlite3.Error as error:
                raise DataError(self._path, f"a verdict cannot be kept: {error}") from error

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _remember(self, key: str, verdict: Verdict) -> None:
        self._memory[key] = verdict
        self._memory.move_to_end(key)
        while len(self._memory) > self._size:
            self._memory.popitem(last=False)

    def _read(self, key: str) -> Verdict | None:
        if self._file is None:
            return None
        try:
            row = self._file.execute("SELECT score, label, reason FROM verdicts WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise DataError(self._path, f"cannot be read: {error}") from error
        if row is None:
            return None
        score, label, reason = row
        if not isinstance(score, float) or not math.isfinite(score):
            raise DataError(self._path, f"verdict {key} has the score {score!r:.40}")
        return Verdict(score, str(label), str(reason))


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
