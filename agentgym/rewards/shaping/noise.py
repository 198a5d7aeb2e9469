"""Stages for verifiers that err: correction of their outcome, and errors made on purpose for experiments."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agentgym.rewards.noise import backward, forward, why_not
from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.table import RewardTable

Rate = Annotated[float, Field(ge=0, lt=1)]
# The stream of random numbers that errors are drawn from.
_ERRORS = 0xE440


@STAGES.register(
    "denoise",
    source="Reinforcement Learning with Verifiable yet Noisy Rewards under Imperfect Verifiers",
    arxiv="2510.00915",
    status="summary",
    refuse=lambda p: why_not(p["false_positive"], p["false_negative"]),
)
def denoise(
    table: RewardTable,
    *,
    false_positive: Rate = 0.0,
    false_negative: Rate = 0.0,
    how: Literal["backward", "forward"] = "backward",
) -> RewardTable:
    """Corrects the outcome of a verifier whose error rates are known.

    ``backward``: (R - rho0) / (1 - rho0 - rho1), unbiased. ``forward``: the weight R + rho1 - 1, that is rho1 where R
    is 1 and rho1 - 1 where it is 0. A credit method that subtracts a group's mean and divides by its deviation undoes
    both, as they are linear in R: use one without (``dr_grpo`` keeps the scale, ``reinforce_pp`` on groups of one the
    offset). `agentgym.rewards.noise.estimate_rates` estimates the rates.

    Args:
        table: N trajectories.
        false_positive: rho0, how often a wrong episode is taken for right.
        false_negative: rho1, how often a right one is taken for wrong.
        how: Which correction.
    """
    if how == "forward":
        return table.with_rewards(outcome=forward(table.outcome, false_negative))
    return table.with_rewards(outcome=backward(table.outcome, false_positive, false_negative))


@STAGES.register("corrupt", source="agentgym: a verifier made noisy on purpose", status="own")
def corrupt(
    table: RewardTable,
    *,
    false_positive: Rate = 0.0,
    false_negative: Rate = 0.0,
    seed: Annotated[int, Field(ge=0)] = 0,
    at_least: float = 1.0,
) -> RewardTable:
    """Makes the outcome that of a verifier with known error rates, for experiments: 1 or 0, at times the wrong one.

    Errors depend on the seed, the update and the trajectory's place in the batch, so that a run can be repeated.

    Args:
        table: N trajectories.
        false_positive: How often an outcome below the threshold becomes 1.
        false_negative: How often one that reaches it becomes 0.
        seed: Of the errors.
        at_least: From which outcome on an episode is right.
    """
    right = table.outcome >= at_least
    draw = np.random.default_rng([_ERRORS, seed, table.update]).random(table.n)
    flipped = draw < np.where(right, false_negative, false_positive)
    return table.with_rewards(outcome=(right != flipped).astype(np.float64))
