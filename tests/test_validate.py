from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import gymnasium
import pytest
from toy import TASKS_PER_SPLIT, AsyncToyEnv, ToyEnv, ToyTask, ToyTasks

from agentgym.env import Opening, Outcome
from agentgym.faults import ConfigError, EnvironmentFault
from agentgym.signal import RewardSignal
from agentgym.task import Split
from agentgym.validate import Check, Report, _apart, validate


def failed(report: Report) -> set[tuple[str, Check]]:
    return {(f.task_id, f.check) for f in report.failures}


@pytest.mark.parametrize("form", ["tags", "hermes", "json"])
@pytest.mark.parametrize("kind", [ToyEnv, AsyncToyEnv])
def test_a_sound_environment(kind: type[ToyEnv], form: str) -> None:
    # The asynchronous toy's state belongs to a loop, so a snapshot of it goes on in the same environment.
    report = validate(kind(action_format=form))
    assert report.ok, [str(f) for f in report.failures]
    assert report.checked == report.total == {"train": TASKS_PER_SPLIT, "heldout": TASKS_PER_SPLIT}
    assert report.expert_turns == 2.0
    assert report.env == kind.__name__


def test_wrapped_environments_are_unwrapped() -> None:
    assert validate(gymnasium.make("toy/Toy-v0"), limit=1).ok
    with pytest.raises(ConfigError, match="CartPoleEnv is not an AgentEnv"):
        validate(gymnasium.make("CartPole-v1"))


def test_a_sample_is_drawn_under_the_seed() -> None:
    played: list[str] = []

    class Recording(ToyEnv):
        def begin(self, task: ToyTask) -> Opening:
            played.append(task.id)
            return super().begin(task)

    samples = []
    for seed in (1, 1, 2):
        played.clear()
        report = validate(Recording(), splits=("heldout",), limit=3, seed=seed)
        assert (report.checked, report.total) == ({"heldout": 3}, {"heldout": TASKS_PER_SPLIT})
        samples.append(set(played))
    assert samples[0] == samples[1] != samples[2]
    assert len(samples[0]) == 3
    with pytest.raises(ConfigError, match="limit must be at least 1"):
        validate(ToyEnv(), limit=0)


def test_the_report_is_plain_data() -> None:
    class Unsolved(ToyEnv):
        def expert(self, *args: Any) -> str:
            return "no idea"

    report = validate(Unsolved(), splits=("train",), limit=1)
    assert not report.ok
    (failure,) = json.loads(json.dumps(report.to_json()))["failures"]
    assert failure["check"] == "expert"
    assert failure["detail"] == "outcome 0 after 6 turns"
    assert str(report.failures[0]) == f"train task {failure['task_id']!r} fails expert: outcome 0 after 6 turns"
    assert report.expert_turns == 0.0


def test_each_fault_is_found_and_its_task_named() -> None:
    """One environment with a different defect in each of its training tasks."""
    calls = [0]

    class Faulty(ToyEnv):
        def _bad(self, number: int) -> bool:
            return self.task.id == f"train-{number}"

        def begin(self, task: ToyTask) -> Opening:
            if task.id == "train-0":
                raise EnvironmentFault("crash", "no container")
            if task.id == "train-1":
                raise KeyError("a bug")
            return super().begin(task)

        def act(self, turn: Any) -> Outcome:
            calls[0] += 1
            out = super().act(turn)
            if self._bad(2):
                return Outcome(f"{out.observation} {calls[0]}", out.signal, out.state_key, out.terminated)
            if self._bad(3):
                return Outcome(out.observation, out.signal, f"{out.state_key} {calls[0]}", out.terminated)
            if self._bad(4) and turn.actions[0].name == "enter":
                return Outcome("It opens for anyone.", RewardSignal(1.0), "open", terminated=True)
            if self._bad(5):
                return Outcome(out.observation, RewardSignal(out.signal.outcome, {"luck": 1.0}), "", out.terminated)
            return out

        def malformed(self, turn: Any) -> Outcome:
            out = super().malformed(turn)
            return Outcome("Very well.", RewardSignal(1.0), "open", terminated=True) if self._bad(6) else out

    report = validate(Faulty(), splits=("train",), seed=1)
    assert failed(report) == {
        ("train-0", Check.FAULT),
        ("train-1", Check.CRASH),
        ("train-2", Check.REPLAY),
        ("train-3", Check.REPLAY),
        ("train-4", Check.NULL),
        ("train-5", Check.SIGNAL),
        ("train-6", Check.NULL),
    }
    details = {f.task_id: f.detail for f in report.failures}
    assert details["train-0"] == "crash: no container"
    assert details["train-1"] == "KeyError: 'a bug'"
    assert details["train-3"].startswith("after turn 1 the state key was 'looked 1 ")
    assert details["train-4"] == "empty enter, 1 times, reaches outcome 1"
    assert details["train-5"] == "the parts ['luck'] are not declared"
    assert details["train-6"] == "empty text, 1 times, reaches outcome 1"


