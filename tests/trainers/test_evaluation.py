"""Evaluation: intervals, which tasks are played, how episodes are counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.engines.base import Sampling
from agentgym.faults import ConfigError
from agentgym.rollout.request import GroupRequest
from agentgym.signal import RewardSignal
from agentgym.statistics import wilson
from agentgym.task import Split, Task, TaskSet
from agentgym.trainers.evaluation import EvalConfig, Evaluation, evaluate, heldout_tasks
from agentgym.trajectory import Group, Trajectory, Turn


class Heldout(TaskSet[Task]):
    def ids(self, split: Split) -> Sequence[str]:
        return [f"{d}/{i}" for i in range(5) for d in (2, 1)] if split == "heldout" else []

    def __getitem__(self, task_id: str) -> Task:
        return Task(id=task_id, split="heldout", difficulty=int(task_id.split("/")[0]))


def episode(request: GroupRequest, outcome: float, fault: str | None = None) -> Group:
    trajectory = Trajectory(
        episode_id=f"{request.id}/0",
        group_id=request.id,
        env="toy",
        task_id=request.task_id,
        split="heldout",
        difficulty=int(request.task_id.split("/")[0]),
        seed=request.seeds[0],
        tokens=np.zeros(0, np.int32),
        logprobs=np.zeros(0, np.float32),
        turn=np.zeros(0, np.int16),
        starts=np.zeros(1, np.int32),
        turns=[] if fault else [Turn(RewardSignal(outcome=outcome))],
        fault=fault,
    )
    return Group(request.id, request.task_id, [trajectory])


def test_wilson_agrees_with_published_values() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@given(n=st.integers(1, 500), data=st.data())
def test_wilson_holds_the_rate_and_is_symmetric(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    low, high = wilson(k, n)
    assert 0 <= low <= k / n + 1e-12
    assert k / n - 1e-12 <= high <= 1
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low))


def test_heldout_tasks_are_the_first_of_each_difficulty() -> None:
    assert heldout_tasks(Heldout(), 2) == {1: ["1/0", "1/1"], 2: ["2/0", "2/1"]}


def test_a_task_set_without_heldout_tasks_is_refused() -> None:
    class Empty(Heldout):
        def ids(self, split: Split) -> Sequence[str]:
            return []

    with pytest.raises(ConfigError, match="no held-out tasks"):
        heldout_tasks(Empty(), 3)


def test_scores_count_by_mode_and_difficulty_and_leave_faults_out() -> None:
    asked: list[GroupRequest] = []

    def collect(requests: Sequence[GroupRequest]) -> Iterator[Group]:
        asked.extend(requests)
        for request in reversed(requests):  # the order of arrival must not matter
            greedy, hard = request.sampling.temperature == 0, request.task_id.startswith("2/")
            if hard and request.task_id.endswith("/0"):
                yield episode(request, 0.0, fault="crash")
            else:
                yield episode(request, 1.0 if greedy or not hard else 0.5)

    config = EvalConfig(tasks=3)
    evaluation, groups = evaluate(
        collect, heldout_tasks(Heldout(), 3), Sampling(temperature=0.7), config, update=4, episodes=99, seed=1
    )
    assert len(groups) == len(asked) == 12
    assert len({r.id for r in asked}) == 12
    assert {r.sampling.temperature for r in asked} == {0.0, 0.7}
    hard = evaluation.of(2)
    assert (hard.n, hard.successes, hard.faults, hard.rate) == (2, 2, 1, 1.0)
    sampled = evaluation.of(2, "sampled")
    assert (sampled.n, sampled.successes, sampled.outcome) == (2, 0, 0.5)
    assert evaluation.of(1, "sampled").rate == 1.0
    assert Evaluation.from_json(evaluation.to_json()).of(2) == hard
