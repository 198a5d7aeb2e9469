"""Companion ``influence``: how much each token weighs in the likelihood of the group's correct answers.

"Token Hidden Reward: Steering Exploration-Exploitation in Group Relative Deep Reinforcement Learning", arXiv 2510.03669
(ABSTRACT: what such an influence is for is the paper's; the two measures here are this package's). It is computed from
the policy as it is, without gradients and without a model of its own.

Both measures are inner products with a sum over the correct answers' tokens, so that their cost is linear in the tokens
and no pair of tokens is ever formed. With h_j the hidden state that predicts token j, p_j its probability, pi_j the
whole distribution, e_j the one-hot vector of j, and K the tokens of the group's correct answers:

    residual   I_j = (1 - p_j) < h_j, 1/|K| sum_k (1 - p_k) h_k >
    gradient   I_j = < (e_j - pi_j) h_j^T, 1/|K| sum_k (e_k - pi_k) h_k^T >

The second is exactly how fast the mean log-probability of K rises when the output embedding takes a gradient step on
log p_j: it knows which token is meant, and is negative where a token competes with those of the correct answers. The
first leaves that out, and with it most of the sign; it needs no matrix of the vocabulary's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from agentgym.config import Config, validate
from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.companions import CompanionContext
from agentgym.trainers.credit.base import PerToken
from agentgym.trainers.packing import Targets, micro_batches
from agentgym.trainers.trainee import correct, policy_slots
from agentgym.trajectory import Trajectory


class InfluenceConfig(Config):
    """Influence on correct answers for the credit methods that need ``influence``."""

    metric: Literal["residual", "gradient"] = "gradient"
    """How it is measured; ``gradient`` holds one matrix of vocabulary times width."""
    correct_at: float = 1.0
    """An episode is right when the environment's outcome reaches this."""


class Influence:
    """The companion ``influence``.

    Args:
        context: See there.
        options: Of `InfluenceConfig`.

    Raises:
        ConfigError: Options that do not fit.
    """

    Options = InfluenceConfig

    def __init__(self, context: CompanionContext, options: Mapping[str, Any]) -> None:
        self.config = validate(InfluenceConfig, options, context.where)
        self._policy = context.learner.policy
        self._budget = context.learner.config.microbatch_tokens

    def start(self) -> None:
        """Nothing to begin with."""

    @torch.no_grad()
    def estimate(self, trajectories: Sequence[Trajectory], table: RewardTable) -> tuple[Floats, dict[str, float]]:
        """I of each of the policy's tokens, float64[P].

        0 in a group without a correct answer, and for a token that nothing comes before. Groups are read one after the
        other: no more than one group's hidden states are held.
        """
        right = correct(trajectories, self.config.correct_at)
        targets = Targets.of(trajectories)
        flat = np.zeros(len(targets))
        for group in np.unique(table.group[right]):
            members = np.flatnonzero(table.group == group)
            micros = micro_batches(trajectories, members.tolist(), targets, self._budget, self._policy.device)
            places = np.concatenate([np.zeros(0, np.int64), *(micro.slots.cpu().numpy() for micro in micros)])
            answer = right[targets.trajectory[places]]
            if answer.any():
                hidden = torch.cat([self._policy.hidden(micro).float() for micro in micros])
                labels = torch.cat([micro.labels for micro in micros])
                measured = self._measure(hidden, labels, torch.from_numpy(answer).to(labels.device))
                flat[places] = measured.double().cpu().numpy()
        tokens = np.zeros(int(table.tokens.sum()))
        tokens[policy_slots(trajectories, targets)] = flat
        return tokens, {"negative": float(np.mean(flat < 0)) if len(flat) else 0.0, "groups": _share(table, right)}

    def learn(
        self, trajectories: Sequence[Trajectory], table: RewardTable, advantages: Floats | PerToken
    ) -> dict[str, float]:
        """Nothing is learned."""
        del trajectories, table, advantages
        return {}

    def save(self, folder: Path) -> None:
        """Nothing is kept."""

    def load(self, folder: Path) -> None:
        """Nothing was kept."""

    def _measure(self, hidden: torch.Tensor, labels: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        """float32[p], the influence of each token of one group.

        Args:
            hidden: float32[p, width].
            labels: int64[p].
            answer: bool[p], whether the token is a correct answer's; at least one is.
        """
        if self.config.metric == "residual":
            with self._policy.precision():
                logp = self._policy.head.logprobs(hidden, labels, self._policy.config.chunk_tokens)
            scaled = -torch.expm1(logp)[:, None] * hidden
            return scaled @ scaled[answer].mean(0)
        rows = int(self._policy.model.get_output_embeddings().weight.shape[0])
        total = hidden.new_zeros(rows, hidden.shape[1])
        for h, residual in self._residuals(hidden[answer], labels[answer]):
            total.addmm_(residual.T, h)
        total /= int(answer.sum())
        return torch.cat([((residual @ total) * h).sum(1) for h, residual in self._residuals(hidden, labels)])

    def _residuals(self, hidden: torch.Tensor, labels: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(h [c, width], e - pi [c, vocabulary]), so many tokens at a time as the policy's head may see."""
        chunk = self._policy.config.chunk_tokens
        for h, y in zip(torch.split(hidden, chunk), torch.split(labels, chunk), strict=True):
            with self._policy.precision():
                logits = self._policy.head.logits(h)
            residual = -torch.softmax(logits, dim=1)
            residual[torch.arange(len(y), device=y.device), y] += 1.0
            yield h, residual


def _share(table: RewardTable, right: NDArray[np.bool_]) -> float:
    """Share of the groups that have a correct answer."""
    return len(np.unique(table.group[right])) / table.n_groups if table.n else 0.0
