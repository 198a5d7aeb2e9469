"""Teams of several processes: the whole model in each (DDP), or a shard of everything in each (FSDP2).

Both wrap one module whose forward pass is the policy's `compute`, output embedding included, so that every parameter is
used inside of it. Gradients are summed (see `agentgym.trainers.distributed.team`), once an optimiser step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from agentgym.trainers.distributed.config import Sharding
from agentgym.trainers.distributed.team import Team
from agentgym.trainers.packing import MicroBatch
from agentgym.trainers.policy import Policy

T = TypeVar("T")


class _Compute(nn.Module):
    """`Policy.compute` as a module that holds the policy's parameters."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.model = policy.model
        self._policy = policy

    def forward(self, batch: MicroBatch) -> torch.Tensor:
        return self._policy.compute(batch)


class Ranks(Team):
    """What all teams of several have; needs a process group."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def total(self, values: torch.Tensor) -> torch.Tensor:
        dist.all_reduce(values)
        return values

    def gather(self, value: T) -> list[T]:
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


class Replicas(Ranks):
    """Each has the whole model and the same optimiser."""

    def join(self, policy: Policy) -> None:
        self._run = nn.parallel.DistributedDataParallel(
            _Compute(policy),
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            # Parameters a model has and does not use are no error; and buckets are never laid out anew, so that sums
            # over many ranks are rounded alike before and after a resume.
            find_unused_parameters=True,
        )
        self._run.register_comm_hook(None, lambda state, bucket: _summed(bucket))
        policy.spread = self._run

    def accumulate(self, micro: Sequence[MicroBatch]) -> Iterator[MicroBatch]:
        with self._run.no_sync():
            yield from micro[:-1]
        yield from micro[-1:]


class Shards(Ranks):
    """Each has a shard of every parameter, gradient and moment; layers are put together when they are used."""

    def loads_on(self, device: torch.device) -> torch.device:
        return torch.device("cpu")  # the whole model need not fit on a GPU

    def join(self, policy: Policy) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, fully_shard

        mesh = init_device_mesh(policy.device.type, (self.size,))
        layers = set(getattr(policy.model, "_no_split_modules", None) or ())
        compute = _Compute(policy)
        for module in policy.model.modules():
            if type(module).__name__ in layers:
                fully_shard(module, mesh=mesh)
        self._root = fully_shard(compute, mesh=mesh)
        for module in compute.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)

        def run(batch: MicroBatch) -> torch.Tensor:
            logprobs: torch.Tensor = compute(batch)
            if not torch.is_grad_enabled():
                self._root.reshard()  # it would keep the weights as they are now, whatever the optimiser does
            return logprobs

        policy.spread = run

    def accumulate(self, micro: Sequence[MicroBatch]) -> Iterator[MicroBatch]:
        self._root.set_requires_gradient_sync(False)
        yield from micro[:-1]
        self._root.set_requires_gradient_sync(True)
        yield from micro[-1:]


def _summed(bucket: Any) -> torch.futures.Future[torch.Tensor]:
    """DDP's exchange of gradients without its division by the number of processes."""
    future: Any = dist.all_reduce(bucket.buffer(), async_op=True).get_future()
    summed: torch.futures.Future[torch.Tensor] = future.then(lambda done: done.value()[0])
    return summed


def make_team(sharding: Sharding) -> Team:
    """The team of the process group that this process belongs to."""
    return Replicas() if sharding == "ddp" else Shards()
