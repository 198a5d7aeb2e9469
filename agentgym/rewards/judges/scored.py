"""Judges by a number that a model gives: a reward model's logit, the similarity of embeddings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from agentgym.faults import ConfigError, MissingExtra, first_line
from agentgym.rewards.judges.likelihood import sigmoid
from agentgym.rewards.judges.models import Batcher, Classifier, Embedder, Floats, Pair
from agentgym.rewards.judges.registry import JUDGES
from agentgym.rewards.judges.verdict import TIE, JudgeFault, PlainJudge, Request, Verdict
from agentgym.rewards.outcome.embedding import Encoder, cosine, encode, load_encoder

#: Texts that are embedded in one call.
EMBEDDED_AT_ONCE = 256


@JUDGES.register("reward_model", source="Bradley-Terry reward models", status="own", needs=("classifier",))
def reward_model(model: Classifier, *, center: float = 0.0, scale: Annotated[float, Field(gt=0)] = 1.0) -> PlainJudge:
    """A sequence classifier's score of the text, squashed into 0..1; of two texts, which it prefers.

    Formula: sigmoid((r - center) / scale); of a pair sigmoid((r_first - r_second) / scale), the probability that the
    first is preferred (Bradley-Terry).

    Args:
        model: Scores task and text.
        center: The score that becomes .5.
        scale: Temperature of the squashing.
    """

    async def decide(request: Request) -> Verdict:
        if request.other is None:
            raw = await model(Pair(request.task, request.text))
            return Verdict(sigmoid((raw - center) / scale), "score", f"{raw:.4f}")
        first, second = await asyncio.gather(
            model(Pair(request.task, request.text)), model(Pair(request.task, request.other))
        )
        score = sigmoid((first - second) / scale)
        label = "tie" if score == TIE else "first" if score > TIE else "second"
        return Verdict(score, label, f"{first:.4f} against {second:.4f}")

    return PlainJudge(decide)


@JUDGES.register("similarity", source="cosine similarity of sentence embeddings", status="own", needs=("encoder",))
def similarity(encoder: Embedder) -> PlainJudge:
    """Highest cosine of the text's embedding with those of the right answers, 0..1: below 0 counts as 0.

    Args:
        encoder: Text -> vector.
    """

    async def decide(request: Request) -> Verdict:
        if not request.references:
            raise ConfigError("judge 'similarity' compares with right answers, and the request has none")
        said, *meant = await asyncio.gather(*(encoder(text) for text in (request.text, *request.references)))
        cosines = [cosine(said, gold) for gold in meant]
        best = int(np.argmax(cosines))
        return Verdict(max(0.0, cosines[best]), "similarity", f"like right answer {best}: {cosines[best]:.4f}")

    return PlainJudge(decide)


class BatchedEncoder:
    """An encoder of many texts as a model of one: texts that are asked at the same time share a call.

    Args:
        encoder: Texts -> [n, d].
        identity: See `Model`.
    """

    def __init__(self, encoder: Encoder, identity: str) -> None:
        self.identity = identity

        def run(texts: Sequence[str]) -> list[Floats]:
            distinct = list(dict.fromkeys(texts))
            try:
                vectors = dict(zip(distinct, encode(distinct, encoder), strict=True))
            except RuntimeError as error:  # torch: out of memory, device lost
                raise JudgeFault(f"the encoder failed: {first_line(error)}") from error
            return [vectors[text] for text in texts]

        self._batcher: Batcher[str, Floats] = Batcher(run, EMBEDDED_AT_ONCE)

    async def __call__(self, item: str, /) -> Floats:
        """float64[d]

        Raises:
            JudgeFault: The encoder failed.
            ConfigError: It gives something else than one finite vector a text.
        """
        return await self._batcher(item)


def find_encoder(name: str, **options: Any) -> Encoder:
    """The encoder at an import path ``package.module:callable``, or a sentence-transformers model by its name.

    Raises:
        ConfigError: There is none of that name.
        MissingExtra: sentence-transformers is not installed.
    """
    if ":" in name:
        if options:
            raise ConfigError(f"encoder {name!r} is an import path and takes no options, got {sorted(options)}")
        return load_encoder(name)
    return _sentence_encoder(name, tuple(sorted(options.items())))


@lru_cache(maxsize=4)
def _sentence_encoder(name: str, options: tuple[tuple[str, Any], ...]) -> Encoder:
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise MissingExtra("sentence-transformers", "search") from error
    try:
        model = SentenceTransformer(name, **dict(options))
    except (OSError, ValueError, TypeError) as error:
        reason = first_line(error)
        raise ConfigError(f"encoder {name!r}: {reason}") from error

    def embed(texts: Sequence[str]) -> Any:
        return model.encode(list(texts), show_progress_bar=False)

    return embed