def test_a_fork_that_forgets_is_found() -> None:
    class Forgetful(ToyEnv):
        def load_fork(self, task: ToyTask, state: list[int]) -> None:
            self.looks = []

        def expert(self, *args: Any) -> str:
            return "<look></look>" if len(self.looks) < 3 else super().expert()

    report = validate(Forgetful(), splits=("train",), limit=2)
    assert {f.check for f in report.failures} == {Check.FORK}
    assert len(report.failures) == 2


def test_a_task_set_that_contradicts_itself() -> None:
    class Odd(ToyTasks):
        def ids(self, split: Split) -> Sequence[str]:
            return ["train-0", "train-0", "train-1"] if split == "train" else ["train-1", "heldout-0"]

        def __getitem__(self, task_id: str) -> ToyTask:
            task = ToyTasks()[task_id if task_id in ToyTasks().ids("train") else "heldout-0"]
            return task.model_copy(update={"id": "other"}) if task_id == "heldout-0" else task

    class OddEnv(ToyEnv):
        def __init__(self) -> None:
            super().__init__(Odd())

    details = {(f.task_id, f.split, f.detail) for f in validate(OddEnv()).failures if f.check is Check.TASK}
    assert details == {
        ("train-0", "train", "its id is listed twice"),
        ("train-1", "train", "its id is listed twice"),
        ("train-1", "heldout", "its id is listed twice"),
        ("train-1", "heldout", "it is 'train-1' of split 'train'"),
        ("heldout-0", "heldout", "it is 'other' of split 'heldout'"),
    }


def test_a_seed_that_draws_another_task_is_found() -> None:
    class Restless(ToyTasks):
        count = 0

        def ids(self, split: Split) -> Sequence[str]:
            self.count += 1
            ids = list(super().ids(split))
            return ids[self.count % 3 :] + ids[: self.count % 3]

    class RestlessEnv(ToyEnv):
        def __init__(self) -> None:
            super().__init__(Restless())

    assert Check.SEED in {f.check for f in validate(RestlessEnv(), limit=2).failures}


def test_an_environment_without_an_expert() -> None:
    class Lost(ToyEnv):
        def expert(self, *args: Any) -> str:
            raise NotImplementedError("Lost ships no expert")

    report = validate(Lost(), splits=("train",), limit=1)
    assert [str(f).partition(" fails ")[2] for f in report.failures] == [
        "crash: NotImplementedError: Lost ships no expert"
    ]


def test_differences_of_long_texts_are_shown_where_they_begin() -> None:
    assert _apart("a" * 100 + "b" * 90, "a" * 100 + "xyz") == (
        "..." + "a" * 20 + "b" * 40,
        "..." + "a" * 20 + "xyz",
    )
    assert _apart("page one", "page two") == ("page one", "page two")
    assert _apart("a" * 40, "a" * 50) == ("..." + "a" * 20, "..." + "a" * 30)
