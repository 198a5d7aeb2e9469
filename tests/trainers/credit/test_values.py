"""GAE by turns, by tokens and on both levels: published numbers, and slow references from the formulas."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import Row, groups_of_rows, reward_table

from agentgym.rewards.table import RewardTable
from agentgym.trainers.credit import PerToken, Values, bilevel_gae, gae, token_gae
from agentgym.trainers.credit.base import turn_rewards_with_outcome
from agentgym.trainers.credit.values import scan


def critic(table: RewardTable, seed: int = 0) -> Values:
    rng = np.random.default_rng(seed)
    return Values(rng.normal(size=table.m), rng.normal(size=table.n), rng.normal(size=int(table.tokens.sum())))


def test_published_numbers() -> None:
    table = reward_table([[Row(outcome=1.0, rewards=[0, 0, 0])]])
    value = Values(np.array([0.5, 0.6, 0.7]), np.zeros(1), np.zeros(3))
    np.testing.assert_allclose(gae(table, value, lam=1.0, whiten=False), [0.5, 0.4, 0.3])
    np.testing.assert_allclose(gae(table, value, lam=0.0, whiten=False), [0.1, 0.1, 0.3])


def test_a_truncated_episode_would_have_gone_on() -> None:
    rows = [Row(rewards=[0, 0], truncated=True), Row(rewards=[0, 0])]
    value = Values(np.array([0.5, 0.6, 0.5, 0.6]), np.array([0.9, 0.9]), np.array([0.5, 0.6, 0.5, 0.6]))
    table = reward_table([rows])
    np.testing.assert_allclose(gae(table, value, lam=0.0, whiten=False), [0.1, 0.3, 0.1, -0.6])
    np.testing.assert_allclose(token_gae(table, value, lam=0.0, whiten=False).values, [0.1, 0.3, 0.1, -0.6])


def slow_scan(values: list[float], factors: list[float]) -> list[float]:
    result, after = [], 0.0
    for value, factor in zip(reversed(values), reversed(factors), strict=True):
        after = value + factor * after
        result.append(after)
    return result[::-1]


@given(st.lists(st.lists(st.tuples(st.floats(-2, 2), st.floats(0, 1)), max_size=40), min_size=1, max_size=4))
def test_the_scan_restarts_with_each_segment(segments: list[list[tuple[float, float]]]) -> None:
    flat = [pair for segment in segments for pair in segment]
    offsets = np.cumsum([0, *map(len, segments)])
    got = scan(np.array([v for v, _ in flat]), np.array([f for _, f in flat]), offsets)
    expected = [x for s in segments for x in slow_scan([v for v, _ in s], [f for _, f in s[:-1]] + [0.0] * bool(s))]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def slow_turn_gae(table: RewardTable, value: Values, gamma: float, lam: float) -> list[float]:
    rewards, result = turn_rewards_with_outcome(table), []
    for i in range(table.n):
        begin, end = table.offsets[i], table.offsets[i + 1]
        after, advantage, row = value.final[i] if table.truncated[i] else 0.0, 0.0, []
        for t in range(end - 1, begin - 1, -1):
            delta = rewards[t] + gamma * after - value.turn[t]
            advantage = delta + gamma * lam * advantage
            after = value.turn[t]
            row.append(advantage)
        result += row[::-1]
    return result


def slow_token_gae(table: RewardTable, value: Values, gamma: float, lam: float, token_lam: float) -> list[float]:
    rewards, result, first = turn_rewards_with_outcome(table), [], 0
    for i in range(table.n):
        steps: list[list[float]] = []  # [reward, discount, trust] of each token
        for t in range(table.offsets[i], table.offsets[i + 1]):
            steps += [[0.0, 1.0, token_lam] for _ in range(table.tokens[t])]
            if steps:
                steps[-1][0] += rewards[t]
            if table.tokens[t]:
                steps[-1][1:] = [gamma, lam]
        values = value.token[first : first + len(steps)]
        first += len(steps)
        after, advantage, row = value.final[i] if table.truncated[i] else 0.0, 0.0, []
        for (reward, discount, trust), now in zip(reversed(steps), reversed(values), strict=True):
            advantage = reward + discount * after - now + discount * trust * advantage
            after = now
            row.append(advantage)
        result += row[::-1]
    return result


@settings(deadline=None)
@given(groups_of_rows, st.sampled_from([0.0, 0.9, 1.0]), st.sampled_from([0.0, 0.95, 1.0]))
def test_turns_and_tokens_agree_with_the_formula(groups: list[list[Row]], gamma: float, lam: float) -> None:
    table = reward_table(groups)
    value = critic(table)
    np.testing.assert_allclose(
        gae(table, value, gamma=gamma, lam=lam, whiten=False), slow_turn_gae(table, value, gamma, lam), atol=1e-9
    )
    got = token_gae(table, value, gamma=gamma, lam=lam, token_lam=0.7, whiten=False)
    np.testing.assert_allclose(got.values, slow_token_gae(table, value, gamma, lam, 0.7), atol=1e-9)


def test_one_token_a_turn_is_turn_level() -> None:
    table = reward_table([[Row(outcome=1.0, rewards=[0.5, 0.2, 0.1]), Row(rewards=[0.1], truncated=True)]])
    values = np.array([0.5, 0.6, 0.7, 0.8])
    value = Values(values, np.array([0.3, 0.4]), values)
    turns = gae(table, value, gamma=0.9, lam=0.8, whiten=False)
    np.testing.assert_allclose(token_gae(table, value, gamma=0.9, lam=0.8, whiten=False).values, turns)
    both = bilevel_gae(table, value, gamma=0.9, lam=0.8, whiten=False)
    np.testing.assert_allclose(both.values, turns)


def test_two_levels_by_hand() -> None:
    """Two turns of two tokens: turns by the values before their last tokens, then tokens inside each turn."""
    table = reward_table([[Row(outcome=1.0, rewards=[0.5, 0.0], tokens=2)]])
    value = Values(np.zeros(2), np.zeros(1), np.array([0.1, 0.2, 0.3, 0.4]))
    second = 1.0 - 0.4
    first = 0.5 + 0.9 * 0.4 - 0.2 + 0.9 * 0.5 * second
    worth = [first + 0.2, second + 0.4]
    inside = [0.2 - 0.1 + (worth[0] - 0.2), worth[0] - 0.2, 0.4 - 0.3 + (worth[1] - 0.4), worth[1] - 0.4]
    got = bilevel_gae(table, value, gamma=0.9, lam=0.5, whiten=False)
    np.testing.assert_allclose(got.values, inside)


def test_whitening_is_over_the_batch() -> None:
    table = reward_table([[Row(outcome=1.0, rewards=[0, 0, 0]), Row(outcome=0.0, turns=2)]])
    value = critic(table)
    white = gae(table, value)
    assert abs(white.mean()) < 1e-9
    assert abs(white.std() - 1) < 1e-6
    tokens = token_gae(table, value)
    assert isinstance(tokens, PerToken)
    assert abs(tokens.values.mean()) < 1e-9
