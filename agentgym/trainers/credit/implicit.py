"""PRIME: implicit process rewards, each token compared with the other trajectories of its group."""

from __future__ import annotations

import numpy as np

from agentgym.faults import ConfigError
from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.credit.base import CREDIT, Discount, PerToken, Weight, trajectory_returns, whitened
from agentgym.trainers.credit.values import scan, token_offsets


@CREDIT.register(
    "prime",
    source="Process Reinforcement through Implicit Rewards (PRIME)",
    arxiv="2502.01456",
    status="code",
    needs=("implicit_reward",),
    least_group=2,
)
def prime(
    table: RewardTable,
    implicit_reward: Floats,
    *,
    process_weight: Weight = 5.0,
    outcome_weight: Weight = 5.0,
    gamma: Discount = 1.0,
    whiten: bool = True,
) -> PerToken:
    """Implicit process rewards and the return, each against the others of the group, summed to the episode's end.

    Leave one out, with n trajectories in the group and mean_i the mean of trajectory i's q over its tokens:
    a_ij = n/(n-1) (q_ij - mean over the group of mean_i). The return R_i is treated alike, as a reward of the last
    token. A_ij = sum over k >= j of gamma^(k-j) (process_weight a_ik + outcome_weight b_ik), whitened over all tokens.

    Args:
        table: P policy tokens in all.
        implicit_reward: float64[P], q = log-probability under the process reward model minus that under its reference.
        process_weight: Weight of the implicit rewards.
        outcome_weight: Weight of the return.
        gamma: Discount of each further token.
        whiten: Subtract the batch's mean and divide by its standard deviation.

    Returns:
        float64[P]; 0 for a trajectory that is alone in its group.

    Raises:
        ConfigError: No group has two trajectories, so that nothing can be left out.
    """
    sizes = np.bincount(table.group, minlength=table.n_groups)
    if table.n and sizes.max() < 2:
        raise ConfigError("credit prime compares the trajectories of a group: samples_per_task must be 2 or more")
    offsets = token_offsets(table)
    lengths = np.diff(offsets)
    owner = np.repeat(np.arange(table.n), lengths)
    written = lengths > 0
    n = np.bincount(table.group, weights=written, minlength=table.n_groups)[table.group]
    scale = np.where(n > 1, n / np.maximum(n - 1, 1), 0.0)

    def left_out(means: Floats) -> Floats:
        sums = np.bincount(table.group, weights=np.where(written, means, 0.0), minlength=table.n_groups)
        return np.asarray(sums[table.group] / np.maximum(n, 1), dtype=np.float64)

    means = np.bincount(owner, weights=implicit_reward, minlength=table.n) / np.maximum(lengths, 1)
    rewards = process_weight * scale[owner] * (implicit_reward - left_out(means)[owner])
    returns = trajectory_returns(table)
    rewards[offsets[1:][written] - 1] += outcome_weight * (scale * (returns - left_out(returns)))[written]
    advantages = scan(rewards, np.full(len(rewards), gamma), offsets)
    return PerToken(whitened(advantages) if whiten else advantages)
