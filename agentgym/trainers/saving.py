"""`Saver`: writes checkpoints beside the run, and bears with a disk that is full for a while."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentgym.trainers.checkpoint import CheckpointError
from agentgym.trainers.journal import CHECKPOINT, Journal
from agentgym.trainers.parts import Parts
from agentgym.trainers.scribe import Scribe

_TRIES = 3


class Saver:
    """Whoever asks for a checkpoint promises that weights and optimiser stay as they are until the scribe is done.

    Args:
        parts: What is saved, and where.
        scribe: Writes it.
        journal: Is told of checkpoints that could not be written.

    Attributes:
        error: Of the last checkpoint; None where it was written.
    """

    def __init__(self, parts: Parts, scribe: Scribe, journal: Journal) -> None:
        self._parts, self._scribe, self._journal = parts, scribe, journal
        self._failures = 0
        self.error: CheckpointError | None = None

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Has a complete checkpoint written, atomically.

        One that cannot be written is made up for by the next; what `Scribe.wait` raises after three in a row ends the
        run, with all that was saved before untouched.

        Args:
            step: Of the run.
            state: Plain data that goes with it.
        """
        self._scribe.put(lambda: self._save(step, state))

    def _save(self, step: int, state: Mapping[str, Any]) -> None:
        try:
            self._parts.directory.checkpoints.save(step, self._write, state)
            self._failures, self.error = 0, None
        except CheckpointError as error:
            self._failures, self.error = self._failures + 1, error
            self._journal.note(CHECKPOINT, int(state["progress"]["update"]), str(error))
            if self._failures == _TRIES:
                raise

    def _write(self, folder: Path) -> None:
        self._parts.learner.save(folder / "learner")
        self._parts.companions.save(folder / "companions")
