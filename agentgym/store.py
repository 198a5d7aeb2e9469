"""Episodes on disk: one Parquet file an update or evaluation, one row a trajectory, plain columns.

Written so that pyarrow, DuckDB and pandas read it without this package, and so that stored episodes can be shaped and
credited again exactly as they were: what `write_groups` was given, `read_groups` gives back. Rows of one group lie one
after the other. Text that UTF-8 cannot carry (a lone surrogate) is kept as its escape, e.g. ``\\ud800``.

Columns: the fields of `Trajectory` under their own names (``tokens`` list<int32>, ``logprobs`` list<float>, ``turn``
list<int16>, ``turns`` list<struct>, where ``process`` is a map and ``action`` JSON text, ``messages`` list<struct>),
then what training made of it: ``update``, and ``rewards`` (shaped) and ``advantages``, one number a turn; null where
unknown.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from agentgym.faults import DataError
from agentgym.signal import RewardSignal
from agentgym.trajectory import Group, Trajectory, Turn

#: Raised with every change of the columns. Files of schema 1, which lacks `Turn.changes`, can be read still.
SCHEMA_VERSION = 2
_VERSION_KEY = b"agentgym.episodes"

_OPTIONAL = {"outcome", "fault", "update", "rewards", "advantages"}


def _fields(types: Mapping[str, pa.DataType]) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=name in _OPTIONAL) for name, kind in types.items()]


_TURN = pa.struct(
    _fields(
        {
            "outcome": pa.float64(),
            "process": pa.map_(pa.string(), pa.float64()),
            "state_key": pa.string(),
            "action": pa.string(),
            "reward": pa.float64(),
            "version": pa.int64(),
            "finish": pa.string(),
            "generate_s": pa.float64(),
            "env_s": pa.float64(),
            "changes": pa.list_(pa.struct(_fields({"offset": pa.int32(), "version": pa.int64()}))),
        }
    )
)
_MESSAGE = pa.struct(_fields({"role": pa.string(), "content": pa.string(), "turn": pa.int32()}))
_SCHEMA = pa.schema(
    _fields(
        {
            "episode_id": pa.string(),
            "group_id": pa.string(),
            "env": pa.string(),
            "task_id": pa.string(),
            "split": pa.string(),
            "difficulty": pa.int64(),
            "seed": pa.uint64(),
            "terminated": pa.bool_(),
            "truncated": pa.bool_(),
            "fault": pa.string(),
            "final_state_key": pa.string(),
            "tokens": pa.list_(pa.int32()),
            "logprobs": pa.list_(pa.float32()),
            "turn": pa.list_(pa.int16()),
            "starts": pa.list_(pa.int32()),
            "turns": pa.list_(_TURN),
            "messages": pa.list_(_MESSAGE),
            "update": pa.int64(),
            "rewards": pa.list_(pa.float64()),
            "advantages": pa.list_(pa.float64()),
        }
    ),
    metadata={_VERSION_KEY: str(SCHEMA_VERSION).encode()},
)
_FIRST_TURN = pa.struct([field for field in _TURN if field.name != "changes"])
_TURNS = _SCHEMA.get_field_index("turns")
_FIRST_SCHEMA = _SCHEMA.set(_TURNS, pa.field("turns", pa.list_(_FIRST_TURN), nullable=False))
_READABLE = {b"1": _FIRST_SCHEMA, str(SCHEMA_VERSION).encode(): _SCHEMA}
_ARRAYS = {"tokens": np.int32, "logprobs": np.float32, "turn": np.int16, "starts": np.int32}

#: float64[M]: one number for each turn of all trajectories of all groups, in order (as `RewardTable` lays them out).
PerTurn = Sequence[float] | NDArray[np.float64]


@dataclass(slots=True)
class Episode:
    """One stored row.

    Attributes:
        trajectory: As it was collected.
        update: The update it was collected for, if any.
        rewards: Shaped reward of each turn, if stored.
        advantages: Advantage of each turn, if stored.
    """

    trajectory: Trajectory
    update: int | None = None
    rewards: list[float] | None = None
    advantages: list[float] | None = None


def write_groups(
    path: str | Path,
    groups: Sequence[Group],
    *,
    update: int | None = None,
    advantages: PerTurn | None = None,
    rewards: PerTurn | None = None,
) -> None:
    """Writes groups to one Parquet file, whole or not at all (atomic rename).

    Args:
        path: The file; its folder is made.
        groups: Groups of at least one trajectory, ids unique in the file.
        update: Number of the update, for every row.
        advantages: Advantage of each turn; float64[M], the turns of all trajectories in order.
        rewards: Shaped reward of each turn, likewise.

    Raises:
        ValueError: Groups or per-turn values that do not fit together.
        OSError: The disk refused.
    """
    path = Path(path)
    table = _table(groups, update, {"advantages": advantages, "rewards": rewards})
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(table, scratch, compression="zstd", write_page_checksum=True)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


class EpisodeWriter:
    """Writes a run's episodes: ``DIRECTORY/train-000012.parquet``, one file an update or evaluation.

    Args:
        directory: Folder of the files, e.g. ``runs/NAME/episodes``.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def path(self, kind: str, update: int) -> Path:
        """Where the episodes of an update lie; `kind` is a word such as ``train`` or ``eval``."""
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", kind):
            raise ValueError(f"episode file kind {kind!r} must be a lower-case word")
        return self.directory / f"{kind}-{update:06d}.parquet"

    def write(
        self,
        kind: str,
        update: int,
        groups: Sequence[Group],
        advantages: PerTurn | None = None,
        rewards: PerTurn | None = None,
    ) -> Path:
        """Writes one file, replacing one of the same name; see `write_groups`."""
        path = self.path(kind, update)
        write_groups(path, groups, update=update, advantages=advantages, rewards=rewards)
        return path


