"""Cosine of embeddings, by an encoder that the user names."""

from __future__ import annotations

import math

import numpy as np
import pytest
from episodes import answer, bad, episode, letters, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.faults import ConfigError
from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.embedding import cosine, embedding_similarity, load_encoder

VECTORS = st.lists(st.floats(-1e200, 1e200), min_size=3, max_size=3)


def test_cosines() -> None:
    assert cosine([1, 0], [1, 1]) == pytest.approx(math.sqrt(0.5))
    assert cosine([1, 2], [-2, -4]) == pytest.approx(-1.0)
    assert cosine([0, 0], [1, 1]) == cosine([], []) == 0.0


@given(VECTORS, VECTORS, st.floats(1e-100, 1e100))
def test_symmetric_bounded_and_blind_to_length(a: list[float], b: list[float], scale: float) -> None:
    assert cosine(a, b) == pytest.approx(cosine(b, a))
    assert -1 <= cosine(a, b) <= 1
    assert cosine(a, a) == pytest.approx(float(any(a)))
    scaled = np.array(a) * scale
    if np.all(np.isfinite(scaled)) and max(map(abs, a)) > 1e-100:
        assert cosine(scaled, b) == pytest.approx(cosine(a, b), abs=1e-6)


def test_the_nearest_gold_text_counts() -> None:
    assert embedding_similarity("aa", ["b", "ab"], letters) == pytest.approx(math.sqrt(0.5))
    assert embedding_similarity("aa", [], letters) == embedding_similarity(" ", ["a"], letters) == 0.0
    assert embedding_similarity("a", ["b"], lambda texts: [[1.0], [-1.0]]) == 0.0


@pytest.mark.parametrize("vectors", [[1.0, 2.0], [[1.0]], [[math.nan], [1.0]], []])
def test_an_encoder_that_gives_something_else_is_refused(vectors: list[object]) -> None:
    with pytest.raises(ConfigError, match="for 2 texts"):
        embedding_similarity("a", ["b"], lambda texts: vectors)  # type: ignore[arg-type,return-value]


def test_an_encoder_is_found_by_its_path() -> None:
    assert load_encoder("episodes:letters") is letters
    with pytest.raises(ConfigError, match="no module"):
        load_encoder("nowhere_at_all:encode")
    with pytest.raises(ConfigError, match="not a callable"):
        load_encoder("math:pi")


def test_of_an_episode() -> None:
    golds = task(answers=["ab", "c"])
    assert measure("embedding_similarity", golds, episode(answer("ba")), encoder="episodes:letters") == pytest.approx(
        1.0
    )
    assert measure("embedding_similarity", golds, episode(bad()), encoder="episodes:letters") == 0.0
    with pytest.raises(ConfigError, match="encoder"):
        measure("embedding_similarity", golds, episode(answer("ba")))
