"""Shards in one process; `test_learner.py` has them written and read by several."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agentgym.trainers.distributed import shards


def test_what_is_written_is_read_in_place(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4), "b": torch.tensor(2.5), "c": torch.randn(5).to(torch.bfloat16)}
    shards.write(tmp_path / "x", tensors)
    assert shards.names(tmp_path / "x") == {"a", "b", "c"}
    empty = {name: torch.zeros_like(value) for name, value in tensors.items() if name != "b"}
    shards.read(tmp_path / "x", empty)
    assert all(torch.equal(empty[name], tensors[name]) for name in empty)


def test_what_is_missing_or_of_another_shape_is_an_os_error(tmp_path: Path) -> None:
    shards.write(tmp_path / "x", {"a": torch.zeros(3)})
    for wanted in ({"b": torch.zeros(3)}, {"a": torch.zeros(4)}):
        with pytest.raises(OSError, match=str(tmp_path)):
            shards.read(tmp_path / "x", wanted)
    with pytest.raises(OSError, match="nowhere"):
        shards.names(tmp_path / "nowhere")
    (tmp_path / "x" / ".metadata").write_bytes(b"no")
    with pytest.raises(OSError, match=str(tmp_path)):
        shards.read(tmp_path / "x", {"a": torch.zeros(3)})
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        shards.write(tmp_path / "file" / "x", {"a": torch.zeros(3)})


def test_plain_tensors_are_their_own_shard_and_whole() -> None:
    value = torch.randn(4, requires_grad=True)
    assert shards.local(value).data_ptr() == shards.gathered(value).data_ptr() == value.data_ptr()
    assert not shards.local(value).requires_grad
    whole = torch.zeros(4)
    assert shards.like(value, whole) is whole
