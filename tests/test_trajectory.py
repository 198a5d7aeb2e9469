from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from making import groups, trajectory

from agentgym.signal import RewardSignal
from agentgym.trajectory import Group, Trajectory, Turn


def test_what_follows_from_the_arrays() -> None:
    t = trajectory(turns=3)
    assert len(t) == 11
    assert t.policy_tokens == 6
    assert t.outcome == 1.0
    assert t.sequences() == [slice(0, 11)]
    t.starts = np.array([0, 5, 8], dtype=np.int32)
    assert t.sequences() == [slice(0, 5), slice(5, 8), slice(8, 11)]
    t.turns[1].version = 1
    assert t.version == 1
    t.check()


def test_every_token_has_the_version_that_sampled_it() -> None:
    t = trajectory(turns=3)
    t.turns[0].version, t.turns[1].version, t.turns[2].version = 0, 4, 5
    t.turns[1].changes = ((1, 5),)
    versions = t.versions()
    assert versions[t.turn == 0].tolist() == [0, 0]
    assert versions[t.turn == 1].tolist() == [4, 5]
    assert versions[t.turn == 2].tolist() == [5, 5]
    assert set(versions[t.turn < 0].tolist()) == {-1}
    assert t.version == 0


def test_an_outcome_never_given_counts_as_zero() -> None:
    assert trajectory(turns=0).outcome == 0.0
    t = trajectory(turns=2)
    t.turns[-1].signal = RewardSignal()
    assert t.outcome == 0.0
    assert Group("g", "t", [t, trajectory()]).outcomes.tolist() == [0.0, 1.0]


@given(made=groups())
@settings(max_examples=20)
def test_whatever_is_consistent_passes(made: list[Group]) -> None:
    for group in made:
        for t in group.trajectories:
            t.check()
            parts = [t.tokens[s] for s in t.sequences()]
            assert np.array_equal(np.concatenate(parts) if parts else np.zeros(0), t.tokens)


def int16(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": np.zeros(4, np.int32)}, "differ in length"),
        ({"logprobs": np.zeros(4, np.float32)}, "differ in length"),
        ({"tokens": np.array([1, 2, -3, 4, 5], np.int32)}, "a token id is negative"),
        ({"starts": np.zeros(0, np.int32)}, "starts must begin with 0"),
        ({"starts": np.array([1], np.int32)}, "starts must begin with 0"),
        ({"starts": np.array([0, 3, 3], np.int32)}, "starts must rise"),
        ({"starts": np.array([0, 5], np.int32)}, "lie inside the tokens"),
        ({"turn": int16(-1, -1, 0, 1, -1)}, "must rise and be below 1"),
        ({"turn": int16(-1, -2, 0, 0, -1)}, "below -1"),
        ({"logprobs": np.array([0, 0, np.nan, 0, 0], np.float32)}, "not finite or above 0"),
        ({"logprobs": np.array([0, 0, 0.5, 0, 0], np.float32)}, "not finite or above 0"),
        ({"logprobs": np.array([-1, 0, -1, -1, 0], np.float32)}, "not the policy's carries a log-probability"),
    ],
)
def test_the_inconsistent_is_refused_and_named(changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^g0/0: .*{message}"):
        trajectory(turns=1, **changes).check()


def test_turns_cannot_go_back() -> None:
    t = trajectory(turns=2)
    t.turn = t.turn[::-1].copy()
    t.logprobs = t.logprobs[::-1].copy()
    with pytest.raises(ValueError, match="token turns must rise"):
        t.check()


def test_an_empty_episode_is_consistent() -> None:
    nothing = np.zeros(0, np.int32)
    for starts in (nothing, np.zeros(1, np.int32)):
        t = trajectory(0, tokens=nothing, logprobs=np.zeros(0, np.float32), turn=int16(), starts=starts)
        t.check()
        assert t.policy_tokens == 0
        assert isinstance(t, Trajectory)
        assert t.version == 0


def test_turn_defaults_are_its_own() -> None:
    one, two = Turn(RewardSignal()), Turn(RewardSignal())
    one.action["x"] = 1
    assert two.action == {}
