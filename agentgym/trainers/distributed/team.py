"""A learner's view of those it learns with; alone, there is nothing to exchange.

Losses are sums over tokens whose weights are those of the whole batch, so the gradients of several processes are added
up, never averaged, and each process needs nothing but its own share of the trajectories.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from agentgym.trainers.packing import MicroBatch
    from agentgym.trainers.policy import Policy

T = TypeVar("T")


class Team:
    """A learner alone; the base of teams of several.

    Attributes:
        rank: The learner's number, from 0.
        size: How many there are.
    """

    rank, size = 0, 1

    def loads_on(self, device: torch.device) -> torch.device:
        """Where the model is loaded that will be trained on `device`."""
        return device

    def join(self, policy: Policy) -> None:
        """Spreads the policy over the team; called once, before its optimiser is made."""

    def accumulate(self, micro: Sequence[MicroBatch]) -> Iterator[MicroBatch]:
        """The micro-batches of an optimiser step, each to be followed by its backward pass.

        After the last one the gradients are those of the whole team.
        """
        return iter(micro)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over the team, in place."""
        return values

    def gather(self, value: T) -> list[T]:
        """Everybody's value, by rank."""
        return [value]


#: The team of a learner in the training process itself.
ALONE = Team()
