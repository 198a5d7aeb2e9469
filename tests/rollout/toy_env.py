"""A guessing game: the agent says numbers, the environment says higher or lower. Its variants break in every way that
environments break."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from pydantic import BaseModel

from agentgym.actions import Action, ActionSpec, ParsedTurn
from agentgym.engines.scripted import Prompt
from agentgym.env import AgentEnv, Opening, Outcome
from agentgym.faults import EngineFault, EnvironmentFault
from agentgym.signal import RewardSignal
from agentgym.task import Split, Task, TaskSet


class Guess(BaseModel):
    """Guess the number."""

    number: int


class GuessTask(Task):
    target: int
    size: int


class GuessTasks(TaskSet[GuessTask]):
    def ids(self, split: Split) -> Sequence[str]:
        return [f"{split}-{i}" for i in range(32)]

    def __getitem__(self, task_id: str) -> GuessTask:
        split, _, number = task_id.partition("-")
        if split not in ("train", "heldout") or not number.isdigit() or int(number) >= 32:
            raise self.unknown(task_id)
        i = int(number)
        return GuessTask(id=task_id, split=split, difficulty=1 + i % 3, target=i, size=32)  # type: ignore[arg-type]


class GuessEnv(AgentEnv[GuessTask]):
    """Guess a number below 32. `trouble` names what goes wrong, and `marker` is a file that says it already has."""

    actions = (ActionSpec("guess", Guess, body="number"),)
    signals: ClassVar[Mapping[str, str]] = {"closer": "the interval of what is possible became smaller"}
    blocking = False
    forkable = True

    def __init__(
        self, trouble: str = "", marker: str = "", task: str = "", capacity: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(GuessTasks(), **{"max_turns": 8, **kwargs})
        self.trouble, self.marker, self.trouble_task = trouble, marker, task
        self.closed = False
        self.capacity = capacity

    def begin(self, task: GuessTask) -> Opening:
        self.low, self.high = 0, task.size
        return Opening(f"guess a number below {task.size}", self._key())

    def _key(self) -> str:
        return f"{self.low}-{self.high}"

    def act(self, turn: ParsedTurn) -> Outcome:
        self._suffer()
        number = turn.actions[0].args["number"]
        target = self.task.target
        if number == target:
            return Outcome("right", RewardSignal(1.0), self._key(), terminated=True)
        before = self.high - self.low
        if number < target:
            self.low = max(self.low, number + 1)
            said = "higher"
        else:
            self.high = min(self.high, number)
            said = "lower"
        return Outcome(said, RewardSignal(None, {"closer": float(self.high - self.low < before)}), self._key())

    def _suffer(self) -> None:
        if not self.trouble or (self.trouble_task and self.task.id != self.trouble_task) or not self._first_time():
            return
        if self.trouble == "raise":
            raise ValueError("the toy broke")
        if self.trouble == "exit":
            raise SystemExit(3)
        if self.trouble == "fault":
            raise EnvironmentFault("crash", "the container died")
        if self.trouble == "sleep":
            time.sleep(30)
        if self.trouble == "slow":
            time.sleep(0.05)
        if self.trouble == "kill":
            os.kill(os.getpid(), signal.SIGKILL)

    def _first_time(self) -> bool:
        if not self.marker:
            return True
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def fork_state(self) -> tuple[int, int]:
        return self.low, self.high

    def load_fork(self, task: GuessTask, state: tuple[int, int]) -> None:
        self.low, self.high = state

    def expert(self, mistakes: Mapping[str, float] | None = None, rng: np.random.Generator | None = None) -> str:
        number = (self.low + self.high) // 2
        if mistakes and rng is not None and rng.random() < mistakes.get("off_by_one", 0.0):
            number = min(number + 1, self.high - 1)
        return self.parser.render([Action("guess", {"number": number})])

    def close(self) -> None:
        self.closed = True


class BlockingGuessEnv(GuessEnv):
    """Must be called from one thread all its life."""

    blocking = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.thread = threading.get_ident()

    def begin(self, task: GuessTask) -> Opening:
        assert threading.get_ident() == self.thread
        assert threading.current_thread() is not threading.main_thread()
        return super().begin(task)

    def act(self, turn: ParsedTurn) -> Outcome:
        assert threading.get_ident() == self.thread
        return super().act(turn)


class RigidGuessEnv(GuessEnv):
    """Cannot be forked."""

    forkable = False
    fork_state = AgentEnv.fork_state  # type: ignore[assignment]


class AsyncGuessEnv(GuessEnv):
    """Natively asynchronous."""

    blocking = True

    async def act_async(self, turn: ParsedTurn) -> Outcome:
        await asyncio.sleep(30 if self.trouble == "sleep" and self._first_time() else 0.001)
        return GuessEnv.act(self, turn)


for name, entry in {
    "Guess": GuessEnv,
    "BlockingGuess": BlockingGuessEnv,
    "AsyncGuess": AsyncGuessEnv,
    "RigidGuess": RigidGuessEnv,
}.items():
    if f"{name}-v0" not in gymnasium.registry:
        gymnasium.register(id=f"{name}-v0", entry_point=entry)


def lots(prompt: Prompt) -> str:
    """A policy that draws its guesses: a function of the turn's seed alone."""
    return f"<guess> {np.random.default_rng(prompt.sampling.seed).integers(32)} </guess>"


def closer(signal: RewardSignal) -> dict[str, float]:
    """A scorer that workers can import."""
    return {"twice_closer": 2.0 * signal.process.get("closer", 0.0)}


def failing_on_one_task(prompt: Prompt) -> str:
    """An engine that fails whenever it is asked about one task."""
    if prompt.env is not None and prompt.env.task.id == "train-3":
        raise EngineFault("out of memory")
    return lots(prompt)


def __getattr__(name: str) -> Any:
    if name == "deadly":  # a policy that cannot even be imported
        os.kill(os.getpid(), signal.SIGKILL)
    raise AttributeError(name)
