"""Rewards that are learned while training: weights of auxiliary rewards, and an intrinsic reward from judged states.

What is learned is plain data that comes in and goes out, so that a resumed run goes on with it.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import numpy as np
from pydantic import Field

from agentgym.config import Config
from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.shaping.values import (
    Count,
    Name,
    Positive,
    Weight,
    group_normalise,
    group_sizes,
    last_turns,
    task_ids,
    value_of,
)
from agentgym.rewards.table import RewardTable


class Weights(Config):
    """Weight of each auxiliary reward; one that is not named has not been learned yet."""

    weights: dict[str, float] = Field(default_factory=dict)


@STAGES.register(
    "alignment",
    source="Behavior Alignment via Reward Function Optimization",
    arxiv="2310.19007",
    status="abstract",
    signals=lambda p: p["parts"],
    memory=Weights,
)
def alignment(
    table: RewardTable,
    memory: Weights,
    *,
    parts: Annotated[list[Name], Field(min_length=1)],
    start: float = 0.1,
    rate: Weight = 0.05,
    low: float = 0.0,
    high: float = 1.0,
    eps: Positive = 1e-6,
) -> tuple[RewardTable, Weights]:
    """Adds auxiliary rewards with weights that are learned so that the policy they train does best on the outcome.

    The inner step moves the policy along sum_i (A_i + sum_k w_k A_ki) grad log pi_i, A being group advantages of the
    outcome and of auxiliary reward k. The outer gradient of the outcome in w_k is therefore the inner product of the
    outcome's policy gradient with that of reward k; taking the trajectories' score vectors as orthogonal and of one
    length, which is this package's simplification, it is sum_i A_i A_ki. So
    w_k <- clip(w_k + rate * (mean over groups of the correlation of outcome and reward k), low, high); groups in which
    the outcome does not vary say nothing. A batch is rewarded with the weights learned before it.

    Args:
        table: N trajectories with M turns.
        memory: Weights learned so far.
        parts: The auxiliary rewards: process parts, added to the turn rewards with their weights.
        start: Weight before anything is learned.
        rate: Step size; a weight moves by at most this much a batch.
        low: The least weight; below 0 a harmful reward may be turned round.
        high: The greatest.
        eps: Added to standard deviations.

    Returns:
        The table, and the weights after this batch.
    """
    weights = {name: memory.weights.get(name, start) for name in parts}
    reward = table.turn_reward
    for name, weight in weights.items():
        reward = reward + weight * table.part(name)
    true = group_normalise(table, table.outcome, eps)
    informative = np.bincount(table.group, weights=true**2, minlength=table.n_groups) > 0
    if informative.any():
        pairs = np.maximum(group_sizes(table) - 1, 1)
        for name, weight in weights.items():
            product = true * group_normalise(table, value_of(table, name), eps)
            correlation = np.bincount(table.group, weights=product, minlength=table.n_groups) / pairs
            weights[name] = float(np.clip(weight + rate * correlation[informative].mean(), low, high))
    return table.with_rewards(turn_reward=reward), Weights(weights={**memory.weights, **weights})


class Labels(Config):
    """Judged states: digest of task and state key -> sum and number of its labels."""

    states: dict[str, tuple[float, int]] = Field(default_factory=dict)


#: Bytes of a state's digest.
DIGEST_BYTES = 8


@STAGES.register(
    "oni",
    source="Online Intrinsic Rewards for Decision Making Agents from Large Language Model Feedback (ONI)",
    status="abstract",
    signals=lambda p: [p["label"]],
    memory=Labels,
)
def oni(
    table: RewardTable,
    memory: Labels,
    *,
    label: Name,
    weight: float = 0.1,
    prior: Weight = 1.0,
    capacity: Count = 100_000,
) -> tuple[RewardTable, Labels]:
    """Adds an intrinsic reward for reaching states that a judge thought well of, learned from few labels on the fly.

    A judge labels some of the states that turns lead to; the reward of reaching a state is the mean of its labels,
    drawn to 0 while they are few: weight * sum / (number + prior). It is paid whenever a turn leads to that state,
    judged or not. The state after an episode's last turn earns nothing: that is what the outcome is for. Labels of
    this batch are learned first. A table of counts for a learned model is this package's simplest reading.

    Args:
        table: M turns with their state keys.
        memory: Labels learned so far.
        label: The process part with the judge's label of the state that the turn led to: positive good, negative bad,
            0 not judged.
        weight: Of the intrinsic reward.
        prior: How many labels of 0 each state begins with.
        capacity: How many states are remembered; the longest known is forgotten first.

    Returns:
        The table, and the labels with this batch's.
    """
    states = dict(memory.states)
    reached = _reached(table)
    for key, value in zip(reached, table.part(label).tolist(), strict=True):
        if key and value:
            total, number = states.get(key, (0.0, 0))
            states[key] = (total + value, number + 1)
    intrinsic = np.zeros(table.m)
    for turn, key in enumerate(reached):
        if key in states:
            total, number = states[key]
            intrinsic[turn] = total / (number + prior)
    for key in list(states)[: max(0, len(states) - capacity)]:
        del states[key]
    return table.with_rewards(turn_reward=table.turn_reward + weight * intrinsic), Labels(states=states)


def _reached(table: RewardTable) -> list[str]:
    """M digests of the state that each turn led to; empty for last turns and where it is not known."""
    tasks = [task for task, turns in zip(task_ids(table), table.lengths.tolist(), strict=True) for _ in range(turns)]
    reached = [""] * table.m
    for turn in np.flatnonzero(~last_turns(table)).tolist() if table.state_key else ():
        if key := table.state_key[turn + 1]:
            text = f"{tasks[turn]}\0{key}".encode(errors="surrogatepass")
            reached[turn] = hashlib.blake2b(text, digest_size=DIGEST_BYTES).hexdigest()
    return reached
