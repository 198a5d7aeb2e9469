"""Companion ``implicit_reward``: PRIME's process reward model, trained online from outcomes alone.

"Process Reinforcement through Implicit Rewards", arXiv 2502.01456 (CODE, in parts). A language model that starts as the
policy after the warm start, and a frozen copy of that start; the log ratio of the two, summed over an episode's tokens,
is trained to tell right episodes from wrong ones, and its summands are then rewards of the tokens:

    q_t = log prm(token_t) - log ref(token_t)        loss = BCE(sigmoid(beta * sum_t q_t), correct)

As in the authors' code, the reward of a token is beta q_t divided by the largest reward-to-go of the batch, so that it
can be weighed against outcomes however far training has come, and the probabilities are those at temperature 1. Unlike
there, an episode's last token keeps its reward.
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
from torch.nn.functional import binary_cross_entropy_with_logits

from agentgym.config import Config, validate
from agentgym.faults import DataError
from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.companions import CompanionContext
from agentgym.trainers.credit.base import PerToken
from agentgym.trainers.packing import Ints, MicroBatch, Targets, micro_batches
from agentgym.trainers.trainee import CompanionOptimizer, Trainee, correct, policy_slots, split_batch
from agentgym.trajectory import Trajectory

# Added to the largest reward-to-go, as published: before anything is learned, all of them are 0.
_EPS = 1e-6


class ImplicitRewardOptimizer(CompanionOptimizer):
    """The reward model's AdamW."""

    lr: float = Field(1e-6, gt=0)
    """Peak learning rate; the default is the published one, for a large model; tiny ones need 100 times as much."""


class ImplicitRewardConfig(Config):
    """PRIME's reward model for the credit methods that need ``implicit_reward``."""

    optimizer: ImplicitRewardOptimizer = ImplicitRewardOptimizer()
    """AdamW, schedule, clipping."""
    beta: float = Field(0.05, gt=0)
    """Factor of the log ratio: of its sum in the training loss, of each q in the rewards."""
    scale: Literal["batch", "beta", "none"] = "batch"
    """What becomes a token's reward: ``batch``, beta q over the batch's largest absolute sum of it from a token to the
    end of its episode; ``beta``, beta q; ``none``, q."""
    update: Literal["before", "after"] = "before"
    """Whether it learns from a batch before or after it rewards that batch."""
    correct_at: float = 1.0
    """An episode is right when the environment's outcome reaches this."""
    epochs: int = Field(1, ge=1)
    """Passes over an update's batch."""
    minibatches: int = Field(1, ge=1)
    """Optimiser steps a pass; above 1 the batch is shuffled and split by trajectory."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch as the loss reads it.

    Attributes:
        trajectories: The batch.
        targets: The policy's tokens.
        owner: int64[len(targets)], the trajectory of each.
        labels: float32[N], 1 where the episode is right.
        reference: float32[len(targets)], log-probabilities under the reference.
    """

    trajectories: Sequence[Trajectory]
    targets: Targets
    owner: torch.Tensor
    labels: torch.Tensor
    reference: torch.Tensor

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory], correct_at: float, device: torch.device) -> _Batch:
        targets = Targets.of(trajectories)
        labels = torch.from_numpy(correct(trajectories, correct_at).astype(np.float32)).to(device)
        owner = torch.from_numpy(targets.trajectory).to(device)
        return cls(trajectories, targets, owner, labels, torch.zeros(len(targets), device=device))


def _separation(sums: Floats, right: NDArray[np.bool_]) -> dict[str, float]:
    """See `ImplicitReward.estimate`."""
    if not len(sums):
        return {}
    figures = {"accuracy": float(np.mean((sums > 0) == right))}
    if right.any() and not right.all():
        figures["margin"] = float(sums[right].mean() - sums[~right].mean())
    return figures


