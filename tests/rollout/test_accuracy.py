"""Accuracy before and after each turn, by rollouts: by hand, on stored episodes, and where the world breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentgym.engines.base import Sampling
from agentgym.engines.scripted import Policy, Prompt, ScriptedEngine
from agentgym.faults import ConfigError
from agentgym.making import make_env
from agentgym.rollout import AccuracyRequest, Collector, EnvSpec, GroupRequest, Limits, measure_accuracy
from agentgym.rollout.accuracy import AFTER, BEFORE
from agentgym.rollout.checking import check_group
from agentgym.rollout.collector import renderer_for
from agentgym.store import read_groups, write_groups
from agentgym.trajectory import Trajectory

GUESS, BLOCKING, ASYNC = (f"toy_env:{kind}Guess-v0" for kind in ("", "Blocking", "Async"))
Make = Callable[..., Collector]


def scripted(prompt: Prompt) -> str:
    """Target 20. The episode (session 0, its first turns) guesses 16, 31, 20. Rollouts depend on the interval alone:
    in 0-32 one of four is right at once, in 17-32 two, in 17-31 three; the others give nonsense to the budget."""
    env, fork = prompt.env, int(str(prompt.session).rpartition(".")[2])
    assert env is not None
    if fork == 0 and prompt.turn < 3:
        return f"<guess> {(16, 31, 20)[prompt.turn]} </guess>"
    right = {"0-32": 1, "17-32": 2, "17-31": 3}[env._key()]  # type: ignore[attr-defined]
    return "<guess> 20 </guess>" if fork >= 4 - right else "number"


@pytest.fixture
def make(tokenizer: Any) -> Iterator[Make]:
    made: list[Collector] = []

    def _make(
        env: str = GUESS, policy: Policy | str = "toy_env:lots", limits: Limits | None = None, **kwargs: Any
    ) -> Collector:
        renderer = renderer_for(make_env(GUESS), tokenizer)
        engine = ScriptedEngine(policy, tokenizer)
        made.append(Collector(EnvSpec(env, {"max_turns": 5, **kwargs}), engine, renderer, limits))
        return made[-1]

    yield _make
    for collector in made:
        collector.shutdown()


def parts(trajectory: Trajectory) -> list[tuple[float, float]]:
    return [(t.signal.process[BEFORE], t.signal.process[AFTER]) for t in trajectory.turns]


@pytest.mark.parametrize("env", [GUESS, BLOCKING, ASYNC])
def test_accuracy_by_hand(make: Make, env: str) -> None:
    collector = make(env, scripted)
    request = AccuracyRequest("g", "train-20", (7,), rollouts=4)
    (group,) = collector.run([request])
    check_group(request, group)
    (episode,) = group.trajectories
    assert [t.state_key for t in episode.turns] == ["0-32", "17-32", "17-31"]
    assert parts(episode) == [(0.25, 0.5), (0.5, 0.75), (0.75, 1.0)]
    assert [t.signal.process.get("closer") for t in episode.turns] == [1.0, 1.0, None]
    stats = collector.stats
    # From prefix t a failing rollout plays the 5 - t turns that are left, a right one plays one.
    assert (stats.episodes, stats.forks) == (1, 12)
    assert stats.turns == 3 + (3 * 5 + 1) + (2 * 4 + 2) + (1 * 3 + 3)
    assert stats.policy_tokens == collector.engine.stats.generated


def test_measuring_does_not_change_the_episode(make: Make) -> None:
    plain = make().run([GroupRequest("g", "train-9", (1, 2, 3))])[0]
    measured = make().run([AccuracyRequest("g", "train-9", (1, 2, 3), rollouts=3)])[0]
    for a, b in zip(plain.trajectories, measured.trajectories, strict=True):
        assert a.tokens.tolist() == b.tokens.tolist()
        assert [t.signal.outcome for t in a.turns] == [t.signal.outcome for t in b.turns]
        chain = parts(b)
        assert all(after == before for (_, after), (before, _) in pairwise(chain))
        assert chain[-1][1] == float(b.outcome >= 1.0)
        assert all(p * 3 == pytest.approx(round(p * 3)) for pair in chain[:-1] for p in pair)


def test_stored_episodes_are_measured(make: Make, tmp_path: Path) -> None:
    played = make().run([GroupRequest(f"g{i}", f"train-{i}", (i, i + 9), Sampling(max_tokens=12)) for i in range(4)])
    write_groups(tmp_path / "e.parquet", played)
    stored = [t for g in read_groups(tmp_path / "e.parquet") for t in g.trajectories][1:]
    collector = make()
    measured = measure_accuracy(collector.iterate, stored, Sampling(max_tokens=12), rollouts=8)
    assert measured[0].episode_id == "g0/1"
    for old, new in zip(stored, measured, strict=True):
        assert new.tokens is old.tokens
        assert [t.generate_s for t in new.turns] == [t.generate_s for t in old.turns]
        assert BEFORE not in old.turns[0].signal.process
        assert new.turns[0].signal.process.items() >= old.turns[0].signal.process.items()
        assert parts(new)[-1][1] == float(new.outcome >= 1.0)
    again = measure_accuracy(make().iterate, stored, Sampling(max_tokens=12), rollouts=8)
    assert [parts(t) for t in again] == [parts(t) for t in measured]


def test_another_environment_is_found_out(make: Make) -> None:
    (group,) = make().run([GroupRequest("g", "train-9", (1,))])
    (episode,) = group.trajectories
    other = replace(episode, task_id="train-30")
    with pytest.raises(ConfigError, match=r"episode 'g/0', turn \d: played again it goes another way"):
        measure_accuracy(make().iterate, [other], Sampling())
    (short,) = measure_accuracy(make(max_turns=2).iterate, [episode], Sampling())
    assert short.fault == f"replay: it ended after 2 of {len(episode.turns)} turns"


def test_a_truncated_episode_and_an_empty_one(make: Make) -> None:
    """An episode that ran out of tokens is replayed to where it did; one without a turn has nothing to measure."""
    (group,) = make().run([GroupRequest("g", "train-9", (1,), Sampling(max_tokens=12))])
    (episode,) = group.trajectories
    assert len(episode.turns) > 2
    first = int(np.argmax(episode.turn == 1))
    cut = replace(
        episode,
        tokens=episode.tokens[:first],
        logprobs=episode.logprobs[:first],
        turn=episode.turn[:first],
        turns=episode.turns[:1],
        terminated=False,
        truncated=True,
    )
    (measured,) = measure_accuracy(make().iterate, [cut], Sampling(max_tokens=12), rollouts=2)
    assert len(measured.turns) == 1
    assert measured.turns[0].signal.process[AFTER] == 0.0
    request = AccuracyRequest("g", "train-9", (1,), rollouts=2)
    (group,) = make(limits=Limits(episode_tokens=3)).run([request])
    check_group(request, group)
    assert group.trajectories[0].turns == []


def test_faults(make: Make, tmp_path: Path) -> None:
    request = AccuracyRequest("g", "train-9", (1, 2), rollouts=2)
    sound = [parts(t) for t in make().run([request])[0].trajectories]
    mended = make(trouble="raise", marker=str(tmp_path / "once"))
    assert [parts(t) for t in mended.run([request])[0].trajectories] == sound
    broken = make(trouble="raise", limits=Limits(retries=0)).run([request])[0]
    check_group(request, broken)
    assert all(t.fault is not None for t in broken.trajectories)
    with pytest.raises(ConfigError, match="rollouts"):
        replace(request, rollouts=0)
    with pytest.raises(ConfigError, match="1 replays for 2 seeds"):
        replace(request, replay=((),))
