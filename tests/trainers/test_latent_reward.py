"""LaRe: the decoder finds the rewards behind returns, user functions are checked, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import trajectory

from agentgym.faults import ConfigError, DataError
from agentgym.rewards.table import RewardTable
from agentgym.signal import RewardSignal
from agentgym.trainers.companions import CompanionContext
from agentgym.trainers.latent_reward import LatentReward
from agentgym.trajectory import Group, Trajectory, Turn

SECRET = {"evidence": 0.5, "format": -0.2}


class _Config:
    nonfinite_limit = 5


class _Learner:
    """All that LaRe knows of the learner: it has no language model."""

    config = _Config()


def context(seed: int = 0) -> CompanionContext:
    return CompanionContext(_Learner(), seed, "companions.latent_reward")  # type: ignore[arg-type]


def episodes(n: int, seed: int, longest: int = 5) -> tuple[list[Trajectory], RewardTable]:
    """Returns are sums over turns of a secret linear function of the signals, plus .1 a turn."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        parts = [{k: float(rng.integers(0, 3)) for k in SECRET} for _ in range(rng.integers(1, longest + 1))]
        total = sum(SECRET[k] * v for p in parts for k, v in p.items()) + 0.1 * len(parts)
        one = trajectory(len(parts), sample=i)
        one.turns = [Turn(RewardSignal(total if j == len(parts) - 1 else None, p)) for j, p in enumerate(parts)]
        made.append(one)
    return made, RewardTable.from_groups([Group("g", "t", made)])


def secret(table: RewardTable) -> Any:
    return sum(SECRET[k] * table.part(k) for k in SECRET) + 0.1


@pytest.mark.parametrize("hidden", [0, 8])
def test_the_decoder_finds_the_rewards_behind_the_returns(hidden: int) -> None:
    companion = LatentReward(context(), {"hidden": hidden, "steps": 150, "optimizer": {"lr": 0.02}})
    for update in range(6):
        made, table = episodes(32, update)
        rewards, figures = companion.estimate(made, table)
        assert companion.learn(made, table, np.zeros(table.m)) == {}
    assert np.abs(rewards - secret(table)).mean() < 0.05
    assert np.abs(table.sum_turns(rewards) - table.outcome).mean() < 0.15
    assert figures["explained_variance"] > 0.95
    made, table = episodes(16, 99)
    fresh = LatentReward(context(), {"hidden": hidden, "update": "after"})
    assert not fresh.estimate(made, table)[0].any()  # nothing learned, nothing promised


def test_after_means_after() -> None:
    companion = LatentReward(context(), {"update": "after"})
    made, table = episodes(8, 0)
    rewards, figures = companion.estimate(made, table)
    assert not rewards.any()
    assert "loss" not in figures
    assert companion.learn(made, table, np.zeros(table.m))["loss"] < 1
    assert companion.estimate(made, table)[0].any()


def test_the_signals_are_fixed_by_the_first_batch_or_the_configuration() -> None:
    companion = LatentReward(context(), {})
    made, table = episodes(4, 0)
    companion.estimate(made, table)
    more = table.with_part("novel", np.ones(table.m))
    assert companion.estimate(made, more)[0].shape == (table.m,)
    assert companion._names == ("evidence", "format")
    one = LatentReward(context(), {"signals": ["evidence"]})
    one.estimate(made, table)
    assert one._latent.shape == (table.m, 1)


def test_without_any_signal_every_turn_earns_the_same() -> None:
    made = [trajectory(n, sample=n) for n in (1, 2, 4)]
    for one in made:
        one.turns = [Turn(RewardSignal(0.3 * len(one.turns))) for _ in one.turns]
    table = RewardTable.from_groups([Group("g", "t", made)])
    rewards, _ = LatentReward(context(), {"steps": 400, "optimizer": {"lr": 0.02}}).estimate(made, table)
    np.testing.assert_allclose(rewards, 0.3, atol=0.02)


def factors(episode: Trajectory) -> list[list[float]]:
    """A latent reward function as a user would write it."""
    return [[turn.signal.process["evidence"], turn.signal.process["format"]] for turn in episode.turns]


def ragged(episode: Trajectory) -> list[list[float]]:
    return [[1.0] * len(episode.turns)] * len(episode.turns)


def words(episode: Trajectory) -> list[str]:
    return ["good"] * len(episode.turns)


def short(episode: Trajectory) -> list[list[float]]:
    return [[1.0]]


