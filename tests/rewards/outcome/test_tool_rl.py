"""ToolRL: tool calls held against the gold ones."""

from __future__ import annotations

from typing import Any

import pytest
from episodes import Step, answer, bad, episode, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.actions import Action
from agentgym.faults import ConfigError
from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.tool_rl import multiset_jaccard, same_value, tool_rl

CALLS = st.lists(
    st.builds(Action, st.sampled_from("fgh"), st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), max_size=3)),
    max_size=5,
)
GOLD = [Action("f", {"a": 1, "b": 2})]


@pytest.mark.parametrize(
    ("calls", "correctness"),
    [
        ([Action("f", {"a": 1, "b": 2})], 3.0),
        ([], -3.0),
        ([Action("f", {"a": 1, "b": 9})], 1.5),
        ([Action("f", {"a": 1, "c": 2})], 0.5),
        ([Action("g", {})], -3.0),
        # One call too many: J(names) falls to 1/2.
        ([Action("f", {"a": 1, "b": 2}), Action("f", {})], 6 * 3.5 / 4 - 3),
    ],
)
def test_worked_numbers(calls: list[Action], correctness: float) -> None:
    assert tool_rl(calls, GOLD) == pytest.approx(correctness)


def test_each_call_answers_one_gold_call() -> None:
    gold = [Action("f", {"a": 1}), Action("f", {"a": 2})]
    # J(names) = 1/2, the first gold call matches whole, the second has none left; Smax = 1 + 2 + 2.
    assert tool_rl([Action("f", {"a": 1})], gold) == pytest.approx(6 * 2.5 / 5 - 3)
    assert tool_rl(gold[::-1], gold) == pytest.approx(3.0)


def test_nothing_to_call() -> None:
    assert tool_rl([], []) == 3.0
    assert tool_rl(GOLD, []) == -3.0
    assert tool_rl([Action("f", {})], [Action("f", {})]) == 3.0


def slow(calls: list[Action], gold: list[Action]) -> float:
    """The same from the formula, with multisets spelled out."""

    def jaccard(a: list[str], b: list[str]) -> float:
        rest, common = list(b), 0
        for x in a:
            if x in rest:
                rest.remove(x)
                common += 1
        return common / (len(a) + len(b) - common) if a or b else 1.0

    score, best_possible, used = jaccard([c.name for c in calls], [g.name for g in gold]), 1.0, set()
    for wanted in gold:
        best_possible += 1.0 + len(wanted.args)
        options = []
        for i, call in enumerate(calls):
            if i not in used and call.name == wanted.name:
                equal = sum(1 for k in wanted.args if k in call.args and call.args[k] == wanted.args[k])
                options.append((jaccard(list(call.args), list(wanted.args)) + equal, -i))
        if options and max(options)[0] > 0:
            score += max(options)[0]
            used.add(-max(options)[1])
    return 6 * score / best_possible - 3


@given(CALLS, CALLS)
def test_agrees_with_the_formula(calls: list[Action], gold: list[Action]) -> None:
    assert tool_rl(calls, gold) == pytest.approx(slow(calls, gold))
    assert -3 - 1e-9 <= tool_rl(calls, gold) <= tool_rl(gold, gold) + 1e-9
    assert tool_rl(gold, gold) == pytest.approx(3.0)


@given(CALLS, CALLS, st.randoms(use_true_random=False))
def test_made_calls_may_come_in_any_order_when_the_gold_one_is_single(
    calls: list[Action], gold: list[Action], random: Any
) -> None:
    shuffled = random.sample(calls, len(calls))
    assert tool_rl(shuffled, gold[:1]) == pytest.approx(tool_rl(calls, gold[:1]))


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_multiset_jaccard_is_symmetric_and_bounded(a: list[str], b: list[str]) -> None:
    assert multiset_jaccard(a, b) == multiset_jaccard(b, a)
    assert 0 <= multiset_jaccard(a, b) <= 1
    assert multiset_jaccard(a, a) == 1


def test_values_are_compared_as_json() -> None:
    assert same_value(1, 1.0)
    assert not same_value(1, True)
    assert same_value({"a": [1]}, {"a": [1]})
    a: list[Any] = []
    b: list[Any] = []
    for _ in range(100_000):
        a, b = [a], [b]
    assert not same_value(a, b)


def test_of_an_episode() -> None:
    wanted = task(calls=[{"name": "f", "arguments": {"a": 1, "b": 2}}])
    right = Step([("f", {"a": 1, "b": 2})])
    assert measure("tool_rl", wanted, episode(right, answer("done"))) == 4.0
    assert measure("tool_rl", wanted, episode(right, answer("done")), format_weight=0.0) == 3.0
    assert measure("tool_rl", wanted, episode(bad(), right)) == 3.0
    assert measure("tool_rl", wanted, episode(answer("done"))) == -2.0
    assert measure("tool_rl", wanted, episode(right, answer("done")), ignore=()) == pytest.approx(1 + 6 * 3.5 / 4 - 3)
    assert measure("tool_rl", task(calls=GOLD), episode(right)) == 4.0


@pytest.mark.parametrize("call", [{}, {"name": 3}, {"name": "f", "arguments": [1]}])
def test_a_gold_call_of_the_wrong_shape_is_refused(call: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a gold call must look like"):
        measure("tool_rl", task(calls=[call]), episode(answer("x")))
