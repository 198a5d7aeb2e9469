from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentgym.rewards.judges.tree import MAX_CRITERIA, MAX_DEPTH, Criterion, rubric_score, walk_rubric


def leaf(text: str, weight: float = 1.0, essential: bool = False) -> Criterion:
    return Criterion(text=text, weight=weight, essential=essential)


def group(*criteria: Criterion, **options: Any) -> Criterion:
    return Criterion(text=options.pop("text", "all"), criteria=criteria, **options)


def test_weights_and_gates() -> None:
    tree = group(leaf("a", 3.0), leaf("b", 1.0), leaf("gate", 0.0, essential=True))
    assert rubric_score(tree, {"a": 1.0, "b": 0.0, "gate": 1.0}) == 0.75
    assert rubric_score(tree, {"a": 1.0, "b": 1.0, "gate": 0.0}) == 0.0
    assert rubric_score(leaf("a"), {"a": 0.4}) == 0.4
    assert rubric_score(group(leaf("gate", 0.0, essential=True)), {"gate": 1.0}) == 1.0


def test_nested_groups_gate_at_their_own_threshold() -> None:
    facts = {"weight": 1.0, "essential": True, "text": "facts"}
    met = {"x": 1.0, "y": 0.0, "style": 1.0}
    strict = group(group(leaf("x"), leaf("y"), **facts), leaf("style"))
    assert rubric_score(strict, met) == 0.0
    half = group(group(leaf("x"), leaf("y"), pass_at=0.5, **facts), leaf("style"))
    assert rubric_score(half, met) == 0.75
    inner_gate = group(group(leaf("x", essential=True), leaf("y"), text="facts"), leaf("style"))
    assert rubric_score(inner_gate, {"x": 0.0, "y": 1.0, "style": 1.0}) == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: leaf("a", -1.0), "greater than or equal to 0"),
        (lambda: leaf(""), "at least 1 character"),
        (lambda: group(leaf("a", 0.0)), "neither a weight above 0 nor an essential"),
        (lambda: group(*(leaf(f"c{i}") for i in range(MAX_CRITERIA + 1))), "criteria, at most"),
        (lambda: Criterion(text="a", wieght=2.0), "wieght"),  # type: ignore[call-arg]
    ],
)
def test_what_makes_no_rubric_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make()


def test_nesting_is_bounded() -> None:
    tree = leaf("a")
    for _ in range(MAX_DEPTH - 1):
        tree = group(tree)
    with pytest.raises(ValidationError, match="nested deeper"):
        group(tree)


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Criterion:
    names = st.sampled_from("abcdefgh")
    weight, essential = draw(st.sampled_from([0.5, 1.0, 2.0])), draw(st.booleans())
    if depth and draw(st.booleans()):
        children = tuple(draw(st.lists(trees(depth=depth - 1), min_size=1, max_size=3)))
        pass_at = draw(st.sampled_from([0.5, 1.0]))
        return Criterion(text="g", weight=weight, essential=essential, pass_at=pass_at, criteria=children)
    return leaf(draw(names), weight, essential)


@given(trees(), st.fixed_dictionaries({name: st.sampled_from([0.0, 1.0]) for name in "abcdefgh"}))
def test_walking_gives_the_same_score_without_asking_behind_closed_gates(
    tree: Criterion, met: dict[str, float]
) -> None:
    asked: list[str] = []

    async def decide(criterion: Criterion) -> float:
        asked.append(criterion.text)
        return met[criterion.text]

    walked = asyncio.run(walk_rubric(tree, decide))
    assert walked == pytest.approx(rubric_score(tree, met))
    assert 0.0 <= walked <= 1.0
    assert len(asked) <= len(list(tree.leaves()))


def test_a_closed_gate_saves_the_rest() -> None:
    asked: list[str] = []

    async def decide(criterion: Criterion) -> float:
        asked.append(criterion.text)
        return 0.0

    tree = group(leaf("style"), leaf("gate", essential=True))
    assert asyncio.run(walk_rubric(tree, decide)) == 0.0
    assert asked == ["gate"]
