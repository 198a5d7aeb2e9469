"""What is known of workers without asking them: exact in one process, and on a real Ray as of the last report."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rollout import EngineSpec, EnvSpec, GroupRequest, Limits, RolloutPool
from agentgym.rollout.fleet import Fleet
from agentgym.rollout.session import RaySession
from agentgym.rollout.vitals import Activity, Hand, LastKnown, Vitals

STORE_BYTES = 80 * 1024**2


def counters(episodes: float = 2, generated: float = 50, busy_s: float = 1.5) -> dict[str, float]:
    return {"episodes": episodes, "engine.generated": generated, "engine.busy_s": busy_s, "engine.forwards": 7}


def requests(n: int = 12, samples: int = 4) -> list[GroupRequest]:
    return [GroupRequest(f"g{i}", f"train-{i}", tuple(range(10 * i, 10 * i + samples))) for i in range(n)]


def open_pool(tokenizer: Any, workers: int, env: str = "AsyncGuess") -> RolloutPool:
    engine = EngineSpec("scripted", {"policy": "toy_env:lots"})
    spec = EnvSpec(f"toy_env:{env}-v0")
    return RolloutPool(spec, engine, tokenizer, workers, limits=Limits(concurrency=8), object_store_memory=STORE_BYTES)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3), st.floats(0, 5)), max_size=40))
def test_activity_is_the_time_with_anything_going_on(steps: list[tuple[bool, int, float]]) -> None:
    now = 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agentgym.rollout.vitals.time.perf_counter", lambda: now)
        activity, count, active = Activity(), 0, 0.0
        for begins, size, wait in steps:
            if begins:
                activity.begin(size)
                count += size
            elif count >= size:
                activity.end(size)
                count -= size
            now += wait
            active += wait if count else 0.0
            running, playing_s, up_s = activity.look()
            assert running == count
            assert playing_s == pytest.approx(active)
            assert up_s == pytest.approx(now)


def test_a_worker_that_was_lost_leaves_what_it_did() -> None:
    known = LastKnown()
    hands = {0: Hand(2, 8), 1: Hand(0, 0)}
    assert known.snapshot(hands) == {
        "workers": {"0": {"groups": 2, "in_flight": 8}, "1": {"groups": 0, "in_flight": 0}},
        "groups": {"in_flight": 2},
        "episodes": {"in_flight": 8},
        "engine": {},
    }
    known.heard(0, Vitals(counters(), playing=5, playing_s=3.0, up_s=4.0))
    known.heard(1, Vitals(counters(busy_s=0.0), playing=1, playing_s=1.0, up_s=4.0))
    facts = known.snapshot(hands)
    assert facts["episodes"] == {"in_flight": 5}
    assert facts["tokens"] == {"rollout": 100}
    assert facts["engine"] == {"generated": 100, "busy_s": 1.5, "forwards": 14}
    assert facts["workers"]["0"]["seconds"] == {"up": 4.0, "playing": 3.0, "generating": 1.5}
    assert set(facts["workers"]["1"]["seconds"]) == {"up", "playing"}  # its engine does not say when it is busy
    assert facts["workers"]["1"]["in_flight"] == 0  # that report is older than its empty hands
    known.lost(0)
    known.lost(0)
    facts = known.snapshot(hands)
    assert facts["tokens"] == {"rollout": 100}
    assert facts["workers"]["0"] == {"groups": 2, "in_flight": 8}


def test_a_worker_grows_older_without_a_report_and_never_younger(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("agentgym.rollout.vitals.time.monotonic", lambda: now)
    known = LastKnown()

    def seen() -> dict[str, float]:
        seconds: dict[str, float] = known.snapshot({0: Hand(1, 4)})["workers"]["0"]["seconds"]
        return seconds

    known.heard(0, Vitals(counters(), playing=0, playing_s=3.0, up_s=4.0))
    now = 102.0
    assert (seen()["up"], seen()["playing"]) == (6.0, 3.0)
    known.heard(0, Vitals(counters(), playing=0, playing_s=4.0, up_s=5.5))  # half a second on its way
    assert (seen()["up"], seen()["playing"]) == (6.0, 4.0)
    now = 103.0
    known.heard(0, Vitals(counters(), playing=0, playing_s=4.0, up_s=7.5))
    assert seen()["up"] == 7.5


def test_in_this_process(tokenizer: Any) -> None:
    with open_pool(tokenizer, 0) as pool:
        assert pool.snapshot()["episodes"] == {"in_flight": 0}
        seen = []
        for _ in pool.collect(requests()):
            seen.append(pool.snapshot())
        assert all(0 <= facts["episodes"]["in_flight"] <= 8 for facts in seen)
        assert seen[0]["episodes"]["in_flight"] > 0
        after = pool.snapshot()
    assert after["episodes"] == {"in_flight": 0}
    assert after["groups"] == {}  # not known, rather than none
    worker = after["workers"]["0"]
    assert worker["episodes"] == 48
    assert 0 < worker["seconds"]["playing"] <= worker["seconds"]["up"]
    assert worker["tokens"] == after["tokens"]["rollout"] > 0


@pytest.fixture(scope="module")
def two(tokenizer_folder: str, importable_toys: None) -> Iterator[RolloutPool]:
    """Two real workers."""
    RaySession.enter(None, STORE_BYTES)
    with open_pool(tokenizer_folder, 2) as pool:
        yield pool
    RaySession.leave()


def test_on_workers_while_they_play(two: RolloutPool) -> None:
    """Another thread looks all the time; nothing it sees is impossible, and it never waits."""
    over = threading.Event()
    seen: list[tuple[float, dict[str, Any]]] = []

    def look() -> None:
        while not over.is_set():
            began = time.perf_counter()
            facts = two.snapshot()
            seen.append((time.perf_counter() - began, facts))
            time.sleep(0.002)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for ordered in (False, True):
            assert len(list(two.collect(requests(), ordered=ordered))) == 12
    finally:
        over.set()
        thread.join()
    assert sorted(seconds for seconds, _ in seen)[len(seen) // 2] < 0.01
    assert max(facts["groups"]["in_flight"] for _, facts in seen) > 0
    assert max(facts["groups"]["waiting"] for _, facts in seen) > 0
    assert all(facts["episodes"]["in_flight"] <= 16 for _, facts in seen)
    last = two.snapshot()
    assert (last["groups"], last["episodes"]) == ({"in_flight": 0, "waiting": 0}, {"in_flight": 0})
    assert set(last["workers"]) == {"0", "1"}
    assert sum(worker["episodes"] for worker in last["workers"].values()) == 96
    for worker in last["workers"].values():
        assert 0 < worker["seconds"]["playing"] <= worker["seconds"]["up"]
    for name in ("up", "playing"):
        for number in ("0", "1"):
            course = [f["workers"][number]["seconds"][name] for _, f in seen if "seconds" in f["workers"][number]]
            assert course == sorted(course)


def test_a_worker_that_dies_is_a_fault_at_once_and_its_tokens_stay(two: RolloutPool) -> None:
    import ray

    backend = two._backend
    assert isinstance(backend, Fleet)
    two.drain_events()
    before = two.snapshot()["tokens"]["rollout"]
    victim = ray.get(backend._members[0].actor.ping.remote())
    os.kill(victim, signal.SIGKILL)
    assert len(list(two.collect(requests()))) == 12
    facts = two.snapshot()
    assert facts["faults"] == {"worker": 1}  # not drained yet
    assert facts["tokens"]["rollout"] > before
    assert len(two.drain_events()) == 1
    assert two.snapshot()["faults"] == {}
