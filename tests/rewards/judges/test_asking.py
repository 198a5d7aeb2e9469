from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging import ScriptedChat, nonce_of, run, saying
from pydantic import ValidationError

from agentgym.rewards.judges.asking import Asking, Block, Examiner, by_label, read, render
from agentgym.rewards.judges.models import Reply
from agentgym.rewards.judges.verdict import JudgeFault, Verdict

YES_NO = {"yes": 1.0, "no": 0.0}
LABELS = tuple(YES_NO)


def ask(chat: ScriptedChat, blocks: list[Block] | None = None, **options: object) -> Verdict:
    asking = Asking.model_validate(options)
    verdict: Verdict = run(
        Examiner(chat, asking).ask(blocks or [Block("candidate", "Paris")], "Right?", LABELS, by_label(YES_NO))
    )
    return verdict


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("VERDICT abc: yes", "yes"),
        ("why\n\nVERDICT abc: no\n\n", "no"),
        ("  verdict ABC : YES  ", "yes"),
        ("VERDICT abc: yes\nVERDICT abc: no", "no"),
    ],
)
def test_the_last_line_is_the_verdict(text: str, label: str) -> None:
    answer = read(Reply(text), LABELS, "abc")
    assert answer is not None
    assert answer.label == label


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "VERDICT: yes",
        "VERDICT abd: yes",
        "VERDICT abc: yes, certainly",
        "VERDICT abc: maybe",
        "VERDICT abc:",
        "VERDICT abc: yes or VERDICT abc: no",
        "**VERDICT abc: yes**",
        "VERDICT abc: yes\nor so",
        "I say VERDICT abc: yes",
        "VERDICT abc: yes\x00",
    ],
)
def test_anything_else_is_unreadable(text: str) -> None:
    assert read(Reply(text), LABELS, "abc") is None


def test_a_reply_that_was_cut_off_is_unreadable() -> None:
    assert read(Reply("VERDICT abc: 1", finished=False), ("1", "10"), "abc") is None


@given(st.text())
def test_no_text_that_lacks_the_nonce_is_a_verdict(text: str) -> None:
    assert read(Reply(text), LABELS, "0123456789abcdef") is None


def test_the_reason_is_what_came_before_and_the_probability_is_the_labels() -> None:
    asked: list[tuple[int, int]] = []

    def probability(begin: int, end: int) -> float:
        asked.append((begin, end))
        return 0.25

    text = "It fits.\nVERDICT abc: yes\n"
    answer = read(Reply(text, probability=probability), LABELS, "abc")
    assert answer is not None
    assert (answer.reason, answer.probability) == ("It fits.", 0.25)
    assert [text[b:e] for b, e in asked] == ["yes"]


def test_an_unreadable_reply_is_asked_for_again_in_another_way_and_is_a_fault_in_the_end() -> None:
    said = iter(["hm", "still thinking", None])
    chat = ScriptedChat(lambda user, nonce: next(said) or f"VERDICT {nonce}: yes")
    assert ask(chat, tries=3) == Verdict(1.0, "yes")
    samplings = [p.sampling for p in chat.asked]
    assert len({s.seed for s in samplings}) == 3
    assert [s.temperature > 0 for s in samplings] == [False, True, True]

    with pytest.raises(JudgeFault, match=r"no readable verdict in 2 replies; the last ends 'score: 10/10'"):
        ask(ScriptedChat(lambda user, nonce: "Well.\nscore: 10/10"), tries=2)


def test_votes_are_averaged_and_the_label_is_the_majoritys() -> None:
    said = itertools.cycle(["yes", "no", "yes"])
    chat = ScriptedChat(lambda user, nonce: f"{next(said)}?\nVERDICT {nonce}: no")
    assert ask(chat, votes=3, temperature=1.0).score == 0.0
    said = itertools.cycle(["yes", "no", "yes"])

    def vote(user: str, nonce: str) -> str:
        label = next(said)
        return f"I say {label}.\nVERDICT {nonce}: {label}"

    chat = ScriptedChat(vote)
    assert ask(chat, votes=3, temperature=1.0) == Verdict(2 / 3, "yes", "I say yes.")
    assert len({p.sampling.seed for p in chat.asked}) == 3
    said = itertools.cycle(["yes", "no"])
    assert ask(ScriptedChat(vote), votes=2, temperature=1.0).label == "no", "of as many votes the worse"


def test_votes_need_a_temperature() -> None:
    with pytest.raises(ValidationError, match="votes above 1 need a temperature"):
        Asking(votes=2)


def test_the_same_key_asks_the_same_thing_and_no_key_another_each_time() -> None:
    def prompts(**options: object) -> list[object]:
        chat = saying("yes")
        ask(chat, **options)
        ask(chat, **options)
        return [(p.messages[-1]["content"], p.sampling.seed) for p in chat.asked]

    first, second = prompts(key="k")
    assert first == second
    first, second = prompts()
    assert first != second


@given(st.lists(st.text(max_size=60), min_size=1, max_size=3), st.booleans())
def test_a_prompt_has_every_mark_once_and_all_text_between_them(texts: list[str], think: bool) -> None:
    chat = saying("yes")
    ask(chat, [Block(f"candidate{i}", text) for i, text in enumerate(texts)], think=think)
    user = chat.asked[0].messages[-1]["content"]
    nonce = nonce_of(user)
    marks = re.findall(rf"^</?candidate\d-{nonce}>$", user, re.MULTILINE)
    assert marks == [f"<{s}candidate{i}-{nonce}>" for i in range(len(texts)) for s in ("", "/")]
    assert user.count(nonce) == 1 + len(marks) + len(LABELS)


def test_texts_are_put_in_as_they_are() -> None:
    _, user = render([Block("candidate", "{0} %s {{x}} {user}")], "Is {this} right?", ("a",), "n", think=False)
    assert "{0} %s {{x}} {user}" in user
    assert "Question: Is {this} right?" in user
    assert user.endswith("exactly `VERDICT n: a`.")


def test_long_texts_and_reasons_are_cut() -> None:
    chat = ScriptedChat(lambda user, nonce: "because " * 50 + f"\nVERDICT {nonce}: no")
    verdict = ask(chat, [Block("candidate", "x" * 5000)], max_chars=100, reason_chars=10)
    assert verdict.reason == "because be"
    assert chat.asked[0].messages[-1]["content"].count("x") < 120
