"""CSR, SD-E2 and Co-Reward: by hand, against slow references, and what an empty or odd text must not earn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import Row, reward_table

from agentgym.rewards.outcome.answer import exact_match, f1_score
from agentgym.rewards.shaping import co_reward, csr, sd_e2
from agentgym.rewards.shaping.agreement import agreement, bag, majority, similarity

TEXTS = st.sampled_from(["", "Paris", "paris!", "the city of Paris", "Rome", "a", "是的"])


@given(st.lists(TEXTS, max_size=7), st.sampled_from(["f1", "exact"]))
def test_agreement_is_the_mean_over_the_others(texts: list[str], measure: Any) -> None:
    score = f1_score if measure == "f1" else exact_match
    expected = [
        sum(score(text, [other]) for j, other in enumerate(texts) if j != i) / max(1, len(texts) - 1)
        for i, text in enumerate(texts)
    ]
    np.testing.assert_allclose(agreement(texts, measure), expected)


@given(TEXTS | st.text(max_size=12), TEXTS | st.text(max_size=12))
def test_similarity_is_the_token_f1_and_the_exact_match_of_answers(a: str, b: str) -> None:
    assert similarity(bag(a), bag(b)) == similarity(bag(b), bag(a)) == pytest.approx(f1_score(a, [b]))
    assert similarity(bag(a, "exact"), bag(b, "exact")) == exact_match(a, [b])
    assert similarity(bag(""), bag(a)) == 0.0


def test_csr_rewards_right_answers_that_agree_and_wrong_ones_that_do_not() -> None:
    rows = [Row(1.0, answer="Paris"), Row(1.0, answer="the city of Paris"), Row(1.0, answer="Paris")]
    rows += [Row(0.0, answer="Rome"), Row(0.0, answer="rome"), Row(0.0, answer="Oslo"), Row(0.0)]
    alike = f1_score("Paris", ["the city of Paris"])
    after = csr(reward_table([rows]), weight=0.6).outcome
    right = [1 + 0.6 * (1 + alike) / 2, 1 + 0.6 * alike, 1 + 0.6 * (1 + alike) / 2]
    np.testing.assert_allclose(after, [*right, -0.6 / 3, -0.6 / 3, 0.0, 0.0])


def test_csr_compares_inside_a_group_only_and_needs_a_peer() -> None:
    before = reward_table([[Row(1.0, answer="x")], [Row(1.0, answer="x"), Row(0.0, answer="x")]])
    assert csr(before).outcome.tolist() == [1.0, 1.0, 0.0]


def test_segments_unlike_the_one_before_earn_within_the_budget() -> None:
    said = ["look up Paris", "look up Paris", "", "answer Rome"]
    rows = [Row(said=said, tokens=10), Row(said=said, tokens=11), Row(said=["alone"]), Row(turns=0)]
    after = sd_e2(reward_table([rows]), max_tokens=40, weight=0.2).turn_reward
    np.testing.assert_allclose(after, [0, 0, 0, 0.1, 0, 0, 0, 0, 0])


def test_paragraphs_of_one_turn_are_segments_too() -> None:
    row = Row(said=["first try\n\nsecond way", "third\n \nthird"], rewards=[1.0, 0.0])
    after = sd_e2(reward_table([[row]]), max_tokens=100, weight=0.3, segments="paragraphs").turn_reward
    np.testing.assert_allclose(after, [1.1, 0.1])


@given(st.lists(TEXTS, max_size=8), st.sampled_from(["turns", "paragraphs"]))
def test_a_trajectory_earns_at_most_the_weight_however_long_it_is(said: list[str], segments: Any) -> None:
    before = reward_table([[Row(said=said, turns=len(said))]])
    earned = sd_e2(before, max_tokens=1000, weight=0.2, segments=segments).turn_reward.sum()
    assert -1e-12 <= earned <= 0.2 + 1e-9


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], None),
        (["", ""], None),
        (["Paris", "rome", "the paris!"], "paris"),
        (["b", "x", "B", "X"], "b"),
        (["", "", "", "one"], "one"),
    ],
)
def test_majority(texts: list[str], expected: str | None) -> None:
    assert majority(texts) == expected
    assert majority(texts[::-1]) == expected


def test_majority_can_be_asked_to_be_one() -> None:
    assert majority(["x", "x", "y", ""], least=0.5) == "x"
    assert majority(["x", "y", "z", ""], least=0.5) is None


GROUPS = [
    [Row(answer="Paris"), Row(answer="paris."), Row(answer="Rome")],
    [Row(answer="Rome"), Row(answer="rome"), Row(answer="Paris"), Row()],
]


@pytest.mark.parametrize("partner", ["#b", {"q": "q#b"}, {"q#b": "q"}])
def test_each_task_is_judged_by_its_paraphrases_majority(partner: Any) -> None:
    before = reward_table(GROUPS, tasks=["q", "q#b"])
    assert co_reward(before, partner=partner).outcome.tolist() == [0, 0, 1, 0, 0, 1, 0]


@pytest.mark.parametrize(("alone", "expected"), [("zero", [0, 0, 0]), ("own", [1, 1, 0]), ("keep", [0.3, 0.3, 0.3])])
def test_a_task_without_its_paraphrase(alone: Any, expected: list[float]) -> None:
    group = [Row(0.3, answer=row.answer) for row in GROUPS[0]]
    silent = [[Row(), Row()]]
    for groups, tasks in (([group], ["q"]), ([group, *silent], ["q", "q#b"])):
        after = co_reward(reward_table(groups, tasks=tasks), partner="#b", alone=alone).outcome
        assert after[:3].tolist() == expected
    after = co_reward(reward_table([group], tasks=["other"]), partner={"q": "p"}, alone=alone).outcome
    assert after.tolist() == expected


def test_saying_nothing_agrees_with_nobody() -> None:
    before = reward_table([[Row(1.0), Row(1.0, answer="")], [Row(1.0), Row(1.0)]], tasks=["q", "q#b"])
    modes: list[Any] = ["zero", "own"]
    for alone in modes:
        assert co_reward(before, partner="#b", alone=alone).outcome.tolist() == [0.0] * 4


def test_groups_of_the_same_task_vote_together() -> None:
    groups = [[Row(answer=answer)] for answer in ("x", "y", "y", "y", "y")]
    before = reward_table(groups, tasks=["q", "q#b", "q#b", "q", "q"])
    assert co_reward(before, partner="#b").outcome.tolist() == [0, 1, 1, 1, 1]
