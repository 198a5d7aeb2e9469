"""`rules`: the judge that asks no model: does the text state a right answer, in words that can be compared?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agentgym.faults import ConfigError
from agentgym.rewards.judges.registry import JUDGES
from agentgym.rewards.judges.verdict import PlainJudge, Request, Verdict
from agentgym.rewards.outcome.answer import MATCHES, Match, last_answer, normalize_answer


@JUDGES.register("rules", source="SQuAD: 100,000+ Questions for Machine Comprehension of Text", status="own")
def rules(
    *, match: Match = "em", at_least: Annotated[float, Field(gt=0, le=1)] = 1.0, most_words: int | None = 50
) -> PlainJudge:
    """Compares the text with the right answers, normalised; the body of its last ``<answer>`` if it has one.

    Formula: 1 where the match reaches `at_least`, else 0.

    Args:
        match: ``em`` (equal), ``f1`` (shared words) or ``cover`` (contains a right answer).
        at_least: From which match on it is right.
        most_words: A longer text is wrong: it may list every candidate; None: no bound.
    """

    async def decide(request: Request) -> Verdict:
        if not request.references:
            raise ConfigError("judge 'rules' compares with right answers, and the request has none")
        claim = last_answer(request.text)
        claim = request.text if claim is None else claim
        count = len(normalize_answer(claim).split())
        if most_words is not None and count > most_words:
            return Verdict(0.0, "too_long", f"{count} words, at most {most_words} are an answer")
        found = MATCHES[match](claim, request.references)
        right = found >= at_least
        return Verdict(float(right), "right" if right else "wrong", f"{match} {found:.3f}")

    return PlainJudge(decide)
