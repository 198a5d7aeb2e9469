"""SLATE's ternary scores by rule: every case by hand, on the search environment, and for any signal."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import trajectory

import agentgym  # noqa: F401 - registers the environments
from agentgym.config import validate
from agentgym.faults import ConfigError
from agentgym.rewards.outcome import REWARDS, SlateRule, measure
from agentgym.rewards.outcome.slate import SIGNALS, answer_score, query_score, reasoning_score
from agentgym.signal import RewardSignal
from agentgym.trajectory import Turn

GAINS, COSTS = ("evidence",), {"repeat": 1.0, "redundancy": 1.0}


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        ({"evidence": 0.5, "repeat": 0.0, "redundancy": 0.3}, 1),  # new evidence
        ({"evidence": 0.5, "repeat": 1.0}, 1),  # whatever it cost
        ({"evidence": 0.0, "repeat": 1.0, "redundancy": 0.0}, -1),  # asked before
        ({"evidence": 0.0, "repeat": 0.0, "redundancy": 1.0}, -1),  # showed nothing that was not known
        ({"evidence": 0.0, "repeat": 0.0, "redundancy": 0.9}, 0),
        ({"answered": 1.0}, 0),  # no query at all
        ({}, 0),
    ],
)
def test_queries(process: dict[str, float], expected: float) -> None:
    assert query_score(process, GAINS, COSTS) == expected


def test_a_cost_that_a_turn_does_not_have_is_not_reached() -> None:
    assert query_score({}, (), {"repeat": 0.0}) == 0
    assert query_score({"repeat": 0.0}, (), {"repeat": 0.0}) == -1


def test_reasoning_and_answers() -> None:
    turns: list[dict[str, float]] = [{"judge": 1.0}, {"judge": -1.0}, {}, {"evidence": 1.0}]
    assert [reasoning_score(process, ("judge",)) for process in turns] == [1, -1, 0, 0]
    assert reasoning_score({"judge": 1.0, "format": -1.0}, ("judge",)) == -1
    assert reasoning_score({"format": 0.0}, ()) == 0
    assert [answer_score(o, 1.0) for o in (None, 0.0, 0.99, 1.0)] == [0, -1, -1, 1]
    assert answer_score(0.6, 0.5) == 1


@given(
    st.none() | st.floats(-2, 2),
    st.dictionaries(st.sampled_from(["format", "judge", "evidence", "repeat", "redundancy", "x"]), st.floats(-2, 2)),
)
def test_any_signal_gets_three_ternary_scores(outcome: float | None, process: dict[str, float]) -> None:
    scores = SlateRule()(RewardSignal(outcome, process))
    assert scores.keys() == SIGNALS.keys()
    assert set(scores.values()) <= {-1.0, 0.0, 1.0}


def test_rewards_say_what_the_rule_says() -> None:
    rule = SlateRule()
    signals = [
        RewardSignal(None, {"evidence": 0.5, "judge": 1.0}),
        RewardSignal(None, {"format": -1.0}),
        RewardSignal(None, {"evidence": 0.0, "repeat": 1.0, "judge": -1.0}),
        RewardSignal(1.0, {"answered": 1.0}),
    ]
    played = trajectory(turns=4)
    played.turns = [Turn(signal) for signal in signals]
    for name, expected in (
        ("slate_reasoning", [1, -1, -1, 0]),
        ("slate_query", [1, 0, -1, 0]),
        ("slate_answer", [0, 0, 0, 1]),
    ):
        values: Any = measure(name, object(), played)
        assert values.tolist() == expected == [rule(s)[name] for s in signals]
        assert REWARDS.get(name).arxiv == "2602.23440"
    empty = trajectory(turns=0)
    assert all(measure(name, object(), empty).shape == (0,) for name in SIGNALS)  # type: ignore[union-attr]


def test_on_the_search_environment() -> None:
    world = {"hops": [2], "worlds": 2, "questions": 2, "heldout_worlds": 1, "max_turns": 9}
    env: Any = gymnasium.make("agentgym/Search-v0", **world).unwrapped
    rule = SlateRule()
    assert set(rule.reads) <= set(env.signals)
    env.reset(options={"task": env.taskset.ids("train")[0]})
    first = env.expert()

    def play(text: str) -> tuple[float, ...]:
        scores = rule(env.step(text)[4]["signal"])
        return tuple(scores[name] for name in SIGNALS)

    assert play(first) == (0, 1, 0)  # finds the first gold document
    assert play(first) == (0, -1, 0)  # asked again
    assert play("<judge>yes</judge>") == (-1, 0, 0)  # it was of no use
    assert play("what?") == (-1, 0, 0)
    fork = env.snapshot()
    assert play("<answer>nobody</answer>") == (0, 0, -1)
    env.restore(fork)
    assert play(env.expert()) == (0, 1, 0)
    assert play(env.expert()) == (0, 0, 1)


def test_the_rule_is_configuration_and_travels() -> None:
    rule = SlateRule(verdicts=(), gains=("gain",), costs={})
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert rule.reads == ("gain",)
    with pytest.raises(ConfigError, match="did you mean 'gains'"):
        validate(SlateRule, {"gain": ["x"]})
