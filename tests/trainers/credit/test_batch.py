"""REINFORCE++, COPO, SALT, SLATE, return redistribution: numbers by hand, and properties."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from tables import Row, groups_of_rows, reward_table

from agentgym.trainers.credit import copo, gigpo, grpo, redistribution, reinforce_pp, salt, slate
from agentgym.trainers.credit.base import trajectory_returns
from agentgym.trainers.credit.batch import answer_entropy
from agentgym.trainers.credit.redistribution import redistributed, uniform
from agentgym.trainers.credit.similar import alike


def test_reinforce_pp_whitens_over_the_batch() -> None:
    table = reward_table([[Row(outcome=1.0), Row(outcome=1.0)], [Row(outcome=0.0), Row(outcome=1.0)]])
    low, high = -0.75 / math.sqrt(0.1875), 0.25 / math.sqrt(0.1875)
    np.testing.assert_allclose(reinforce_pp(table), [high, high, low, high], rtol=1e-6)
    root = math.sqrt(2)
    np.testing.assert_allclose(reinforce_pp(table, baseline=True), [0, 0, -root, root], atol=1e-6)


def test_entropy_of_answers() -> None:
    groups = [[Row(answer=a) for a in answers] for answers in (["x"] * 4, ["x", "x", "y", "y"], ["x", "y", "z", None])]
    np.testing.assert_allclose(answer_entropy(reward_table(groups)), [0.0, 0.5, 1.0], atol=1e-12)


def test_copo_gives_a_group_that_agrees_a_gradient() -> None:
    right = [Row(outcome=1.0, answer="x")] * 2
    wrong = [Row(outcome=0.0, answer="y")] * 2
    table = reward_table([right, wrong])
    assert not grpo(table).any()
    np.testing.assert_allclose(np.sign(copo(table)), [1, 1, -1, -1])
    split = reward_table([[Row(outcome=1.0, answer="x"), Row(outcome=0.0, answer="y")], right])
    np.testing.assert_allclose(copo(split, sharpness=100.0)[:2], grpo(split)[:2], atol=1e-4)


def test_copo_compares_what_answers_mean_and_stands_any_sharpness() -> None:
    rows = [Row(outcome=1.0, answer="The Nile."), Row(outcome=0.0, answer="nile")]
    table = reward_table([rows, [Row(answer="x"), Row(answer="y")]])
    assert answer_entropy(table).tolist() == [0.0, 1.0]
    with np.errstate(all="raise"):
        assert np.isfinite(copo(table, sharpness=1e6)).all()
    # Nothing is known of the answers: as if all gave the same.
    assert answer_entropy(replace(table, answer=())).tolist() == [0.0, 0.0]


def _shared() -> list[Row]:
    return [
        Row(outcome=1.0, states=["s0", "s1", "s9"], said=["a", "b", "z"]),
        Row(outcome=0.0, states=["s0", "s2", "s9"], said=["a", "c", "z"]),
    ]


def test_salt_shared_steps_are_neutral() -> None:
    """Both take (s0, a), then steps of their own, then meet again in s9 and both do z."""
    table = reward_table([_shared()])
    one = grpo(table)[0]
    np.testing.assert_allclose(salt(table), [0, one, 0, 0, -one, 0], atol=1e-12)


def test_salt_a_step_taken_twice_is_shared_once() -> None:
    rows = [Row(outcome=1.0, states=["s0", "s0", "s1"], said=["a", "a", "b"]), *_shared()[1:]]
    table = reward_table([rows])
    one = grpo(table)[0]
    np.testing.assert_allclose(salt(table), [0, 0, one, 0, -one, -one], atol=1e-12)


@pytest.mark.parametrize(("compare", "merged"), [("exact", False), ("normalised", True), ("similarity", True)])
def test_salt_compares_states_and_actions_as_asked(compare: str, merged: bool) -> None:
    rows = [
        Row(outcome=1.0, states=["the hall of mirrors."], said=["Look at the picture"]),
        Row(outcome=0.0, states=["The hall of mirrors"], said=["look at the picture."]),
    ]
    assert (salt(reward_table([rows]), compare=compare, threshold=0.8) == 0).all() == merged  # type: ignore[arg-type]


@settings(deadline=None)
@given(groups_of_rows)
def test_salt_without_shared_steps_is_grpo(groups: list[list[Row]]) -> None:
    table = reward_table(groups)
    apart = tuple(str(i) for i in range(table.m))

    alone = replace(table, said=apart)
    np.testing.assert_allclose(salt(alone), grpo(table), rtol=1e-12)


def test_alike() -> None:
    texts = ["abcdefghij", "abcdefghiX", "zzzz", "abcdefghij", "abcdefghij"]
    assert alike([0, 0, 0, 0, 1], texts, "similarity", 0.9).tolist() == [0, 0, 2, 0, 3]
    assert alike([0, 0, 0, 0, 1], texts).tolist() == [0, 1, 2, 0, 3]


def test_gigpo_can_compare_similar_states() -> None:
    rows = [
        Row(outcome=1.0, states=["page 1 of the shop, cart empty"]),
        Row(outcome=0.0, states=["page 2 of the shop, cart empty"]),
    ]

    table = reward_table([rows])
    np.testing.assert_allclose(gigpo(table), [0.5, -0.5])
    np.testing.assert_allclose(gigpo(table, similarity=0.9), [1.0, -1.0])


def test_slate_compares_the_continuations_of_a_step() -> None:
    def step(query: float, answer: float) -> Row:
        return Row(parts={"slate_query": [query], "slate_answer": [answer], "slate_reasoning": [0.0]})

    table = reward_table([[step(1, 0), step(-1, 0)], [step(0, 1), step(0, 0), step(0, -1)]])
    half = 1 / math.sqrt(2)
    np.testing.assert_allclose(slate(table), [half, -half, 1, 0, -1], atol=1e-5)
    np.testing.assert_allclose(slate(table, answer=0.0, std=False), [1, -1, 0, 0, 0], atol=1e-12)


def test_uniform_redistribution() -> None:
    np.testing.assert_allclose(uniform(reward_table([[Row(outcome=1.0, turns=4)]])), [0.25] * 4)


def test_least_squares_finds_what_the_return_is_made_of() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(40):
        parts = rng.integers(0, 2, 5).astype(float)
        noise = rng.integers(0, 2, 5).astype(float)
        rows.append(Row(outcome=float(2 * parts.sum()), parts={"a": parts, "b": noise}))
    table = reward_table([rows])
    np.testing.assert_allclose(redistributed(table, ridge=1e-9), 2 * table.part("a"), atol=1e-3)


@settings(deadline=None)
@given(groups_of_rows)
def test_redistributed_rewards_sum_to_the_return(groups: list[list[Row]]) -> None:
    table = reward_table(groups)
    played = table.lengths > 0
    for rewards in (uniform(table), redistributed(table)):
        np.testing.assert_allclose(table.sum_turns(rewards)[played], trajectory_returns(table)[played], atol=1e-8)


def test_uniform_redistribution_prefers_the_better_trajectory() -> None:
    table = reward_table([[Row(outcome=1.0, turns=2), Row(outcome=0.0, turns=2)]])
    half = 1 / math.sqrt(2)
    np.testing.assert_allclose(redistribution(table, how="uniform"), [half, half, -half, -half], atol=1e-5)