def endless(episode: Trajectory) -> list[list[float]]:
    return [[float("inf")]] * len(episode.turns)


def test_a_users_function() -> None:
    made, table = episodes(16, 0)
    own = LatentReward(context(), {"function": f"{__name__}:factors"}).estimate(made, table)[0]
    built_in = LatentReward(context(), {"signals": ["evidence", "format"]}).estimate(made, table)[0]
    assert np.array_equal(own, built_in)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ragged", r"gave \[.*\] factors a turn; it must always give as many"),
        ("words", "gave a list, not an array of numbers"),
        ("short", r"gave \(1, 1\), not finite numbers of shape \(\d, factors\)"),
        ("endless", "not finite numbers"),
    ],
)
def test_a_users_function_that_does_not_keep_its_word(name: str, message: str) -> None:
    made, table = episodes(12, 1)
    companion = LatentReward(context(), {"function": f"{__name__}:{name}"})
    with pytest.raises(ConfigError, match=rf"companions\.latent_reward\.function '.*:{name}'.*{message}"):
        companion.estimate(made, table)


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="no module 'nowhere'"):
        LatentReward(context(), {"function": "nowhere:f"})
    with pytest.raises(ConfigError, match="signals make up the vector only where no function is named"):
        LatentReward(context(), {"function": f"{__name__}:factors", "signals": ["a"]})
    with pytest.raises(ConfigError, match="hidden"):
        LatentReward(context(), {"hidden": -1})


@pytest.mark.parametrize("hidden", [0, 4])
def test_saved_and_loaded_goes_on_bit_for_bit(tmp_path: Path, hidden: int) -> None:
    options = {"hidden": hidden, "memory": 20}
    one = LatentReward(context(3), options)
    for update in range(3):
        one.estimate(*episodes(8, update))
    one.save(tmp_path)
    other = LatentReward(context(3), options)
    other.load(tmp_path)
    left, right = one.estimate(*episodes(8, 7)), other.estimate(*episodes(8, 7))
    assert np.array_equal(left[0], right[0])
    assert left[1] == right[1]


def test_saved_before_the_first_batch(tmp_path: Path) -> None:
    LatentReward(context(), {}).save(tmp_path)
    other = LatentReward(context(), {})
    other.load(tmp_path)
    made, table = episodes(4, 0)
    assert np.array_equal(other.estimate(made, table)[0], LatentReward(context(), {}).estimate(made, table)[0])


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    companion = LatentReward(context(), {})
    with pytest.raises(DataError, match=r"not a checkpoint of companions\.latent_reward"):
        companion.load(tmp_path)
    companion.estimate(*episodes(4, 0))
    companion.save(tmp_path)
    with pytest.raises(DataError, match="on one side only"):
        LatentReward(context(), {"hidden": 3}).load(tmp_path)
    (tmp_path / "latent.json").write_text('{"names": [], "width": 5}')
    with pytest.raises(DataError, match="another shape"):
        companion.load(tmp_path)
    (tmp_path / "latent.json").write_text('["names"]')
    with pytest.raises(DataError, match=r"not a checkpoint of companions\.latent_reward"):
        companion.load(tmp_path)


def test_batches_with_nothing_in_them() -> None:
    companion = LatentReward(context(), {})
    empty = RewardTable.from_groups([])
    assert companion.estimate([], empty)[0].shape == (0,)
    assert companion.learn([], empty, np.zeros(0)) == {}
    unplayed = [trajectory(0), trajectory(2, sample=1)]
    rewards, figures = companion.estimate(unplayed, RewardTable.from_groups([Group("g", "t", unplayed)]))
    assert rewards.shape == (2,)
    assert figures["loss"] >= 0


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=8), st.integers(1, 5))
def test_what_is_remembered(lengths: list[int], memory: int) -> None:
    companion = LatentReward(context(), {"memory": memory, "steps": 1})
    made = [trajectory(n, sample=i) for i, n in enumerate(lengths)]
    table = RewardTable.from_groups([Group("g", "t", made)])
    for _ in range(2):
        rewards, _ = companion.estimate(made, table)
        assert np.all(np.isfinite(rewards))
    if table.m:
        played = 2 * [n for n in lengths if n]
        kept = companion._decoder
        assert kept is not None
        assert kept._lengths.tolist() == played[-memory:]
        assert len(kept._latent) == sum(played[-memory:])
