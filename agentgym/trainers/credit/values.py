"""Generalised advantage estimation: per turn, per token, and turns first and tokens inside them.

All three read a critic's `Values` and restart with each trajectory. After the end of an episode nothing more is
earned; one that a budget cut off would have gone on, so the value of its last state stands for the rest.
"""

from __future__ import annotations

import numpy as np

from agentgym.rewards.table import Floats, Ints, RewardTable
from agentgym.trainers.credit.base import (
    CREDIT,
    Discount,
    PerToken,
    Values,
    returns_to_go,
    turn_rewards_with_outcome,
    whitened,
)

GAE = "High-Dimensional Continuous Control Using Generalized Advantage Estimation"


@CREDIT.register("gae", source=GAE, arxiv="1506.02438", status="recalled", needs=("value",))
def gae(
    table: RewardTable, value: Values, *, gamma: Discount = 1.0, lam: Discount = 0.95, whiten: bool = True
) -> Floats:
    """PPO's advantage with a turn as the step: A_t = delta_t + gamma lam A_{t+1}.

    delta_t = r_t + gamma V_{t+1} - V_t, the outcome being part of the last turn's reward; V after the end is 0, and
    after a truncated episode the value of its last state.

    Args:
        table: M turns.
        value: State values; those before turns and after the last are read.
        gamma: Discount of each further turn.
        lam: How much of what comes after is taken from rewards rather than from values; 1: all, 0: one turn.
        whiten: Subtract the batch's mean and divide by its standard deviation, over turns with policy tokens.

    Returns:
        float64[M]
    """
    after = _shifted(value.turn, table.offsets, np.where(table.truncated, value.final, 0.0))
    delta = turn_rewards_with_outcome(table) + gamma * after - value.turn
    advantages = returns_to_go(table, delta, gamma * lam)
    return whitened(advantages, table.tokens > 0) if whiten else advantages


@CREDIT.register("token_gae", source=GAE, arxiv="1506.02438", status="recalled", needs=("value",))
def token_gae(
    table: RewardTable,
    value: Values,
    *,
    gamma: Discount = 1.0,
    lam: Discount = 0.95,
    token_lam: Discount = 1.0,
    whiten: bool = True,
) -> PerToken:
    """PPO's advantage with a token as the step; a turn's reward belongs to its last token.

    A_j = delta_j + g l A_{j+1}, delta_j = r_j + g V_{j+1} - V_j; inside a turn g = 1 and l = token_lam, from a turn to
    the next g = gamma and l = lam. The reward of a turn without tokens goes to the token before it.

    Args:
        table: M turns with P policy tokens in all.
        value: State values; those before tokens and after the last turn are read.
        gamma: Discount of each further turn.
        lam: Trust in rewards over values from turn to turn.
        token_lam: The same from token to token inside a turn.
        whiten: Subtract the batch's mean and divide by its standard deviation.

    Returns:
        float64[P]
    """
    offsets = token_offsets(table)
    rewards, last = _token_rewards(table, turn_rewards_with_outcome(table), offsets)
    after = _shifted(value.token, offsets, np.where(table.truncated, value.final, 0.0))
    discount = np.where(last, gamma, 1.0)
    delta = rewards + discount * after - value.token
    advantages = scan(delta, discount * np.where(last, lam, token_lam), offsets)
    return PerToken(whitened(advantages) if whiten else advantages)


@CREDIT.register(
    "bilevel_gae",
    source="RAGEN: Understanding Self-Evolution in LLM Agents via Multi-Turn Reinforcement Learning",
    arxiv="2504.20073",
    status="code",
    needs=("value",),
)
def bilevel_gae(
    table: RewardTable,
    value: Values,
    *,
    gamma: Discount = 0.95,
    lam: Discount = 0.95,
    token_gamma: Discount = 1.0,
    token_lam: Discount = 1.0,
    whiten: bool = True,
) -> PerToken:
    """Turn-level GAE first; what a turn is worth by it is then spread over its tokens by token-level GAE.

    Turns: A_t as in `gae`, with the value before the turn's last token. The last token then gets the reward A_t + V_t,
    and token-level GAE runs inside each turn, nothing coming after its end.

    Args:
        table: M turns with P policy tokens in all.
        value: State values; those before tokens and after the last turn are read.
        gamma: Discount of each further turn.
        lam: Trust in rewards over values from turn to turn.
        token_gamma: Discount of each further token.
        token_lam: Trust in rewards over values from token to token.
        whiten: Subtract the batch's mean and divide by its standard deviation.

    Returns:
        float64[P]
    """
    offsets = token_offsets(table)
    rewards, last = _token_rewards(table, turn_rewards_with_outcome(table), offsets)
    ends = np.flatnonzero(last)
    turns_before = np.searchsorted(ends, offsets)
    at_end = value.token[ends]
    after = _shifted(at_end, turns_before, np.where(table.truncated, value.final, 0.0))
    turn = scan(rewards[ends] + gamma * after - at_end, np.full(len(ends), gamma * lam), turns_before)
    worth = np.zeros(len(value.token))
    worth[ends] = turn + at_end
    inside = np.concatenate([[0], ends + 1]).astype(np.int64)
    next_value = _shifted(value.token, inside, np.zeros(len(ends)))
    delta = worth + token_gamma * next_value - value.token
    advantages = scan(delta, np.full(len(delta), token_gamma * token_lam), inside)
    return PerToken(whitened(advantages) if whiten else advantages)


def token_offsets(table: RewardTable) -> Ints:
    """int64[N+1], the policy tokens of trajectory i are ``offsets[i]:offsets[i+1]``."""
    return np.concatenate([[0], np.cumsum(table.tokens)])[table.offsets].astype(np.int64)


def scan(values: Floats, factors: Floats, offsets: Ints) -> Floats:
    """S_j = values_j + factors_j S_{j+1}, restarting with each segment; vectorised, in log2(longest) rounds.

    Args:
        values: float64[K].
        factors: float64[K]; that of a segment's last entry does not count.
        offsets: int64[S+1], segment i is ``offsets[i]:offsets[i+1]``.

    Returns:
        float64[K]
    """
    lengths = np.diff(offsets)
    longest = int(lengths.max(initial=0))
    sums, reach = values.astype(np.float64), factors.astype(np.float64)
    reach[offsets[1:][lengths > 0] - 1] = 0.0  # what comes after a segment is another one
    step = 1
    # Whole arrays rather than the entries that are still incomplete: reading in order is ten times as fast.
    while step < longest:
        sums[:-step] += reach[:-step] * sums[step:]
        reach[:-step] *= reach[step:]
        reach[-step:] = 0.0
        step *= 2
    return sums


def _shifted(values: Floats, offsets: Ints, after: Floats) -> Floats:
    """Each value's successor in its segment; that of the last is the segment's `after`."""
    shifted = np.concatenate([values[1:], [0.0]])[: len(values)]
    filled = np.diff(offsets) > 0
    shifted[offsets[1:][filled] - 1] = after[filled]
    return shifted


def _token_rewards(
    table: RewardTable, rewards: Floats, offsets: Ints
) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Turn rewards at the turns' last tokens, and which tokens those are."""
    ends = np.cumsum(table.tokens)
    total = int(ends[-1]) if len(ends) else 0
    last = np.zeros(total, dtype=np.bool_)
    last[ends[table.tokens > 0] - 1] = True
    # A turn without tokens shares the end of the turn before it; before a trajectory's first token there is none.
    held = ends > offsets[:-1][table.trajectory]
    placed = np.bincount(ends[held] - 1, weights=rewards[held], minlength=total)
    return placed.astype(np.float64), last
