"""LASER: a step reward for right answers within a target length, which LASER-D and -DE choose by difficulty.

From "Learn to Reason Efficiently with Adaptive Length-based Reward Shaping" (arXiv 2505.15612, public code). The code
measures coverage on a set of monitoring tasks; here it is measured on the training groups of the last batches, which
`Lengths` remembers. Lengths are policy tokens of the whole trajectory.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Literal

import numpy as np
from pydantic import Field

from agentgym.config import Config
from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.shaping.values import Bools, Count, Weight, group_mean, policy_tokens, reaches, said
from agentgym.rewards.table import Floats, Ints, RewardTable

TITLE = "Learn to Reason Efficiently with Adaptive Length-based Reward Shaping"
Mode = Literal["reward", "penalty", "hybrid"]

#: Difficulty classes, the easiest first, and the least group accuracy of each.
LEVELS: tuple[tuple[str, float], ...] = (("easy", 2 / 3), ("medium", 1 / 3), ("hard", 0.0))
#: A word, cut where it is long, so that text without spaces repeats itself too; or a sign.
_UNIT = re.compile(r"\w{1,8}|[^\w\s]")


class Lengths(Config):
    """Lengths of the latest trajectories, by difficulty class, the oldest first."""

    easy: list[int] = Field(default_factory=list)
    medium: list[int] = Field(default_factory=list)
    hard: list[int] = Field(default_factory=list)


@STAGES.register("laser", source=TITLE, arxiv="2505.15612", status="code")
def laser(
    table: RewardTable, *, target: Count, bonus: Weight = 0.5, mode: Mode = "reward", correct_at: float = 1.0
) -> RewardTable:
    """Adds a bonus to right outcomes that are no longer than a target length.

    Args:
        table: N trajectories.
        target: In policy tokens of a trajectory.
        bonus: What is added or taken.
        mode: ``reward`` adds it within the target; ``penalty`` takes it beyond the target; ``hybrid`` does both. A
            wrong outcome is left alone.
        correct_at: The least outcome of a right trajectory.
    """
    correct = reaches(table.outcome, correct_at)
    return _step(table, policy_tokens(table) <= target, correct, bonus, mode)


@STAGES.register("laser_d", source=f"{TITLE} (LASER-D)", arxiv="2505.15612", status="code", memory=Lengths)
def laser_d(
    table: RewardTable,
    memory: Lengths,
    *,
    target: Count,
    bonus: Weight = 0.5,
    mode: Mode = "reward",
    correct_at: float = 1.0,
    rollouts: Count = 8,
    window: Count = 1024,
    least: Count = 32,
) -> tuple[RewardTable, Lengths]:
    """LASER with a target for each difficulty class: the shortest that still covers enough of the class's lengths.

    A group's class follows from its accuracy: easy from 2/3 on, medium from 1/3 on, else hard. A class needs the
    coverage at which one of the right answers it is sure of fits: 1 / (2/3 of `rollouts`) for easy, 1 / (1/3 of
    `rollouts`) for medium, all for hard. A batch is measured by the targets of the batches before it.

    Args:
        table: N trajectories.
        memory: Lengths of the batches before.
        target: Until a class has enough lengths, and never exceeded; in policy tokens of a trajectory.
        bonus: What is added or taken.
        mode: See `laser`.
        correct_at: The least outcome of a right trajectory.
        rollouts: Trajectories of a group.
        window: How many lengths each class remembers.
        least: How many lengths a class needs before it sets its own target.

    Returns:
        The table, and the lengths with this batch's.
    """
    levels = _levels(table, correct_at)
    within = policy_tokens(table) <= _targets(memory, target, rollouts, least)[levels]
    shaped = _step(table, within, reaches(table.outcome, correct_at), bonus, mode)
    return shaped, _remember(table, memory, levels, window)


@STAGES.register("laser_de", source=f"{TITLE} (LASER-DE)", arxiv="2505.15612", status="code", memory=Lengths)
def laser_de(
    table: RewardTable,
    memory: Lengths,
    *,
    target: Count,
    bonus: Weight = 0.5,
    correct_at: float = 1.0,
    rollouts: Count = 8,
    window: Count = 1024,
    least: Count = 32,
    ngram: Count = 4,
    repeats: Count = 3,
) -> tuple[RewardTable, Lengths]:
    """LASER-D that also pays wrong trajectories for going on beyond the target, unless they repeat themselves.

    Args:
        table: N trajectories.
        memory: Lengths of the batches before.
        target: See `laser_d`.
        bonus: What is added.
        correct_at: The least outcome of a right trajectory.
        rollouts: Trajectories of a group.
        window: How many lengths each class remembers.
        least: How many lengths a class needs before it sets its own target.
        ngram: Words in a row that are compared to find repetition.
        repeats: How often such a run must come in the policy's text to count as repetition; this is simpler than the
            published test, which also looks at how near the repetitions are.

    Returns:
        The table, and the lengths with this batch's.
    """
    levels = _levels(table, correct_at)
    within = policy_tokens(table) <= _targets(memory, target, rollouts, least)[levels]
    correct = reaches(table.outcome, correct_at)
    shaped = _step(table, within, correct, bonus, "reward")
    exploring = ~correct & ~within
    texts = said(table)
    for i in np.flatnonzero(exploring).tolist():
        exploring[i] = not is_repetitive(" ".join(texts[table.offsets[i] : table.offsets[i + 1]]), ngram, repeats)
    outcome = shaped.outcome + np.where(exploring, bonus, 0.0)
    return shaped.with_rewards(outcome=outcome), _remember(table, memory, levels, window)


def is_repetitive(text: str, ngram: int = 4, repeats: int = 3) -> bool:
    """Whether some run of `ngram` words comes at least `repeats` times in a text."""
    units = _UNIT.findall(text.lower())
    runs = Counter(zip(*(units[i:] for i in range(ngram)), strict=False))
    return max(runs.values(), default=0) >= repeats


def _step(table: RewardTable, within: Bools, correct: Bools, bonus: float, mode: Mode) -> RewardTable:
    change = np.zeros(table.n)
    if mode != "penalty":
        change[correct & within] = bonus
    if mode != "reward":
        change[correct & ~within] = -bonus
    return table.with_rewards(outcome=table.outcome + change)


def _levels(table: RewardTable, correct_at: float) -> Ints:
    """int64[N], index in `LEVELS` of each trajectory's group."""
    accuracy = group_mean(table, reaches(table.outcome, correct_at).astype(np.float64))[table.group]
    easy, medium = (reaches(accuracy, bound) for _, bound in LEVELS[:2])
    return np.where(easy, 0, np.where(medium, 1, 2)).astype(np.int64)


def _targets(memory: Lengths, target: int, rollouts: int, least: int) -> Floats:
    """float64[3], the target of each class."""
    targets = np.full(len(LEVELS), float(target))
    for i, (name, accuracy) in enumerate(LEVELS):
        lengths = sorted(getattr(memory, name))
        if len(lengths) >= least:
            sure = max(1, math.floor(rollouts * accuracy))
            targets[i] = min(target, lengths[math.ceil(len(lengths) / sure) - 1])
    return targets


def _remember(table: RewardTable, memory: Lengths, levels: Ints, window: int) -> Lengths:
    lengths = policy_tokens(table).astype(np.int64)
    return Lengths(
        **{
            name: [*getattr(memory, name), *lengths[levels == i].tolist()][-window:]
            for i, (name, _) in enumerate(LEVELS)
        }
    )
