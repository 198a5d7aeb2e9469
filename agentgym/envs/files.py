"""Rows of data files, checked before the first episode: JSON lines, one JSON array, or Parquet.

A row is a stranger's data. A damaged one raises `DataError` with the file, the line (or the 1-based row) and the key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from agentgym.faults import DataError, first_line
from agentgym.task import Split

#: Longest row of a file, in characters: what an agent could never read is no task.
MAX_ROW_CHARS = 16_000_000
#: Deepest nesting of a row.
MAX_DEPTH = 64
#: Rows of a Parquet file that are in memory at once.
BATCH_ROWS = 1024
#: Longest reason of an error, in characters.
MAX_REASON_CHARS = 300


class Row(BaseModel):
    """Base of the rows' models; keys that a file has besides are of no concern."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


R = TypeVar("R", bound=Row)


class Numbered(NamedTuple):
    """A row and its 1-based number: the line of JSON lines, else the position."""

    line: int
    value: Any


def typed_rows(path: Path, model: type[R]) -> Iterator[tuple[int, R]]:
    """The rows of a file as a model, with their numbers.

    Args:
        path: ``.parquet``, or JSON lines or one JSON array under any other name.
        model: What a row must look like.

    Raises:
        DataError: A damaged row or file.
        MissingExtra: Parquet without pyarrow.
    """
    for line, value in _parquet(path) if path.suffix == ".parquet" else _json_rows(path):
        try:
            if not isinstance(value, dict):
                raise DataError(path, f"a row must be an object, not a {type(value).__name__}", line)
            if too_deep(value):
                raise DataError(path, f"nested deeper than {MAX_DEPTH} levels", line)
            yield line, model.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            key = ".".join(str(part)[:40] for part in first["loc"])
            raise DataError(path, f"{key + ': ' if key else ''}{first['msg']}"[:MAX_REASON_CHARS], line) from None


def too_deep(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether plain data is nested deeper than `depth` containers."""
    level = [value] if isinstance(value, dict | list) else []
    while level and depth > 0:
        inner = (part for one in level for part in (one.values() if isinstance(one, dict) else one))
        level = [part for part in inner if isinstance(part, dict | list)]
        depth -= 1
    return bool(level)


def _json_rows(path: Path) -> Iterator[Numbered]:
    try:
        with path.open(encoding="utf-8") as file:
            first = ""
            while not first.strip() and (first := file.readline(MAX_ROW_CHARS)):
                pass
            file.seek(0)
            if first.lstrip().startswith("["):
                for number, row in enumerate(_parse(path, file.read()), 1):
                    yield Numbered(number, row)
                return
            number = 0
            while line := file.readline(MAX_ROW_CHARS + 1):
                number += 1
                if len(line) > MAX_ROW_CHARS:
                    raise DataError(path, f"longer than {MAX_ROW_CHARS} characters", number)
                if line.strip():
                    yield Numbered(number, _parse(path, line, number))
    except UnicodeDecodeError as error:
        raise DataError(path, f"not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise DataError(path, error.strerror or str(error)) from None


def _parse(path: Path, text: str, line: int | None = None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(path, f"not JSON: {error.msg} (column {error.colno})", line or error.lineno) from None
    except (ValueError, RecursionError) as error:  # an integer of too many digits, brackets nested too deeply
        raise DataError(path, f"not JSON that can be read: {str(error)[:100]}", line) from None


def _parquet(path: Path) -> Iterator[Numbered]:
    # pyarrow comes with the package; here, since most users of this module never need it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield Numbered(number, row)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(path, f"not Parquet that can be read: {first_line(error, 100)}") from None


def split_by_hash(heldout: float) -> Callable[[str], Split]:
    """Holds out about that fraction of the rows, by a stable hash of the id: adding rows moves no other row."""

    def decide(row_id: str) -> Split:
        digest = blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return "heldout" if int.from_bytes(digest, "little") < heldout * 2.0**64 else "train"

    return decide
