"""Companion ``value``: PPO's critic, which says what the policy will still earn.

"Proximal Policy Optimization Algorithms", arXiv 1707.06347, and "High-Dimensional Continuous Control Using Generalized
Advantage Estimation", arXiv 1506.02438. The clipped value loss is that of PPO's public code (RECALLED), the critic's
start from the policy's own weights that of PPO for language models.

A value is a linear function of the last hidden state before what is valued. The layers below are a copy of the policy's
and trained: what a policy must know to act is not what a critic must know to predict, and sharing trained layers makes
the two losses fight. Under LoRA the copy is of the adapters only. The head begins at 0, so that the first update's
advantages are plain returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from agentgym.config import Config, validate
from agentgym.rewards.table import Floats, RewardTable
from agentgym.signal import RewardSignal
from agentgym.trainers.companions import CompanionContext
from agentgym.trainers.credit.base import PerToken, Values, returns_to_go, turn_rewards_with_outcome
from agentgym.trainers.packing import Ints, MicroBatch, Targets, micro_batches
from agentgym.trainers.trainee import CompanionOptimizer, Trainee, policy_slots, split_batch
from agentgym.trajectory import Trajectory, Turn

Flags = NDArray[np.bool_]

# A variance of returns no larger than this is rounding.
_NO_VARIANCE = 1e-12


class CriticOptimizer(CompanionOptimizer):
    """The critic's AdamW."""

    lr: float = Field(1e-5, gt=0)
    """Peak learning rate; the default is for large models, small ones learn with 100 times as much."""


class CriticConfig(Config):
    """A critic for the credit methods that need ``value``."""

    optimizer: CriticOptimizer = CriticOptimizer()
    """AdamW, schedule, clipping."""
    level: Literal["auto", "turn", "token"] = "auto"
    """Which states it learns from: those before a ``turn``, those before every ``token``, or those that the credit
    method has advantages of."""
    returns: Literal["lambda", "monte_carlo"] = "lambda"
    """What it learns to predict: ``lambda``, the advantage before whitening plus the value it was measured from, or
    ``monte_carlo``, the discounted rewards that did follow (for methods that normalise in another way)."""
    gamma: float = Field(1.0, ge=0, le=1)
    """Discount of each further turn in ``monte_carlo``."""
    clip: float | None = Field(0.2, gt=0)
    """Most that a value may move in an update before its loss stops pulling; none: free."""
    epochs: int = Field(4, ge=1)
    """Passes over an update's batch."""
    minibatches: int = Field(1, ge=1)
    """Optimiser steps a pass; above 1 the batch is shuffled and split by trajectory."""


def value_loss(values: torch.Tensor, old: torch.Tensor, returns: torch.Tensor, clip: float | None) -> torch.Tensor:
    """Half the squared error; where a value has moved further than `clip`, the worse of it and of the clipped value.

    L = 1/2 max((v - R)^2, (old + clamp(v - old, -clip, clip) - R)^2)

    Args:
        values: float[K], of the critic as it is.
        old: float[K], before the update.
        returns: float[K], R.
        clip: None: no clipping.

    Returns:
        float[K]
    """
    error = (values - returns) ** 2
    if clip is not None:
        error = torch.maximum(error, (old + (values - old).clamp(-clip, clip) - returns) ** 2)
    return 0.5 * error


@dataclass(frozen=True, slots=True)
class _States:
    """The states of a batch whose values are asked for, flat.

    Attributes:
        trajectories: The batch; a truncated one has a turn of one token more, before which lies its last state.
        targets: What is predicted from each state.
        end: bool[len(targets)], whether the state is a truncated trajectory's last.
        slot: int64[len(targets)], place among the policy's tokens; meaningless where `end`.
    """

    trajectories: list[Trajectory]
    targets: Targets
    end: Flags
    slot: Ints

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory]) -> _States:
        longer = [_continued(t) if t.truncated and len(t) else t for t in trajectories]
        targets = Targets.of(longer)
        extra = np.array([len(b) - len(a) for a, b in zip(trajectories, longer, strict=True)], dtype=np.int64)
        turns = np.array([len(t.turns) for t in trajectories], dtype=np.int64)
        before = np.cumsum(extra) - extra
        return cls(
            longer,
            targets,
            targets.turn == turns[targets.trajectory],
            policy_slots(longer, targets) - before[targets.trajectory],
        )

    def __len__(self) -> int:
        return len(self.targets)


