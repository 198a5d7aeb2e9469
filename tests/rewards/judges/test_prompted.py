from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from judging import ScriptedChat, block, run, saying

from agentgym.faults import ConfigError
from agentgym.rewards.judges import Criterion, make_judge
from agentgym.rewards.judges.models import Reply
from agentgym.rewards.judges.verdict import JudgeFault, Request, Verdict

REQUEST = Request("Capital of France?", "Paris", references=("Paris", "City of Paris"))


def user_of(chat: ScriptedChat) -> str:
    return chat.asked[-1].messages[-1]["content"]


def sure(label: str, probability: float | None) -> ScriptedChat:
    return ScriptedChat(lambda user, nonce: Reply(f"VERDICT {nonce}: {label}", probability=lambda b, e: probability))


@pytest.mark.parametrize(
    ("label", "probability", "score"), [("yes", 0.9, 0.9), ("no", 0.9, 0.1), ("yes", None, 1.0), ("no", None, 0.0)]
)
def test_yes_no_scores_how_sure_the_judge_is(label: str, probability: float | None, score: float) -> None:
    assert run(make_judge("yes_no", sure(label, probability)).judge(REQUEST)).score == pytest.approx(score)
    plain = run(make_judge("yes_no", sure(label, probability), probability=False).judge(REQUEST))
    assert plain.score == float(label == "yes")
    assert plain.label == label


def test_what_is_asked_depends_on_what_is_known() -> None:
    chat = saying("yes")
    run(make_judge("yes_no", chat).judge(REQUEST))
    assert "same answer as one of the references" in user_of(chat)
    assert block(user_of(chat), "candidate") == "Paris"
    assert block(user_of(chat), "task") == "Capital of France?"
    assert block(user_of(chat), "reference") == "Paris"
    run(make_judge("yes_no", chat).judge(Request("Sing.", "La la la")))
    assert "solve the task" in user_of(chat)
    run(make_judge("yes_no", chat, question="Is it polite?").judge(REQUEST))
    assert "Question: Is it polite?" in user_of(chat)
    assert "First explain" in user_of(chat)
    run(make_judge("yes_no", chat, asking={"think": False}).judge(REQUEST))
    assert "Reply with one line" in user_of(chat)


def test_a_scale() -> None:
    assert run(make_judge("ordinal", saying("1")).judge(REQUEST)) == Verdict(0.0, "1", "Because.")
    assert run(make_judge("ordinal", saying("10")).judge(REQUEST)).score == 1.0
    assert run(make_judge("ordinal", saying("3"), low=0, high=4).judge(REQUEST)).score == 0.75
    with pytest.raises(JudgeFault):
        run(make_judge("ordinal", saying("11")).judge(REQUEST))
    with pytest.raises(JudgeFault):
        run(make_judge("ordinal", saying("7.5")).judge(REQUEST))
    with pytest.raises(ConfigError, match="high must be above low"):
        make_judge("ordinal", saying("1"), low=3, high=3)


def by_criterion(met: dict[str, bool]) -> ScriptedChat:
    def answer(user: str, nonce: str) -> str:
        return f"VERDICT {nonce}: {'yes' if met[block(user, 'criterion')] else 'no'}"

    return ScriptedChat(answer)


CRITERIA = [
    {"text": "names the city", "weight": 3.0},
    {"text": "is polite", "weight": 1.0},
    {"text": "is true", "essential": True, "weight": 0.0},
]


def test_a_rubric_asks_each_criterion() -> None:
    met = {"names the city": True, "is polite": False, "is true": True}
    chat = by_criterion(met)
    verdict = run(make_judge("rubric", chat, criteria=CRITERIA).judge(REQUEST))
    assert (verdict.score, verdict.label) == (0.75, "2/3")
    assert verdict.reason == "yes: names the city\nno: is polite\nyes: is true"
    assert len(chat.asked) == 3


