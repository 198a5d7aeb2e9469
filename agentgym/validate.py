"""Proves an environment fit for training, task by task: its expert solves every task, and doing nothing solves none.

A task that no expert solves teaches nothing, one that empty answers solve teaches the wrong thing, and an environment
that answers differently under the same seed breaks replay, group comparison and anchor states. Each check has a name;
each failure names the task.
"""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import gymnasium
import numpy as np
from pydantic import ValidationError

from agentgym.actions import Action
from agentgym.env import FORMAT, AgentEnv
from agentgym.faults import ConfigError, EnvironmentFault
from agentgym.signal import RewardSignal
from agentgym.task import SPLITS, Split

# Of two texts that differ, how much is shown, and how much of it is from before they part.
_SHOWN_CHARS, _BEFORE_CHARS = 60, 20


class Check(StrEnum):
    """What can be wrong with a task."""

    TASK = "task"  #: The task set contradicts itself: an id twice, a task under another's id or split.
    EXPERT = "expert"  #: The expert does not solve the task within the turn budget.
    NULL = "null"  #: A policy that says nothing of substance solves the task.
    SEED = "seed"  #: The same seed gives another task.
    REPLAY = "replay"  #: The same texts under the same seed give other observations, rewards or state keys.
    FORK = "fork"  #: A restored snapshot goes on differently.
    SIGNAL = "signal"  #: A process part is not declared in `AgentEnv.signals`.
    FAULT = "fault"  #: The world broke.
    CRASH = "crash"  #: The environment raised something it never should.


@dataclass(frozen=True, slots=True)
class Failure:
    """One task that fails one check."""

    task_id: str
    split: str
    check: Check
    detail: str

    def __str__(self) -> str:
        return f"{self.split} task {self.task_id!r} fails {self.check}: {self.detail}"


@dataclass(slots=True)
class Report:
    """What `validate` found.

    Attributes:
        env: Class name of the environment.
        checked: Number of tasks checked, by split.
        total: Number of tasks there are, by split.
        failures: Everything found wrong, in task order.
        expert_turns: Mean number of turns the expert took on the tasks it solved; 0 when it solved none.
        wall_s: Seconds it took.
    """

    env: str
    checked: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    expert_turns: float = 0.0
    wall_s: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.failures

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "env": self.env,
            "ok": self.ok,
            "checked": self.checked,
            "total": self.total,
            "expert_turns": self.expert_turns,
            "wall_s": self.wall_s,
            "failures": [
                {"task_id": f.task_id, "split": f.split, "check": str(f.check), "detail": f.detail}
                for f in self.failures
            ],
        }


def validate(
    env: gymnasium.Env[Any, Any],
    splits: Sequence[Split] = SPLITS,
    limit: int | None = None,
    seed: int = 0,
    solved_at: float = 1.0,
) -> Report:
    """Checks every task of an environment, or a sample of them.

    Args:
        env: An `AgentEnv`, wrapped or not; afterwards it needs a reset.
        splits: Which splits to check.
        limit: At most so many tasks a split, drawn under `seed`; None: all.
        seed: Of the sample and of the episodes.
        solved_at: The outcome from which a task counts as solved.

    Raises:
        ConfigError: Not an `AgentEnv`, or a limit below 1.
    """
    base = env.unwrapped
    if not isinstance(base, AgentEnv):
        raise ConfigError(f"{type(base).__name__} is not an AgentEnv")
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}")
    started = time.perf_counter()
    report = Report(type(base).__name__)
    ids = {split: list(base.taskset.ids(split)) for split in splits}
    times = Counter(task_id for listed in ids.values() for task_id in listed)
    solved_in: list[int] = []
    for split, listed in ids.items():
        chosen = _sample(listed, limit, seed)
        report.total[split], report.checked[split] = len(listed), len(chosen)
        twice = [i for i in dict.fromkeys(listed) if times[i] > 1]
        report.failures += [Failure(i, split, Check.TASK, "its id is listed twice") for i in twice]
        for task_id in chosen:
            checker = _TaskChecker(base, task_id, split, seed, solved_at)
            draw = split == base.split and task_id == chosen[0]  # a property of the environment: once is enough
            report.failures += [Failure(task_id, split, check, detail) for check, detail in checker.failures(draw)]
            solved_in += checker.solved_in
    report.expert_turns = float(np.mean(solved_in)) if solved_in else 0.0
    report.wall_s = time.perf_counter() - started
    return report


def _sample(ids: Sequence[str], limit: int | None, seed: int) -> list[str]:
    unique = list(dict.fromkeys(ids))
    if limit is None or limit >= len(unique):
        return unique
    return [unique[i] for i in sorted(np.random.default_rng(seed).choice(len(unique), size=limit, replace=False))]


