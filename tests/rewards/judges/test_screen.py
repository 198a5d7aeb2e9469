from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.judges.attacks import GOLD, MASTER_KEYS, REFUSALS, Attack
from agentgym.rewards.judges.screen import emptiness, screen, words
from agentgym.rewards.judges.verdict import Request, Verdict


@pytest.mark.parametrize("attack", MASTER_KEYS, ids=lambda a: a.name)
def test_every_master_key_is_seen_by_a_rule(attack: Attack) -> None:
    assert emptiness(attack.text("Paris"), ["Paris"]) in {"empty", "no_words", "no_claim"}
    assert emptiness(attack.text("Paris")) is not None, "without references too"


@pytest.mark.parametrize("attack", REFUSALS, ids=lambda a: a.name)
def test_every_refusal_is_seen_by_a_rule(attack: Attack) -> None:
    assert GOLD in attack.template
    assert emptiness(attack.text("Paris"), ["Paris"]) == "refusal"
    assert emptiness(attack.text("Paris"), ["Paris"], refusals=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "Paris",
        "The answer is Paris.",
        "Solution: x = 4",
        "42",
        "Step 1: add 2. Step 2: halve.",
        "yes",
        "No.",
        "巴黎",
        "答案：巴黎",
        "答えは東京です。",
        "La respuesta es Madrid",
        "Die Antwort lautet Berlin",
        "La réponse est Lyon",
        "Ответ: Москва",
        "दिल्ली",
        "서울",
        "π",
        "He said that he could not come.",
        "I don't know where she lived, but she died in Oslo.",
        "We cannot divide by zero, so x = 3.",
        "first",
        "well",
    ],
)
def test_claims_pass(text: str) -> None:
    assert emptiness(text) is None


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Step by Step", "step by step"),
        ("+", "+"),
        ("Solution", "Solution"),
        ("I don't know.", "I don't know"),
        ("🙂", " 🙂 "),
        ("∞", "∞"),
    ],
)
def test_a_right_answer_always_passes(text: str, gold: str) -> None:
    assert emptiness(text) is not None
    assert emptiness(text, ["Paris", gold]) is None


def test_an_empty_text_never_passes_even_as_a_right_answer() -> None:
    assert emptiness("", [""]) == "empty"
    assert emptiness(" \u200b", [" "]) == "empty"
    assert emptiness("...", [""]) == "no_words"


def test_rules_can_be_turned_off() -> None:
    assert emptiness("Solution:", openers=False) is None
    assert emptiness("...", openers=False, refusals=False) == "no_words"


def test_single_texts_get_the_lowest_score() -> None:
    assert screen(Request("t", "Solution:"), -10.0) == Verdict(
        -10.0, "no_claim", "an answer is announced, none is given"
    )
    assert screen(Request("t", "Paris"), 0.0) is None


@pytest.mark.parametrize(
    ("first", "second", "score"),
    [("", "Paris", 0.0), ("Paris", ":", 1.0), ("", ":", 0.5), ("Paris  is", "Paris is", 0.5), ("Paris", "Rome", None)],
)
def test_of_two_texts_the_one_that_claims_something_wins(first: str, second: str, score: float | None) -> None:
    verdict = screen(Request("t", first, second), 0.0)
    assert (verdict.score if verdict else None) == score
    swapped = screen(Request("t", second, first), 0.0)
    assert (1 - swapped.score if swapped else None) == score


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    for refusals in (True, False):
        emptiness(text, [text, "x"], refusals=refusals)
    if words(text):
        assert emptiness(text, [text]) is None


@given(st.text(alphabet=st.characters(categories=["P", "S", "Z", "C"]), max_size=30))
def test_what_has_no_word_claims_nothing(text: str) -> None:
    assert emptiness(text) is not None


@pytest.mark.parametrize("unit", ["i ", "ich kann ", "解", "i cannot x ", "a'", "step 1 ", "\u200b", "no puedo "])
def test_long_hostile_texts_are_read_in_linear_time(unit: str) -> None:
    started = time.perf_counter()
    emptiness(unit * (200_000 // len(unit)))
    assert time.perf_counter() - started < 3
