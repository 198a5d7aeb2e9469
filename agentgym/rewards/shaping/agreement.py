"""Rewards from what answers and steps have in common: CSR, SD-E2's diversity, and Co-Reward's pseudo-labels.

The papers compare meanings by embeddings; here texts are compared by their words (token F1), which needs no model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agentgym.rewards.outcome.answer import normalize_answer
from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.shaping.values import Count, Name, Share, Weight, answers, policy_tokens, reaches, said, task_ids
from agentgym.rewards.table import Floats, RewardTable

Measure = Literal["f1", "exact"]
Bag = Counter[str]
_BLANK_LINE = re.compile(r"\n\s*\n")


def bag(text: str, measure: Measure = "f1") -> Bag:
    """What of a text is compared: its normalised words, or for ``exact`` the whole of it as one."""
    normal = normalize_answer(text)
    return Counter(normal.split() if measure == "f1" else [normal] if normal else [])


def similarity(first: Bag, second: Bag) -> float:
    """F1 of two bags, 0..1: twice what they share, over what they hold; an empty one is like none."""
    shared = (first & second).total()
    return 2.0 * shared / (first.total() + second.total()) if shared else 0.0


def agreement(texts: Sequence[str], measure: Measure = "f1") -> Floats:
    """Mean similarity of each text to the others.

    Args:
        texts: n texts; an empty one agrees with none.
        measure: See `bag`.

    Returns:
        float64[n]; 0 for a text without others.
    """
    if len(texts) < 2:
        return np.zeros(len(texts))
    counts = Counter(texts)
    bags = [bag(text, measure) for text in counts]
    alike = np.zeros((len(bags), len(bags)))
    for i, first in enumerate(bags):
        for j in range(i, len(bags)):
            alike[i, j] = alike[j, i] = similarity(first, bags[j])
    sums = alike @ np.array(list(counts.values())) - alike.diagonal()
    row = {text: i for i, text in enumerate(counts)}
    return np.asarray(sums[[row[text] for text in texts]] / (len(texts) - 1), dtype=np.float64)


@STAGES.register(
    "csr", source="Calibrating LLMs with Semantic-level Reward (CSR)", arxiv="2605.15588", status="abstract"
)
def csr(table: RewardTable, *, weight: Weight = 0.5, correct_at: float = 1.0, measure: Measure = "f1") -> RewardTable:
    """Rewards right answers for agreeing with each other, and wrong ones for not agreeing.

    Formula: outcome + weight * agreement among the group's right trajectories, or - weight * agreement among its wrong
    ones; agreement = mean similarity of the answer to those of the others. One that has no others gets neither. The
    weight and the lexical measure are this package's choice.

    Args:
        table: N trajectories with their answers.
        weight: Of the agreement.
        correct_at: The least outcome of a right trajectory.
        measure: ``f1``, token F1 of the normalised answers; ``exact``, their equality.
    """
    correct = reaches(table.outcome, correct_at)
    texts = answers(table)
    members: dict[tuple[int, bool], list[int]] = {}
    for row, key in enumerate(zip(table.group.tolist(), correct.tolist(), strict=True)):
        members.setdefault(key, []).append(row)
    shared = np.zeros(table.n)
    for rows in members.values():
        shared[rows] = agreement([texts[row] for row in rows], measure)
    return table.with_rewards(outcome=table.outcome + weight * np.where(correct, shared, -shared))


@STAGES.register(
    "sd_e2",
    source="SD-E2: Semantic Exploration for Reasoning Under Token Budgets",
    arxiv="2601.17982",
    status="abstract",
)
def sd_e2(
    table: RewardTable,
    *,
    max_tokens: Count,
    weight: Weight = 0.2,
    segments: Literal["turns", "paragraphs"] = "turns",
    measure: Measure = "f1",
) -> RewardTable:
    """Adds to the turn rewards how unlike successive segments of the reasoning are, within a token budget.

    Formula: a segment that is not the trajectory's first adds weight * (1 - similarity to the one before) / (segments
    - 1) to the turn that wrote it, so that a trajectory earns at most `weight` however many segments it has; one
    longer than the budget earns none of it. Weight, budget and the lexical measure are this package's choice. `gate`
    after it keeps the bonus to right outcomes.

    Args:
        table: M turns with the policy's text.
        max_tokens: The budget, in policy tokens of a trajectory.
        weight: The most that a trajectory can earn.
        segments: Each turn is one segment, or each paragraph of a turn; empty ones do not count.
        measure: ``f1``, token F1 of the normalised texts; ``exact``, their equality.
    """
    reward = table.turn_reward.copy()
    affordable = policy_tokens(table) <= max_tokens
    for row, pieces in _segments(table, segments):
        if affordable[row] and len(pieces) > 1:
            bags = [(turn, bag(piece, measure)) for turn, piece in pieces]
            for (_, before), (turn, words) in pairwise(bags):
                reward[turn] += weight * (1.0 - similarity(words, before)) / (len(pieces) - 1)
    return table.with_rewards(turn_reward=reward)


def _segments(table: RewardTable, kind: Literal["turns", "paragraphs"]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Yields each trajectory and its segments in order, with the turn that wrote them."""
    texts = said(table)
    for row, (begin, end) in enumerate(zip(table.offsets[:-1].tolist(), table.offsets[1:].tolist(), strict=True)):
        pieces = [
            (turn, piece.strip())
            for turn in range(begin, end)
            for piece in ([texts[turn]] if kind == "turns" else _BLANK_LINE.split(texts[turn]))
        ]
        yield row, [(turn, piece) for turn, piece in pieces if piece]