class ImplicitReward:
    """The companion ``implicit_reward``.

    Args:
        context: See there.
        options: Of `ImplicitRewardConfig`.

    Raises:
        ConfigError: Options that do not fit.
    """

    Options = ImplicitRewardConfig

    def __init__(self, context: CompanionContext, options: Mapping[str, Any]) -> None:
        self.config = validate(ImplicitRewardConfig, options, context.where)
        self._seed, self._policy, self._where = context.seed, context.learner.policy, context.where
        self._budget = context.learner.config.microbatch_tokens
        self._model = self._policy.twin()
        self._trainee = Trainee(
            self._model.trained(), self.config.optimizer, context.learner.config.nonfinite_limit, context.where
        )
        self._batch: _Batch | None = None
        self.start()

    def start(self) -> None:
        """Model and reference begin as the policy is now."""
        self._model.follow(self._policy)
        self._reference = self._model.copy()
        self._trainee.reset()

    def estimate(self, trajectories: Sequence[Trajectory], table: RewardTable) -> tuple[Floats, dict[str, float]]:
        """The reward of each of the policy's tokens, float64[P]; 0 for one that nothing comes before.

        Besides the figures of training: ``accuracy``, the share of episodes that sigmoid(beta * sum q) puts on the
        right side of one half, and ``margin``, the mean sum of the right episodes minus that of the wrong ones.
        """
        batch = _Batch.of(trajectories, self.config.correct_at, self._policy.device)
        with self._model.swapped(self._reference):
            batch = replace(batch, reference=self._logprobs(batch))
        figures = self._train(batch) if self.config.update == "before" else {}
        q = (self._logprobs(batch) - batch.reference).double().cpu().numpy()
        self._batch = batch
        tokens = np.zeros(int(table.tokens.sum()))
        tokens[policy_slots(trajectories, batch.targets)] = self._rewards(q, batch.targets)
        sums = np.bincount(batch.targets.trajectory, weights=q, minlength=len(trajectories)).astype(np.float64)
        return tokens, figures | _separation(sums, correct(trajectories, self.config.correct_at))

    def learn(
        self, trajectories: Sequence[Trajectory], table: RewardTable, advantages: Floats | PerToken
    ) -> dict[str, float]:
        """Trains on the batch that was estimated last, unless that was done before."""
        del trajectories, table, advantages
        batch, self._batch = self._batch, None
        return self._train(batch) if batch is not None and self.config.update == "after" else {}

    def save(self, folder: Path) -> None:
        """See `Companion.save`."""
        self._trainee.save(folder, reference=self._reference)

    def load(self, folder: Path) -> None:
        """See `Companion.load`."""
        reference = self._trainee.load(folder).get("reference")
        if not isinstance(reference, dict) or reference.keys() != self._reference.keys():
            raise DataError(folder, f"not a checkpoint of {self._where}: no reference")
        self._reference = reference

    def _rewards(self, q: Floats, targets: Targets) -> Floats:
        """float64[len(targets)] of q."""
        if self.config.scale == "none":
            return q
        scaled = self.config.beta * q
        if self.config.scale == "beta":
            return scaled
        # Sums to go: those to the end of the batch, less what lies after the episode.
        to_end = np.concatenate([np.cumsum(scaled[::-1])[::-1], [0.0]])
        to_go = to_end[:-1] - to_end[targets.offsets[1:]][targets.trajectory]
        return np.asarray(scaled / (np.abs(to_go).max(initial=0.0) + _EPS), dtype=np.float64)

    def _train(self, batch: _Batch) -> dict[str, float]:
        """The configured passes over a batch."""
        losses, norms = [], []
        for epoch in range(self.config.epochs):
            stream = (self._seed, self._trainee.steps, epoch)
            for members in split_batch(len(batch.trajectories), self.config.minibatches, stream):
                spoke = members[np.diff(batch.targets.offsets)[members] > 0]
                if spoke.size:
                    losses.append(self._fit(batch, spoke))
                    norms.append(self._trainee.step())
        return {"loss": float(np.mean(losses)), "grad_norm": float(np.mean(norms))} if losses else {}

    def _fit(self, batch: _Batch, members: Ints) -> float:
        """Gradients of one mini-batch; returns its mean loss."""
        total = 0.0
        for micro in self._micro(batch, members.tolist()):
            q = self._model.logprobs(micro) - batch.reference[micro.slots]
            owner = batch.owner[micro.slots]
            sums = q.new_zeros(len(batch.trajectories)).index_add(0, owner, q)
            here = torch.unique(owner)
            loss = binary_cross_entropy_with_logits(
                self.config.beta * sums[here], batch.labels[here], reduction="sum"
            ) / len(members)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    @torch.no_grad()
    def _logprobs(self, batch: _Batch) -> torch.Tensor:
        """float32[len(targets)]"""
        flat = torch.zeros(len(batch.targets), device=self._policy.device)
        for micro in self._micro(batch, range(len(batch.trajectories))):
            flat[micro.slots] = self._model.logprobs(micro)
        return flat

    def _micro(self, batch: _Batch, members: Sequence[int]) -> list[MicroBatch]:
        return micro_batches(batch.trajectories, members, batch.targets, self._budget, self._policy.device)
