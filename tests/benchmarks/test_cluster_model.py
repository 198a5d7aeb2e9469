"""The simulator of `benchmarks/cluster_model.py`, against queues whose answers are known."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.rollout import fleet

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "cluster_model.py"
#: Customers of an open queue; its mean wait is then within a few hundredths of the exact one.
CUSTOMERS = 100_000


def load() -> Any:
    spec = importlib.util.spec_from_file_location("simulation", BENCHMARKS / "cluster_parts" / "simulation.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks its annotations up
    spec.loader.exec_module(module)
    return module


model = load()
#: A cluster whose every part but the episodes takes no time.
FREE = model.Constants(
    driver_report_s=0.0, driver_worker_s=0.0, driver_group_s=0.0, driver_byte_s=0.0, driver_fault_s=0.0,
    learner_group_s=0.0, learner_update_s=0.0, weights_bytes=0.0, network_bytes_s=math.inf,
)  # fmt: skip
#: Single episodes that all take 10 s, one at a time in each worker, and a learner that takes each at once.
PLAIN: dict[str, Any] = {
    "places": 1, "group": 1, "episode_s": 10.0, "spread": 0.0, "faults": 0.0, "update_groups": 1, "staleness": 10**6,
    "ahead": 1.0,
}  # fmt: skip


def queue(between: Callable[[], float], work: Callable[[], float], customers: int = CUSTOMERS) -> Any:
    """The server of an open queue after so many customers."""
    clock = model.Clock()
    server = model.Server(clock)

    def arrive(left: int) -> None:
        server.ask(work())
        if left > 1:
            clock.later(between(), lambda: arrive(left - 1))

    arrive(customers)
    clock.run()
    assert server.served == customers
    return server


def replaced(**changes: float) -> Any:
    return model.replace(FREE, **changes)


def run(constants: Any, updates: int = 4000, skip: int = 200, **changes: Any) -> Any:
    return model.Simulation(model.Cluster(**{**PLAIN, **changes}), constants).run(updates, skip)


# -- open queues -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_m_m_1(load: float) -> None:
    """The mean wait before service is load / (rate - arrivals)."""
    rng = np.random.default_rng(1)
    server = queue(lambda: rng.exponential(1.0), lambda: rng.exponential(load))
    assert server.waited_s / server.served == pytest.approx(load * load / (1 - load), rel=0.08)
    assert server.busy_s / server.clock.now == pytest.approx(load, rel=0.02)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_m_d_1(load: float) -> None:
    """Half of the wait of M/M/1 (Pollaczek and Khinchine)."""
    rng = np.random.default_rng(2)
    server = queue(lambda: rng.exponential(1.0), lambda: load)
    assert server.waited_s / server.served == pytest.approx(load * load / (1 - load) / 2, rel=0.08)


@given(load=st.floats(0.05, 1.0), customers=st.integers(1, 200))
def test_d_d_1_below_its_capacity_nobody_waits(load: float, customers: int) -> None:
    server = queue(lambda: 1.0, lambda: load, customers)
    assert server.waited_s == pytest.approx(0.0, abs=1e-9)
    assert server.clock.now == pytest.approx(customers - 1 + load)


# Binary fractions, whose sums are exact.
@given(load=st.integers(1024, 5120).map(lambda n: n / 1024), customers=st.integers(1, 200))
def test_d_d_1_above_its_capacity_the_n_th_waits_n_times_the_excess(load: float, customers: int) -> None:
    server = queue(lambda: 1.0, lambda: load, customers)
    assert server.waited_s == pytest.approx((load - 1.0) * customers * (customers - 1) / 2)
    assert server.clock.now == pytest.approx(customers * load)


# -- the cluster as a closed queue -------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4, 9, 10, 11, 30])
def test_workers_and_a_driver_of_fixed_times(workers: int) -> None:
    """10 s of playing and 1 s of the driver: it is saturated from 11 workers on."""
    found = run(replaced(driver_report_s=1.0), workers=workers)
    assert found.episodes_s == pytest.approx(min(workers / 11.0, 1.0), rel=0.01)
    assert found.busy["driver"] == pytest.approx(min(workers / 11.0, 1.0), rel=0.01)


def machines_repaired(workers: int, play_s: float, work_s: float) -> float:
    """Customers a second of M/M/1 with so many sources (the machine repairman)."""
    weights = [math.perm(workers, n) * (work_s / play_s) ** n for n in range(workers + 1)]
    return (1 - weights[0] / sum(weights)) / work_s


@pytest.mark.parametrize("workers", [2, 8, 12, 20])
def test_workers_and_a_driver_of_random_times(workers: int) -> None:
    """The same with exponential times on both sides, whose throughput is known exactly."""
    rng = np.random.default_rng(3)
    cluster = model.Cluster(**{**PLAIN, "workers": workers})
    simulation = model.Simulation(cluster, FREE, draw=lambda: rng.exponential(10.0))
    ask = simulation.driver.ask
    simulation.driver.ask = lambda work_s, then, first=False: ask(0.0 if first else rng.exponential(1.0), then, first)
    found = simulation.run(updates=20_000, skip=500)
    assert found.episodes_s == pytest.approx(machines_repaired(workers, 10.0, 1.0), rel=0.04)


def test_a_group_ends_with_its_last_episode() -> None:
    """The longest of n exponential times is 1 + 1/2 + ... + 1/n of them."""
    rng = np.random.default_rng(4)
    cluster = model.Cluster(**{**PLAIN, "workers": 4, "places": 8, "group": 8})
    found = model.Simulation(cluster, FREE, draw=lambda: rng.exponential(10.0)).run(updates=4000, skip=10)
    assert found.of_ideal == pytest.approx(1 / sum(1 / n for n in range(1, 9)), rel=0.03)
    assert found.busy["places"] == pytest.approx(found.of_ideal, rel=0.02)


def test_the_rule_is_the_fleets() -> None:
    cluster = model.Cluster(workers=1)
    assert (cluster.ahead, cluster.plenty) == (fleet._AHEAD, fleet._PLENTY)


def test_groups_ahead_fill_the_places() -> None:
    def places(ahead: float, staleness: int = 10**6) -> float:
        asked = {"places": 64, "group": 8, "spread": 0.75, "update_groups": 32, "staleness": staleness}
        found = run(FREE, workers=4, ahead=ahead, updates=200, skip=20, **asked)
        return float(found.busy["places"])

    assert places(1.0) < 0.6 < places(1.5) < places(3.0)
    assert places(3.0) > 0.98
    assert places(3.0, staleness=0) < places(3.0, staleness=1) < places(3.0, staleness=4), "no more may wait"


def test_a_learner_that_is_too_slow_is_the_limit() -> None:
    found = run(replaced(learner_group_s=2.0), workers=40)
    assert found.episodes_s == pytest.approx(0.5, rel=0.01)
    assert found.busy["learner"] == pytest.approx(1.0, rel=0.01)


def test_without_staleness_everything_waits_for_the_update() -> None:
    """A round: 10 s of playing, 2 s of learning, 1 s of copying, and three hops of 1 s to seven nodes."""
    constants = replaced(learner_update_s=2.0, weights_bytes=1.0, put_bytes_s=1.0, network_bytes_s=1.0, group_bytes=0.0)
    asked = {"workers": 7, "update_groups": 0, "staleness": 0, "workers_per_node": 1}
    found = run(constants, updates=20, skip=2, **asked)
    assert found.episodes_s == pytest.approx(7 / 16.0)


def test_broken_episodes_are_played_again() -> None:
    sound, faulty = run(FREE, workers=4), run(FREE, workers=4, faults=0.25, updates=8000)
    assert faulty.episodes_s / sound.episodes_s == pytest.approx(0.75, rel=0.03)


def test_a_busy_driver_takes_several_groups_with_one_answer() -> None:
    """An answer costs 1 s, a group .1 s. Of ten groups that end together the first goes at once, the others after it:
    1.1 s and 1.9 s for ten, not 11 s."""
    found = run(replaced(driver_report_s=1.0, driver_group_s=0.1), workers=20, places=10, episode_s=0.001)
    assert found.episodes_s == pytest.approx(10 / 3.0, rel=0.01)


# -- the answer --------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    workers=st.integers(1, 12), places=st.integers(1, 24), group=st.integers(1, 8), spread=st.floats(0.0, 1.0),
    ahead=st.floats(1.0, 3.0), staleness=st.integers(0, 3), faults=st.floats(0.0, 0.2),
)  # fmt: skip
def test_nothing_is_faster_than_ideal_or_busier_than_always(**asked: Any) -> None:
    cluster, constants = model.Cluster(**asked), model.Constants()
    once, again = (model.Simulation(cluster, constants, seed=5).run(updates=6, skip=3) for _ in range(2))
    assert once == again
    assert once.episodes_s > 0
    assert all(0 <= share <= 1.000001 for name, share in once.busy.items() if name != "places")


def test_what_saturates_by_its_work_alone_saturates_when_played() -> None:
    constants = replaced(driver_report_s=0.01, driver_group_s=0.01)
    cluster = model.Cluster(**{**PLAIN, "workers": 1, "update_groups": 0, "staleness": 4})
    limits = model.saturation(cluster, constants)
    assert list(limits) == ["driver"]
    assert limits["driver"] == pytest.approx(
        450, rel=0.02
    )  # .9 of the time for groups of .02 s, one every 10 s a worker
    asked = {"update_groups": 0, "staleness": 4, "updates": 20, "skip": 5}
    below, above = (run(constants, workers=n, **asked) for n in (limits["driver"] // 2, 1000))
    assert below.busy["driver"] == pytest.approx(0.45, rel=0.05)
    assert above.busy["driver"] > 0.99


def test_the_script_reads_constants_and_writes_its_answer(tmp_path: Path) -> None:
    constants = {"driver_group_s": 0.02, "exponents": 1.0}
    (tmp_path / "driver.json").write_text(json.dumps({"constants": constants}))
    out = tmp_path / "model.json"
    command = [sys.executable, str(SCRIPT), "--quick", "--constants", str(tmp_path / "driver.json"), "--json", str(out)]
    keys = ("--episode-s", "5", "--weights-bytes", "0", "--learner-update-s", "0")
    done = subprocess.run([*command, *keys], capture_output=True, text=True, check=True, timeout=60)
    written = json.loads(out.read_text())
    assert written["constants"]["driver_group_s"] == 0.02
    assert written["cluster"]["episode_s"] == 5.0
    assert [row["workers"] for row in written["as it is"]["rows"]] == [8, 64]
    first, *_ = written["as it is"]["saturated_at"]
    assert first == "driver"
    assert "were all places taken: the driver at" in done.stdout
