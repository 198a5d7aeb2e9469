"""StepSearch: information gain and redundancy of each search, and its key-word outcome (arXiv 2505.15107, public code).

A search is worth what its documents add to the best match so far with each gold document, less the share of documents
that were shown before. The outcome is the answer's F1 plus how well the queries hit groups of key words. Every function
is pure; `TfIdf` supplies the document similarity that the paper uses.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from agentgym.rewards.outcome.answer import HasAnswers, f1_score
from agentgym.rewards.outcome.episode import AnyTask, part, queries
from agentgym.rewards.outcome.registry import Floats, reward
from agentgym.rewards.table import final_answer
from agentgym.trajectory import Trajectory

STEP_SEARCH = "StepSearch: Igniting LLMs Search Ability via Step-Wise Proximal Policy Optimization"
Vector = Mapping[str, float]

_WORD = re.compile(r"\w\w+")


def step_gain(current: Sequence[float], best: Sequence[float]) -> tuple[float, list[float]]:
    """Gain of one search and the best similarities after it.

    Args:
        current: [n], per gold document: highest similarity with a document of this search.
        best: [n], the same over all earlier searches (zeros at first).

    Returns:
        (mean over gold documents of max(current - best, 0); the new best). Without gold documents the gain is 0.
    """
    gain = sum(max(c - b, 0.0) for c, b in zip(current, best, strict=True)) / max(len(best), 1)
    return gain, [max(c, b) for c, b in zip(current, best, strict=True)]


def information_gain(similarity: ArrayLike) -> Floats:
    """float64[T], the gain of each search of an episode.

    Args:
        similarity: [T, n], per search and gold document: highest similarity with a document of that search, 0..1.
    """
    current = np.asarray(similarity, dtype=np.float64)
    before = np.maximum.accumulate(np.vstack([np.zeros((1, current.shape[1])), current]), axis=0)[:-1]
    return np.asarray(np.maximum(current - before, 0.0).mean(axis=1), dtype=np.float64)


def redundancy(shown: Collection[str], before: Collection[str]) -> float:
    """Share of a search's documents that earlier searches had shown, 0..1; 0 for an empty result."""
    return sum(document in before for document in shown) / len(shown) if shown else 0.0


def step_rewards(similarity: ArrayLike, penalty: ArrayLike, scale: float = 0.6) -> Floats:
    """float64[T], ``scale * (gain - penalty)`` of each search.

    Args:
        similarity: [T, n], see `information_gain`.
        penalty: [T], `redundancy` of each search.
        scale: The authors' weight of step rewards.
    """
    return np.asarray(scale * (information_gain(similarity) - np.asarray(penalty, dtype=np.float64)), dtype=np.float64)


def key_score(queries: Iterable[str], keys: Sequence[Sequence[str]], keep_best: bool = False) -> float:
    """How well the queries hit the groups of key words, 0..1: the mean of one stored F1 a group.

    Each query goes to the group with its best F1 and OVERWRITES the group's value, as the authors' code does, so a
    later and worse query of the same group lowers the score; `keep_best` keeps the highest instead.
    """
    stored = [0.0] * len(keys)
    for query in queries:
        scores = [f1_score(query, group) for group in keys]
        if not scores or max(scores) == 0.0:
            continue
        group = scores.index(max(scores))
        stored[group] = max(stored[group], scores[group]) if keep_best else scores[group]
    return sum(stored) / len(stored) if stored else 0.0


def final_reward(f1: float | None, key: float, weight: float = 0.618) -> float:
    """The outcome: ``f1 + weight * key``; -1 without a well-formed answer (`f1` None: no answer, or text after it).

    An episode that gets -1 gets no step rewards either; that is the caller's to keep (a gate).
    """
    return -1.0 if f1 is None else f1 + weight * key


class TfIdf:
    """TF-IDF vectors over a collection's own document frequencies, L2-normalised (scikit-learn's smoothed formula).

    Args:
        texts: The collection that the document frequencies are counted on.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._frequency: Counter[str] = Counter()
        n = 0
        for text in texts:
            n += 1
            self._frequency.update(set(_WORD.findall(text.lower())))
        self._n = n

    def vector(self, text: str) -> dict[str, float]:
        """Word -> weight, of length 1 (empty for a text without words)."""
        counts = Counter(_WORD.findall(text.lower()))
        weights = {
            word: count * (math.log((1 + self._n) / (1 + self._frequency[word])) + 1.0)
            for word, count in counts.items()
        }
        length = math.sqrt(sum(w * w for w in weights.values()))
        return {word: w / length for word, w in weights.items()}


def cosine(a: Vector, b: Vector) -> float:
    """Dot product of two sparse vectors of length 1."""
    if len(a) > len(b):
        a, b = b, a
    return sum(w * b[word] for word, w in a.items() if word in b)


class HasQueries(HasAnswers, Protocol):
    """A task with gold answers, and one query or group of key words for each piece of evidence."""

    @property
    def queries(self) -> Sequence[str | Sequence[str]]: ...


@reward("step_search", source=STEP_SEARCH, arxiv="2505.15107", status="code")
def score_step_search(
    task: HasQueries, trajectory: Trajectory, *, weight: float = 0.618, keep_best: bool = False, action: str = "search"
) -> float:
    """StepSearch's outcome: F1 of the answer plus how well the queries hit the key words; -1 without an answer.

    Formula: f1 + weight * key_score. An answer in an ill-formed turn (text after it, say) is none.

    Args:
        task: With `answers`, and `queries`: one gold query, or list of gold queries, for each piece of evidence.
        trajectory: The episode.
        weight: Of the key score.
        keep_best: A later and worse query of the same group does not lower the key score (`key_score`).
        action: Name of the action that searches.
    """
    answer = final_answer(trajectory)
    groups = [[group] if isinstance(group, str) else group for group in task.queries]
    asked = [query for query in queries(trajectory, action) if query is not None]
    f1 = None if answer is None else f1_score(answer, task.answers)
    return final_reward(f1, key_score(asked, groups, keep_best), weight)


@reward(
    "step_search_steps",
    source=STEP_SEARCH,
    arxiv="2505.15107",
    status="code",
    signals=lambda p: [p["gain"], p["redundancy"]],
)
def score_step_search_steps(
    task: AnyTask,
    trajectory: Trajectory,
    *,
    scale: float = 0.6,
    gain: str = "gain",
    redundancy: str = "redundancy",
) -> Floats:
    """StepSearch's reward of each search: information gain less redundancy; nothing without an answer.

    Formula: scale * (gain_t - redundancy_t), as the environment measured them.

    Args:
        task: Any.
        trajectory: The episode.
        scale: The authors' weight of step rewards.
        gain: Process part that holds the information gain.
        redundancy: Process part that holds the share of documents shown before.

    Returns:
        float64[T].
    """
    if final_answer(trajectory) is None:
        return np.zeros(len(trajectory.turns))
    return scale * (part(trajectory, gain) - part(trajectory, redundancy))
