"""Semantic similarity: cosine of embeddings, by whatever encoder the user names.

The encoder is a callable from texts to vectors; none is built in, and nothing here loads a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from agentgym.faults import ConfigError
from agentgym.registry import load_path
from agentgym.rewards.outcome.answer import HasAnswers
from agentgym.rewards.outcome.registry import Floats, reward
from agentgym.rewards.table import final_answer
from agentgym.trajectory import Trajectory

#: Texts -> [n, d], one vector each.
Encoder = Callable[[Sequence[str]], ArrayLike]


def cosine(a: ArrayLike, b: ArrayLike) -> float:
    """Cosine of two vectors, -1..1; 0 where one of them has no length."""
    x, y = _unit(a), _unit(b)
    return float(np.clip(x @ y, -1.0, 1.0))


def embedding_similarity(text: str, golds: Sequence[str], encoder: Encoder) -> float:
    """Highest cosine of a text's embedding with those of the gold texts, 0..1: below 0 counts as 0.

    A text that is empty or blank scores 0 without being encoded.

    Args:
        text: What was said.
        golds: What could have been.
        encoder: Texts -> [n, d].

    Raises:
        ConfigError: The encoder's result is not one finite vector a text.
    """
    if not text.strip() or not golds:
        return 0.0
    said, *meant = encode([text, *golds], encoder)
    return max(0.0, *(cosine(said, gold) for gold in meant))


def encode(texts: Sequence[str], encoder: Encoder) -> Floats:
    """float64[n, d], the texts' embeddings.

    Raises:
        ConfigError: The encoder's result is not one finite vector a text.
    """
    vectors = np.asarray(encoder(list(texts)), dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.all(np.isfinite(vectors)):
        raise ConfigError(f"the encoder gave shape {vectors.shape} for {len(texts)} texts; give one finite vector each")
    return vectors


def load_encoder(path: str) -> Encoder:
    """The encoder at an import path ``package.module:callable``.

    Raises:
        ConfigError: No such path, or nothing that can be called.
    """
    found = load_path(path)
    if not callable(found):
        raise ConfigError(f"encoder {path!r} is a {type(found).__name__}, not a callable from texts to vectors")
    return cast(Encoder, found)


def _unit(vector: ArrayLike) -> Floats:
    values = np.asarray(vector, dtype=np.float64)
    largest = np.max(np.abs(values), initial=0.0)
    if largest == 0.0:
        return values
    scaled = values / largest  # squares of very small or large numbers leave the range of floats
    return np.asarray(scaled / np.linalg.norm(scaled), dtype=np.float64)


@reward("embedding_similarity", source="cosine similarity of sentence embeddings", status="own")
def score_embedding_similarity(task: HasAnswers, trajectory: Trajectory, *, encoder: str) -> float:
    """Highest cosine of the answer's embedding with those of the gold answers, 0..1; 0 without an answer.

    Formula: max(0, max over gold answers of cosine).

    Args:
        task: With `answers`.
        trajectory: The episode.
        encoder: Import path ``package.module:callable`` of what turns a list of texts into vectors.
    """
    return embedding_similarity(final_answer(trajectory) or "", task.answers, load_encoder(encoder))
