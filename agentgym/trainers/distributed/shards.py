"""Checkpoints of which every process writes its own part (torch.distributed.checkpoint), and shards of tensors.

What is saved is named and knows its place in the whole tensor, so any number of processes can read it, one included.
The folder is an ordinary part of a run's checkpoint: `agentgym.trainers.checkpoint` flushes, lists and renames it. With
ranks on several machines it must be on storage that all of them share.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from agentgym.faults import first_line

#: Folders that a team's learner writes: what it trains with its moments, and the frozen reference.
SHARDS, REFERENCE = "shards", "reference"
#: Beginning of a trained parameter's name.
PARAMETER = "parameter."


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's shard of a tensor, sharing its memory; the tensor itself where it is not sharded."""
    tensor = tensor.detach()
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def gathered(tensor: torch.Tensor) -> torch.Tensor:
    """The whole of a tensor; where it is sharded all processes must ask for it."""
    tensor = tensor.detach()
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def like(pattern: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """A whole tensor, sharded as `pattern` is; each process has the whole, so nothing is exchanged."""
    if not hasattr(pattern, "device_mesh"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    spread: Any = pattern
    return distribute_tensor(whole, spread.device_mesh, spread.placements, src_data_rank=None)


def found(folder: Path) -> bool:
    """Whether a learner's folder was written in shards."""
    return (folder / SHARDS).is_dir()


def names(folder: Path) -> set[str]:
    """The names in a folder of shards.

    Raises:
        OSError: It cannot be read.
    """
    from torch.distributed.checkpoint.filesystem import FileSystemReader

    with _as_os_error(folder):
        return set(FileSystemReader(folder).read_metadata().state_dict_metadata)


def write(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes tensors, or this process's shards of them; called by all processes.

    Raises:
        OSError: One of them could not; raised in all of them.
    """
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    with _as_os_error(folder):
        save(dict(tensors), storage_writer=FileSystemWriter(folder), no_dist=_alone())


def read(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Fills tensors, or this process's shards of them, in place; called by all processes.

    Raises:
        OSError: What they are filled from is not there, or of another shape; raised in all of them.
    """
    from torch.distributed.checkpoint.filesystem import FileSystemReader
    from torch.distributed.checkpoint.state_dict_loader import load

    with _as_os_error(folder):
        load(dict(tensors), storage_reader=FileSystemReader(folder), no_dist=_alone())


def _alone() -> bool:
    return not (torch.distributed.is_available() and torch.distributed.is_initialized())


@contextmanager
def _as_os_error(folder: Path) -> Iterator[None]:
    """One kind of error for all that torch.distributed.checkpoint raises, some of it no `Exception`."""
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="torch.distributed.checkpoint")
            yield
    except CheckpointException as error:
        failures = [wrapped[0] for wrapped in error.failures.values()]
        raise OSError(f"{folder}: {first_line(failures[0] if failures else error)}") from error
    except Exception as error:
        raise OSError(f"{folder}: {first_line(error)}") from error