def test_an_essential_criterion_gates_and_saves_the_rest() -> None:
    chat = by_criterion({"is true": False})
    verdict = run(make_judge("rubric", chat, criteria=CRITERIA).judge(REQUEST))
    assert verdict == Verdict(0.0, "0/3", "not asked: names the city\nnot asked: is polite\nno: is true")
    assert len(chat.asked) == 1


def test_neither_a_probability_nor_a_lost_vote_closes_a_gate() -> None:
    chat = sure("yes", 0.9)
    verdict = run(make_judge("rubric", chat, criteria=CRITERIA, probability=True).judge(REQUEST))
    assert verdict.score == pytest.approx(0.9)
    said = itertools.cycle(["yes", "no", "yes"])
    voting = ScriptedChat(lambda user, nonce: f"VERDICT {nonce}: {next(said)}")
    gate = [{"text": "is true", "essential": True}]
    judge = make_judge("rubric", voting, criteria=gate, asking={"votes": 3, "temperature": 1.0})
    assert run(judge.judge(REQUEST)).score == 1.0


def test_a_requests_own_rubric_goes_first_and_one_is_needed() -> None:
    chat = by_criterion({"own": True})
    judge = make_judge("rubric", chat)
    own = Criterion(text="all", criteria=(Criterion(text="own"),))
    assert run(judge.judge(Request("t", "x", rubric=own))).score == 1.0
    with pytest.raises(ConfigError, match="needs criteria"):
        run(judge.judge(REQUEST))
    with pytest.raises(ConfigError, match=r"judge 'rubric'.*neither a weight above 0"):
        make_judge("rubric", chat, criteria=[{"text": "a", "weight": 0.0}])


def test_nuggets_are_asked_one_by_one() -> None:
    said = {"the capital": "full", "its age": "partial", "its mayor": "none"}
    chat = ScriptedChat(lambda user, nonce: f"VERDICT {nonce}: {said[block(user, 'fact')]}")
    verdict = run(make_judge("nuggets", chat).judge(Request("t", "Paris", nuggets=tuple(said))))
    assert verdict == Verdict(0.5, "0.50", "full: the capital\npartial: its age\nnone: its mayor")
    with pytest.raises(ConfigError, match="looks for facts"):
        run(make_judge("nuggets", chat).judge(REQUEST))


def prefers(better: Callable[[str, str], str]) -> ScriptedChat:
    def answer(user: str, nonce: str) -> str:
        return f"VERDICT {nonce}: {better(block(user, 'candidate-first'), block(user, 'candidate-second'))}"

    return ScriptedChat(answer)


def test_a_pair_is_asked_in_both_orders() -> None:
    chat = prefers(lambda a, b: "first" if len(a) > len(b) else "second")
    judge = make_judge("pairwise", chat)
    assert run(judge.judge(Request("t", "longer one", "short"))).score == 1.0
    assert run(judge.judge(Request("t", "short", "longer one"))).score == 0.0
    assert len(chat.asked) == 4
    assert run(make_judge("pairwise", saying("tie")).judge(Request("t", "a1", "b2"))) == Verdict(0.5, "tie", "Because.")


@pytest.mark.parametrize("always", ["first", "second"])
def test_orders_that_disagree_are_a_tie_or_a_fault(always: str) -> None:
    request = Request("t", "a1", "b2")
    verdict = run(make_judge("pairwise", saying(always)).judge(request))
    assert (verdict.score, verdict.label) == (0.5, "tie")
    assert "disagree" in verdict.reason
    with pytest.raises(JudgeFault, match="orders disagree"):
        run(make_judge("pairwise", saying(always), disagreement="fault").judge(request))


def test_a_tie_in_one_order_only_is_a_disagreement() -> None:
    chat = prefers(lambda a, b: "first" if a == "a1" else "tie")
    assert run(make_judge("pairwise", chat).judge(Request("t", "a1", "b2"))).score == 0.5


def test_a_pair_needs_two_texts() -> None:
    with pytest.raises(ConfigError, match="compares two texts"):
        run(make_judge("pairwise", saying("first")).judge(REQUEST))
