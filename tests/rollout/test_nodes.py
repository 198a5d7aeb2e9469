"""A Ray cluster whose nodes leave and join while episodes are played: Ray's own test cluster, a node a process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from agentgym.rollout import EngineSpec, EnvSpec, GroupRequest, Limits, RolloutPool
from agentgym.rollout.fleet import Fleet
from agentgym.trajectory import Group

STORE_BYTES = 80 * 1024**2
NODE = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}


@pytest.fixture
def cluster(importable_toys: None) -> Iterator[Any]:
    """A head that has room for no worker, with nodes that have room for one each."""
    made = Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0})
    yield made
    made.shutdown()


def requests(first: int, n: int) -> list[GroupRequest]:
    return [GroupRequest(f"g{i}", f"train-{i % 32}", (10 * i, 10 * i + 1)) for i in range(first, first + n)]


def ready(pool: RolloutPool) -> list[int]:
    assert isinstance(pool._backend, Fleet)
    return [member.number for member in pool._backend._ready]


def nodes(pool: RolloutPool) -> set[str]:
    """On which the workers live that are set up."""
    assert isinstance(pool._backend, Fleet)

    def where(worker: Any) -> str:
        return ray.get_runtime_context().get_node_id()

    return {ray.get(m.actor.__ray_call__.remote(where)) for m in pool._backend._ready}


def sound(groups: list[Group], asked: list[GroupRequest]) -> bool:
    return sorted(g.id for g in groups) == sorted(r.id for r in asked) and all(
        t.fault is None for g in groups for t in g.trajectories
    )


@pytest.mark.timeout(240)
def test_a_node_that_leaves_and_one_that_joins(cluster: Any, tokenizer_folder: str) -> None:
    staying, leaving = cluster.add_node(**NODE), cluster.add_node(**NODE)
    # Slow, so that the node leaves in the middle of it.
    spec = EnvSpec("toy_env:BlockingGuess-v0", {"trouble": "slow"})
    engine = EngineSpec("scripted", {"policy": "toy_env:lots"})
    with RolloutPool(spec, engine, tokenizer_folder, 2, address=cluster.address, limits=Limits(concurrency=4)) as pool:
        assert nodes(pool) == {staying.node_id, leaving.node_id}
        asked = requests(0, 40)
        groups = []
        for group in pool.collect(asked):
            groups.append(group)
            if len(groups) == 3:
                cluster.remove_node(leaving, allow_graceful=False)
        assert sound(groups, asked)
        assert " died " in pool.drain_events()[0].detail
        # There is room for one worker only; nobody waits for the other.
        asked = requests(40, 10)
        assert sound(list(pool.collect(asked, ordered=True)), asked)
        assert len(ready(pool)) == 1
        joined = cluster.add_node(**NODE)
        number, until = 50, time.monotonic() + 60
        while len(ready(pool)) < 2 and time.monotonic() < until:
            asked, number = requests(number, 4), number + 4
            assert sound(list(pool.collect(asked)), asked)
        assert nodes(pool) == {staying.node_id, joined.node_id}
        # It may have been started once on the node that left, before Ray knew.
        assert all(" was lost while it started" in event.detail for event in pool.drain_events())
