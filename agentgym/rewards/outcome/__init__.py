"""Outcome and step rewards of the environments, as pure functions that work without any environment.

Each module holds one idea: plain functions of plain values, and the reward functions (`REWARDS`) that read a task and
an episode for them. `measure` scores one episode by name.
"""

from agentgym.rewards.outcome.answer import score_cover_match, score_exact_match, score_f1, score_search_r1
from agentgym.rewards.outcome.bleu import score_bleuberi, score_mt_zero
from agentgym.rewards.outcome.chat_r1 import score_chat_r1
from agentgym.rewards.outcome.embedding import score_embedding_similarity
from agentgym.rewards.outcome.gui import score_craft_gui, score_ui_r1
from agentgym.rewards.outcome.nuggets import score_nuggets
from agentgym.rewards.outcome.r3_rag import score_r3_rag
from agentgym.rewards.outcome.re_seek import score_re_seek
from agentgym.rewards.outcome.registry import REWARDS, Reward, measure, reward
from agentgym.rewards.outcome.router_r1 import score_router_r1
from agentgym.rewards.outcome.shop_r1 import score_shop_r1
from agentgym.rewards.outcome.slate import SlateRule, score_slate_answer, score_slate_query, score_slate_reasoning
from agentgym.rewards.outcome.sql import score_contrastive_sql, score_sql
from agentgym.rewards.outcome.step_search import score_step_search, score_step_search_steps
from agentgym.rewards.outcome.sub_search import score_sub_search
from agentgym.rewards.outcome.swe_rl import score_swe_rl
from agentgym.rewards.outcome.swe_tests import score_swe_tests
from agentgym.rewards.outcome.tool_rl import score_tool_rl

__all__ = [
    "REWARDS",
    "Reward",
    "SlateRule",
    "measure",
    "reward",
    "score_bleuberi",
    "score_chat_r1",
    "score_contrastive_sql",
    "score_cover_match",
    "score_craft_gui",
    "score_embedding_similarity",
    "score_exact_match",
    "score_f1",
    "score_mt_zero",
    "score_nuggets",
    "score_r3_rag",
    "score_re_seek",
    "score_router_r1",
    "score_search_r1",
    "score_shop_r1",
    "score_slate_answer",
    "score_slate_query",
    "score_slate_reasoning",
    "score_sql",
    "score_step_search",
    "score_step_search_steps",
    "score_sub_search",
    "score_swe_rl",
    "score_swe_tests",
    "score_tool_rl",
    "score_ui_r1",
]
