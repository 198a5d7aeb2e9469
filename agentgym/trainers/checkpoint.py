"""Atomic, complete, verified checkpoints of a whole run.

A checkpoint is written into a hidden folder beside its place, flushed to the disk, listed in a manifest with sizes
and SHA-256 sums, and only then renamed: a process that is killed at any moment leaves either the old newest checkpoint
or the new one. Reading verifies the manifest; a damaged checkpoint is passed over with a warning and the one before it
is taken.
One process writes a store; any number may read it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentgym.faults import AgentGymError, DataError, first_line

logger = logging.getLogger(__name__)

MANIFEST, STATE = "manifest.json", "state.json"
_NAME = re.compile(r"step-(\d{9,})\.(\d{6,})")
_TEMPORARY = ".writing-"
_READ_BYTES = 1 << 20


class CheckpointError(AgentGymError):
    """A checkpoint could not be written (full disk, no permission); those saved before are untouched."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on disk.

    Attributes:
        path: Its folder.
        step: As given to `CheckpointStore.save`.
        state: As given to `CheckpointStore.save`.
    """

    path: Path
    step: int
    state: dict[str, Any]


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        directory: Where they lie; made with the first one.
        keep: How many stay; older ones are deleted once a newer one is safe.
    """

    def __init__(self, directory: Path | str, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self.directory, self.keep = Path(directory), keep

    def save(self, step: int, write: Callable[[Path], None], state: Mapping[str, Any]) -> Checkpoint:
        """Writes a checkpoint and deletes those that are no longer kept.

        Args:
            step: Of the run; the same step may be saved again, the later one counts.
            write: Puts its files into the folder it is given.
            state: Plain data that goes with them, as JSON.

        Raises:
            CheckpointError: It could not be written; whatever was saved before is still there.
        """
        temporary: Path | None = None
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for stale in self.directory.glob(f"{_TEMPORARY}*"):
                shutil.rmtree(stale)
            number = max((n for n, _, _ in self._listed()), default=0) + 1
            name = f"step-{step:09d}.{number:06d}"
            temporary = self.directory / f"{_TEMPORARY}{name}"
            temporary.mkdir()
            write(temporary)
            (temporary / STATE).write_text(json.dumps(dict(state)), encoding="utf-8")
            files = {}
            for file in _files(temporary):
                _flush(file)
                files[file.relative_to(temporary).as_posix()] = {"size": file.stat().st_size, "sha256": _digest(file)}
            manifest = temporary / MANIFEST
            manifest.write_text(json.dumps({"step": step, "files": files}, indent=1), encoding="utf-8")
            _flush(manifest)
            for folder in (temporary, *(p for p in temporary.rglob("*") if p.is_dir())):
                _flush(folder)
            final = self.directory / name
            temporary.rename(final)
            _flush(self.directory)
        except BaseException as error:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            if not isinstance(error, Exception):
                raise
            # What a full disk looks like depends on the library that met it: OSError, RuntimeError, SafetensorError.
            line = first_line(error)
            raise CheckpointError(f"{self.directory}: the checkpoint of step {step} was not written: {line}") from error
        self._prune()
        return Checkpoint(final, step, json.loads((final / STATE).read_text(encoding="utf-8")))

    def latest(self) -> Checkpoint | None:
        """The newest sound checkpoint; None where there is none. Damaged ones are warned of and passed over."""
        return next(self._sound(reversed(self._listed())), None)

    def sound(self) -> list[Checkpoint]:
        """All sound checkpoints, oldest first."""
        return list(self._sound(self._listed()))

    @staticmethod
    def _sound(listed: Iterable[tuple[int, int, Path]]) -> Iterator[Checkpoint]:
        for _, step, path in listed:
            try:
                yield Checkpoint(path, step, _verified(path, step))
            except DataError as error:
                logger.warning("damaged checkpoint passed over: %s", error)

    def _listed(self) -> list[tuple[int, int, Path]]:
        """(number, step, path), oldest first."""
        if not self.directory.is_dir():
            return []
        found = ((_NAME.fullmatch(p.name), p) for p in self.directory.iterdir())
        return sorted((int(m[2]), int(m[1]), p) for m, p in found if m)

    def _prune(self) -> None:
        for _, _, path in self._listed()[: -self.keep]:
            doomed = path.with_name(_TEMPORARY + path.name)  # never a half-deleted folder under a real name
            try:
                path.rename(doomed)
                shutil.rmtree(doomed)
            except OSError as error:
                logger.warning("old checkpoint not deleted: %s", error)


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file())


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _verified(path: Path, step: int) -> dict[str, Any]:
    """The state of a checkpoint whose every file is as it was written.

    Raises:
        DataError: Names the first file that is not.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        listed = {path / name: (int(entry["size"]), str(entry["sha256"])) for name, entry in manifest["files"].items()}
        if manifest["step"] != step or path / STATE not in listed:
            raise DataError(path / MANIFEST, "does not belong to this checkpoint")
        for file, (size, digest) in listed.items():
            if file.stat().st_size != size or _digest(file) != digest:
                raise DataError(file, "is not as it was written")
        state: dict[str, Any] = json.loads((path / STATE).read_text(encoding="utf-8"))
        return state
    except DataError:
        raise
    except OSError as error:
        raise DataError(error.filename or path, error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(path / MANIFEST, f"not a manifest: {error}") from error
