"""Degenerate policies write well-formed turns of any environment, from nothing but its actions' schemas."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, StringConstraints
from quiz import QuizEnv

from agentgym import ActionSpec
from agentgym.rewards.degenerate import MAX_FILL_CHARS, Pen, Scene, honest_failures, names, plain, policies, words

SCENE = Scene("train-0", "Write <answer> text </answer>.\n\nFind 7 of Ada's 12 keys.", ("Near Bo : 3",), 1, 2)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int
    note: str


class Everything(BaseModel):
    """All that a schema can ask for."""

    text: Annotated[str, StringConstraints(max_length=10)]
    colour: Colour
    size: Literal["big", "small"] | None
    count: Annotated[int, Field(ge=2, le=9)]
    ratio: float
    sure: bool
    points: Annotated[list[Point], Field(min_length=2)]
    where: Point
    left_out: str = "default"


class Nested(BaseModel):
    """Contains itself."""

    inner: Nested | None
    text: str


class Impossible(BaseModel):
    """A pattern that no filling meets."""

    code: Annotated[str, StringConstraints(pattern=r"^\d{3}-[A-Z]{2}$")]


class OddEnv(QuizEnv):
    actions = (
        ActionSpec("go", Everything),
        ActionSpec("nest", Nested),
        ActionSpec("enter", Impossible, body="code"),
        *QuizEnv.actions[2:],
    )


@pytest.fixture
def pen():
    return Pen(OddEnv(action_format="hermes"), {"answer"})


def test_arguments_are_filled_by_their_schemas(pen):
    assert pen.choices("go") > 1
    for choice in range(pen.choices("go")):
        action = pen.action("go", "take 7 of them", choice)
        assert action is not None
        assert action.args["text"] == "take 7 of "
        assert action.args["where"]["x"] in (0, 7)
        assert len(action.args["points"]) == 2
        assert pen.say("go", "take 7 of them", choice)
    seen = [pen.action("go", "take 7 of them", c).args for c in range(pen.choices("go"))]
    assert {a["colour"] for a in seen} == {"red", "blue"}
    assert {a["sure"] for a in seen} == {True, False}
    assert {2, 7, 9} <= {a["count"] for a in seen}


def test_what_cannot_be_filled_is_an_empty_turn(pen):
    assert pen.action("enter", "anything") is None
    assert pen.say("enter", "anything") == ""
    assert pen.say("nest", "anything")  # ended by its None
    tags = Pen(OddEnv(action_format="tags"), {"answer"})
    assert tags.say("go", "tags carry no lists") == ""


def test_texts_cannot_break_the_format():
    env = QuizEnv()
    pen = Pen(env, {"answer"})
    hostile = 'a </answer> <look> b </look> "{|}' + "x" * 100_000
    turn = pen.say("answer", hostile)
    assert env.parser.parse(turn).actions[0].name == "answer"
    assert len(turn) < MAX_FILL_CHARS + 100


@pytest.mark.parametrize("action_format", ["tags", "hermes", "json"])
@pytest.mark.parametrize("think", [True, False])
def test_the_longest_turn_fits_and_is_read(action_format, think):
    env = QuizEnv(action_format=action_format, max_action_chars=500)
    turn = Pen(env, {"answer"}).longest("look", think)
    assert 480 < len(turn) <= 500
    assert env.parser.parse(turn).error is None


def test_every_policy_writes_a_turn():
    pen = Pen(QuizEnv(), {"answer"})
    found = policies(pen, ("Solution:", ""), {"train-0": ["first", "second"]})
    for family, variants in found.items():
        for variant, policy in variants.items():
            for scene in (SCENE, Scene("unknown", "", (), 0, 8)):
                assert isinstance(policy(scene), str), (family, variant)
    assert found["repeats"]["the expert's best step"](SCENE) == "second"
    assert (
        found["stuffs keywords"]["answer all names of the prompt"](SCENE)
        == "<answer> Near Bo 3 Find 7 Ada's 12 </answer>"
    )
    assert found["judges always no"]["with look of the same"](SCENE).startswith("<judge> no </judge> <look>")
    assert "master keys" not in policies(pen, (), {})


def test_judging_needs_a_judge_action():
    class Plain(QuizEnv):
        actions = (QuizEnv.actions[0], QuizEnv.actions[2])

    assert not {"judges always yes", "judges always no"} & policies(Pen(Plain(), {"answer"}), (), {}).keys()


def test_only_one_action():
    class Only(QuizEnv):
        actions = QuizEnv.actions[2:]

    pen = Pen(Only(), {"answer"})
    assert pen.steps == ("answer",)
    assert policies(pen, (), {})["repeats"]["answer"](SCENE).startswith("<answer> Find 7")


def test_an_honest_failure_is_the_experts_course_but_for_the_end():
    [policy] = honest_failures(Pen(QuizEnv(), {"answer"}), {"train-0": ["a", "b", "c"]}).values()
    turns = [policy(Scene("train-0", "", (), turn, 9)) for turn in range(5)]
    assert turns == ["a", "b", "<answer> unknown </answer>", "", ""]


def test_words():
    assert names("who Wrote 'The B-12' in 1984, who?") == ["Wrote", "The", "B-12", "1984"]
    assert words("a b a c") == ["a", "b", "c"]
    assert plain("a\n <b>  {c}") == "a b c"
