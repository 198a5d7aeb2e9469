"""Asynchronous collecting: the capacity rule on any course of events, and whole runs on a real local Ray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from making import trajectory
from pydantic import ValidationError
from small_run import SMALL_RUN

from agentgym.faults import ConfigError
from agentgym.rollout.request import GroupRequest
from agentgym.store import read_groups
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.loop import train
from agentgym.trainers.replay import replay
from agentgym.trainers.rundir import choose_directory, read_metrics
from agentgym.trainers.streaming import Streaming
from agentgym.trajectory import Group


class Course:
    """A stream whose groups finish in an order that a test draws; it keeps the weights each began under."""

    def __init__(self, data: st.DataObject) -> None:
        self.data, self.version = data, 0
        self.flying: dict[str, tuple[GroupRequest, int]] = {}
        self.most = 0

    def submit(self, requests: Sequence[GroupRequest]) -> None:
        for request in requests:
            assert request.id not in self.flying
            self.flying[request.id] = (request, self.version)
        self.most = max(self.most, len(self.flying))

    def take(self, timeout_s: float) -> Group:
        name = self.data.draw(st.sampled_from(sorted(self.flying)))
        _, version = self.flying.pop(name)
        made = trajectory(1, 0, name)
        made.turns[0].version = version
        if self.data.draw(st.integers(0, 9)) == 0:
            made.fault = "container: gone"
        return Group(name, made.task_id, [made])

    def waiting(self) -> int:
        return 0


def request(name: str, task: str = "t", seeds: tuple[int, ...] = (1,)) -> GroupRequest:
    return GroupRequest(name, task, seeds)


def streaming(course: Any, n: int, k: int, stale: Any = "drop", book: dict[str, Any] | None = None) -> Streaming:
    def draw(number: int, count: int) -> list[GroupRequest]:
        return [request(f"{number}.{i}") for i in range(count)]

    return Streaming(course, n, k, stale, draw, book or {}, request)


def faulty(group: Group) -> str | None:
    return "fault" if group.trajectories[0].fault else None


@given(
    data=st.data(),
    n=st.integers(1, 4),
    k=st.integers(1, 3),
    updates=st.integers(1, 6),
    stale=st.sampled_from(["drop", "correct"]),
)
def test_nothing_too_old_is_learned_from_and_nothing_twice(
    data: st.DataObject, n: int, k: int, updates: int, stale: str
) -> None:
    course = Course(data)
    streamed = streaming(course, n, k, stale)
    streamed.fill(updates)
    learned: list[str] = []
    old = 0
    for update in range(updates):
        groups = streamed.take(update, faulty, lambda: None)
        ages = [update - g.trajectories[0].version for g in groups]
        assert ages == streamed.ages
        old += sum(age > k for age in ages)
        assert stale == "correct" or max(ages, default=0) <= k
        if data.draw(st.booleans()):  # killed before it learned: what was taken is played again
            course.flying.clear()
            streamed = streaming(course, n, k, stale, json.loads(json.dumps(asdict(streamed.book))))
            assert set(course.flying) >= {g.id for g in groups}
            groups = streamed.take(update, faulty, lambda: None)
            old += sum(age > k for age in streamed.ages)
        learned += [g.id for g in groups]
        streamed.learned()
        course.version = update + 1
        streamed.fill(updates - course.version)
        assert len(streamed.book.outstanding) == len(course.flying) <= (k + 1) * n
    assert max(Counter(learned).values(), default=1) == 1
    assert course.most <= (k + 1) * n
    assert streamed.book.corrected == (old if stale == "correct" else 0)
    assert set(streamed.book.dropped) <= ({"fault", "stale"} if stale == "drop" else {"fault"})


def test_in_the_order_of_finishing_nothing_gets_too_old() -> None:
    class InOrder(Course):
        def __init__(self) -> None:
            self.version, self.flying, self.most = 0, {}, 0

        def take(self, timeout_s: float) -> Group:
            name = next(iter(self.flying))
            made = trajectory(1, 0, name)
            made.turns[0].version = self.flying.pop(name)[1]
            return Group(name, made.task_id, [made])

    course = InOrder()
    streamed = streaming(course, 3, 2)
    streamed.fill(10)
    for update in range(10):
        groups = streamed.take(update, lambda group: None, lambda: None)
        assert streamed.ages == [min(update, 2)] * 3
        assert len(groups) == 3
        streamed.learned()
        course.version = update + 1
        streamed.fill(9 - update)
    assert not course.flying
    assert not streamed.book.dropped


# -- whole runs --------------------------------------------------------------------------------------------------------

BASE: dict[str, Any] = SMALL_RUN | {
    "name": "streamed",
    "rollout": {"workers": 1, "max_staleness": 1},
    "updates": 6,
    "eval": {"every": 3, "tasks": 3, "final_tasks": 4},
}


def config(tmp_path: Path, **changes: Any) -> TrainConfig:
    return TrainConfig.model_validate({**BASE, "runs": str(tmp_path), **changes})


def learned_from(run: Path, updates: int) -> list[list[str]]:
    return [[g.id for g in read_groups(run / "episodes" / f"train-{u:06d}.parquet")] for u in range(1, updates + 1)]


def test_a_streamed_run(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    report = train(cfg, choose_directory(cfg))
    assert report["updates"] == 6
    rows = [row for row in read_metrics(tmp_path / "streamed") if row["phase"] == "train"]
    assert [row["update"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(row["staleness_max"] <= 1 for row in rows)
    assert max(row["staleness_max"] for row in rows) == 1, "no episode was played while the learner learned"
    ids = learned_from(tmp_path / "streamed", 6)
    assert [len(update) for update in ids] == [3] * 6
    assert len({name for update in ids for name in update}) == 18
    assert [e["update"] for e in report["evaluations"]] == [0, 3, 6]


def test_its_updates_can_be_computed_again(tmp_path: Path) -> None:
    cfg = config(tmp_path, checkpoint={"keep": 20})
    train(cfg, choose_directory(cfg))
    run = tmp_path / "streamed"
    seen: list[tuple[int, int]] = []
    found = replay(run, lambda update, groups: seen.append((update, groups)))
    assert (found.first, found.last, found.groups, found.difference) == (0, 6, 18, 0.0)
    assert seen == [(update, 3) for update in range(1, 7)]
    # In another order the same episodes give other weights: the comparison can fail.
    second, third = (run / "episodes" / f"train-{u:06d}.parquet" for u in (2, 3))
    second.rename(run / "x"), third.rename(second), (run / "x").rename(third)
    other = replay(run)
    assert other.difference > 1e-5
    assert other.weight


def test_a_replay_needs_two_checkpoints_and_the_episodes(tmp_path: Path) -> None:
    cfg = config(tmp_path, updates=1, checkpoint={"keep": 1}, eval={"every": 0, "tasks": 1, "final_tasks": 1})
    train(cfg, choose_directory(cfg))
    with pytest.raises(ConfigError, match="checkpoints of two updates"):
        replay(tmp_path / "streamed")
    with pytest.raises(ConfigError, match="not the folder of a run"):
        replay(tmp_path)


@pytest.mark.timeout(240)
def test_a_streamed_run_that_is_killed_learns_from_nothing_twice(tmp_path: Path) -> None:
    cfg = config(tmp_path, updates=8)
    file = tmp_path / "streamed.yaml"
    file.write_text(yaml.safe_dump(cfg.model_dump(mode="json")))
    run = tmp_path / "streamed"
    process = subprocess.Popen(
        [sys.executable, "-m", "agentgym", "train", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        if any(row["phase"] == "train" and row["update"] >= 3 for row in read_metrics(run)):
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    assert process.wait() == -signal.SIGKILL
    train(cfg, choose_directory(cfg))
    ids = learned_from(run, 8)
    assert len({name for update in ids for name in update}) == 24
    assert [row["update"] for row in read_metrics(run) if row["phase"] == "train"] == list(range(1, 9))


def test_what_cannot_be_streamed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="needs workers: 1 or more"):
        config(tmp_path, rollout={"workers": 0, "max_staleness": 1})
    with pytest.raises(ValidationError, match=r"set learner.old_logprobs: recompute"):
        config(tmp_path, rollout={"workers": 1, "max_staleness": 1, "stale": "correct"})
