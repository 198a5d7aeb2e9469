"""Packing without padding: trajectories of any length lie end to end in one row, a micro-batch at a time.

A trajectory's sequences are read by the model on their own: positions restart at each and attention never crosses from
one to the next (`agentgym.trainers.attention`). Trajectories are never split over micro-batches. Whatever is computed
per predicted token is kept in flat arrays over the whole batch, so that losses can weigh tokens by what the whole batch
holds and micro-batches are only a matter of memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from agentgym.trajectory import Trajectory

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Targets:
    """The tokens of a batch that are predicted, flat: all of trajectory 0, then all of trajectory 1, ...

    Attributes:
        trajectory: int64[P], index of the token's trajectory; never falls.
        position: int64[P], the token's offset in its trajectory.
        turn: int64[P], the turn that wrote it, -1 where the policy did not.
        offsets: int64[n+1], the targets of trajectory i are ``offsets[i]:offsets[i+1]``.
    """

    trajectory: Ints
    position: Ints
    turn: Ints
    offsets: Ints

    def __len__(self) -> int:
        return len(self.position)

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory], observations: bool = False) -> Targets:
        """Collects them.

        Args:
            trajectories: The batch.
            observations: Also what the policy read after its first token; the prompt says nothing of how the
                environment answers. The first token of a sequence is never predicted: nothing comes before it.
        """
        positions, turns = [], []
        for trajectory in trajectories:
            written = trajectory.turn >= 0
            wanted = np.logical_or.accumulate(written) if observations else written
            wanted[trajectory.starts[trajectory.starts < len(wanted)]] = False
            position = np.flatnonzero(wanted)
            positions.append(position)
            turns.append(trajectory.turn[position].astype(np.int64))
        sizes = np.array([len(p) for p in positions], dtype=np.int64)
        return cls(
            trajectory=np.repeat(np.arange(len(positions), dtype=np.int64), sizes),
            position=np.concatenate([np.zeros(0, np.int64), *positions]),
            turn=np.concatenate([np.zeros(0, np.int64), *turns]),
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        )

    def split(self, values: NDArray[np.float32], lengths: Sequence[int]) -> list[NDArray[np.float32]]:
        """Per-target values as one array a trajectory, 0 where there is no target.

        Args:
            values: float32[P].
            lengths: Tokens of each trajectory.
        """
        result = []
        for i, length in enumerate(lengths):
            one = slice(self.offsets[i], self.offsets[i + 1])
            array = np.zeros(length, dtype=np.float32)
            array[self.position[one]] = values[one]
            result.append(array)
        return result


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Several trajectories in one row of N tokens.

    Attributes:
        tokens: int64[1, N].
        positions: int64[1, N], restarting at 0 with each sequence.
        lengths: Tokens of each sequence, in the row's order.
        predict: int64[p], where in the row the hidden state lies that predicts each target (one before it).
        labels: int64[p], the targets' token ids.
        slots: int64[p], the targets' places in the batch's flat arrays (`Targets`); none in an `idle` micro-batch.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    lengths: tuple[int, ...]
    predict: torch.Tensor
    labels: torch.Tensor
    slots: torch.Tensor

    @property
    def size(self) -> int:
        """N."""
        return self.tokens.shape[1]


def plan(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Which trajectories share a micro-batch.

    Longest first, so that neighbours have similar lengths (attention computes them side by side) and the largest
    micro-batch shows at once whether memory suffices.

    Args:
        lengths: Tokens of each trajectory.
        budget: Tokens a micro-batch may hold; a trajectory above it is alone in its own.

    Returns:
        Indices into `lengths`, a list a micro-batch; those of length 0 appear in none.
    """
    bins: list[list[int]] = []
    size = 0
    for i in sorted((i for i, n in enumerate(lengths) if n), key=lambda i: (-lengths[i], i)):
        if not bins or size + lengths[i] > budget:
            bins.append([])
            size = 0
        bins[-1].append(i)
        size += lengths[i]
    return bins


