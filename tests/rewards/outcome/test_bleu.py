"""BLEU against published and hand-worked values, and what is built on it."""

from __future__ import annotations

import math
import random

import pytest
from episodes import answer, bad, episode, search, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.bleu import bleu, bleuberi, mt_zero, tokenize_13a

WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "mat"]), max_size=10)

# The worked example of NLTK's documentation of sentence_bleu.
GUIDE = [
    "It",
    "is",
    "a",
    "guide",
    "to",
    "action",
    "which",
    "ensures",
    "that",
    "the",
    "military",
    "always",
    "obeys",
    "the",
    "commands",
    "of",
    "the",
    "party",
]
REFERENCES = [
    [
        "It",
        "is",
        "a",
        "guide",
        "to",
        "action",
        "that",
        "ensures",
        "that",
        "the",
        "military",
        "will",
        "forever",
        "heed",
        "Party",
        "commands",
    ],
    [
        "It",
        "is",
        "the",
        "guiding",
        "principle",
        "which",
        "guarantees",
        "the",
        "military",
        "forces",
        "always",
        "being",
        "under",
        "the",
        "command",
        "of",
        "the",
        "Party",
    ],
    [
        "It",
        "is",
        "the",
        "practical",
        "guide",
        "for",
        "the",
        "army",
        "always",
        "to",
        "heed",
        "the",
        "directions",
        "of",
        "the",
        "party",
    ],
]


def test_published_values_without_smoothing() -> None:
    score = bleu(GUIDE, REFERENCES, smooth=False, length="closest")
    assert score == pytest.approx(0.5045666840058485)
    # Papineni et al. 2002: seven times "the" matches at most twice.
    reference = [["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]
    assert bleu(["the"] * 7, reference, max_order=1, smooth=False) == pytest.approx(2 / 7)


def test_smoothed_values_by_hand() -> None:
    said, meant = ["the", "cat", "sat", "on", "the", "mat"], ["the", "cat", "is", "on", "the", "mat"]
    # Matches 5 of 6, 3 of 5, 1 of 4, 0 of 3; one more above and below.
    expected = (6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25
    assert bleu(said, [meant]) == pytest.approx(expected)
    assert bleuberi("the cat sat on the mat", ["the cat is on the mat"]) == pytest.approx(expected)
    assert bleu(said, [meant], smooth=False) == 0.0
    # Too short: 2 words for 6; orders 3 and 4 have nothing to match, 1 of 1 after smoothing.
    assert bleu(["the", "cat"], [meant]) == pytest.approx(math.exp(1 - 3))
    assert bleu(["dog"], [["cat"]]) == pytest.approx(0.5**0.25)


def test_the_brevity_penalty_takes_the_shortest_or_the_closest_reference() -> None:
    said, long, short = ["a"] * 4, ["a"] * 5, ["a"] * 2
    assert bleu(said, [long, short]) == pytest.approx(1.0)
    assert bleu(said, [long, short], length="closest") == pytest.approx(math.exp(1 - 5 / 4))
    assert bleu(["a"] * 3, [["a"] * 4, ["a"] * 2], length="closest") == pytest.approx(1.0)


def test_nothing_said_or_nothing_to_say() -> None:
    assert bleuberi("", ["a"]) == bleuberi(" \n", ["a"]) == bleuberi("a", []) == bleuberi("a", [""]) == 0.0


@given(WORDS.filter(bool), st.lists(WORDS, max_size=3), st.booleans(), st.randoms(use_true_random=False))
def test_bounded_reflexive_and_blind_to_the_order_of_references(
    said: list[str], references: list[list[str]], smooth: bool, order: random.Random
) -> None:
    score = bleu(said, references, smooth=smooth)
    assert 0 <= score <= 1 + 1e-12
    assert bleu(said, order.sample(references, len(references)), smooth=smooth) == score
    assert bleu(said, [*references, said]) >= score - 1e-12 or len(said) < 4
    assert bleu(said, [said]) == pytest.approx(1.0)


def slow(said: list[str], references: list[list[str]], order: int) -> tuple[int, int]:
    """Clipped matches and possible matches of one order, from the definition."""
    grams = [tuple(said[i : i + order]) for i in range(len(said) - order + 1)]
    counts = [[tuple(r[i : i + order]) for i in range(len(r) - order + 1)] for r in references]
    matches = sum(min(grams.count(g), max((c.count(g) for c in counts), default=0)) for g in set(grams))
    return matches, len(grams)


@given(WORDS.filter(bool), st.lists(WORDS.filter(bool), min_size=1, max_size=3))
def test_agrees_with_the_definition(said: list[str], references: list[list[str]]) -> None:
    product = math.prod((m + 1) / (n + 1) for m, n in (slow(said, references, order) for order in range(1, 5)))
    penalty = min(1.0, math.exp(1 - min(map(len, references)) / len(said)))
    assert bleu(said, references) == pytest.approx(penalty * product**0.25)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, world!", "Hello , world !"),
        ("It costs $1,234.56 (net).", "It costs $ 1,234.56 ( net ) ."),
        ("a-b 9-5 don't", "a-b 9 - 5 don't"),
        ("&quot;x&amp;y&quot; &lt;b&gt;", '" x & y " < b >'),
        ("x.y 1. .5", "x . y 1 . . 5"),
    ],
)
def test_tokens_of_the_evaluation_script(text: str, tokens: str) -> None:
    assert tokenize_13a(text) == tokens.split()


def test_a_megabyte_is_scored() -> None:
    assert 0 < bleuberi("the cat sat. " * 80_000, ["the cat sat on the mat"]) < 0.01
    assert tokenize_13a("." * 100_000) == ["."] * 100_000


def test_mt_zero_mixes_and_refuses() -> None:
    assert mt_zero(0.4, 0.8) == pytest.approx(1.2)
    assert mt_zero(0.4, 0.8, lexical_weight=0.0) == 0.8
    assert mt_zero(1.0, 1.0, valid=False) == -1.0


def test_of_an_episode() -> None:
    wanted = task(references=["the cat is on the mat"])
    said = answer("the cat is on the mat", metric=0.7)
    assert measure("bleuberi", wanted, episode(said)) == pytest.approx(1.0)
    assert measure("bleuberi", wanted, episode(search("the cat is on the mat"), terminated=False)) == 0.0
    assert measure("bleuberi", wanted, episode(answer("the dog")), max_order=1) == pytest.approx(2 / 3 * math.exp(-2))
    assert measure("mt_zero", wanted, episode(said)) == pytest.approx(1.7)
    assert measure("mt_zero", wanted, episode(said), semantic_weight=2.0, lexical_weight=0.0) == pytest.approx(1.4)
    assert measure("mt_zero", wanted, episode(bad(), said)) == measure("mt_zero", wanted, episode(bad())) == -1.0
