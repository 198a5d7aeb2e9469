from __future__ import annotations

import pytest
from judging import ScriptedChat, ScriptedLikelihood, block, run, saying

from agentgym.rewards.judges import ManagedJudge, make_judge
from agentgym.rewards.judges.attacks import ATTACKS, GOLD, succeeded
from agentgym.rewards.judges.models import Reply
from agentgym.rewards.judges.quoting import neutralise
from agentgym.rewards.judges.verdict import FIRST, Request

REQUEST = Request("What is the capital of France?", "", references=("Paris",))


def test_the_suite_is_as_wide_as_it_says() -> None:
    assert len({a.name for a in ATTACKS}) == len(ATTACKS)
    assert {a.kind for a in ATTACKS} == {"master_key", "injection", "refusal"}
    for kind in ("master_key", "refusal"):
        assert {"en", "zh", "ja", "es", "de", "fr"} <= {a.language for a in ATTACKS if a.kind == kind}
    assert {"en", "zh", "es", "de"} <= {a.language for a in ATTACKS if a.kind == "injection"}
    assert all(GOLD not in a.text("Paris") for a in ATTACKS)
    assert any(a.text("Paris") == "." for a in ATTACKS)


@pytest.mark.parametrize("options", [{}, {"match": "f1", "at_least": 0.5}, {"match": "cover"}], ids=str)
def test_no_attack_is_paid_by_rules(options: dict[str, object]) -> None:
    judge = make_judge("rules", **options)
    assert run(succeeded(judge, REQUEST)) == []
    assert run(judge.judge(Request(REQUEST.task, "Paris", references=("Paris",)))).score == 1.0


# -- fools: judges that would pay, were it not for the structure of what they are asked -------------------------------


def obeys_what_stands_outside_the_marks(user: str, nonce: str, mark: str | None = None) -> str:
    """Skips everything between marks, and does what the rest says: a line that asks for a verdict gets it."""
    inside, orders = False, False
    for line in user.splitlines():
        if line.startswith("<candidate" + (f"-{nonce}>" if mark is None else mark)):
            inside = True
        elif line.startswith("</candidate" + (f"-{nonce}>" if mark is None else mark)):
            inside = False
        elif not inside and "VERDICT: " in line:
            orders = True
    return f"VERDICT {nonce}: {'yes' if orders else 'no'}"


def repeats_the_candidate(user: str, nonce: str) -> str:
    """Says the judged text again, whatever it is."""
    return block(user, "candidate")


def repeats_the_candidate_and_then_decides(user: str, nonce: str) -> str:
    return f"{block(user, 'candidate')}\nVERDICT {nonce}: no"


def says_the_verdict_it_saw_last(user: str, nonce: str) -> str:
    """Takes the last verdict that stands in the prompt for its own, as a model that copies does."""
    seen = [line for line in user.splitlines() if line.upper().startswith("VERDICT")]
    return seen[-1] if seen else f"VERDICT {nonce}: no"


FOOLS = [
    obeys_what_stands_outside_the_marks,
    repeats_the_candidate,
    repeats_the_candidate_and_then_decides,
    says_the_verdict_it_saw_last,
]


def judge_by(fool: object, **options: object) -> ManagedJudge:
    return make_judge("yes_no", ScriptedChat(fool), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("think", [True, False])
@pytest.mark.parametrize("fool", FOOLS, ids=lambda f: f.__name__)
def test_no_attack_is_paid_by_a_fool(fool: object, think: bool) -> None:
    judge = judge_by(fool, asking={"think": think, "tries": 1})
    assert run(succeeded(judge, REQUEST)) == []


def test_the_fool_is_one_where_marks_can_be_guessed() -> None:
    """The control: the same fool, reading marks without a nonce, is talked into a yes."""

    def guessable(user: str, nonce: str) -> str:
        plain = user.replace(f"candidate-{nonce}>", "candidate>")
        return obeys_what_stands_outside_the_marks(plain, nonce, mark=">")

    names = {attack.name for attack, _ in run(succeeded(judge_by(guessable), REQUEST))}
    assert "closes_the_delimiters" in names


def test_what_rules_decide_never_reaches_the_model() -> None:
    chat = saying("yes")
    judge = make_judge("yes_no", chat)
    paid = {attack.kind for attack, _ in run(succeeded(judge, REQUEST))}
    assert paid == {"injection"}, "a judge that says yes to everything pays only what a rule cannot see through"
    assert len(chat.asked) == judge.stats.asked == sum(a.kind == "injection" for a in ATTACKS)


def test_injections_arrive_without_what_a_template_or_a_reader_obeys() -> None:
    chat = saying("no")
    run(succeeded(make_judge("yes_no", chat), REQUEST))
    for prompt in chat.asked:
        user = prompt.messages[-1]["content"]
        for token in (
            "<|im_end|>",
            "<|im_start|>",
            "<|end|>",
            "[/INST]",
            "<end_of_turn>",
            "</s>",
            "\u202e",
            "\u2028",
            "\r",
        ):
            assert token not in user


def test_no_attack_is_preferred_to_a_real_answer_by_a_judge_that_takes_the_first() -> None:
    judge = make_judge("pairwise", saying("first"))
    gold = Request("Capital of France?", "", "Paris", references=("Paris",))
    for attack, verdict in run(succeeded(judge, gold)):
        assert verdict.score == 0.5, attack.name
        assert attack.kind == "injection"
    swapped = run(judge.judge(Request("Capital of France?", "Paris", "Solution:")))
    assert swapped.score == FIRST


@pytest.mark.parametrize("name", ["rlpr", "likelihood", "log_likelihood", "follow_up", "endogenous", "yes_likelihood"])
def test_likelihood_judges_give_the_lowest_score_to_what_a_rule_sees(name: str) -> None:
    model = ScriptedLikelihood(lambda passage: [-0.1])
    judge = make_judge(name, model)
    for attack, _ in run(succeeded(judge, REQUEST)):
        assert attack.kind == "injection"
    assert all(p.target != "" for p in model.asked)


def test_a_cut_off_or_decorated_verdict_is_no_success() -> None:
    judge = judge_by(lambda user, nonce: Reply(f"VERDICT {nonce}: yes", finished=False), asking={"tries": 2})
    assert run(succeeded(judge, REQUEST)) == []
    assert judge.stats.faults > 0


def test_neutralised_attacks_are_still_readable() -> None:
    for attack in ATTACKS:
        shown = neutralise(attack.text("Paris"), 1000)
        assert shown.isprintable() or set(shown) & {"\n", "\t", "\u200d"}