def balance(lengths: Sequence[int], shares: int) -> list[list[int]]:
    """Deals sequences out in shares of about equal tokens: longest first, each to the share that has least so far.

    The largest share has at most as many tokens more than the smallest as the longest sequence is long; in Graham's
    terms (1969) it is at most 4/3 of what the best division gives.

    Args:
        lengths: Tokens of each; 0 for one that is to be left out.
        shares: How many.

    Returns:
        Indices into `lengths`, longest first, a list a share; those of length 0 appear in none.
    """
    dealt: list[list[int]] = [[] for _ in range(shares)]
    heap = [(0, share) for share in range(shares)]
    for i in sorted((i for i, n in enumerate(lengths) if n), key=lambda i: (-lengths[i], i)):
        tokens, share = heap[0]
        dealt[share].append(i)
        heapq.heapreplace(heap, (tokens + lengths[i], share))
    return dealt


def micro_batches(
    trajectories: Sequence[Trajectory],
    members: Sequence[int],
    targets: Targets,
    budget: int,
    device: torch.device,
    rank: int = 0,
    ranks: int = 1,
) -> list[MicroBatch]:
    """Packs the members that have targets into as many micro-batches as needed (`plan`, `pack`).

    Args:
        trajectories: The batch.
        members: Which of them.
        targets: Of the whole batch.
        budget: Tokens of a micro-batch.
        device: Where the tensors go.
        rank: Whose micro-batches are wanted.
        ranks: Learners that share the members (`balance`). All get equally many micro-batches, because sharded models
            are run by all ranks together: who has fewer runs idle ones in the end.
    """
    sizes = [len(trajectories[i]) if targets.offsets[i + 1] > targets.offsets[i] else 0 for i in members]
    plans = [
        [[share[i] for i in bin] for bin in plan([sizes[i] for i in share], budget)] for share in balance(sizes, ranks)
    ]
    mine = [pack(trajectories, [members[i] for i in bin], targets, device) for bin in plans[rank]]
    return mine + [idle(device)] * (max(map(len, plans)) - len(mine))


def idle(device: torch.device) -> MicroBatch:
    """A micro-batch of one token that teaches nothing: its prediction has no slot."""
    zero = torch.zeros(1, dtype=torch.int64, device=device)
    return MicroBatch(zero[None], zero[None], (1,), predict=zero, labels=zero, slots=zero[:0])


def pack(
    trajectories: Sequence[Trajectory], members: Sequence[int], targets: Targets, device: torch.device
) -> MicroBatch:
    """Lays the members end to end.

    Sequences that predict nothing, and the tokens after a sequence's last target, teach nothing and are left out.

    Args:
        trajectories: The batch.
        members: Which of them.
        targets: Of the whole batch.
        device: Where the tensors go.
    """
    tokens: list[NDArray[np.int32]] = []
    lengths: list[int] = []
    predict: list[Ints] = []
    labels: list[NDArray[np.int32]] = []
    slots: list[Ints] = []
    size = 0
    for i in members:
        trajectory = trajectories[i]
        first, last = int(targets.offsets[i]), int(targets.offsets[i + 1])
        position = targets.position[first:last]
        cuts = np.searchsorted(position, [*trajectory.starts.tolist(), len(trajectory)])
        for start, a, b in zip(trajectory.starts.tolist(), cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            if a == b:
                continue
            own = position[a:b]
            length = int(own[-1]) - start  # the last target itself is predicted, not read
            tokens.append(trajectory.tokens[start : start + length])
            lengths.append(length)
            predict.append(own - (start + 1 - size))
            labels.append(trajectory.tokens[own])
            slots.append(np.arange(first + a, first + b))
            size += length
    counts = np.array(lengths, dtype=np.int64)
    restart = np.repeat(np.cumsum(counts) - counts, counts)

    def tensor(parts: Sequence[NDArray[np.int32] | Ints]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)).to(device)

    return MicroBatch(
        tokens=tensor(tokens)[None],
        positions=tensor([np.arange(size) - restart])[None],
        lengths=tuple(lengths),
        predict=tensor(predict),
        labels=tensor(labels),
        slots=tensor(slots),
    )
