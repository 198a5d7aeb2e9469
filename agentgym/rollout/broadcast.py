"""Weights as one collective broadcast: from the process that holds the pool to all of its workers at once.

Tensors travel in name order, packed into flat buckets of bytes, so that small ones are not one message each and their
types do not matter. What lies where is the `Plan`, which is small and goes ahead by itself.

The processes meet in a group of their own (`Link`): torch's default group may be a distributed learner's, or an
engine's. It is made anew whenever the workers are others, since such a group neither grows nor shrinks; and one in
which anything has failed is of no use any more. Nothing here imports Ray.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed

from agentgym.faults import AgentGymError, first_line

Backend = Literal["gloo", "nccl"]

#: Bytes of a bucket; a tensor that is larger has one to itself.
BUCKET_BYTES = 64 * 1024**2
_ALIGN = 16  # bytes; as wide as the widest number there is
_CONNECT_S = 30.0  # longest wait for processes that are known to be about to connect
_LEAST_S = 0.001  # torch takes a timeout of 0 for none

_distributed: Any = torch.distributed  # its types do not name what a build may lack


class SyncFault(AgentGymError, RuntimeError):
    """A broadcast failed on its way; whoever says so is well, and its engine has its old weights."""


# -- buckets -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tensor's bytes are (bucket, and offset in it), and what they mean."""

    bucket: int
    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]

    def view(self, buckets: Sequence[torch.Tensor]) -> torch.Tensor:
        """The tensor, in the bucket's memory."""
        size = _bytes(self.dtype, self.shape)
        if size == 0:
            return torch.empty(self.shape, dtype=self.dtype)
        return buckets[self.bucket][self.offset : self.offset + size].view(self.dtype).view(self.shape)


@dataclass(frozen=True, slots=True)
class Plan:
    """A state without its tensors' content.

    Attributes:
        sizes: Bytes of each bucket.
        slots: Name -> where the tensor is; tensors that share their memory share it here too.
        rest: What is no tensor, as it is.
    """

    sizes: tuple[int, ...]
    slots: Mapping[str, Slot]
    rest: Mapping[str, Any]

    def state(self, buckets: Sequence[torch.Tensor]) -> dict[str, Any]:
        """The state, its tensors in the memory of the buckets (each a flat uint8 tensor)."""
        return {name: slot.view(buckets) for name, slot in self.slots.items()} | dict(self.rest)


