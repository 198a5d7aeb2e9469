"""The task sampler: what it draws, what it learns, and that it can be put back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from agentgym.faults import ConfigError
from agentgym.task import Split, Task, TaskSet
from agentgym.trainers.sampler import SamplerConfig, TaskSampler


class Numbers(TaskSet[Task]):
    """Tasks ``d/i`` of difficulty d."""

    def __init__(self, difficulties: Sequence[int] = (1, 2, 3), each: int = 20) -> None:
        self.names = [f"{d}/{i}" for d in difficulties for i in range(each)]

    def ids(self, split: Split) -> Sequence[str]:
        return self.names if split == "train" else []

    def __getitem__(self, task_id: str) -> Task:
        return Task(id=task_id, split="train", difficulty=int(task_id.split("/")[0]))


def difficulties(drawn: Sequence[str]) -> Counter[int]:
    return Counter(int(t.split("/")[0]) for t in drawn)


def test_the_same_seed_and_update_draw_the_same_tasks() -> None:
    first, second = (TaskSampler(Numbers(), SamplerConfig(), seed=3) for _ in range(2))
    assert first.draw(5, 16) == second.draw(5, 16)
    assert first.draw(5, 16) != first.draw(6, 16)
    assert first.draw(5, 16) != first.draw(5, 16, attempt=1)
    assert first.draw(5, 16) != TaskSampler(Numbers(), SamplerConfig(), seed=4).draw(5, 16)


def test_uniform_follows_the_mix_and_ignores_outcomes() -> None:
    sampler = TaskSampler(Numbers(), SamplerConfig(name="uniform", mix={1: 1, 3: 3}), seed=0)
    before = sampler.draw(0, 4000)
    counts = difficulties(before)
    assert counts[2] == 0
    assert counts[3] / counts[1] == pytest.approx(3, rel=0.15)
    sampler.learn([("1/0", 1, 1.0)] * 50)
    assert sampler.draw(0, 4000) == before


def test_curriculum_prefers_mixed_difficulties_and_tasks() -> None:
    sampler = TaskSampler(Numbers(), SamplerConfig(floor=0.1), seed=0)
    played = [(f"1/{i}", 1, 1.0) for i in range(20)] * 8  # all solved
    played += [(f"3/{i}", 3, 0.0) for i in range(20)] * 8  # none solved
    played += [(f"2/{i}", 2, float(i < 10)) for i in range(20)] * 8  # by task: always or never
    played += [("2/19", 2, 1.0)] * 8  # this one half of the time
    sampler.learn(played)
    drawn = sampler.draw(1, 3000)
    counts = difficulties(drawn)
    assert counts[2] > 4 * counts[1]
    assert counts[2] > 4 * counts[3]
    assert counts[1] > 0
    assert counts[3] > 0
    of_two = Counter(t for t in drawn if t.startswith("2/"))
    assert of_two.most_common(1)[0][0] == "2/19"


def test_state_survives_a_round_trip() -> None:
    sampler = TaskSampler(Numbers(), SamplerConfig(), seed=1)
    sampler.learn([("2/3", 2, 1.0), ("1/1", 1, 0.0)])
    other = TaskSampler(Numbers(), SamplerConfig(), seed=1)
    other.load(sampler.state())
    assert other.draw(9, 64) == sampler.draw(9, 64)


@pytest.mark.parametrize(
    ("mix", "message"),
    [({4: 1.0}, "no training task of difficulty 4"), ({1: -1.0}, "negative"), ({1: 0.0}, "all weights are 0")],
)
def test_a_mix_that_cannot_be_used_is_refused(mix: dict[int, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TaskSampler(Numbers(), SamplerConfig(mix=mix), seed=0)


def test_difficulties_come_into_play_one_after_the_other() -> None:
    sampler = TaskSampler(Numbers(), SamplerConfig(grow=30, mix={1: 1.0, 2: 0.0, 3: 1.0}), seed=0)
    assert set(difficulties(sampler.draw(0, 64))) == {1}
    assert set(difficulties(sampler.draw(14, 64))) == {1}
    assert set(difficulties(sampler.draw(15, 64))) == {1, 3}
    assert set(difficulties(sampler.draw(1_000, 64))) == {1, 3}
    assert set(difficulties(TaskSampler(Numbers(), SamplerConfig(grow=3), seed=0).draw(1, 64))) == {1, 2}
