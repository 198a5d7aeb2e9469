"""Companions: models trained beside the policy that a credit method reads (a critic, an implicit reward model).

A credit method says by name what it needs; the run builds a companion for each need, asks it before the advantages are
computed and lets it learn after, and saves it with every checkpoint. The methods themselves stay pure functions of
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agentgym.config import validate
from agentgym.faults import ConfigError
from agentgym.registry import Registry
from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.credit.base import PerToken
from agentgym.trainers.learner import Learner
from agentgym.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class CompanionContext:
    """What a companion is made from.

    Attributes:
        learner: Trains the policy; companions read its model, device and configuration, and never change it.
        seed: Of the run.
        where: Its key in the configuration, for messages.
    """

    learner: Learner
    seed: int
    where: str


class Companion(Protocol):
    """A model that is trained beside the policy.

    All calls of an update see the same trajectories, in the order of the table.
    """

    def start(self) -> None:
        """Called once before the first update, after the warm start: begin from the policy as it is now."""

    def estimate(self, trajectories: Sequence[Trajectory], table: RewardTable) -> tuple[Any, dict[str, float]]:
        """What the credit method takes (see its `needs`), and figures to log. May learn from the batch first."""

    def learn(
        self, trajectories: Sequence[Trajectory], table: RewardTable, advantages: Floats | PerToken
    ) -> dict[str, float]:
        """Learns from the batch once its advantages are known; returns figures to log.

        Args:
            trajectories: The batch.
            table: Its rewards.
            advantages: Before any whitening (`Credit.unwhitened`).
        """

    def save(self, folder: Path) -> None:
        """Writes everything that the next update depends on."""

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote; the next update is what it would have been.

        Raises:
            DataError: Not a folder of this companion.
        """


#: Makes a companion from its context and its options in the configuration. Where it has an attribute ``Options``, a
#: `Config`, these are checked before anything is built.
CompanionFactory = Callable[[CompanionContext, Mapping[str, Any]], Companion]
#: Name -> import path of the companions that come with the package.
BUILT_IN: Mapping[str, str] = {
    "value": "agentgym.trainers.critic:Critic",
    "implicit_reward": "agentgym.trainers.implicit_reward:ImplicitReward",
    "latent_reward": "agentgym.trainers.latent_reward:LatentReward",
    "influence": "agentgym.trainers.influence:Influence",
}
COMPANIONS: Registry[CompanionFactory] = Registry("companion", "agentgym.companions", BUILT_IN)


class Companions:
    """The companions of one run, in the order in which the credit method takes what they make.

    Args:
        needs: Names of `COMPANIONS`.
        options: Options by name.
        learner: Trains the policy.
        seed: Of the run.

    Raises:
        ConfigError: An unknown companion, options of one that the credit method does not read, or options that do not
            fit.
    """

    def __init__(
        self, needs: Sequence[str], options: Mapping[str, Mapping[str, Any]], learner: Learner, seed: int
    ) -> None:
        self._models = {
            name: COMPANIONS.get(name)(CompanionContext(learner, seed, f"companions.{name}"), options.get(name, {}))
            for name in needs
        }

    def start(self) -> None:
        """See `Companion.start`."""
        for model in self._models.values():
            model.start()

    def estimate(self, trajectories: Sequence[Trajectory], table: RewardTable) -> tuple[list[Any], dict[str, float]]:
        """What the credit method takes besides the table, and figures named ``<companion>_<figure>``."""
        inputs, figures = [], dict[str, float]()
        for name, model in self._models.items():
            value, measured = model.estimate(trajectories, table)
            inputs.append(value)
            figures |= {f"{name}_{k}": v for k, v in measured.items()}
        return inputs, figures

    def learn(
        self, trajectories: Sequence[Trajectory], table: RewardTable, advantages: Floats | PerToken
    ) -> dict[str, float]:
        """See `Companion.learn`; figures named ``<companion>_<figure>``."""
        return {
            f"{name}_{k}": v
            for name, model in self._models.items()
            for k, v in model.learn(trajectories, table, advantages).items()
        }

    def save(self, folder: Path) -> None:
        """One folder a companion."""
        for name, model in self._models.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            model.save(folder / name)

    def load(self, folder: Path) -> None:
        """See `Companion.load`."""
        for name, model in self._models.items():
            model.load(folder / name)


def check_companions(needs: Sequence[str], options: Mapping[str, Any]) -> None:
    """Refuses a companion that does not exist, options of one that nothing reads, and options that do not fit.

    Raises:
        ConfigError: Names it.
    """
    for name in options:
        if name not in needs:
            read = f"it reads {', '.join(needs)}" if needs else "it reads none"
            raise ConfigError(f"companions.{name}: the credit method does not read it; {read}")
    for name in needs:
        if model := getattr(COMPANIONS.get(name), "Options", None):
            validate(model, options.get(name, {}), f"companions.{name}")
