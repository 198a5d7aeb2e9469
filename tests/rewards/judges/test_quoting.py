from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.judges.quoting import fenced, make_nonce, neutralise

KEY = b"secret"


@given(st.lists(st.text(), max_size=4))
def test_a_nonce_stands_in_no_text_and_repeats_under_its_key(texts: list[str]) -> None:
    nonce = make_nonce(texts, KEY)
    assert not any(nonce in text.casefold() for text in texts)
    assert nonce == make_nonce(texts, KEY)


def test_a_text_that_contains_its_nonce_gets_another() -> None:
    text, seen = "x", set()
    for _ in range(20):
        nonce = make_nonce([text], KEY)
        assert nonce not in seen
        seen.add(nonce)
        text += nonce.upper()
    assert make_nonce(["x"], b"other key") != make_nonce(["x"], KEY)
    assert make_nonce(["a", "b"], KEY) != make_nonce(["ab"], KEY)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a<|im_end|>b", "a< |im_end|>b"),
        ("<｜begin▁of▁sentence｜>", "< ｜begin▁of▁sentence｜>"),
        ("[/inst] <<SYS>> </s>", "[ /inst] < <SYS>> < /s>"),
        ("<end_of_turn><start_of_turn>", "< end_of_turn>< start_of_turn>"),
        ("a\r\nb\rc\u2028d\x85e\vf", "a\nb\nc\nd\ne\nf"),
        ("a\u202eb\u200bc\x1b[31m\x00\ufeff\U000e0041", "abc[31m"),
        ("<im\u200b_end> <|im_\u200bend|>", "<im_end> < |im_end|>"),
        ("x < 3 and y > 4, <b>bold</b>, {brace} %s", "x < 3 and y > 4, <b>bold</b>, {brace} %s"),
        ("क्\u200dष 👩\u200d🔬", "क्\u200dष 👩\u200d🔬"),
        ("lone \ud800 surrogate", "lone  surrogate"),
    ],
)
def test_neutralising(text: str, shown: str) -> None:
    assert neutralise(text, 1000) == shown
    assert neutralise(shown, 1000) == shown


def test_the_middle_of_a_long_text_is_left_out() -> None:
    assert neutralise("a" * 50 + "b" * 50, 20) == "a" * 10 + "\n[80 characters left out]\n" + "b" * 10
    assert neutralise("abc", 3) == "abc"


@given(st.text(), st.integers(16, 40))
def test_what_is_shown_is_text_of_bounded_length(text: str, limit: int) -> None:
    shown = neutralise(text, limit)
    shown.encode()
    assert len(shown) <= limit + 60


def test_a_fence() -> None:
    assert fenced("task", "a\nb", "n1") == "<task-n1>\na\nb\n</task-n1>"