def episode_files(path: str | Path) -> list[Path]:
    """The Parquet files of a file or folder name, sorted.

    Raises:
        DataError: Nothing there.
    """
    path = Path(path)
    files = sorted(path.glob("[!.]*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise DataError(path, "no Parquet file of episodes" if path.is_dir() else "no such file")
    return files


def read_episodes(path: str | Path) -> Iterator[Episode]:
    """Rows of a file, or of all files of a folder, in order.

    Raises:
        DataError: A file that is damaged or holds something else; names the file and, where it can, the row.
    """
    for file in episode_files(path):
        yield from _read_file(file)


def read_groups(path: str | Path) -> Iterator[Group]:
    """The groups of a file, or of all files of a folder, in order.

    Raises:
        DataError: As `read_episodes`.
    """
    for file in episode_files(path):
        for group_id, rows in groupby((e.trajectory for e in _read_file(file)), key=lambda t: t.group_id):
            trajectories = list(rows)
            yield Group(group_id, trajectories[0].task_id, trajectories)


# -- writing ---------------------------------------------------------------------------------------------------------


def _text(value: str) -> str:
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")


def _offsets(lengths: Sequence[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32))


def _table(groups: Sequence[Group], update: int | None, per_turn: Mapping[str, PerTurn | None]) -> pa.Table:
    _fit(groups)
    rows = [t for g in groups for t in g.trajectories]
    columns: dict[str, pa.Array] = {"update": pa.array([update] * len(rows), pa.int64())}
    for name, dtype in _ARRAYS.items():
        arrays = [getattr(t, name) for t in rows]
        flat = np.concatenate(arrays, dtype=dtype, casting="same_kind") if arrays else np.zeros(0, dtype)
        columns[name] = pa.ListArray.from_arrays(_offsets([len(a) for a in arrays]), pa.array(flat))
    columns["turns"] = _turns(rows)
    columns["messages"] = _messages(rows)
    for name, values in per_turn.items():
        columns[name] = _per_turn(name, values, [len(t.turns) for t in rows])
    for field in _SCHEMA:
        if field.name not in columns:
            columns[field.name] = _column([getattr(t, field.name) for t in rows], field.type)
    return pa.table([columns[name] for name in _SCHEMA.names], schema=_SCHEMA)


def _fit(groups: Sequence[Group]) -> None:
    seen = set()
    for group in groups:
        if not group.trajectories:
            raise ValueError(f"group {group.id!r} is empty")
        if group.id in seen:
            raise ValueError(f"group {group.id!r} comes twice")
        seen.add(group.id)
        for t in group.trajectories:
            if t.group_id != group.id or t.task_id != group.task_id:
                raise ValueError(f"{t.episode_id}: not an episode of group {group.id!r} and task {group.task_id!r}")


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if kind == pa.string():
        values = [None if v is None else _text(v) for v in values]
    return pa.array(values, kind)


def _turns(rows: Sequence[Trajectory]) -> pa.Array:
    turns = [turn for t in rows for turn in t.turns]
    parts = [turn.signal.process for turn in turns]
    process = pa.MapArray.from_arrays(
        _offsets([len(p) for p in parts]),
        pa.array([_text(name) for p in parts for name in p], pa.string()),
        pa.array([value for p in parts for value in p.values()], pa.float64()),
    )
    columns = {
        "outcome": pa.array([turn.signal.outcome for turn in turns], pa.float64()),
        "process": process,
        "action": pa.array([json.dumps(turn.action) for turn in turns], pa.string()),
        "changes": pa.array(
            [[{"offset": at, "version": version} for at, version in turn.changes] for turn in turns],
            _TURN.field("changes").type,
        ),
    }
    for field in _TURN:
        if field.name not in columns:
            columns[field.name] = _column([getattr(turn, field.name) for turn in turns], field.type)
    flat = pa.StructArray.from_arrays([columns[f.name] for f in _TURN], fields=list(_TURN))
    return pa.ListArray.from_arrays(_offsets([len(t.turns) for t in rows]), flat)


def _messages(rows: Sequence[Trajectory]) -> pa.Array:
    messages = [m for t in rows for m in t.messages]
    names = [f.name for f in _MESSAGE]
    for message in messages:
        if message.keys() != set(names):
            raise ValueError(f"a message has the keys {sorted(message)}; it must have {names}")
    arrays = [_column([m[f.name] for m in messages], f.type) for f in _MESSAGE]
    flat = pa.StructArray.from_arrays(arrays, fields=list(_MESSAGE))
    return pa.ListArray.from_arrays(_offsets([len(t.messages) for t in rows]), flat)


def _per_turn(name: str, values: PerTurn | None, lengths: Sequence[int]) -> pa.Array:
    if values is None:
        return pa.nulls(len(lengths), pa.list_(pa.float64()))
    flat = np.asarray(values, dtype=np.float64)
    if flat.shape != (sum(lengths),):
        raise ValueError(f"{name} must have the shape ({sum(lengths)},), one a turn; it has {flat.shape}")
    return pa.ListArray.from_arrays(_offsets(lengths), pa.array(flat))


# -- reading ---------------------------------------------------------------------------------------------------------


def _read_file(path: Path) -> list[Episode]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            version = (file.schema_arrow.metadata or {}).get(_VERSION_KEY)
            if version is None:
                raise DataError(path, "a Parquet file, but not of episodes")
            shown = version.decode("ascii", "replace")[:20]
            if version not in _READABLE:
                raise DataError(path, f"episodes of schema {shown}; this version reads schema {SCHEMA_VERSION}")
            if not file.schema_arrow.equals(_READABLE[version]):
                raise DataError(path, f"its columns are not those of schema {shown}")
            table = file.read()
            table.validate(full=True)
        return _episodes(path, table)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0] or repr(error)
        raise DataError(path, f"damaged Parquet: {reason}"[:300]) from error


def _episodes(path: Path, table: pa.Table) -> list[Episode]:
    table = table.combine_chunks()
    arrays = {name: _slices(table[name]) for name in _ARRAYS}
    rest = table.drop_columns(list(_ARRAYS)).to_pylist(maps_as_pydicts="strict")
    episodes = []
    for i, row in enumerate(rest):
        try:
            extra = {name: row.pop(name) for name in ("update", "rewards", "advantages")}
            row["turns"] = [_turn(turn) for turn in row["turns"]]
            row.update({name: take(i) for name, take in arrays.items()})
            trajectory = Trajectory(**row)
            trajectory.check()
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(path, f"row {i}: {error}") from error
        episodes.append(Episode(trajectory, **extra))
    return episodes


def _slices(column: pa.ChunkedArray) -> Callable[[int], NDArray[Any]]:
    chunk = column.combine_chunks()
    offsets = chunk.offsets.to_numpy()
    values = chunk.values.to_numpy()
    return lambda i: values[offsets[i] : offsets[i + 1]].copy()


def _turn(row: dict[str, Any]) -> Turn:
    signal = RewardSignal(row.pop("outcome"), row.pop("process"))
    changes = tuple((change["offset"], change["version"]) for change in row.pop("changes", ()))
    return Turn(signal, action=json.loads(row.pop("action")), changes=changes, **row)
