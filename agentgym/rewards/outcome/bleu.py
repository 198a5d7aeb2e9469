"""BLEU as a reward: BLEUBERI's smoothed BLEU against references, and MT-R1-Zero's mixture with a learned metric.

BLEUBERI's public code calls the reference implementation of neural machine translation with ``smooth=True``: one is
added to the matches and to the possible matches of every order, and the brevity penalty takes the shortest reference.
Both are free of models; the learned metric of MT-R1-Zero comes as a number.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

from pydantic import Field

from agentgym.rewards.outcome.episode import part, well_formed
from agentgym.rewards.outcome.registry import reward
from agentgym.rewards.table import final_answer
from agentgym.trajectory import Trajectory

MAX_ORDER = 4
#: The tokenizer of the NIST evaluation script ("13a"): symbols apart, full stops and commas apart unless in a number.
_RULES = (
    (re.compile(r"([{-~\[-` -&(-+:-@/])"), r" \1 "),
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_ENTITIES = (("&quot;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
Weight = Annotated[float, Field(ge=0)]


def tokenize_13a(text: str) -> list[str]:
    """The tokens of a text by the rules of the NIST evaluation script, case kept."""
    text = f" {text.replace('<skipped>', '').replace(chr(10), ' ')} "
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    for rule, spaced in _RULES:
        text = rule.sub(spaced, text)
    return text.split()


def bleu(
    prediction: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    max_order: int = MAX_ORDER,
    smooth: bool = True,
    length: Literal["shortest", "closest"] = "shortest",
) -> float:
    """Sentence BLEU, 0..1.

    Formula: BP * geometric mean over orders n of (matches_n + s) / (possible_n + s), s = 1 smoothed, else 0; matches
    are clipped by the highest count in any reference; BP = min(1, exp(1 - reference length / length)).

    Args:
        prediction: Tokens.
        references: Tokens of each reference; none: 0.
        max_order: Highest order of n-grams.
        smooth: Add 1 above and below in every order; otherwise an order without a match makes the score 0.
        length: The reference whose length counts: the shortest, or the one closest in length (the shorter of two).
    """
    if not prediction or not any(references):
        return 0.0
    add = float(smooth)
    logs = 0.0
    for order in range(1, max_order + 1):
        said = _ngrams(prediction, order)
        allowed: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            allowed |= _ngrams(reference, order)
        above, below = (said & allowed).total() + add, said.total() + add
        if above == 0.0:
            return 0.0
        logs += math.log(above / below)
    lengths = [len(reference) for reference in references]
    meant = min(lengths) if length == "shortest" else min(lengths, key=lambda n: (abs(n - len(prediction)), n))
    return math.exp(logs / max_order + min(0.0, 1.0 - meant / len(prediction)))


def bleuberi(text: str, references: Sequence[str], max_order: int = MAX_ORDER) -> float:
    """Smoothed BLEU of a text against references, 0..1; an empty text scores 0."""
    return bleu(tokenize_13a(text), [tokenize_13a(reference) for reference in references], max_order=max_order)


def mt_zero(
    lexical: float, semantic: float, valid: bool = True, lexical_weight: float = 1.0, semantic_weight: float = 1.0
) -> float:
    """``lexical_weight * lexical + semantic_weight * semantic``, and -1 for a bad format.

    Args:
        lexical: BLEU, 0..1.
        semantic: A learned metric of the translation, 0..1.
        valid: The episode is well-formed.
        lexical_weight: 0 for the purely semantic variant.
        semantic_weight: 0 for the purely lexical one.
    """
    return lexical_weight * lexical + semantic_weight * semantic if valid else -1.0


def _ngrams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[i:] for i in range(order)), strict=False))


class HasReferences(Protocol):
    """A task with reference texts."""

    @property
    def references(self) -> Sequence[str]: ...


@reward(
    "bleuberi",
    source="BLEUBERI: BLEU is a surprisingly effective reward for instruction following",
    arxiv="2505.11080",
    status="code",
)
def score_bleuberi(
    task: HasReferences, trajectory: Trajectory, *, max_order: Annotated[int, Field(ge=1, le=9)] = MAX_ORDER
) -> float:
    """BLEUBERI: smoothed BLEU of the episode's answer against the references; 0 without an answer.

    Formula: BP * geometric mean over orders of (matches + 1) / (possible + 1).

    Args:
        task: With `references`.
        trajectory: The episode.
        max_order: Highest order of n-grams.
    """
    return bleuberi(final_answer(trajectory) or "", task.references, max_order)


@reward(
    "mt_zero",
    source="MT-R1-Zero: Advancing LLM-based Machine Translation via R1-Zero-like Reinforcement Learning",
    arxiv="2504.10160",
    status="summary",
    signals=lambda p: [p["metric"]] if p["semantic_weight"] else [],
)
def score_mt_zero(
    task: HasReferences,
    trajectory: Trajectory,
    *,
    lexical_weight: Weight = 1.0,
    semantic_weight: Weight = 1.0,
    metric: str = "metric",
) -> float:
    """MT-R1-Zero: BLEU plus a learned metric of the translation; -1 for a bad format or no translation.

    Formula: lexical_weight * BLEU + semantic_weight * metric.

    Args:
        task: With `references`.
        trajectory: The episode; its answer is the translation.
        lexical_weight: Of smoothed BLEU (FREE).
        semantic_weight: Of the learned metric (FREE).
        metric: Process part that holds the learned metric of the translation, on the last turn.
    """
    answer = final_answer(trajectory)
    if answer is None or not well_formed(trajectory):
        return mt_zero(0.0, 0.0, valid=False)
    learned = float(part(trajectory, metric)[-1])
    return mt_zero(bleuberi(answer, task.references), learned, True, lexical_weight, semantic_weight)