@dataclass(slots=True)
class _Course:
    """An episode as played: what the agent wrote, and what came back (the opening first)."""

    texts: list[str] = field(default_factory=list)
    seen: list[tuple[Any, ...]] = field(default_factory=list)
    signals: list[RewardSignal] = field(default_factory=list)

    @property
    def outcome(self) -> float:
        return next((s.outcome for s in reversed(self.signals) if s.outcome is not None), 0.0)

    def difference(self, other: _Course, since: int = 0) -> str | None:
        """Where another course of the same texts departs from this one, if it does."""
        names = ("observation", "reward", "terminated", "truncated", "state key", "task")
        for turn, (a, b) in enumerate(zip(self.seen[since:], other.seen[since:], strict=False), start=since):
            for name, x, y in zip(names, a, b, strict=True):
                if x != y:
                    where = f"after turn {turn}" if turn else "at reset"
                    first, second = _apart(str(x), str(y))
                    return f"{where} the {name} was {first!r}, then {second!r}"
        return None


def _apart(first: str, second: str) -> tuple[str, str]:
    """Two texts from a little before the place where they part."""
    pairs = enumerate(zip(first, second, strict=False))
    same = next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))
    start = max(0, same - _BEFORE_CHARS) if same > _SHOWN_CHARS // 2 else 0
    cut = "..." if start else ""
    return cut + first[start:][:_SHOWN_CHARS], cut + second[start:][:_SHOWN_CHARS]


class _TaskChecker:
    def __init__(self, env: AgentEnv[Any], task_id: str, split: Split, seed: int, solved_at: float) -> None:
        self.env, self.task_id, self.split, self.seed, self.solved_at = env, task_id, split, seed, solved_at
        self.solved_in: list[int] = []
        self.parts: set[str] = set()

    def failures(self, draw: bool) -> Iterator[tuple[Check, str]]:
        """Runs all checks, `_drawn` only if `draw`; a broken world or a crash ends them."""
        try:
            yield from self._task()
            if draw:
                yield from self._drawn()
            yield from self._expert()
            yield from self._null()
        except EnvironmentFault as fault:
            yield Check.FAULT, str(fault)
        except Exception as error:
            yield Check.CRASH, f"{type(error).__name__}: {error}"
        if unknown := sorted(self.parts - {*self.env.signals, FORMAT}):
            yield Check.SIGNAL, f"the parts {unknown} are not declared"

    def _task(self) -> Iterator[tuple[Check, str]]:
        task = self.env.taskset[self.task_id]
        if (task.id, task.split) != (self.task_id, self.split):
            yield Check.TASK, f"it is {task.id!r} of split {task.split!r}"

    def _drawn(self) -> Iterator[tuple[Check, str]]:
        first, second = (self.env.reset(seed=self.seed)[1]["task_id"] for _ in range(2))
        if first != second:
            yield Check.SEED, f"seed {self.seed} draws task {first!r}, then {second!r}"

    def _expert(self) -> Iterator[tuple[Check, str]]:
        course = self._play(lambda _: self.env.expert())
        if course.outcome >= self.solved_at:
            self.solved_in.append(len(course.texts))
        else:
            yield Check.EXPERT, f"outcome {course.outcome:g} after {len(course.texts)} turns"
        again = self._play(lambda turn: course.texts[turn], turns=len(course.texts))
        if difference := course.difference(again):
            yield Check.REPLAY, difference
        elif self.env.forkable:
            half = len(course.texts) // 2
            self._play(lambda turn: course.texts[turn], turns=half)
            snapshot = pickle.dumps(self.env.snapshot())
            for _ in range(2):  # a snapshot must survive being restored
                self.env.restore(pickle.loads(snapshot))  # noqa: S301 - made on the line above
                rest = _Course(seen=course.seen[: half + 1])
                self._go_on(rest, lambda turn: course.texts[half + turn], len(course.texts) - half)
                if difference := course.difference(rest):
                    yield Check.FORK, difference
                    break

    def _null(self) -> Iterator[tuple[Check, str]]:
        for name, text in self._nothings():
            course = self._play(lambda _, text=text: text)  # type: ignore[misc]
            if course.outcome >= self.solved_at:
                yield Check.NULL, f"{name}, {len(course.texts)} times, reaches outcome {course.outcome:g}"

    def _nothings(self) -> Iterator[tuple[str, str]]:
        """The policies of no substance: empty text, and each action with empty arguments."""
        yield "empty text", ""
        for spec in self.env.task_actions(self.env.task):
            fields = spec.arguments.model_fields
            empty = {name: "" for name, info in fields.items() if info.is_required()}
            try:
                args = spec.arguments.model_validate(empty).model_dump(mode="json")
                yield f"empty {spec.name}", self.env.parser.render([Action(spec.name, args)])
            except (ValidationError, ConfigError):
                continue  # arguments that cannot be empty need no guard

    def _play(self, write: Callable[[int], str], turns: int | None = None) -> _Course:
        observation, info = self.env.reset(seed=self.seed, options={"task": self.task_id})
        course = _Course(seen=[(observation, 0.0, False, False, info["state_key"], info["task_id"])])
        self._go_on(course, write, turns)
        return course

    def _go_on(self, course: _Course, write: Callable[[int], str], turns: int | None) -> None:
        over = False
        while not over and (turns is None or len(course.texts) < turns):
            text = write(len(course.texts))
            observation, reward, terminated, truncated, info = self.env.step(text)
            course.texts.append(text)
            course.signals.append(info["signal"])
            self.parts |= info["signal"].process.keys()
            course.seen.append((observation, reward, terminated, truncated, info["state_key"], info["task_id"]))
            over = terminated or truncated
