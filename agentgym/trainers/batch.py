"""An update's batch as flat tensors, and the figures that are measured while it is learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from agentgym.trainers.credit.base import SIGNAL_TOLERANCE
from agentgym.trainers.packing import Targets
from agentgym.trajectory import Trajectory

Floats = NDArray[np.float64]


class Batch:
    """An update's batch as flat tensors on the policy's device, one entry a policy token.

    Args:
        trajectories: The batch.
        advantages: float[turns] for each trajectory.
        per_token: They are float[policy tokens] instead.
        device: The policy's.

    Raises:
        ValueError: Advantages that do not fit the trajectories.
    """

    def __init__(
        self,
        trajectories: Sequence[Trajectory],
        advantages: Sequence[Floats],
        per_token: bool,
        device: torch.device,
    ) -> None:
        if len(advantages) != len(trajectories):
            raise ValueError(f"advantages of {len(advantages)} trajectories for {len(trajectories)}")
        for trajectory, values in zip(trajectories, advantages, strict=True):
            wanted = trajectory.policy_tokens if per_token else len(trajectory.turns)
            if len(values) != wanted or not np.all(np.isfinite(values)):
                raise ValueError(f"{trajectory.episode_id}: needs {wanted} finite advantages")
        self.trajectories = trajectories
        self.targets = targets = Targets.of(trajectories)
        first = np.cumsum([0, *(len(a) for a in advantages)])[targets.trajectory]
        place = targets.turn
        if per_token:
            place = np.concatenate([np.zeros(0, np.int64), *(np.cumsum(t.turn >= 0) - 1 for t in trajectories)])
            place = place[np.cumsum([0, *(len(t) for t in trajectories)])[targets.trajectory] + targets.position]
        advantage = np.concatenate([np.zeros(0), *advantages])[first + place]
        start = np.cumsum([0, *(len(t) for t in trajectories)])[targets.trajectory]
        rollout = np.concatenate([np.zeros(0, np.float32), *(t.logprobs for t in trajectories)])[
            start + targets.position
        ]
        live = np.abs(advantage) > SIGNAL_TOLERANCE
        self.signal = np.bincount(targets.trajectory[live], minlength=len(trajectories)) > 0
        self.trajectory = torch.from_numpy(targets.trajectory).to(device)
        self.turn = torch.from_numpy(targets.turn).to(device)
        self.advantage = torch.from_numpy(advantage.astype(np.float32)).to(device)
        self.rollout = torch.from_numpy(rollout).to(device)
        self.old: torch.Tensor | None = None
        self.reference: torch.Tensor | None = None
        self.keep: torch.Tensor | None = None


class Figures:
    """Adds up what is measured over micro-batches, and over the processes that share them.

    Args:
        first: Whether this is the process that counts what all of them know, or what has one count for all.
    """

    def __init__(self, first: bool = True) -> None:
        self._first = first
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, **values: torch.Tensor) -> None:
        """Figures to be averaged over tokens."""
        for name, value in values.items():
            self._put(name, float(value.sum()), value.numel())

    def part(self, **values: float) -> None:
        """This process's part of figures of an optimiser step: parts are added up, steps averaged."""
        for name, value in values.items():
            self._put(name, value, int(self._first))

    def step(self, **values: float) -> None:
        """Figures of an optimiser step that are the same in every process, to be averaged over steps."""
        if self._first:
            self.part(**values)

    def total(self, **values: float) -> None:
        """Figures of an optimiser step that are the same in every process, to be summed."""
        for name, value in values.items() if self._first else ():
            self._put(name, value, 0)

    def _put(self, name: str, value: float, count: int) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + value
        self._counts[name] = self._counts.get(name, 0) + count

    @staticmethod
    def means(parts: Iterable[Figures]) -> dict[str, float]:
        """The figures of all processes together; one that counts nothing is a sum."""
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for part in parts:
            for name, value in part._sums.items():
                sums[name] = sums.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + part._counts[name]
        return {name: value / max(1, counts[name]) for name, value in sums.items()}