def plan_state(state: Mapping[str, Any], bucket_bytes: int = BUCKET_BYTES) -> Plan:
    """Where each tensor of a state goes.

    Args:
        state: Name -> tensor, or anything else that can be pickled.
        bucket_bytes: Bound of a bucket that holds more than one tensor.
    """
    sizes: list[int] = []
    slots: dict[str, Slot] = {}
    places: dict[tuple[Any, ...], tuple[int, int]] = {}
    for name in sorted(name for name, value in state.items() if isinstance(value, torch.Tensor)):
        tensor: torch.Tensor = state[name]
        size = _bytes(tensor.dtype, tensor.shape)
        memory = (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if size and memory not in places:
            offset = -(-sizes[-1] // _ALIGN) * _ALIGN if sizes else 0
            if not sizes or offset + size > bucket_bytes:
                sizes.append(0)
                offset = 0
            places[memory] = len(sizes) - 1, offset
            sizes[-1] = offset + size
        bucket, offset = places[memory] if size else (0, 0)
        slots[name] = Slot(bucket, offset, tensor.dtype, tuple(tensor.shape))
    return Plan(tuple(sizes), slots, {name: value for name, value in state.items() if name not in slots})


@torch.no_grad()
def pack(state: Mapping[str, Any], bucket_bytes: int = BUCKET_BYTES) -> tuple[Plan, list[torch.Tensor]]:
    """A state's plan, and a copy of its tensors in buckets in this machine's memory; arguments as for `plan_state`."""
    plan = plan_state(state, bucket_bytes)
    buckets = [torch.empty(size, dtype=torch.uint8) for size in plan.sizes]
    for name, slot in plan.slots.items():
        slot.view(buckets).copy_(state[name])
    return plan, buckets


def _bytes(dtype: torch.dtype, shape: Sequence[int]) -> int:
    return dtype.itemsize * torch.Size(shape).numel()


# -- the group -----------------------------------------------------------------------------------------------------


def own_gpu() -> str:
    """Names the GPU that this process computes on; empty where it does not."""
    cuda: Any = torch.cuda
    return str(cuda.get_device_properties(cuda.current_device()).uuid) if cuda.is_initialized() else ""


def choose_backend(gpus: Sequence[str]) -> Backend:
    """NCCL where every process has a GPU to itself, as it demands, and gloo otherwise.

    Args:
        gpus: What `own_gpu` says in each of them.
    """
    return "nccl" if all(gpus) and len(set(gpus)) == len(gpus) and _distributed.is_nccl_available() else "gloo"


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where and how processes meet.

    Attributes:
        host, port: Where the first of them listens.
        size: How many there are; the first is the sender.
        backend: What they talk through.
        timeout_s: Longest wait for a whole broadcast.
    """

    host: str
    port: int
    size: int
    backend: Backend
    timeout_s: float


class Host:
    """Where others find the sender; it listens on one interface only, at a port that is free.

    Args:
        host: Address of that interface.
        size, backend, timeout_s: See `Meeting`.
    """

    def __init__(self, host: str, size: int, backend: Backend, timeout_s: float) -> None:
        listener = socket.create_server((host, 0))
        self.meeting = Meeting(host, listener.getsockname()[1], size, backend, timeout_s)
        self.store: Any = _distributed.TCPStore(
            host,
            self.meeting.port,
            is_master=True,
            timeout=timedelta(seconds=_CONNECT_S),
            wait_for_workers=False,
            master_listen_fd=listener.detach(),
        )


class Link:
    """One process's end of a group; made at the same time in all of them.

    Args:
        meeting: Where.
        rank: Of this process; 0 sends.
        store: The sender's `Host.store`; the others make their own.

    Raises:
        SyncFault: Not everybody came in time.
    """

    def __init__(self, meeting: Meeting, rank: int, store: Any = None) -> None:
        self._timeout_s = meeting.timeout_s
        self._device = torch.device("cuda" if meeting.backend == "nccl" else "cpu")
        # The first to come waits until the last has been asked, which may take as long as a broadcast; the sender
        # comes when all have been.
        wait = timedelta(seconds=_CONNECT_S + (meeting.timeout_s if rank else 0))
        try:
            if store is None:
                store = _distributed.TCPStore(
                    meeting.host, meeting.port, is_master=False, timeout=wait, wait_for_workers=False
                )
            make = _nccl if meeting.backend == "nccl" else _gloo
            self._group = make(meeting, rank, store, wait)
        except (RuntimeError, OSError) as error:
            raise SyncFault(f"the workers could not be connected: {first_line(error)}") from error

    def send(self, buckets: Sequence[torch.Tensor]) -> None:
        """Sends buckets to everybody.

        Raises:
            SyncFault: Somebody is gone, or did not listen in time.
        """
        for _ in self._broadcast(bucket.to(self._device) for bucket in buckets):
            pass

    def receive(self, plan: Plan, device: str = "cpu") -> dict[str, Any]:
        """What is sent by that plan, on a device.

        Raises:
            SyncFault: Somebody is gone, or nothing came in time.
        """
        empty = (torch.empty(size, dtype=torch.uint8, device=self._device) for size in plan.sizes)
        return plan.state([bucket.to(device) for bucket in self._broadcast(empty)])

    def _broadcast(self, buckets: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        """One after another, so that no more than one is on a GPU only to travel."""
        until = time.monotonic() + self._timeout_s
        for bucket in buckets:
            left = timedelta(seconds=max(until - time.monotonic(), _LEAST_S))
            try:
                self._group.broadcast(bucket, 0, left).wait(left)
            except RuntimeError as error:
                raise SyncFault(f"the broadcast failed: {first_line(error)}") from error
            yield bucket

    def close(self) -> None:
        """Ends the group; a broadcast under way fails, at the latest when its time is over."""
        self._group.abort()


def _gloo(meeting: Meeting, rank: int, store: Any, timeout: timedelta) -> Any:
    kind = _distributed.ProcessGroupGloo
    # Named, because a machine's own name may lead to an address that others cannot reach.
    options = kind._Options()
    options._devices = [kind.create_device(hostname=_address(meeting))]
    options._timeout = timeout
    return kind(store, rank, meeting.size, options)


def _address(meeting: Meeting) -> str:
    """This process's own address, as the sender sees it."""
    with socket.create_connection((meeting.host, meeting.port), _CONNECT_S) as connection:
        return str(connection.getsockname()[0])


def _nccl(meeting: Meeting, rank: int, store: Any, timeout: timedelta) -> Any:
    # Otherwise torch ends the whole process when a broadcast takes too long, and the learner with it. Read here only.
    settings = {"TORCH_NCCL_BLOCKING_WAIT": "1", "TORCH_NCCL_ENABLE_MONITORING": "0"}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        kind = _distributed.ProcessGroupNCCL
        options = kind.Options()
        options._timeout = timeout
        return kind(store, rank, meeting.size, options)
    finally:
        for name in settings:
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if value is not None})


class Receiver:
    """A worker's end, beside its event loop.

    Args:
        meeting: Where it is to go; it is on its way when this returns.
        rank: Its own, from 1.
    """

    def __init__(self, meeting: Meeting, rank: int) -> None:
        self._link = asyncio.ensure_future(asyncio.to_thread(Link, meeting, rank))
        self._link.add_done_callback(lambda link: link.cancelled() or link.exception())  # told when it is asked for
        self._left = False

    async def receive(self, plan: Plan, device: str = "cpu") -> dict[str, Any]:
        """See `Link.receive`.

        Raises:
            SyncFault: And where `leave` was called meanwhile.
        """
        link = await self._link
        state = await asyncio.to_thread(link.receive, plan, device)
        if self._left:  # somebody else has brought these weights meanwhile, or newer ones
            raise SyncFault("the broadcast was given up")
        return state

    def leave(self) -> None:
        """What is under way comes to nothing."""
        self._left = True
        if self._link.done() and not self._link.cancelled() and self._link.exception() is None:
            self._link.result().close()
