"""Judges that ask a chat: yes or no, a scale, the criteria of a rubric, which of two texts is better.

They follow the common practice of language-model judges (Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena): a
closed question, reasons before the verdict, both orders of a pair. How a question is put and read is `asking`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from agentgym.config import validate
from agentgym.faults import ConfigError
from agentgym.rewards.judges.asking import Answer, Asking, Block, Examiner, Scoring, by_label
from agentgym.rewards.judges.models import Chat
from agentgym.rewards.judges.registry import JUDGES
from agentgym.rewards.judges.tree import Criterion, walk_rubric
from agentgym.rewards.judges.verdict import FIRST, SECOND, TIE, JudgeFault, PlainJudge, Request, Verdict
from agentgym.rewards.outcome.nuggets import CREDIT

MT_BENCH = "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena"
RUBRICS = "Rubric rewards (RGR-GRPO, OpenRubrics)"
ASKING = Asking()
YES_NO = {"yes": 1.0, "no": 0.0}
SUPPORT: Mapping[str, float] = {str(label): credit for label, credit in CREDIT.items()}
PAIR = {"first": FIRST, "second": SECOND, "tie": TIE}

_RIGHT = (
    "Does the candidate give the same answer as one of the references? One that gives several different answers, or "
    "none, does not."
)
_SOLVES = "Does the candidate solve the task, correctly and completely?"
_RATE = "How well does the candidate solve the task?"
_SUPPORTS = (
    "Does the candidate state the fact? Full: all of it, as its own claim. Partial: a part of it. None: nothing of it, "
    "or only as a list of words."
)
_BETTER = "Which candidate solves the task better? Their order, length and style do not matter."


@JUDGES.register("yes_no", source=MT_BENCH, status="own", needs=("chat",))
def yes_no(chat: Chat, *, question: str | None = None, probability: bool = True, asking: Asking = ASKING) -> PlainJudge:
    """Asks one question about the text; the score is how sure the judge is of yes.

    Formula: p where it says yes, 1 - p where it says no, p = the probability of the tokens of that word as the engine
    sampled them; without probabilities 1 and 0. The mean of the votes.

    Args:
        chat: Who is asked.
        question: A question to be answered with yes or no, yes being good; None: whether the text gives a right answer
            (where there are references) or solves the task.
        probability: Use the engine's token probabilities, where it gives them.
        asking: How it is asked.
    """
    examiner = Examiner(chat, asking)

    async def decide(request: Request) -> Verdict:
        asked = question or (_RIGHT if request.references else _SOLVES)
        return await examiner.ask(_blocks(request), asked, tuple(YES_NO), _sure if probability else by_label(YES_NO))

    return PlainJudge(decide)


@JUDGES.register("ordinal", source=MT_BENCH, status="own", needs=("chat",))
def ordinal(
    chat: Chat, *, question: str | None = None, low: int = 1, high: int = 10, asking: Asking = ASKING
) -> PlainJudge:
    """Asks for a whole number on a scale.

    Formula: (number - low) / (high - low); the mean of the votes.

    Args:
        chat: Who is asked.
        question: What the number says; None: how well the text solves the task.
        low: The worst.
        high: The best.
        asking: How it is asked.

    Raises:
        ConfigError: The scale does not rise.
    """
    if high <= low:
        raise ConfigError(f"judge 'ordinal': high must be above low, got {low}..{high}")
    examiner = Examiner(chat, asking)
    scale = {str(n): (n - low) / (high - low) for n in range(low, high + 1)}

    async def decide(request: Request) -> Verdict:
        asked = f"{question or _RATE} Answer with a whole number from {low} (worst) to {high} (best)."
        return await examiner.ask(_blocks(request), asked, tuple(scale), by_label(scale))

    return PlainJudge(decide)


@JUDGES.register("rubric", source=RUBRICS, status="summary", needs=("chat",))
def rubric(
    chat: Chat,
    *,
    criteria: Annotated[tuple[Criterion, ...], Field(max_length=64)] = (),
    probability: bool = False,
    asking: Asking = ASKING,
) -> PlainJudge:
    """Asks whether each criterion of a rubric tree is met; the weighted share that is, gated by essential ones.

    Formula: see `agentgym.rewards.judges.tree.rubric_score`. Essential criteria are asked first; where one fails, the
    rest of its group is not asked.

    Args:
        chat: Who is asked, one criterion at a time.
        criteria: The rubric; a request's own goes before it.
        probability: A criterion scores how sure the judge is, instead of 1 or 0; an essential one never does.
        asking: How it is asked.
    """
    examiner = Examiner(chat, asking)
    own = validate(Criterion, {"text": "rubric", "criteria": criteria}, "judge 'rubric'") if criteria else None

    async def decide(request: Request) -> Verdict:
        root = request.rubric or own
        if root is None:
            raise ConfigError("judge 'rubric' needs criteria, its own or the request's")
        score: Scoring = _sure if probability else by_label(YES_NO)
        found: dict[str, Verdict] = {}

        async def judged(criterion: Criterion) -> float:
            blocks = [*_blocks(request), Block("criterion", criterion.text)]
            asked = "Does the candidate meet the criterion?"
            found[criterion.text] = await examiner.ask(blocks, asked, tuple(YES_NO), score)
            verdict = found[criterion.text]
            # A gate opens or not: neither a probability of .99 nor one vote of three may close it.
            return YES_NO[verdict.label] if criterion.essential else verdict.score

        total = await walk_rubric(root, judged)
        named = [leaf.text for leaf in root.leaves()]
        lines = [f"{found[text].label if text in found else 'not asked'}: {text}" for text in dict.fromkeys(named)]
        met = sum(verdict.label == "yes" for verdict in found.values())
        return Verdict(total, f"{met}/{len(lines)}", "\n".join(lines))

    return PlainJudge(decide)


@JUDGES.register("nuggets", source="Search-Gen-V", status="abstract", needs=("chat",))
def nuggets(chat: Chat, *, asking: Asking = ASKING) -> PlainJudge:
    """Asks how far the text supports each of the task's short facts; the share supported, partly counting half.

    Formula: mean over nuggets of 1, .5 or 0.

    Args:
        chat: Who is asked, one nugget at a time.
        asking: How it is asked.
    """
    examiner = Examiner(chat, asking)

    async def decide(request: Request) -> Verdict:
        if not request.nuggets:
            raise ConfigError("judge 'nuggets' looks for facts, and the request has none")
        shown = [Block("task", request.task), Block("candidate", request.text)]
        found = await asyncio.gather(
            *(
                examiner.ask([*shown, Block("fact", fact)], _SUPPORTS, tuple(SUPPORT), by_label(SUPPORT))
                for fact in request.nuggets
            )
        )
        lines = [f"{verdict.label}: {fact}" for verdict, fact in zip(found, request.nuggets, strict=True)]
        score = sum(verdict.score for verdict in found) / len(found)
        return Verdict(score, f"{score:.2f}", "\n".join(lines))

    return PlainJudge(decide)


@JUDGES.register("pairwise", source=MT_BENCH, status="own", needs=("chat",))
def pairwise(
    chat: Chat,
    *,
    question: str | None = None,
    disagreement: Literal["tie", "fault"] = "tie",
    asking: Asking = ASKING,
) -> PlainJudge:
    """Asks which of two texts is better, in both orders, which must agree.

    Formula: 1 where the first text is better in both orders, 0 where the second is, .5 for a tie or a disagreement;
    with votes, the mean over votes and orders where both orders' labels agree.

    Args:
        chat: Who is asked, twice.
        question: Which of two candidates ...; None: which solves the task better.
        disagreement: What it is when the two orders disagree; ``fault``: no verdict.
        asking: How it is asked.
    """
    examiner = Examiner(chat, asking)

    async def one_order(request: Request, first: str, second: str) -> Verdict:
        blocks = [*_given(request), Block("candidate-first", first), Block("candidate-second", second)]
        return await examiner.ask(blocks, question or _BETTER, tuple(PAIR), by_label(PAIR))

    async def decide(request: Request) -> Verdict:
        if request.other is None:
            raise ConfigError("judge 'pairwise' compares two texts, and the request has one")
        ahead, behind = await asyncio.gather(
            one_order(request, request.text, request.other), one_order(request, request.other, request.text)
        )
        mirrored = {"first": "second", "second": "first", "tie": "tie"}[behind.label]
        if ahead.label == mirrored:
            return Verdict((ahead.score + 1.0 - behind.score) / 2, ahead.label, ahead.reason)
        if disagreement == "fault":
            raise JudgeFault(f"the two orders disagree: {ahead.label} and, swapped, {behind.label}")
        return Verdict(TIE, "tie", f"the two orders disagree: {ahead.label} and, swapped, {behind.label}")

    return PlainJudge(decide)


def _given(request: Request) -> list[Block]:
    return [Block("task", request.task), *(Block("reference", gold) for gold in request.references)]


def _blocks(request: Request) -> list[Block]:
    return [*_given(request), Block("candidate", request.text)]


def _sure(answer: Answer) -> float:
    sure = 1.0 if answer.probability is None else answer.probability
    return sure if answer.label == "yes" else 1.0 - sure
