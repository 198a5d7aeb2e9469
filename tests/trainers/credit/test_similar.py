"""Similar texts: the shortcuts agree with difflib, and the clusters with a slow reference."""

from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tables import Row, groups_of_rows, reward_table

from agentgym.trainers.credit import gigpo
from agentgym.trainers.credit.similar import MAX_CHARS, alike, character_counts, common_ends, common_subsequence

# Few letters, so that texts are often alike; a letter outside the basic plane, and a lone surrogate.
texts = st.text("ab\U0001f600\ud800", max_size=12)


def ratio(text: str, cluster: str) -> float:
    return SequenceMatcher(None, text, cluster, autojunk=False).ratio()


def slow_alike(groups: list[int], words: list[str], threshold: float) -> list[int]:
    """First matching cluster, one text after the other; two texts whose ends alone suffice match."""
    clusters: list[tuple[int, str, int]] = []
    result = []
    for group, text in zip(groups, words, strict=True):
        for owner, first, number in clusters:
            ends = 2 * common_ends(text, first) >= threshold * (len(text) + len(first))
            if owner == group and (ends or ratio(text, first) >= threshold):
                result.append(number)
                break
        else:
            result.append(len(clusters))
            clusters.append((group, text, len(clusters)))
    return result


def partition(ids: list[int]) -> list[int]:
    """Numbers in the order of their first appearance."""
    seen: dict[int, int] = {}
    return [seen.setdefault(i, len(seen)) for i in ids]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), texts), max_size=20), st.sampled_from([0.3, 0.6, 0.9, 0.95, 1.0]))
def test_clusters_are_those_of_the_slow_reference(pairs: list[tuple[int, str]], threshold: float) -> None:
    groups, words = [g for g, _ in pairs], [t for _, t in pairs]
    got = alike(groups, words, "similarity", threshold).tolist()
    assert partition(got) == slow_alike(groups, words, threshold)


@given(texts, texts)
def test_what_two_texts_share_bounds_what_difflib_matches(first: str, second: str) -> None:
    assume(first or second)
    matched = ratio(first, second) * (len(first) + len(second)) / 2
    longest = common_subsequence(first, second)
    assert matched <= longest + 1e-9
    assert longest <= np.minimum(character_counts(first), character_counts(second)).sum()
    assert common_ends(first, second) <= longest
    assert common_subsequence(second, first) == longest


@given(texts, texts)
def test_common_subsequence(first: str, second: str) -> None:
    rows = [[0] * (len(second) + 1)]
    for a in first:
        row = [0]
        for j, b in enumerate(second):
            row.append(rows[-1][j] + 1 if a == b else max(row[-1], rows[-1][j + 1]))
        rows.append(row)
    assert common_subsequence(first, second) == rows[-1][-1]


@given(texts, texts)
def test_common_ends(first: str, second: str) -> None:
    size = min(len(first), len(second))
    head = next((i for i in range(size) if first[i] != second[i]), size)
    tail = next((i for i in range(size - head) if first[-1 - i] != second[-1 - i]), size - head)
    assert common_ends(first, second) == head + tail


def test_long_texts_that_only_reordered_words_tell_apart() -> None:
    """The same characters in another order: counting them decides nothing, the longest common subsequence does."""
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(200)]
    page, shuffled = " ".join(words), " ".join(rng.permutation(words))
    moved = " ".join([*words[:60], *words[64:130], *words[60:64], *words[130:]])
    assert alike([0, 0, 0], [page, shuffled, moved], "similarity").tolist() == [0, 1, 0]


def test_texts_that_differ_only_after_the_limit_are_alike_but_not_equal() -> None:
    long = "x" * MAX_CHARS
    assert alike([0, 0], [long + "a", long + "b"], "similarity", 1.0).tolist() == [0, 0]
    assert alike([0, 0], [long + "a", long + "b"]).tolist() == [0, 1]


@pytest.mark.parametrize("compare", ["exact", "normalised", "similarity"])
def test_nothing_to_compare(compare: str) -> None:
    assert alike([], [], compare).shape == (0,)  # type: ignore[arg-type]
    assert len(set(alike([0, 0, 1], ["", "", ""], compare).tolist())) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("threshold", [0.14, 0.55, 0.6, 0.7, 0.95])
def test_a_ratio_that_is_just_the_threshold_is_enough(threshold: float) -> None:
    """Characters that only difflib can decide on, and a threshold that some products round above."""
    same = round(200 * threshold)
    text, other = "a" * same + "b" * (200 - same), "c" * (200 - same) + "a" * same
    assert ratio(other, text) == threshold
    assert alike([0, 0], [text, other], "similarity", threshold).tolist() == [0, 0]


def test_the_first_cluster_that_fits_counts_not_the_nearest() -> None:
    words = ["aaaaaaaaaa", "aaaaabbbbb", "aaaaaaabbb"]
    assert ratio(words[2], words[1]) > ratio(words[2], words[0]) >= 0.7
    assert partition(alike([0, 0, 0], words, "similarity", 0.7).tolist()) == [0, 1, 0]


@settings(deadline=None)
@given(groups_of_rows)
def test_gigpo_with_only_equal_states_alike_is_gigpo(groups: list[list[Row]]) -> None:
    table = reward_table(groups)
    np.testing.assert_array_equal(gigpo(table, similarity=1.0), gigpo(table))