def majority(texts: Sequence[str], least: float = 0.0) -> str | None:
    """The answer that most texts normalise to; of equally frequent ones the first in alphabetical order.

    Args:
        texts: Answers; empty ones (nothing was answered) cast no vote, but count in the share.
        least: Share of all texts that the majority must reach.

    Returns:
        The normalised answer; None without votes, or with too few.
    """
    votes = Counter(normalize_answer(text) for text in texts)
    del votes[""]
    if not votes:
        return None
    answer, count = min(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    return answer if count >= least * len(texts) else None


@STAGES.register(
    "co_reward",
    source="Co-Reward: Self-supervised Reinforcement Learning for LLM Reasoning via Contrastive Agreement",
    arxiv="2508.00410",
    status="abstract",
)
def co_reward(
    table: RewardTable,
    *,
    partner: Annotated[dict[str, str], Field(min_length=1)] | Name,
    least: Share = 0.0,
    alone: Literal["zero", "own", "keep"] = "zero",
) -> RewardTable:
    """Replaces the outcome by agreement with the majority answer to a paraphrase of the task; needs no gold answer.

    Formula: outcome' = 1 where the normalised answer equals the most frequent one over the rollouts of the partner
    task in this batch, else 0; the partner is judged by this task's majority in turn. So both tasks must be sampled
    together.

    Args:
        table: N trajectories with their task ids and answers.
        partner: Task id -> id of its paraphrase (read in both directions), or the suffix that makes a paraphrase's id
            out of the task's: with ``#b``, ``q1`` and ``q1#b`` are partners.
        least: Share of the partner's rollouts that its majority must have, or there is no label.
        alone: Outcome of a trajectory without a label (its partner is not in the batch, or answered nothing): ``zero``;
            ``own``, by its own task's majority; ``keep``, as it was.
    """
    tasks, texts = task_ids(table), answers(table)
    by_task: dict[str, list[str]] = {}
    for task, text in zip(tasks, texts, strict=True):
        by_task.setdefault(task, []).append(text)
    labels = {task: majority(given, least) for task, given in by_task.items()}
    outcome = table.outcome.copy()
    back = {paraphrase: task for task, paraphrase in partner.items()} if isinstance(partner, Mapping) else {}
    for row, (task, text) in enumerate(zip(tasks, texts, strict=True)):
        label = labels.get(_partner(task, partner, back))
        if label is None and alone == "own":
            label = labels[task]
        if label is not None:
            outcome[row] = float(normalize_answer(text) == label)
        elif alone != "keep":
            outcome[row] = 0.0
    return table.with_rewards(outcome=outcome)


def _partner(task: str, partner: Mapping[str, str] | str, back: Mapping[str, str]) -> str:
    """The task's paraphrase, or what it is a paraphrase of; empty where a mapping does not name it."""
    if isinstance(partner, str):
        return task.removesuffix(partner) if task.endswith(partner) else task + partner
    return partner.get(task) or back.get(task, "")
