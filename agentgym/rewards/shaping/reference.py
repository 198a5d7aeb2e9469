"""Outcomes measured against reference rewards: PAR, the centred log-sigmoid, and BRPO's random reference rollout.

Reference rewards come from the configuration, from the group or batch at hand, or from the first time that each task
was played (`References`), which stands for the policy before training.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agentgym.config import Config
from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.shaping.scoring import OUTCOME
from agentgym.rewards.shaping.values import Count, Name, Positive, emitted, group_sizes, task_ids, value_of
from agentgym.rewards.table import Floats, Ints, RewardTable

#: Where reference rewards come from: given, one or more numbers; ``group`` and ``batch``, the trajectories at hand;
#: ``first``, the task's trajectories when it was first played.
Source = Annotated[list[float], Field(min_length=1)] | Literal["group", "batch", "first"]

#: Comparisons held in memory at one time.
BLOCK = 1 << 20


class References(Config):
    """Rewards of each task when it was first played: name of the reward -> task id -> rewards."""

    rewards: dict[str, dict[str, list[float]]] = Field(default_factory=dict)


@STAGES.register(
    "par",
    source="Reward Shaping to Mitigate Reward Hacking in RLHF (Preference As Reward)",
    arxiv="2502.18770",
    status="code",
    memory=References,
)
def par(
    table: RewardTable,
    memory: References,
    *,
    references: Source = "first",
    k: Positive = 1.0,
    keep: Count = 10,
    tasks: Count = 100_000,
) -> tuple[RewardTable, References]:
    """Replaces the outcome by the share of reference rewards that it beats, softly: bounded, steep where it matters.

    Formula: r' = mean over references of sigmoid(k * (r - r_ref)). Of a group or batch the others are the references;
    a trajectory without any gets 0.5.

    Args:
        table: N trajectories.
        memory: Rewards of the tasks played before; used by ``first`` alone.
        references: Numbers, ``group``, ``batch``, or ``first``: the task's rewards when it was first played, which are
            nearest to the published references, those of the policy before training.
        k: Steepness.
        keep: How many rewards of a task ``first`` remembers; published work uses 1 to 10.
        tasks: How many tasks ``first`` remembers; the longest known is forgotten first.

    Returns:
        The table, and what ``first`` remembers.
    """
    outcome = table.outcome
    if references == "first":
        memory = _remember(table, memory, OUTCOME, keep, tasks)
    result = np.full(table.n, 0.5)
    for rows, known, others in _referees(table, memory, OUTCOME, references):
        total = _beaten(outcome[rows], known, k)
        if not others:
            result[rows] = total / len(known)
        elif len(known) > 1:
            result[rows] = (total - 0.5) / (len(known) - 1)
    return table.with_rewards(outcome=result), memory


@STAGES.register(
    "log_sigmoid",
    source="Transforming and Combining Rewards for Aligning Large Language Models",
    arxiv="2402.00742",
    status="summary",
    signals=lambda p: emitted(p["properties"]),
    memory=References,
)
def log_sigmoid(
    table: RewardTable,
    memory: References,
    *,
    properties: Annotated[dict[str, Source], Field(min_length=1)],
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.85,
    std: Literal["sample", "population"] = "sample",
    keep: Count = 10,
    tasks: Count = 100_000,
) -> tuple[RewardTable, References]:
    """Replaces the outcome by the sum of log-sigmoids of its properties: good in all of them, not great in one.

    Formula: r' = sum over properties of log sigmoid(r - q), q = mean + z(quantile) * std of the property's reference
    rewards (a normal fit). What is well above the references gains no more; what is below loses in full.

    Args:
        table: N trajectories.
        memory: Rewards of the tasks played before; used by ``first`` alone.
        properties: ``outcome`` or process parts (summed over the turns), each with its references: numbers, ``group``,
            ``batch`` or ``first`` (see `par`); here a trajectory counts among its own group and batch.
        quantile: Of the references; above it the reward saturates.
        std: ``sample`` (n - 1), the default: references are a sample of what the reference policy earns, and few of
            them understate its spread otherwise; ``population`` (n). A single reference has no spread.
        keep: How many rewards of a task ``first`` remembers.
        tasks: How many tasks ``first`` remembers; the longest known is forgotten first.

    Returns:
        The table, and what ``first`` remembers.
    """
    z = NormalDist().inv_cdf(quantile)
    total = np.zeros(table.n)
    for name, source in properties.items():
        values = value_of(table, name)
        if source == "first":
            memory = _remember(table, memory, name, keep, tasks)
        for rows, known, _ in _referees(table, memory, name, source):
            spread = float(np.std(known, ddof=int(std == "sample" and len(known) > 1)))
            total[rows] -= np.logaddexp(0.0, float(np.mean(known)) + z * spread - values[rows])
    return table.with_rewards(outcome=total), memory


@STAGES.register(
    "brpo",
    source="Writing-Zero: Bridge the Gap Between Non-verifiable Tasks and Verifiable Rewards (BRPO)",
    status="abstract",
    signals=lambda p: emitted([p["score"]]),
)
def brpo(table: RewardTable, *, score: Name, seed: int = 0) -> RewardTable:
    """Replaces the outcome by a pairwise verdict: +1 above a randomly drawn rollout of the group, -1 below it.

    The reference itself, and a tie, get 0. Over the draw of the reference the mean of a group is 0. The draw depends
    on the seed, the policy update and the group's place in the batch alone.

    Args:
        table: N trajectories.
        score: What is compared: ``outcome``, or the process part with a judge's scores, summed over the turns.
        seed: Of the draw.
    """
    values = value_of(table, score)
    sizes = group_sizes(table)
    draw = np.random.default_rng([seed & 0xFFFF_FFFF, table.update]).random(table.n_groups)
    reference = np.cumsum(sizes) - sizes + np.floor(draw * sizes).astype(np.int64)
    return table.with_rewards(outcome=np.sign(values - values[reference[table.group]]) if table.n else values)


def _beaten(values: Floats, references: Floats, k: float) -> Floats:
    """float64[K], sum over references of sigmoid(k * (value - reference))."""
    rows = max(1, BLOCK // len(references))
    sums = [
        (0.5 + 0.5 * np.tanh(0.5 * k * (values[i : i + rows, None] - references))).sum(axis=1)
        for i in range(0, len(values), rows)
    ]
    return np.concatenate(sums) if sums else np.zeros(0)


def _referees(
    table: RewardTable, memory: References, name: str, source: list[float] | str
) -> Iterator[tuple[Ints, Floats, bool]]:
    """Yields (rows, their reference rewards, whether each row is one of them itself); every row comes once."""
    values = value_of(table, name)
    if source == "first":
        by_task: dict[str, list[int]] = {}
        for row, task in enumerate(task_ids(table)):
            by_task.setdefault(task, []).append(row)
        for task, listed in by_task.items():
            yield np.array(listed), np.array(memory.rewards[name][task]), False
    elif source == "group":
        sizes = group_sizes(table)
        for rows in np.split(np.arange(table.n), np.cumsum(sizes)[:-1]):
            if len(rows):
                yield rows, values[rows], True
    elif source == "batch":
        if table.n:
            yield np.arange(table.n), values, True
    else:
        yield np.arange(table.n), np.array(source, dtype=np.float64), False


def _remember(table: RewardTable, memory: References, name: str, keep: int, tasks: int) -> References:
    """Adds the rewards of tasks that are not known yet."""
    known = dict(memory.rewards.get(name, {}))
    fresh: dict[str, list[float]] = {}
    for task, value in zip(task_ids(table), value_of(table, name).tolist(), strict=True):
        if task not in known and len(fresh.setdefault(task, [])) < keep:
            fresh[task].append(value)
    known |= fresh
    # What this batch is measured against stays, however small the memory.
    here = set(task_ids(table))
    for task in [task for task in known if task not in here][: max(0, len(known) - tasks)]:
        del known[task]
    return References(rewards={**memory.rewards, name: known})
