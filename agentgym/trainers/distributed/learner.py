"""`DistributedLearner`: the learner's interface, answered by several processes.

It holds no model. Batches go to the ranks through Ray's object store, once for all of them, and weights come back the
same way, mapped into memory, not copied.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from agentgym.faults import ConfigError
from agentgym.rewards.table import Floats
from agentgym.rollout.pool import DEFAULT_OBJECT_STORE_BYTES
from agentgym.rollout.weights import unpack_state
from agentgym.signal import RewardSignal
from agentgym.trainers.distributed.fault import LearnerFault
from agentgym.trainers.distributed.group import RankGroup
from agentgym.trainers.distributed.rank import Plan, Reply
from agentgym.trainers.learner import LearnerConfig
from agentgym.trainers.losses import Loss
from agentgym.trajectory import Trajectory

_NOTHING = RewardSignal()


class DistributedLearner:
    """A policy that `LearnerConfig.processes` ranks train; what it does, and its arguments, are those of `Learner`.

    Calls from several threads wait for each other.

    Args:
        model: A Hugging Face folder or a hub name; a folder must be there for all ranks.
        config: See `LearnerConfig`.
        loss: See `Learner`.
        temperature: See `Learner`.
        total_steps: See `Learner`.
        address: Of a Ray cluster; None: a private local Ray, or the one this process has started already.
        object_store_memory: Bytes, of a private Ray.
        group: Processes that are there already, with no other learner in them; None: the learner's own.

    Raises:
        ConfigError: The model or an option cannot be used.
        LearnerFault: The processes cannot be started.
        MissingExtra: Ray Train is not installed.
    """

    def __init__(
        self,
        model: str | Path,
        config: LearnerConfig,
        loss: Loss | None = None,
        *,
        temperature: float = 1.0,
        total_steps: int | None = None,
        address: str | None = None,
        object_store_memory: int = DEFAULT_OBJECT_STORE_BYTES,
        group: RankGroup | None = None,
    ) -> None:
        if not temperature > 0:
            raise ConfigError(f"temperature must be above 0 to train at, got {temperature}")
        config.optimizer.lr_at(0, total_steps)
        self.config = config
        where = str(Path(model).resolve()) if Path(model).is_dir() else str(model)
        self._plan = Plan(where, config, loss, temperature, total_steps)
        self._address, self._object_store_memory = address, object_store_memory
        self._lock = threading.RLock()
        self._steps = self._supervised_steps = 0
        self.policy = RemotePolicy(self)
        self._own, self._group = group is None, group
        try:
            self.restart()
        except BaseException:
            self.close()
            raise

    @property
    def steps(self) -> int:
        """Optimiser steps since the last `reset_optimizer`."""
        return self._steps

    @property
    def supervised_steps(self) -> int:
        """Supervised steps."""
        return self._supervised_steps

    @property
    def running(self) -> bool:
        """Whether its processes are there."""
        return self._group is not None and self._group.running

    def _run(self, name: str, *arguments: Any, **options: Any) -> Any:
        with self._lock:
            if self._group is None or not self._group.running:
                raise LearnerFault("the learner's processes are down; load a checkpoint to start them again")
            reply: Reply = self._group.run(name, *arguments, **options)
            self._steps, self._supervised_steps = reply.steps, reply.supervised_steps
            return reply.value

    # -- the learner's interface -------------------------------------------------------------------------------------

    def reset_optimizer(self) -> None:
        """See `Learner.reset_optimizer`."""
        self._run("reset_optimizer")

    def update(
        self, trajectories: Sequence[Trajectory], advantages: Sequence[Floats], *, per_token: bool = False
    ) -> dict[str, float]:
        """See `Learner.update`.

        Raises:
            LearnerFault: A rank died.
        """
        figures: dict[str, float] = self._run("update", _slim(trajectories), list(advantages), per_token=per_token)
        return figures

    def supervised(
        self,
        trajectories: Sequence[Trajectory],
        weights: Sequence[float] | None = None,
        *,
        lr: float,
        observation_weight: float = 0.0,
    ) -> dict[str, float]:
        """See `Learner.supervised`.

        Raises:
            LearnerFault: A rank died.
        """
        figures: dict[str, float] = self._run(
            "supervised", _slim(trajectories), weights, lr=lr, observation_weight=observation_weight
        )
        return figures

    def logprobs(self, trajectories: Sequence[Trajectory]) -> list[NDArray[np.float32]]:
        """See `Learner.logprobs`.

        Raises:
            LearnerFault: A rank died.
        """
        values: list[NDArray[np.float32]] = self._run("logprobs", _slim(trajectories))
        return values

    def weights(self) -> dict[str, torch.Tensor]:
        """See `Learner.weights`; the tensors share read-only memory of Ray's object store: never write into them.

        Raises:
            LearnerFault: A rank died.
        """
        return unpack_state(self._run("weights"))

    def save(self, folder: Path) -> None:
        """See `Learner.save`; each rank writes its shard. On several machines they must share the folder.

        Raises:
            OSError: It could not be written.
            LearnerFault: A rank died.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._run("save", folder.resolve())

    def load(self, folder: Path) -> None:
        """See `Learner.load`; ranks that are down are started first.

        Raises:
            DataError: Not a learner's folder, or one of another model.
            LearnerFault: A rank died, or cannot be started.
        """
        with self._lock:
            if not self.running:
                self.restart()
            self._run("load", folder.resolve())

    def restart(self) -> None:
        """Begins anew with the model and the optimiser that the run began with, in new processes if there are none.

        Raises:
            ConfigError: The model or an option cannot be used.
            LearnerFault: A rank died, or cannot be started.
        """
        with self._lock:
            if not self.running:
                if self._group is not None:
                    self._group.stop()
                self._own, self._group = True, RankGroup(self.config, self._address, self._object_store_memory)
            self._run("begin", self._plan)

    def close(self) -> None:
        """Ends the processes, if they are the learner's own; safe to call again."""
        with self._lock:
            if self._group is not None and self._own:
                self._group.stop()
            self._group = None


class RemotePolicy:
    """What a run may ask of a policy that lies in other processes."""

    def __init__(self, learner: DistributedLearner) -> None:
        self._learner = learner

    def export(self, folder: Path) -> Path:
        """See `Policy.export`."""
        self._learner._run("export", folder.resolve())
        return folder

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ConfigError(
            f"learner.processes {self._learner.config.processes}: {name!r} of the policy is only there where it is "
            "trained in this process; set learner.processes=1"
        )


def _slim(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """What ranks learn from: tokens and who wrote them, without what was said, done and signalled."""
    return [
        replace(t, messages=[], turns=[replace(turn, signal=_NOTHING, action={}, state_key="") for turn in t.turns])
        for t in trajectories
    ]
