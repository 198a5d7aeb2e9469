"""Step rewards that a return is decomposed into: in equal shares, by least squares, or by a learned decoder (LaRe)."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.credit.base import (
    CREDIT,
    Discount,
    Epsilon,
    normalise,
    pair_ids,
    returns_to_go,
    trajectory_returns,
)


@CREDIT.register("redistribution", source="Return redistribution to the steps of an episode", status="recalled")
def redistribution(
    table: RewardTable,
    *,
    how: Literal["uniform", "least_squares"] = "least_squares",
    ridge: Annotated[float, Field(gt=0)] = 1e-3,
    gamma: Discount = 1.0,
    std: bool = True,
    eps: Epsilon = 1e-6,
) -> Floats:
    """Returns decomposed into step rewards, then what a turn still earns, normalised over turns of the same number.

    ``uniform``: r_t = R / T. ``least_squares``: see `redistributed`. A_t = (G_t - mean) / (std + eps), G_t = r_t +
    gamma G_{t+1}; a turn that is alone has 0.

    Args:
        table: M turns.
        how: How the returns are decomposed.
        ridge: Weight of the squared size of the coefficients in the least-squares fit.
        gamma: Discount of each further turn.
        std: Whether to divide by the sample standard deviation.
        eps: Added to it.

    Returns:
        float64[M]
    """
    rewards = uniform(table) if how == "uniform" else redistributed(table, ridge)
    return _compared(table, rewards, gamma, std, eps)


@CREDIT.register(
    "lare",
    source="Latent Reward: LLM-Empowered Credit Assignment in Episodic Reinforcement Learning (LaRe)",
    arxiv="2412.11120",
    status="abstract",
    needs=("latent_reward",),
)
def lare(
    table: RewardTable, latent_reward: Floats, *, gamma: Discount = 1.0, std: bool = True, eps: Epsilon = 1e-6
) -> Floats:
    """Step rewards decoded from latent rewards, then what a turn still earns by them, as in `redistribution`.

    Args:
        table: M turns.
        latent_reward: float64[M], the decoder's reward of each turn; their sums approximate the returns.
        gamma: Discount of each further turn.
        std: Whether to divide by the sample standard deviation.
        eps: Added to it.

    Returns:
        float64[M]
    """
    return _compared(table, latent_reward, gamma, std, eps)


def uniform(table: RewardTable) -> Floats:
    """float64[M], each turn an equal share of its trajectory's return."""
    return np.repeat(trajectory_returns(table) / np.maximum(table.lengths, 1), table.lengths)


def redistributed(table: RewardTable, ridge: float = 1e-3) -> Floats:
    """Step rewards by least squares over the batch, corrected so that they sum to each return exactly.

    A turn's features x_t are its process parts, and 1. w minimises sum_i (R_i - w . sum_t x_it)^2 + ridge |w|^2;
    r_t = w . x_t + (R_i - w . sum_t x_it) / T_i.

    Args:
        table: N trajectories with M turns.
        ridge: Weight of the squared size of w, per trajectory.

    Returns:
        float64[M]
    """
    if not table.m:
        return np.zeros(0)
    returns = trajectory_returns(table)
    features = np.column_stack([*(table.parts[name] for name in sorted(table.parts)), np.ones(table.m)])
    sums = np.column_stack([table.sum_turns(column) for column in features.T])
    # Parts are of different sizes; the ridge is to weigh them alike.
    scale = np.maximum(np.abs(sums).max(axis=0), 1e-12)
    sums, features = sums / scale, features / scale
    square = sums.T @ sums + ridge * table.n * np.eye(sums.shape[1])
    weights = np.linalg.solve(square, sums.T @ returns)
    left = (returns - sums @ weights) / np.maximum(table.lengths, 1)
    return np.asarray(features @ weights + np.repeat(left, table.lengths), dtype=np.float64)


def _compared(table: RewardTable, rewards: Floats, gamma: float, std: bool, eps: float) -> Floats:
    returns = returns_to_go(table, rewards, gamma)
    return normalise(returns, pair_ids(table.group[table.trajectory], table.index), eps, std, alone="zero")
