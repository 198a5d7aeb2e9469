"""What every model that is trained beside the policy needs: an optimiser, its files, and a batch's policy tokens.

Companions (`agentgym.trainers.companions`) answer in float64[P], one number for each of the policy's tokens, those of
all trajectories one after the other; the model predicts all of them but the first of a sequence. `policy_slots` says
where each prediction belongs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import model_validator
from torch import nn

from agentgym.faults import DataError, first_line
from agentgym.trainers.learner import Diverged
from agentgym.trainers.optim import OptimizerConfig, make_optimizer, step
from agentgym.trainers.packing import Ints, Targets
from agentgym.trajectory import Trajectory

MODEL, COUNTERS = "model.pt", "counters.json"


class CompanionOptimizer(OptimizerConfig):
    """AdamW of a companion; how many steps it will take in all is not known, so a schedule that decays must say."""

    @model_validator(mode="after")
    def _ends(self) -> CompanionOptimizer:
        if self.schedule != "constant" and self.decay_steps is None:
            raise ValueError(f"schedule {self.schedule!r} needs decay_steps")
        return self


class Trainee:
    """Parameters that are trained, with their optimiser and their files.

    Args:
        parameters: By name; saved and loaded under it.
        config: The optimiser.
        limit: Steps in a row whose gradients may be non-finite (such a step is skipped) before it gives up.
        where: Key in the configuration, for messages.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], config: OptimizerConfig, limit: int, where: str) -> None:
        self._parameters, self._config, self._limit, self._where = dict(parameters), config, limit, where
        self.reset()

    def reset(self) -> None:
        """Forgets the optimiser's moments and begins the schedule anew."""
        self._optimizer = make_optimizer(self._parameters.values(), self._config)
        self.steps = self._nonfinite = 0

    def step(self) -> float:
        """Clips the gradients, steps and clears them.

        Returns:
            The gradients' global norm before clipping; where it is not finite, nothing was changed.

        Raises:
            Diverged: Too many such steps in a row.
        """
        norm = step(self._optimizer, self._config.lr_at(self.steps), self._config.max_grad_norm)
        self.steps += 1
        self._nonfinite = 0 if math.isfinite(norm) else self._nonfinite + 1
        if self._nonfinite >= self._limit:
            raise Diverged(f"{self._where}: gradients were not finite in {self._nonfinite} optimiser steps in a row")
        return norm

    def save(self, folder: Path, **tensors: torch.Tensor | Mapping[str, torch.Tensor]) -> None:
        """Writes parameters, optimiser and counters.

        Args:
            folder: Exists.
            **tensors: What else belongs to the model.
        """
        parameters = {name: p.detach() for name, p in self._parameters.items()}
        state = {"parameters": parameters, "optimizer": self._optimizer.state_dict(), **tensors}
        torch.save(state, folder / MODEL)
        counters = {"steps": self.steps, "nonfinite": self._nonfinite}
        (folder / COUNTERS).write_text(json.dumps(counters), encoding="utf-8")

    def load(self, folder: Path) -> dict[str, Any]:
        """Reads what `save` wrote; the next step is bit for bit what it would have been (on a CPU).

        Returns:
            The further tensors.

        Raises:
            DataError: Not the files of this model.
        """
        device = next((p.device for p in self._parameters.values()), torch.device("cpu"))
        try:
            counters = json.loads((folder / COUNTERS).read_text(encoding="utf-8"))
            state: dict[str, Any] = torch.load(folder / MODEL, map_location=device, weights_only=True)
            saved = state.pop("parameters")
            if saved.keys() != self._parameters.keys():
                odd = sorted(saved.keys() ^ self._parameters.keys())[0]
                raise ValueError(f"parameter {odd!r} is on one side only")
            with torch.no_grad():
                for name, p in self._parameters.items():
                    if p.shape != saved[name].shape:
                        raise ValueError(f"parameter {name!r} has another shape")
                    p.copy_(saved[name])
            self._optimizer.load_state_dict(state.pop("optimizer"))
            self.steps, self._nonfinite = int(counters["steps"]), int(counters["nonfinite"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, UnpicklingError) as error:
            line = first_line(error, 160)
            raise DataError(folder, f"not a checkpoint of {self._where}: {line}") from error
        return state


def policy_slots(trajectories: Sequence[Trajectory], targets: Targets) -> Ints:
    """int64[len(targets)], each target's place among the policy tokens of the whole batch.

    Args:
        trajectories: The batch.
        targets: Tokens of the policy (not observations).
    """
    written = np.concatenate([np.zeros(0, np.bool_), *(t.turn >= 0 for t in trajectories)])
    starts = np.cumsum([0, *(len(t) for t in trajectories)])
    slots: Ints = (np.cumsum(written) - 1)[starts[targets.trajectory] + targets.position]
    return slots


def split_batch(n: int, parts: int, stream: Sequence[int]) -> list[Ints]:
    """Which trajectories make up each mini-batch: all of them as they come, or shuffled and split.

    Args:
        n: Trajectories.
        parts: Mini-batches; fewer where there are fewer trajectories.
        stream: Seeds the shuffle.
    """
    if parts == 1:
        return [np.arange(n)]
    order = np.random.default_rng(list(stream)).permutation(n)
    return [np.sort(part) for part in np.array_split(order, parts) if part.size]


def correct(trajectories: Sequence[Trajectory], at_least: float) -> NDArray[np.bool_]:
    """bool[N], whether the environment's own outcome, which no shaping has changed, reaches `at_least`."""
    return np.array([t.outcome >= at_least for t in trajectories], dtype=np.bool_)
