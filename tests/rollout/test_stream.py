"""A stream of groups from a real local Ray: in the order in which they finish, beside evaluations and new weights."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray

from agentgym.faults import ConfigError, DataError, EnvironmentFault
from agentgym.rollout import EngineSpec, EnvSpec, GroupRequest, Limits, RolloutMismatch, RolloutPool
from agentgym.rollout.fleet import Fleet
from agentgym.rollout.session import RaySession
from agentgym.rollout.stream import GroupStream, StreamClosed
from agentgym.trajectory import Group

STORE_BYTES = 80 * 1024**2


@pytest.fixture(scope="module")
def pool(tokenizer_folder: str, importable_toys: None) -> Iterator[RolloutPool]:
    RaySession.enter(None, STORE_BYTES)
    spec, engine = EnvSpec("toy_env:AsyncGuess-v0"), EngineSpec("scripted", {"policy": "toy_env:lots"})
    with RolloutPool(spec, engine, tokenizer_folder, 2, limits=Limits(concurrency=8)) as made:
        yield made
    RaySession.leave()


def requests(first: int, n: int) -> list[GroupRequest]:
    return [GroupRequest(f"g{i}", f"train-{i % 32}", (10 * i, 10 * i + 1)) for i in range(first, first + n)]


def take(stream: GroupStream, n: int) -> list[Group]:
    groups: list[Group] = []
    until = time.monotonic() + 60
    while len(groups) < n and time.monotonic() < until:
        group = stream.take(0.2)
        groups += [group] if group is not None else []
    return groups


def test_what_is_submitted_comes_once(pool: RolloutPool) -> None:
    with pool.stream() as stream:
        stream.submit(requests(0, 10))
        first = take(stream, 4)
        stream.submit(requests(10, 10))
        groups = first + take(stream, 16)
        assert sorted(g.id for g in groups) == sorted(f"g{i}" for i in range(20))
        assert all(len(g) == 2 and t.fault is None for g in groups for t in g.trajectories)
        assert stream.take(0.05) is None
        assert stream.waiting() == 0
    # The pool is as it was before.
    assert {g.id for g in pool.collect(requests(0, 3))} == {"g0", "g1", "g2"}


def test_the_same_episodes_as_without_a_stream(pool: RolloutPool) -> None:
    expected = {g.id: [t.tokens.tolist() for t in g.trajectories] for g in pool.collect(requests(0, 6))}
    with pool.stream() as stream:
        stream.submit(requests(0, 6))
        assert {g.id: [t.tokens.tolist() for t in g.trajectories] for g in take(stream, 6)} == expected


def test_an_evaluation_goes_first_and_leaves_the_others_alone(pool: RolloutPool) -> None:
    with pool.stream() as stream:
        stream.submit(requests(0, 40))
        aside = [g.id for g in stream.collect(requests(100, 5))]
        assert aside == [f"g{i}" for i in range(100, 105)]
        left = 40 - stream.waiting()
        assert left > 0, "the evaluation waited for all that had been submitted before"
        assert sorted(g.id for g in take(stream, 40)) == sorted(f"g{i}" for i in range(40))


def test_groups_submitted_after_weights_begin_under_them(pool: RolloutPool) -> None:
    with pool.stream() as stream:
        stream.submit(requests(0, 12))
        stream.update_weights(7, {})
        stream.submit(requests(12, 12))
        groups = {g.id: g for g in take(stream, 24)}
        later = [t.version for i in range(12, 24) for t in groups[f"g{i}"].trajectories]
        assert set(later) == {7}
        assert stream.ask(lambda fleet: fleet.stats())["episodes"] > 0


def test_a_worker_killed_meanwhile(pool: RolloutPool) -> None:
    with pool.stream() as stream:
        stream.submit(requests(0, 30))
        take(stream, 2)
        fleet: Any = pool._backend
        assert isinstance(fleet, Fleet)
        os.kill(ray.get(fleet._members[0].actor.ping.remote()), signal.SIGKILL)
        assert len({g.id for g in take(stream, 28)}) == 28
        assert any(e.kind == "worker" for e in stream.ask(lambda f: f.drain_events()))


def test_closing_drops_what_is_in_flight(pool: RolloutPool) -> None:
    stream = pool.stream()
    stream.submit(requests(0, 30))
    stream.close()
    stream.close()
    with pytest.raises(StreamClosed):
        stream.submit(requests(30, 1))
    take = iter(lambda: stream.take(0.05), None)  # what had finished may still be had
    with pytest.raises(StreamClosed):
        list(take)
    assert {g.id for g in pool.collect(requests(0, 2))} == {"g0", "g1"}


def test_mistakes_end_the_stream(pool: RolloutPool) -> None:
    with pool.stream() as stream:
        stream.submit(requests(0, 1))
        with pytest.raises(ValueError, match="'g0' is on its way"):
            stream.submit(requests(0, 1))
    with pool.stream() as stream:
        stream.submit([GroupRequest("x", "train-99", (1,))])
        with pytest.raises((ConfigError, DataError, EnvironmentFault, RolloutMismatch), match="train-99"):
            take(stream, 1)
        with pytest.raises(ConfigError):
            stream.submit(requests(0, 1))


def test_a_pool_without_workers_cannot_stream(tokenizer: Any) -> None:
    spec, engine = EnvSpec("toy_env:Guess-v0"), EngineSpec("scripted", {"policy": "toy_env:lots"})
    with RolloutPool(spec, engine, tokenizer) as pool, pytest.raises(ConfigError, match="workers must be 1 or more"):
        pool.stream()
