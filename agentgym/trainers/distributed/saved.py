"""A learner's tensors on disk: whole in one process's files, or in shards; read by any number of processes alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from agentgym.trainers.distributed import shards
from agentgym.trainers.distributed.shards import PARAMETER, REFERENCE, SHARDS, like, local
from agentgym.trainers.policy import Policy

_OPTIMIZER_FILE, _REFERENCE_FILE = "optimizer.pt", "reference.pt"
#: AdamW's state of a parameter: as large as it is, and one number.
_MOMENTS, _STEP = ("exp_avg", "exp_avg_sq"), "step"


class Saved:
    """The files of one learner's folder.

    Args:
        folder: Where they lie.
        policy: What is trained.
        optimizer: What trains it.
    """

    def __init__(self, folder: Path, policy: Policy, optimizer: torch.optim.Optimizer) -> None:
        self.folder, self.policy, self.optimizer = folder, policy, optimizer

    def write(self, reference: dict[str, torch.Tensor] | None, whole: bool) -> None:
        """Writes parameters, moments and reference.

        Args:
            reference: The frozen parameters, or none.
            whole: This process has all of them; otherwise all processes of the team write their shards together.

        Raises:
            OSError, RuntimeError: They cannot be written.
        """
        if whole:
            self.policy.save(self.folder)
            torch.save(self.optimizer.state_dict(), self.folder / _OPTIMIZER_FILE)
            if reference is not None:
                torch.save(reference, self.folder / _REFERENCE_FILE)
            return
        shards.write(self.folder / SHARDS, self._parameters() | self._moments())
        if reference is not None:
            with self.policy.swapped(reference):  # parameters know their place in the whole, copies do not
                shards.write(self.folder / REFERENCE, self._parameters())

    def read(self, copy: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor] | None:
        """Reads moments and reference; the parameters are the policy's to read.

        Args:
            copy: Makes a reference of the policy as it is.

        Returns:
            The reference, if there was one.

        Raises:
            OSError, ValueError, KeyError, RuntimeError, UnpicklingError: Not the files of such a learner.
        """
        self.optimizer.state.clear()
        return self._read_shards(copy) if shards.found(self.folder) else self._read_whole(copy)

    def _read_shards(self, copy: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor] | None:
        held = shards.names(self.folder / SHARDS)
        for name, p in self.policy.trained().items():
            if f"{_STEP}.{name}" in held:
                self.optimizer.state[p] = {_STEP: torch.zeros(())} | {key: torch.zeros_like(p) for key in _MOMENTS}
        shards.read(self.folder / SHARDS, self._moments())
        if not (self.folder / REFERENCE).is_dir():
            return None
        reference = copy()
        with self.policy.swapped(reference):
            shards.read(self.folder / REFERENCE, self._parameters())
        return reference

    def _read_whole(self, copy: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor] | None:
        saved: dict[str, Any] = torch.load(self.folder / _OPTIMIZER_FILE, map_location="cpu", weights_only=True)
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        for index, state in saved["state"].items():
            state |= {key: like(trained[index], state[key]) for key in _MOMENTS}
        self.optimizer.load_state_dict(saved)
        if not (self.folder / _REFERENCE_FILE).exists():
            return None
        frozen: Mapping[str, torch.Tensor] = torch.load(
            self.folder / _REFERENCE_FILE, map_location="cpu", weights_only=True
        )
        reference = copy()
        for name, p in self.policy.trained().items():
            reference[name].copy_(local(like(p, frozen[name])))
        return reference

    def _parameters(self) -> dict[str, torch.Tensor]:
        return {PARAMETER + name: p.detach() for name, p in self.policy.trained().items()}

    def _moments(self) -> dict[str, torch.Tensor]:
        states = {name: self.optimizer.state.get(p, {}) for name, p in self.policy.trained().items()}
        return {f"{key}.{name}": value for name, state in states.items() for key, value in state.items()}
