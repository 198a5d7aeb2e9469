"""Credit assignment: the rewards of a batch become one advantage a turn, or one a token."""

from agentgym.trainers.credit.anchor import gigpo, step_grpo
from agentgym.trainers.credit.base import CREDIT, Credit, PerToken, Values, build_credit, has_signal, per_turn
from agentgym.trainers.credit.batch import copo, reinforce_pp
from agentgym.trainers.credit.forks import slate
from agentgym.trainers.credit.graph import salt
from agentgym.trainers.credit.implicit import prime
from agentgym.trainers.credit.influence import thr
from agentgym.trainers.credit.outcome import dr_grpo, grpo, rloo
from agentgym.trainers.credit.redistribution import lare, redistribution
from agentgym.trainers.credit.turns import mt_grpo, return_to_go
from agentgym.trainers.credit.values import bilevel_gae, gae, token_gae

__all__ = [
    "CREDIT",
    "Credit",
    "PerToken",
    "Values",
    "bilevel_gae",
    "build_credit",
    "copo",
    "dr_grpo",
    "gae",
    "gigpo",
    "grpo",
    "has_signal",
    "lare",
    "mt_grpo",
    "per_turn",
    "prime",
    "redistribution",
    "reinforce_pp",
    "return_to_go",
    "rloo",
    "salt",
    "slate",
    "step_grpo",
    "thr",
    "token_gae",
]
