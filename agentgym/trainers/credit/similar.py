"""States that are alike: equal, equal but for spelling, or similar texts; anchor groups of GiGPO and nodes of SALT.

Similarity is that of GiGPO's code: `difflib.SequenceMatcher`, ratio at least .95, first matching cluster, whose first
text speaks for all of it. (There difflib's "autojunk" is on, which leaves out frequent characters of texts of 200 and
more; here it is off.) difflib is slow, so what decides without it goes first:

* A repeated text goes where it went before.
* Lengths, or shared characters, can be too few for the ratio. All clusters of a group are sorted out at once.
* Texts that begin and end alike, and differ in a counter somewhere, are alike.
* difflib never matches more than the longest common subsequence, which machine words count 64 characters at a time.

The cost is linear in turns, plus distinct texts times the clusters of their group: near linear where states repeat or
vary around some themes, quadratic (a small numpy call a text) where no state is like another; for long texts, the
square of their length for each pair that is left. `benchmarks/credit_speed.py` measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentgym.rewards.outcome.answer import normalize_answer
from agentgym.rewards.table import Ints, RewardTable

Compare = Literal["exact", "normalised", "similarity"]

#: Longer texts are compared by their first characters.
MAX_CHARS = 4096
# Characters are counted by remainders: one that two share can hide a difference between texts, never make one.
_REMAINDERS = 61
# Taken off what a ratio needs: a product may round to more than a ratio that is just the threshold.
_ROUNDING = 1e-12


def alike(
    group: Sequence[int] | Ints, texts: Sequence[str], compare: Compare = "exact", threshold: float = 0.95
) -> Ints:
    """int64[K], equal numbers for texts of one group that are alike.

    Args:
        group: int64[K], texts of different groups are never alike.
        texts: K of them.
        compare: ``exact``; ``normalised`` ignores case, punctuation, articles and spacing; ``similarity`` takes the
            first cluster whose first text is similar enough.
        threshold: Least ratio of SequenceMatcher, 0..1.
    """
    groups = np.asarray(group).tolist()
    ids: dict[tuple[int, str], int] = {}
    if compare == "similarity":
        clusters: dict[int, _Clusters] = {}
        for own, text in dict.fromkeys(zip(groups, texts, strict=True)):
            here = clusters.setdefault(own, _Clusters(threshold))
            ids[own, text] = here.place(text[:MAX_CHARS], len(ids))
        return np.array([ids[key] for key in zip(groups, texts, strict=True)], dtype=np.int64)
    spelled = {text: normalize_answer(text) for text in set(texts)} if compare == "normalised" else {}
    keys = zip(groups, (spelled.get(text, text) for text in texts), strict=True)
    return np.array([ids.setdefault(key, len(ids)) for key in keys], dtype=np.int64)


def similar_anchors(table: RewardTable, threshold: float) -> Ints:
    """int64[M], equal numbers for turns of one group taken in similar states.

    Args:
        table: M turns, with the texts of their state keys.
        threshold: Least similarity, 0..1.
    """
    return alike(table.group[table.trajectory], table.state_key, "similarity", threshold)


class _Clusters:
    """The clusters of one group, in the order in which they were found.

    Args:
        threshold: Least ratio.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._half = threshold / 2 - _ROUNDING
        self._texts: list[str] = []
        self._numbers: list[int] = []
        self._matchers: dict[int, SequenceMatcher[str]] = {}
        self._lengths = np.zeros(4, dtype=np.int64)
        self._counts = np.zeros((4, _REMAINDERS), dtype=np.int16)

    def place(self, text: str, fresh: int) -> int:
        """The number of the first cluster that the text fits, or `fresh` for a cluster of its own."""
        counts = character_counts(text)
        for i in self._possible(len(text), counts):
            if self._fits(text, i):
                return self._numbers[i]
        n = len(self._texts)
        if n == len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._lengths[n], self._counts[n] = len(text), counts
        self._texts.append(text)
        self._numbers.append(fresh)
        return fresh

    def _possible(self, length: int, counts: NDArray[np.int16]) -> list[int]:
        """The clusters that lengths and characters do not rule out, in order."""
        others = self._lengths[: len(self._texts)]
        least = self._half * (others + length)
        left = np.flatnonzero(np.minimum(others, length) >= least)
        shared = np.minimum(self._counts[left], counts).sum(axis=1)
        found: list[int] = left[shared >= least[left]].tolist()
        return found

    def _fits(self, text: str, i: int) -> bool:
        other = self._texts[i]
        least = self._half * (len(text) + len(other))
        if common_ends(text, other) >= least:
            return True
        if common_subsequence(text, other) < least:
            return False
        if i not in self._matchers:  # what it knows of the cluster's text is kept for the next one
            self._matchers[i] = SequenceMatcher(b=other, autojunk=False)
        self._matchers[i].set_seq1(text)
        return self._matchers[i].ratio() >= self._threshold


def character_counts(text: str) -> NDArray[np.int16]:
    """How often each remainder of a character's code occurs; what two texts share is no more than the least of both."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return np.bincount(codes % _REMAINDERS, minlength=_REMAINDERS).astype(np.int16)


def common_ends(first: str, second: str) -> int:
    """How many characters two texts share at their beginning and, of what is left, at their end."""
    size = min(len(first), len(second))
    head = _prefix(first, second, size)
    return head + _prefix(first[::-1], second[::-1], size - head)


def _prefix(first: str, second: str, size: int) -> int:
    """Length of what two texts begin with, at most `size`: halving, as comparing slices is fast."""
    low = 0
    while low < size:
        middle = (low + size + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            size = middle - 1
    return low


def common_subsequence(first: str, second: str) -> int:
    """Length of the longest common subsequence, one bit a character of the first (Hyyrö's bit-parallel recurrence)."""
    places: dict[str, int] = {}
    for i, character in enumerate(first):
        places[character] = places.get(character, 0) | 1 << i
    every = (1 << len(first)) - 1
    unmatched = every
    for character in second:
        hit = unmatched & places.get(character, 0)
        unmatched = ((unmatched + hit) | (unmatched - hit)) & every
    return len(first) - unmatched.bit_count()
