"""Weights as a broadcast to real workers: the same as through the store, whoever dies when."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
import torch
from transformers import AutoModelForCausalLM

from agentgym.engines.base import Sampling
from agentgym.faults import ConfigError
from agentgym.rollout import EngineSpec, EnvSpec, GroupRequest, RolloutPool
from agentgym.rollout.collective import CollectiveTransport, Packed
from agentgym.rollout.fleet import Fleet
from agentgym.rollout.session import RaySession
from agentgym.rollout.transport import StoreTransport
from agentgym.trainers.config import RolloutConfig
from agentgym.trainers.tiny import TinyConfig, make_tiny
from agentgym.trajectory import Group

STORE_BYTES = 80 * 1024**2
REQUESTS = [GroupRequest(f"g{i}", f"train-{i}", (10 * i, 10 * i + 1), Sampling(max_tokens=8)) for i in range(4)]
PATIENCE_S = 5.0  # on a busy machine the healthy ones need some of it, too
BIG = {"w": torch.ones(1 << 22), "odd": torch.rand(3, 5).bfloat16(), "none": torch.empty(0, 4)}


@pytest.fixture(scope="module", autouse=True)
def one_ray(importable_toys: None) -> Iterator[None]:
    RaySession.enter(None, STORE_BYTES)
    yield
    RaySession.leave()


def scripted(tokenizer: Any, workers: int) -> RolloutPool:
    engine = EngineSpec("scripted", {"policy": "toy_env:lots"})
    return RolloutPool(EnvSpec("toy_env:Guess-v0"), engine, tokenizer, workers, weights="collective")


@pytest.fixture(scope="module")
def three(tokenizer_folder: str, one_ray: None) -> Iterator[RolloutPool]:
    """Three workers: a death among them concerns others too. Every test leaves them ready."""
    with scripted(tokenizer_folder, workers=3) as pool:
        yield pool


def fleet(pool: RolloutPool) -> Fleet:
    assert isinstance(pool._backend, Fleet)
    return pool._backend


def newest(pool: RolloutPool) -> Packed:
    weights = fleet(pool)._weights
    assert isinstance(weights, Packed)
    return weights


def connected(pool: RolloutPool) -> bool:
    transport = fleet(pool)._transport
    assert isinstance(transport, CollectiveTransport)
    return transport._link is not None


def pid(pool: RolloutPool, worker: int) -> int:
    answer: Any = ray.get(fleet(pool)._members[worker].actor.ping.remote())
    return int(answer)


def facts(groups: list[Group]) -> Any:
    return [(t.episode_id, t.tokens.tolist(), t.logprobs.tolist(), t.version) for g in groups for t in g.trajectories]


def versions(pool: RolloutPool, workers: int = 3) -> set[int]:
    """Of all engines, the restarted ones among them."""
    fleet(pool)._await_ready(workers)
    return {t.version for g in pool.collect(REQUESTS, ordered=True) for t in g.trajectories}


def test_the_same_completions_as_with_the_store(tmp_path: Any) -> None:
    config = TinyConfig(width=16, layers=1, heads=2, context=512)
    words = ["guess a number below higher lower right Error", *map(str, range(33))]
    model = str(make_tiny(tmp_path, words, config, ("think", "guess")))
    spec = EnvSpec("toy_env:Guess-v0", {"max_turns": 3})
    engine = EngineSpec("transformers", {"model": model, "device": "cpu", "threads": 1})
    states = [
        {k: v + 0.01 * i for k, v in AutoModelForCausalLM.from_pretrained(model).state_dict().items()} for i in (1, 2)
    ]
    with RolloutPool(spec, engine, model, 2, weights="collective") as pool:

        def play() -> list[Any]:
            played = []
            for version, state in enumerate(states, 4):
                pool.update_weights(version, state)
                played.append(facts(list(pool.collect(REQUESTS, ordered=True))))
            return played

        collective = play()
        assert connected(pool)
        assert newest(pool).stored is None, "the object store was not needed"
        assert collective[0] != collective[1]
        assert {fact[-1] for fact in collective[1]} == {5}
        fleet(pool)._transport = StoreTransport()  # on the same workers: how requests are dealt out decides last digits
        assert play() == collective
        assert pool.drain_events() == []


def test_a_group_goes_on_from_sync_to_sync(three: RolloutPool) -> None:
    assert versions(three) == {0}
    transport: Any = fleet(three)._transport
    links = set()
    for version, state in enumerate((BIG, BIG, {}), 1):
        three.update_weights(version, state)
        links.add(transport._link)
        assert versions(three) == {version}
    assert len(links - {None}) == 1
    assert newest(three).stored is None
    assert three.drain_events() == []


def test_a_worker_killed_between_syncs(three: RolloutPool) -> None:
    three.update_weights(10, BIG)
    victim = pid(three, 1)
    os.kill(victim, signal.SIGKILL)
    three.update_weights(11, BIG)
    assert not connected(three)
    assert versions(three) == {11}, "the others got them through the store, and the new one too"
    assert pid(three, 1) != victim
    weights, worker = three.drain_events()
    assert (weights.kind, weights.detail) == ("weights", "the broadcast failed: a worker died")
    assert worker.detail.startswith("worker 1 could not take weights")
    three.update_weights(12, BIG)
    assert connected(three), "a new group, with the new worker"
    assert newest(three).stored is None
    assert versions(three) == {12}
    assert three.drain_events() == []


def test_a_worker_killed_while_it_collects_gets_weights_of_that_version(three: RolloutPool) -> None:
    weights = {"w": torch.zeros(8)}
    three.update_weights(13, weights)
    weights["w"] += 1  # the learner learns on
    os.kill(pid(three, 0), signal.SIGKILL)
    assert len(list(three.collect(REQUESTS))) == len(REQUESTS)
    assert versions(three) == {13}
    stored = ray.get(newest(three).ref())
    assert not stored["w"].data.any()
    assert [e.kind for e in three.drain_events()] == ["worker"]


def test_a_worker_killed_in_the_middle_of_a_sync(three: RolloutPool) -> None:
    three.update_weights(20, BIG)
    victim = pid(three, 2)
    os.kill(victim, signal.SIGSTOP)  # it cannot take anything; the others wait in the middle
    threading.Timer(1.0, os.kill, (victim, signal.SIGKILL)).start()
    began = time.monotonic()
    three.update_weights(21, BIG)
    assert 1.0 <= time.monotonic() - began < fleet(three).patience_s / 10
    assert versions(three) == {21}
    assert pid(three, 2) != victim
    assert {e.kind for e in three.drain_events()} == {"weights", "worker"}


def test_a_worker_that_hangs(three: RolloutPool, monkeypatch: pytest.MonkeyPatch) -> None:
    three.update_weights(22, BIG)
    victim, others = pid(three, 0), {pid(three, 1), pid(three, 2)}
    os.kill(victim, signal.SIGSTOP)
    with monkeypatch.context() as patient:
        patient.setattr(fleet(three), "patience_s", PATIENCE_S)
        began = time.monotonic()
        three.update_weights(23, BIG)
        assert time.monotonic() - began < 3 * PATIENCE_S
    assert versions(three) == {23}
    assert victim not in {pid(three, i) for i in range(3)}
    assert others <= {pid(three, i) for i in range(3)}, "only the one that hung was replaced"
    assert [e.kind for e in three.drain_events()] == ["weights", "worker"]


def test_a_worker_that_hangs_when_a_group_is_made(three: RolloutPool, monkeypatch: pytest.MonkeyPatch) -> None:
    three.update_weights(24, BIG)
    fleet(three)._transport.close()
    victim = pid(three, 0)
    os.kill(victim, signal.SIGSTOP)
    with monkeypatch.context() as patient:
        patient.setattr(fleet(three), "patience_s", PATIENCE_S)
        three.update_weights(25, BIG)
    assert versions(three) == {25}
    assert victim not in {pid(three, i) for i in range(3)}
    assert [e.kind for e in three.drain_events()] == ["worker"]


def test_a_stream(three: RolloutPool) -> None:
    asked = [GroupRequest(f"s{i}", f"train-{i}", (i, i + 1)) for i in range(24)]
    state = {"w": torch.ones(1000)}
    with three.stream() as stream:
        stream.submit(asked[:12])
        stream.update_weights(30, state)
        state["w"].zero_()  # the learner learns on
        stream.submit(asked[12:])
        groups: dict[str, Group] = {}
        until = time.monotonic() + 60
        while len(groups) < len(asked) and time.monotonic() < until:
            if (group := stream.take(0.2)) is not None:
                groups[group.id] = group
        assert {t.version for r in asked[12:] for t in groups[r.id].trajectories} == {30}
        packed = stream.ask(lambda f: f._weights)
        assert isinstance(packed, Packed)
        assert packed.stored is None
        assert packed.plan.state(packed.buckets)["w"].all()
    assert versions(three) == {30}


def test_without_workers_there_is_nobody_to_send_to(tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="collective sends to workers; workers must be 1 or more"):
        scripted(tokenizer, workers=0)
    with pytest.raises(ValueError, match="collective needs workers"):
        RolloutConfig(workers=0, weights="collective")
    assert RolloutConfig(workers=1, weights="collective").weights == "collective"
