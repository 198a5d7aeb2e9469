from __future__ import annotations

import asyncio
import logging

import pytest
from judging import run

from agentgym.faults import ConfigError
from agentgym.rewards.judges import ManagedJudge
from agentgym.rewards.judges.cache import VerdictCache
from agentgym.rewards.judges.verdict import BudgetSpent, JudgeFault, PlainJudge, Request, Verdict


class Counting:
    """Scores a text by its length; some texts it cannot judge."""

    lowest = 0.0

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.running = self.most = 0

    async def judge(self, request: Request) -> Verdict:
        self.seen.append(request.text)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        match request.text:
            case "unreadable":
                raise JudgeFault("no readable verdict")
            case "dear":
                raise BudgetSpent(1)
            case "wrong kind":
                raise ConfigError("needs references")
        return Verdict(len(request.text) / 100, "length")


def managed(judge: Counting, **options: int) -> ManagedJudge:
    return ManagedJudge(judge, lambda: "counting", cache=VerdictCache(options.pop("size", 100)), **options)


def requests(*texts: str) -> list[Request]:
    return [Request("t", text) for text in texts]


def test_rules_then_cache_then_the_judge() -> None:
    inner = Counting()
    judge = managed(inner)
    for _ in range(2):
        assert run(judge.judge(Request("t", "Paris"))).score == 0.05
        assert run(judge.judge(Request("t", ":"))).label == "no_words"
    assert inner.seen == ["Paris"]
    assert (judge.stats.screened, judge.stats.cached, judge.stats.asked, judge.stats.faults) == (2, 1, 1, 0)
    assert judge.lowest == 0.0


def test_many_are_judged_together_in_order_and_equal_ones_once() -> None:
    inner = Counting()
    verdicts = run(managed(inner, concurrency=3).judge_all(requests("aa", "b", "", "aa", "dddd", "ccc", "eeeee")))
    assert [v.score for v in verdicts] == [0.02, 0.01, 0.0, 0.02, 0.04, 0.03, 0.05]
    assert sorted(inner.seen) == ["aa", "b", "ccc", "dddd", "eeeee"]
    assert inner.most == 3
    assert run(managed(inner).judge_all([])) == []


def test_a_fault_is_no_verdict_and_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    inner = Counting()
    judge = managed(inner)
    with caplog.at_level(logging.WARNING):
        assert run(judge.judge_all(requests("unreadable", "fine"))) == [None, Verdict(0.04, "length")]
    assert "no readable verdict" in caplog.text
    with pytest.raises(JudgeFault):
        run(judge.judge(Request("t", "unreadable")))
    assert judge.stats.faults == 2
    assert inner.seen.count("unreadable") == 2


@pytest.mark.parametrize(("text", "error"), [("dear", BudgetSpent), ("wrong kind", ConfigError)])
def test_other_errors_end_the_batch_and_keep_what_was_had(text: str, error: type[Exception]) -> None:
    inner = Counting()
    judge = managed(inner, concurrency=1)
    with pytest.raises(error):
        run(judge.judge_all(requests("first", text, "never")))
    assert inner.seen == ["first", text]
    run(judge.judge(Request("t", "first")))
    assert judge.stats.cached == 1


def test_a_changed_model_is_asked_again() -> None:
    inner, version = Counting(), ["1"]
    judge = ManagedJudge(inner, lambda: version[0], cache=VerdictCache(10))
    run(judge.judge(Request("t", "Paris")))
    version[0] = "2"
    run(judge.judge(Request("t", "Paris")))
    assert len(inner.seen) == 2


def test_closing_closes_the_model() -> None:
    closed = []

    async def close() -> None:
        closed.append(True)

    async def decide(request: Request) -> Verdict:
        return Verdict(1.0, "yes")

    run(ManagedJudge(PlainJudge(decide), lambda: "", cache=VerdictCache(1), close=close).close())
    assert closed == [True]
