from __future__ import annotations

import pickle

import pytest
from judging import run

from agentgym.faults import AgentGymError, EnvironmentFault
from agentgym.rewards.judges.verdict import BudgetSpent, JudgeFault, PlainJudge, Request, Verdict


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
def test_a_score_is_finite(score: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        Verdict(score, "yes")


def test_faults_say_who_is_to_blame_and_travel() -> None:
    fault, spent = JudgeFault("no verdict"), BudgetSpent(3)
    assert isinstance(fault, EnvironmentFault)
    assert isinstance(spent, AgentGymError)
    assert not isinstance(spent, EnvironmentFault)
    for error in (fault, spent):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)


def test_a_function_is_a_judge() -> None:
    async def decide(request: Request) -> Verdict:
        return Verdict(1.0, request.text)

    judge = PlainJudge(decide, lowest=-2.0)
    assert judge.lowest == -2.0
    assert run(judge.judge(Request("t", "x"))) == Verdict(1.0, "x")
