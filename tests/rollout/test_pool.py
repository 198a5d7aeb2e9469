"""The pool, in process and on a real local Ray: nothing lost, nothing counted twice, whoever dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentgym.engines.base import Sampling
from agentgym.faults import ConfigError
from agentgym.rollout import EngineSpec, EnvSpec, GroupRequest, Limits, RolloutMismatch, RolloutPool
from agentgym.rollout.fleet import Fleet
from agentgym.rollout.pool import check_group
from agentgym.rollout.session import RaySession
from agentgym.rollout.transport import WorkerError
from agentgym.rollout.weights import pack_state, unpack_state
from agentgym.trajectory import Group

Make = Callable[..., RolloutPool]
STORE_BYTES = 80 * 1024**2


@pytest.fixture(scope="module", autouse=True)
def one_ray(importable_toys: None) -> Iterator[None]:
    """Keeps the local Ray between the tests: it takes seconds to start."""
    RaySession.enter(None, STORE_BYTES)
    yield
    RaySession.leave()


@pytest.fixture
def make(tokenizer: Any) -> Iterator[Make]:
    made: list[RolloutPool] = []

    def _make(workers: int, **kwargs: Any) -> RolloutPool:
        made.append(open_pool(tokenizer, workers, **kwargs))
        return made[-1]

    yield _make
    for pool in made:
        pool.close()


@pytest.fixture(scope="module")
def two(tokenizer_folder: str, one_ray: None) -> Iterator[RolloutPool]:
    """Two workers with an environment that takes its time, for all tests that leave the pool usable."""
    with open_pool(tokenizer_folder, 2, env="AsyncGuess", limits=Limits(concurrency=8)) as pool:
        yield pool


def open_pool(
    tokenizer: Any,
    workers: int,
    *,
    policy: str = "toy_env:lots",
    env: str = "Guess",
    limits: Limits | None = None,
    **kwargs: Any,
) -> RolloutPool:
    spec = EnvSpec(f"toy_env:{env}-v0", kwargs)
    engine = EngineSpec("scripted", {"policy": policy})
    return RolloutPool(spec, engine, tokenizer, workers, limits=limits, object_store_memory=STORE_BYTES)


def requests(n: int = 12, samples: int = 4) -> list[GroupRequest]:
    return [GroupRequest(f"g{i}", f"train-{i}", tuple(range(10 * i, 10 * i + samples))) for i in range(n)]


def tokens(groups: list[Group]) -> dict[str, list[list[int]]]:
    return {g.id: [t.tokens.tolist() for t in g.trajectories] for g in groups}


def fleet(pool: RolloutPool) -> Fleet:
    assert isinstance(pool._backend, Fleet)
    return pool._backend


def pids(pool: RolloutPool) -> list[int]:
    import ray

    return [ray.get(m.actor.ping.remote()) for m in fleet(pool)._members]


def test_workers_play_what_one_process_plays(make: Make, two: RolloutPool) -> None:
    here = make(0)
    asked = requests()
    alone = list(here.collect(asked, ordered=True))
    assert [g.id for g in alone] == [r.id for r in asked]
    before = two.stats()
    for _ in range(2):
        ordered = list(two.collect(asked, ordered=True))
        assert [g.id for g in ordered] == [r.id for r in asked]
        assert tokens(ordered) == tokens(alone)
    assert tokens(list(two.collect(asked))) == tokens(alone)
    after = two.stats()
    assert after["episodes"] - before.get("episodes", 0) == 3 * 48
    assert after["turns"] - before.get("turns", 0) == 3 * here.stats()["turns"]
    assert after["engine.generated"] > 0
    assert two.drain_events() == []
    assert os.getpid() not in pids(two)
    assert len(set(pids(two))) == 2
    assert list(two.collect([])) == []


def test_leaving_early_leaves_the_pool_usable(make: Make, two: RolloutPool) -> None:
    for pool in (make(0, env="AsyncGuess", limits=Limits(concurrency=4)), two):
        for _ in pool.collect(requests(20)):
            break
        again = list(pool.collect(requests(4), ordered=True))
        assert [g.id for g in again] == [f"g{i}" for i in range(4)]
        assert pool.drain_events() == []


def test_a_worker_killed_in_the_middle(make: Make, two: RolloutPool) -> None:
    two.update_weights(5, {"w": torch.ones(2)})
    victim = pids(two)[0]
    asked = requests(24)
    groups = []
    for group in two.collect(asked):
        groups.append(group)
        if len(groups) == 3:
            os.kill(victim, signal.SIGKILL)
    assert sorted(g.id for g in groups) == sorted(r.id for r in asked)
    assert all(t.fault is None for g in groups for t in g.trajectories)
    assert tokens(groups) == tokens(list(make(0).collect(asked))), "played again, they are what they would have been"
    (event,) = two.drain_events()
    assert event.kind == "worker"
    assert event.detail.startswith("worker 0 died")
    assert "groups run again" in event.detail
    assert victim not in pids(two)
    assert {t.version for g in groups for t in g.trajectories} == {5}, "a restarted worker has the current weights"


def test_a_worker_killed_between_two_calls(two: RolloutPool) -> None:
    os.kill(pids(two)[1], signal.SIGKILL)
    assert len(list(two.collect(requests(4), ordered=True))) == 4
    assert [e.kind for e in two.drain_events()] == ["worker"]


def test_weights_reach_every_worker(make: Make, two: RolloutPool) -> None:
    for pool in (make(0), two):
        pool.update_weights(9, {"w": torch.ones(2)})
        assert {t.version for g in pool.collect(requests(4), ordered=True) for t in g.trajectories} == {9}


def test_an_environment_that_kills_its_worker_is_found_out(make: Make) -> None:
    pool = make(1, trouble="kill", task="train-2", limits=Limits(retries=1))
    groups = {g.id: g for g in pool.collect(requests(4, 2))}
    assert sorted(groups) == ["g0", "g1", "g2", "g3"]
    assert [all(t.fault is None for t in groups[g].trajectories) for g in sorted(groups)] == [True, True, False, True]
    assert (groups["g2"].trajectories[0].fault or "").startswith("worker: the worker died")
    given_up = [e for e in pool.drain_events() if e.given_up]
    assert [e.group_id for e in given_up] == ["g2"]


def test_a_worker_that_hangs_is_replaced(make: Make, tmp_path: Path) -> None:
    limits = Limits(step_s=0.5, generate_s=0.5)
    pool = make(1, env="Guess", trouble="sleep", marker=str(tmp_path / "once"), limits=limits)
    groups = list(pool.collect(requests(3, 2)))
    assert all(t.fault is None for g in groups for t in g.trajectories)
    (event,) = pool.drain_events()
    assert "did not answer" in event.detail


def test_an_engine_that_fails_gets_a_new_worker_and_then_gives_up(make: Make) -> None:
    pool = make(1, policy="toy_env:failing_on_one_task", limits=Limits(retries=1))
    before = pids(pool)
    groups = {g.id: g for g in pool.collect(requests(5, 2))}
    assert len(groups) == 5
    assert [g for g in sorted(groups) if groups[g].trajectories[0].fault] == ["g3"]
    assert groups["g3"].trajectories[0].fault == "engine: out of memory"
    assert pids(pool) != before
    assert {e.kind for e in pool.drain_events()} == {"engine", "worker"}


def test_faults_of_episodes_are_told(make: Make) -> None:
    for workers in (0, 1):
        pool = make(workers, trouble="raise", task="train-1", limits=Limits(retries=0))
        groups = {g.id: g for g in pool.collect(requests(2, 2))}
        assert [t.fault for t in groups["g1"].trajectories] == ["crash: step: ValueError: the toy broke"] * 2
        assert [(e.kind, e.group_id, e.given_up) for e in pool.drain_events()] == [("crash", "g1", True)] * 2
        assert pool.stats()["fault.crash"] == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4)])
def test_packed_tensors_come_back_as_they_were(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.rand(shape) * 3).to(dtype)
    back = unpack_state(pack_state({"w": tensor, "t": tensor.mT if shape else tensor, "note": "x"}))
    assert back["note"] == "x"
    for name, expected in (("w", tensor), ("t", tensor.mT if shape else tensor)):
        assert back[name].dtype == dtype
        assert back[name].shape == expected.shape
        assert torch.equal(back[name], expected)


def test_mistakes_are_said_before_or_while_collecting(make: Make, two: RolloutPool, tokenizer: Any) -> None:
    spec = EnvSpec("toy_env:Guess-v0")
    for workers in (0, 1):
        with pytest.raises(ConfigError, match="no scripted policy"):
            make(workers, policy="lot")
    with pytest.raises(ConfigError, match="unexpected keyword"):
        make(0, colour="red")
    with pytest.raises(ConfigError, match="engine 'scripted'"):
        RolloutPool(spec, EngineSpec("scripted", {"polic": "null"}), tokenizer)
    with pytest.raises(ConfigError, match="tokenizer 'nowhere'"):
        RolloutPool(spec, EngineSpec("scripted", {"policy": "null"}), Path("nowhere"))
    with pytest.raises(ConfigError, match="workers"):
        make(-1)
    for pool in (make(0), two):
        with pytest.raises(ConfigError, match="no task 'train-99'"):
            list(pool.collect([*requests(2), GroupRequest("bad", "train-99", (1,))]))
        with pytest.raises(ConfigError, match="ids that differ"):
            pool.collect([*requests(2), *requests(1)])
        assert len(list(pool.collect(requests(2)))) == 2


def test_a_worker_that_cannot_start_ends_the_run(make: Make) -> None:
    with pytest.raises(WorkerError, match="worker 0 cannot be started"):
        make(1, policy="toy_env:deadly")


def test_what_comes_back_is_checked(make: Make) -> None:
    request = GroupRequest("g", "train-1", (4, 5), Sampling())
    (group,) = make(0).collect([request])
    check_group(request, group)
    for problem, match in (
        (lambda g: setattr(g, "task_id", "train-2"), "task"),
        (lambda g: g.trajectories.pop(), "1 episodes instead of 2"),
        (lambda g: setattr(g.trajectories[1], "seed", 4), "came back as"),
        (lambda g: g.trajectories.reverse(), "came back as"),
        (lambda g: setattr(g.trajectories[0], "logprobs", np.ones(3, np.float32)), "differ in length"),
    ):
        (broken,) = make(0).collect([request])
        problem(broken)
        with pytest.raises(RolloutMismatch, match=match):
            check_group(request, broken)
    pool = make(0)
    collect = pool._backend.collect
    pool._backend.collect = lambda r, fixed: (g for g in [*collect(r, fixed)][1:])  # type: ignore[method-assign]
    with pytest.raises(RolloutMismatch, match="1 groups did not come back"):
        list(pool.collect([request]))
    pool._backend.collect = lambda r, fixed: (g for g in [*collect(r, fixed)] * 2)  # type: ignore[method-assign]
    with pytest.raises(RolloutMismatch, match="unasked, or twice"):
        list(pool.collect([request]))