def _continued(trajectory: Trajectory) -> Trajectory:
    """The trajectory as if the policy had gone on with one token: packing then reads all that was there before."""
    return replace(
        trajectory,
        tokens=np.append(trajectory.tokens, np.int32(0)),
        logprobs=np.append(trajectory.logprobs, np.float32(0)),
        turn=np.append(trajectory.turn, np.int16(len(trajectory.turns))),
        turns=[*trajectory.turns, Turn(RewardSignal())],
    )


class Critic:
    """The companion ``value``.

    Args:
        context: See there.
        options: Of `CriticConfig`.

    Raises:
        ConfigError: Options that do not fit.
    """

    Options = CriticConfig

    def __init__(self, context: CompanionContext, options: Mapping[str, Any]) -> None:
        self.config = validate(CriticConfig, options, context.where)
        self._seed, self._policy = context.seed, context.learner.policy
        self._budget = context.learner.config.microbatch_tokens
        self._body = self._policy.twin(head=False)
        device = self._policy.device
        self._head = nn.Linear(self._body.model.config.get_text_config().hidden_size, 1, device=device)
        body = {f"body.{n}": p for n, p in self._body.model.get_decoder().named_parameters() if p.requires_grad}
        parameters = body | {f"head.{n}": p for n, p in self._head.named_parameters()}
        self._trainee = Trainee(
            parameters, self.config.optimizer, context.learner.config.nonfinite_limit, context.where
        )
        self._values: Values | None = None
        self.start()

    def start(self) -> None:
        """Begins with the policy's layers as they are now, and a head of zeros."""
        self._body.follow(self._policy)
        nn.init.zeros_(self._head.weight)
        nn.init.zeros_(self._head.bias)
        self._trainee.reset()

    def estimate(self, trajectories: Sequence[Trajectory], table: RewardTable) -> tuple[Values, dict[str, float]]:
        """State values, float64; 0 after the end of an episode that was not truncated.

        A turn of no tokens has the value of the next one with any, or else of the last. Before the first token of a
        sequence there is no state; its value is 0.
        """
        states = _States.of(trajectories)
        flat = np.zeros(len(states))
        with torch.no_grad():
            for micro in self._micro(states, range(len(trajectories))):
                flat[micro.slots.cpu().numpy()] = self._forward(micro).double().cpu().numpy()
        token, final = np.zeros(int(table.tokens.sum())), np.zeros(table.n)
        token[states.slot[~states.end]] = flat[~states.end]
        final[states.targets.trajectory[states.end]] = flat[states.end]
        self._values = values = Values(first_tokens(table, token), final, token)
        return values, {"mean": float(values.turn.mean()) if table.m else 0.0}

    def learn(
        self, trajectories: Sequence[Trajectory], table: RewardTable, advantages: Floats | PerToken
    ) -> dict[str, float]:
        """Regresses the values of the batch that was estimated last on its returns.

        Returns:
            ``loss`` and ``grad_norm``, means over the passes; ``return``, the mean of what is learned; and
            ``explained_variance``, how much of it the values knew before.
        """
        values = self._values or self.estimate(trajectories, table)[0]
        self._values = None
        returns = self._returns(table, advantages, values)
        states, wanted = _States.of(trajectories), self._wanted(table, advantages)
        use = ~states.end
        use[use] = wanted[states.slot[use]]
        slot = np.where(use, states.slot, 0)
        old, goal = (_take(v, slot, self._policy.device) for v in (values.token, returns))
        losses, norms = [], []
        for epoch in range(self.config.epochs):
            stream = (self._seed, self._trainee.steps, epoch)
            for members in split_batch(len(trajectories), self.config.minibatches, stream):
                mine = use & np.isin(states.targets.trajectory, members)
                if mine.any():
                    losses.append(self._fit(states, members, mine, old, goal))
                    norms.append(self._trainee.step())
        if not losses:
            return {}
        chosen = np.unique(states.slot[use])
        return {
            "loss": float(np.mean(losses)),
            "grad_norm": float(np.mean(norms)),
            "return": float(returns[chosen].mean()),
            "explained_variance": explained_variance(values.token[chosen], returns[chosen]),
        }

    def save(self, folder: Path) -> None:
        """See `Companion.save`."""
        self._trainee.save(folder)

    def load(self, folder: Path) -> None:
        """See `Companion.load`."""
        self._trainee.load(folder)

    def _returns(self, table: RewardTable, advantages: Floats | PerToken, values: Values) -> Floats:
        """float64[P], what the value before each of the policy's tokens should have been."""
        if self.config.returns == "monte_carlo":
            rewards = turn_rewards_with_outcome(table)
            cut = table.truncated & (table.lengths > 0)
            rewards[table.offsets[1:][cut] - 1] += self.config.gamma * values.final[cut]
            return np.repeat(returns_to_go(table, rewards, self.config.gamma), table.tokens)
        if isinstance(advantages, PerToken):
            return advantages.values + values.token
        return np.repeat(advantages + values.turn, table.tokens)

    def _wanted(self, table: RewardTable, advantages: Floats | PerToken) -> Flags:
        """bool[P], the tokens before which the value is learned."""
        level = self.config.level
        if level == "auto":
            level = "token" if isinstance(advantages, PerToken) else "turn"
        wanted = np.full(int(table.tokens.sum()), level == "token")
        wanted[(np.cumsum(table.tokens) - table.tokens)[table.tokens > 0]] = True
        return wanted

    def _fit(self, states: _States, members: Ints, mine: Flags, old: torch.Tensor, goal: torch.Tensor) -> float:
        """Gradients of one mini-batch; returns its mean loss."""
        weight = torch.from_numpy((mine / mine.sum()).astype(np.float32)).to(self._policy.device)
        total = 0.0
        for micro in self._micro(states, members.tolist()):
            errors = value_loss(self._forward(micro), old[micro.slots], goal[micro.slots], self.config.clip)
            loss = (weight[micro.slots] * errors).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _forward(self, micro: MicroBatch) -> torch.Tensor:
        values: torch.Tensor = self._head(self._body.hidden(micro).float())[:, 0]
        return values

    def _micro(self, states: _States, members: Sequence[int]) -> list[MicroBatch]:
        return micro_batches(states.trajectories, members, states.targets, self._budget, self._policy.device)


def first_tokens(table: RewardTable, token: Floats) -> Floats:
    """float64[M], the value before each turn from those before each token.

    A turn of no tokens takes the trajectory's next, or else its last; 0 in a trajectory without any.
    """
    held = table.sum_turns(table.tokens).astype(np.int64)
    if not held.any():
        return np.zeros(table.m)
    first = np.cumsum(table.tokens) - table.tokens
    last = (np.cumsum(held) - 1)[table.trajectory]
    return np.where(held[table.trajectory] > 0, token[np.clip(np.minimum(first, last), 0, None)], 0.0)


def explained_variance(predicted: Floats, actual: Floats) -> float:
    """1 - Var(actual - predicted) / Var(actual): 1 is perfect, 0 no better than a constant; 0 where nothing varies."""
    spread = float(np.var(actual))
    return 1.0 - float(np.var(actual - predicted)) / spread if spread > _NO_VARIANCE else 0.0


def _take(values: Floats, index: Ints, device: torch.device) -> torch.Tensor:
    """float32 of ``values[index]``."""
    taken = values[index] if len(values) else np.zeros(len(index))
    return torch.from_numpy(taken.astype(np.float32)).to(device)
