"""Buckets, and a group of processes (here: of threads) of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.rollout import broadcast
from agentgym.rollout.broadcast import Backend, Host, Link, SyncFault, choose_backend, own_gpu, pack, plan_state

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.int8, torch.bool]
shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
kinds = st.tuples(st.sampled_from(DTYPES), shapes)


def random_tensor(dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    return (torch.randn(shape) * 3).to(dtype)


def same(one: Any, other: torch.Tensor) -> bool:
    return bool(one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other))


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(max_size=4), kinds, max_size=12), st.integers(1, 200))
def test_what_is_packed_comes_back(described: dict[str, tuple[torch.dtype, tuple[int, ...]]], bound: int) -> None:
    state = {name: random_tensor(*kind) for name, kind in described.items()}
    plan, buckets = pack(state, bound)
    back = plan.state(buckets)
    assert back.keys() == state.keys()
    assert all(same(back[name], state[name]) for name in state)
    assert tuple(bucket.numel() for bucket in buckets) == plan.sizes
    for number, size in enumerate(plan.sizes):
        full = [s for s in plan.slots.values() if s.bucket == number and torch.Size(s.shape).numel()]
        assert full, "a bucket holds something"
        assert size <= bound or len(full) == 1
        assert size < 2 * bound or len(full) == 1
    in_order = [(plan.slots[name].bucket, plan.slots[name].offset) for name in sorted(state) if state[name].numel()]
    assert in_order == sorted(set(in_order)), "in name order, each in a place of its own"


def test_a_copy_that_stays_what_it_is() -> None:
    live = torch.arange(6.0).reshape(2, 3)
    state = {"tied": live, "live": live, "turned": live.mT, "note": "x", "part": torch.nn.Parameter(live[:, 1])}
    expected = {name: v.detach().clone() for name, v in state.items() if isinstance(v, torch.Tensor)}
    plan, buckets = pack(state)
    live.zero_()
    back = plan.state(buckets)
    assert back["note"] == "x"
    assert all(same(back[name], tensor) for name, tensor in expected.items())
    assert back["tied"].data_ptr() == back["live"].data_ptr() != back["turned"].data_ptr()
    assert plan_state({}).sizes == ()


@pytest.mark.parametrize(
    ("gpus", "backend"),
    [(["", "", ""], "gloo"), (["a", ""], "gloo"), (["a", "a"], "gloo"), (["", "a", "b"], "gloo"), (["a", "b"], "nccl")],
)
def test_nccl_only_where_everybody_has_a_gpu_to_itself(
    gpus: list[str], backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)
    assert choose_backend(gpus) == backend
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: False)
    assert choose_backend(gpus) == "gloo"
    assert own_gpu() == ""


def meet(receivers: int, timeout_s: float = 20.0) -> list[Link]:
    host = Host("127.0.0.1", receivers + 1, "gloo", timeout_s)
    with ThreadPoolExecutor(receivers) as pool:
        others = [pool.submit(Link, host.meeting, rank) for rank in range(1, receivers + 1)]
        return [Link(host.meeting, 0, host.store), *(link.result() for link in others)]


def in_thread(call: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def test_everybody_receives_what_is_sent_again_and_again() -> None:
    sender, *receivers = meet(3)
    assert not torch.distributed.is_initialized(), "the default group is left to others"
    for _ in range(2):
        state: dict[str, Any] = {f"{i}": random_tensor(dtype, (i, 3)) for i, dtype in enumerate(DTYPES)} | {"note": 1}
        plan, buckets = pack(state, bucket_bytes=64)
        assert len(plan.sizes) > 2
        sent = in_thread(partial(sender.send, buckets))
        received = [in_thread(partial(link.receive, plan)) for link in receivers]
        for future in received:
            back = future.result(20)
            assert back.pop("note") == 1
            assert all(same(back[name], state[name]) for name in back)
        sent.result(20)
    for link in (sender, *receivers):
        link.close()


def test_nobody_waits_longer_than_the_timeout() -> None:
    sender, receiver = meet(1, timeout_s=0.5)
    plan, buckets = pack({"w": torch.ones(1 << 20)})
    began = time.monotonic()
    with pytest.raises(SyncFault, match="the broadcast failed"):
        receiver.receive(plan)
    with pytest.raises(SyncFault, match="the broadcast failed"):
        sender.send(buckets)
    assert time.monotonic() - began < 5


def test_who_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "_CONNECT_S", 0.5)
    host = Host("127.0.0.1", 2, "gloo", 0.5)
    with pytest.raises(SyncFault, match="could not be connected"):
        Link(host.meeting, 0, host.store)
    with pytest.raises(SyncFault, match="could not be connected"):
        Link(host.meeting, 1)
