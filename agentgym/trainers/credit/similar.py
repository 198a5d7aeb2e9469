"""States that are alike: equal, equal but for spelling, or similar texts; anchor groups of GiGPO and nodes of SALT.

Similarity compares the texts of state keys (GiGPO's code: `difflib.SequenceMatcher`, ratio at least .95, first matching
cluster). Only distinct keys of one task are compared, each with one representative of every cluster there, after two
cheap upper bounds of the ratio. The cost is (distinct keys) x (clusters) comparisons a task in the worst case; repeated
states cost a dictionary lookup, so that it grows linearly with turns where an environment's states repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal

import numpy as np

from agentgym.rewards.outcome.answer import normalize_answer
from agentgym.rewards.table import Ints, RewardTable

Compare = Literal["exact", "normalised", "similarity"]

#: Longer keys are compared by their first characters: SequenceMatcher's cost grows with the square of the length.
MAX_CHARS = 4096


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
    ids: dict[tuple[int, str], int] = {}
    if compare == "similarity":
        clusters: dict[int, list[tuple[str, int]]] = {}
        result = np.empty(len(texts), dtype=np.int64)
        for k, (own, text) in enumerate(zip(np.asarray(group).tolist(), texts, strict=True)):
            if (own, text) not in ids:
                ids[own, text] = _cluster(text[:MAX_CHARS], clusters.setdefault(own, []), threshold, len(ids))
            result[k] = ids[own, text]
        return result
    spelled = {text: normalize_answer(text) for text in set(texts)} if compare == "normalised" else {}
    keys = zip(np.asarray(group).tolist(), (spelled.get(text, text) for text in texts), strict=True)
    return np.array([ids.setdefault(key, len(ids)) for key in keys], dtype=np.int64)


def _cluster(text: str, clusters: list[tuple[str, int]], threshold: float, fresh: int) -> int:
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(text)  # what it knows of the second text is kept from one comparison to the next
    for other, number in clusters:
        if 2 * min(len(text), len(other)) < threshold * (len(text) + len(other)):
            continue
        matcher.set_seq1(other)
        if matcher.quick_ratio() >= threshold and matcher.ratio() >= threshold:
            return number
    clusters.append((text, fresh))
    return fresh


def similar_anchors(table: RewardTable, threshold: float) -> Ints:
    """int64[M], equal numbers for turns of one group taken in similar states.

    Args:
        table: M turns, with the texts of their state keys.
        threshold: Least similarity, 0..1.
    """
    return alike(table.group[table.trajectory], table.state_key, "similarity", threshold)
