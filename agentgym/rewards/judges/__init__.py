"""Judges: typed verdicts on texts, by rules, by any engine with a prompt, by reward models, likelihoods, embeddings."""

from agentgym.rewards.judges import likely, prompted, rules, scored
from agentgym.rewards.judges.build import build_judge, make_judge
from agentgym.rewards.judges.managed import ManagedJudge
from agentgym.rewards.judges.registry import JUDGES, JudgeOptions, ModelOptions
from agentgym.rewards.judges.tree import Criterion, rubric_score
from agentgym.rewards.judges.verdict import BudgetSpent, Judge, JudgeFault, Request, Verdict

__all__ = [
    "JUDGES",
    "BudgetSpent",
    "Criterion",
    "Judge",
    "JudgeFault",
    "JudgeOptions",
    "ManagedJudge",
    "ModelOptions",
    "Request",
    "Verdict",
    "build_judge",
    "likely",
    "make_judge",
    "prompted",
    "rubric_score",
    "rules",
    "scored",
]
