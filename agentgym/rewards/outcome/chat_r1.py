"""ChatR1: turn by turn, does the query ask what the user means?

Only the paper's abstract is known here (an intent-aware reward that aligns retrieval with the user's goal as it
changes). What the user means is given as gold rewritten queries; token F1 with them and the way to line the two up are
free choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

from agentgym.rewards.outcome.answer import f1_score
from agentgym.rewards.outcome.episode import queries
from agentgym.rewards.outcome.registry import Floats, reward
from agentgym.trajectory import Trajectory

Align = Literal["order", "best"]


def chat_r1(asked: Sequence[str | None], intents: Sequence[str], align: Align = "order") -> Floats:
    """float64[T], token F1 of each query with the intent it should express, 0..1.

    Args:
        asked: [T], the query of each turn; None for a turn without one, which earns 0.
        intents: The user's intents as rewritten queries, in order.
        align: ``order``: the k-th query is held against the k-th intent, and those beyond the last one earn nothing;
            ``best``: each intent pays once, the query that is the first to express it better than any before, by what
            it adds.
    """
    earned = np.zeros(len(asked))
    turns = [turn for turn, query in enumerate(asked) if query is not None]
    if align == "order":
        for turn, intent in zip(turns, intents, strict=False):
            earned[turn] = f1_score(asked[turn] or "", [intent])
        return earned
    best = [0.0] * len(intents)
    for turn in turns:
        scores = [f1_score(asked[turn] or "", [intent]) for intent in intents]
        rises = [max(score - before, 0.0) for score, before in zip(scores, best, strict=True)]
        chosen = max(range(len(intents)), key=rises.__getitem__, default=None)
        if chosen is not None:
            earned[turn] = rises[chosen]
            best[chosen] += rises[chosen]
    return earned


class HasIntents(Protocol):
    """A task whose user's intents are known as rewritten queries, one a turn of the conversation."""

    @property
    def intents(self) -> Sequence[str]: ...


@reward(
    "chat_r1",
    source="ChatR1: Reinforcement Learning for Conversational Reasoning and Retrieval Augmented Question Answering",
    arxiv="2510.13312",
    status="abstract",
)
def score_chat_r1(
    task: HasIntents, trajectory: Trajectory, *, align: Align = "order", action: str = "search"
) -> Floats:
    """ChatR1: how well each query matches the user's intent as rewritten.

    Formula: token F1 of the query with the intent.

    Args:
        task: With `intents`, rewritten queries in the order of the conversation.
        trajectory: The episode.
        align: ``order``: the k-th query is held against the k-th intent; ``best``: each query against the one that it
            improves on most, paid for the improvement alone (FREE).
        action: Name of the action that asks.

    Returns:
        float64[T].
    """
    return chat_r1(queries(trajectory, action), task.intents, align)
