"""What a rank does: it builds a learner, and does what it is told until it is told to leave.

All ranks get the same commands with the same whole batches, in the same order; which part of a batch is whose, each of
them works out for itself (`agentgym.trainers.packing.balance`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.train
import ray.train.torch

from agentgym.rollout.weights import pack_state
from agentgym.trainers.distributed.mailbox import Answer, Command
from agentgym.trainers.distributed.sharding import make_team
from agentgym.trainers.learner import Learner, LearnerConfig
from agentgym.trainers.losses import Loss

if TYPE_CHECKING:
    from ray.actor import ActorHandle


@dataclass(frozen=True)
class Plan:
    """What a rank's learner is made from; arguments of `Learner`.

    Attributes:
        model: A Hugging Face folder (absolute) or a hub name.
        config: The learner.
        loss: The policy loss, or none for the learner's own choice.
        temperature: Of the sampling.
        total_steps: Optimiser steps of the run.
    """

    model: str
    config: LearnerConfig
    loss: Loss | None
    temperature: float
    total_steps: int | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What the first rank answers.

    Attributes:
        value: Of the call.
        steps: The learner's optimiser steps afterwards.
        supervised_steps: Those of them that were supervised.
    """

    value: Any
    steps: int
    supervised_steps: int


class Rank:
    """A learner among others.

    Args:
        number: The rank's.
        device: Its own.
    """

    def __init__(self, number: int, device: str) -> None:
        self.first, self._device = number == 0, device
        self._learner: Learner | None = None

    def call(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Reply:
        """Does what a command says: `begin`, `weights`, `export`, or a method of the learner's."""
        own: Any = {"begin": self.begin, "weights": self.weights, "export": self.export}
        value = (own.get(name) or getattr(self.learner, name))(*arguments, **options)
        return Reply(value, self.learner.steps, self.learner.supervised_steps)

    @property
    def learner(self) -> Learner:
        """What `begin` made."""
        if self._learner is None:
            raise RuntimeError("no learner has begun")
        return self._learner

    def begin(self, plan: Plan) -> None:
        """Begins with a new learner."""
        self._learner = None  # its memory goes first
        config = plan.config.model_copy(update={"device": self._device})
        self._learner = Learner(
            plan.model,
            config,
            plan.loss,
            temperature=plan.temperature,
            total_steps=plan.total_steps,
            team=make_team(config.sharding),
        )

    def weights(self) -> dict[str, Any]:
        """`Learner.weights`, ready to travel, in the first rank."""
        return pack_state(self.learner.policy.weights(keep=self.first))

    def export(self, folder: Path) -> None:
        """`Policy.export`, by the first rank."""
        self.learner.policy.export(folder, keep=self.first)


def serve(setup: dict[str, Any]) -> None:
    """A Ray Train worker's training function.

    Args:
        setup: ``mailbox``: handle of the group's mailbox.
    """
    mailbox: ActorHandle[Any] = setup["mailbox"]
    number = ray.train.get_context().get_world_rank()
    ray.get(mailbox.join.remote(number, ray.get_runtime_context().current_actor))
    rank = Rank(number, str(ray.train.torch.get_device()))
    done = 0
    while True:
        command: Command = ray.get(mailbox.next.remote(done))
        if not command.name:
            return
        try:
            arguments, options = ray.get(command.arguments)
            reply = rank.call(command.name, arguments, options)
            answer = Answer(command.number, number, ray.put(reply) if rank.first else None)
        except Exception as error:
            answer = Answer.failed(command.number, number, error)
        ray.get(mailbox.answer.remote(answer))
        done = command.number + 1
