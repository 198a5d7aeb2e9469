"""The cluster of `examples/cluster`: two nodes really brought up by Docker Compose, and a run trained on them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from composing import CHECKOUT, Cluster

#: What makes the shipped run a matter of seconds.
SHORT = (
    "updates=1", "warm_start=null", "eval.tasks=2", "eval.final_tasks=2", "tasks_per_update=4", "samples_per_task=2",
    "env.kwargs.worlds=4", "learner.threads=1",
)  # fmt: skip
#: CPUs of a node, all of which one rollout worker takes.
NODE_CPUS = 2
#: Nodes of the rollout workers that a cluster has seen: Ray's own book of actors, those that have ended included. Its
#: public listing asks the dashboard, which these nodes do not have.
WHERE = """
import json, ray
from ray._private.state import actors
ray.init(address="auto", log_to_driver=False)
nodes = {node["NodeID"]: node["Alive"] for node in ray.nodes()}
held = [actor["Address"]["NodeID"] for actor in actors().values() if actor["ActorClassName"] == "RolloutWorker"]
print(json.dumps({"nodes": nodes, "workers": held}))
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), NODE_CPUS)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
    assert cluster.left() == []


def test_the_shipped_run_trains_on_both_nodes(cluster: Cluster) -> None:
    """Only the configuration says that it is a cluster."""
    cluster_keys = ("rollout.address=auto", "rollout.workers=2", f"rollout.threads={NODE_CPUS}", "runs=/runs")
    cluster.inside("head", "agentgym", "train", f"{CHECKOUT}/examples/search.yaml", *cluster_keys, *SHORT)
    report = json.loads(cluster.inside("worker", "cat", "/runs/search/report.json"))
    assert report["updates"] == 1
    assert report["rollout"]["episodes"] > 0
    seen = json.loads(cluster.inside("head", "python", "-c", WHERE))
    assert list(seen["nodes"].values()) == [True, True]
    assert sorted(seen["workers"]) == sorted(seen["nodes"])


def test_nodes_are_walled_in(cluster: Cluster) -> None:
    for container in cluster.containers():
        host = container.attrs["HostConfig"]
        assert not container.ports
        assert not host["Privileged"]
        assert host["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["NanoCpus"] == NODE_CPUS * 10**9
        assert host["Memory"] == host["MemorySwap"] == 2 * 1024**3
        assert list(container.attrs["NetworkSettings"]["Networks"]) == [f"{cluster.project}_cluster"]
    assert cluster.inside("worker", "id", "-u") == "10001\n"


def test_who_does_not_know_the_token_is_refused(cluster: Cluster) -> None:
    ask = ("worker", "ray", "status", "--address", "head:6379")
    assert "Active" in cluster.run("exec", "-T", *ask)
    for variable in ("RAY_AUTH_TOKEN=wrong", "RAY_AUTH_MODE=disabled"):
        said = cluster.run("exec", "-T", "-e", variable, *ask, check=False)
        assert "Active" not in said
