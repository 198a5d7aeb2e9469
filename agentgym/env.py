"""`AgentEnv`: a Gymnasium environment that reads the text a policy wrote and answers with the text it reads next.

A family implements two things, each either blocking or asynchronous:

* ``begin(task) -> Opening`` (or ``begin_async``): set the task up, say the first messages;
* ``act(turn) -> Outcome`` (or ``act_async``): carry out one well-formed turn.

Everything every environment needs is done here once: choosing the task under the seed, parsing, malformed actions (a
one-line answer and a ``format`` penalty, never an exception), the turn budget, the scalar reward, ``info``, forks, and
the other of ``step`` / ``step_async``.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

import gymnasium
import numpy as np

from agentgym.actions import PARSERS, ActionParser, ActionSpec, ParsedTurn
from agentgym.aio import run_blocking
from agentgym.exchange import Message, Opening, Outcome, Snapshot, StepInfo
from agentgym.faults import ConfigError, did_you_mean
from agentgym.signal import RewardSignal
from agentgym.spaces import UnicodeText
from agentgym.task import SPLITS, Split, Task, TaskSet

__all__ = ["FORMAT", "AgentEnv", "Instructions", "Message", "Opening", "Outcome", "Snapshot", "StepInfo"]

FORMAT = "format"
#: Smallest limit of an observation's length, in characters: room for the note that it was cut.
MIN_OBSERVATION_CHARS = 64
T = TypeVar("T", bound=Task)

Instructions = Literal["full", "none"]


class AgentEnv(gymnasium.Env[str, str], Generic[T]):
    """Base class of all environments.

    Class attributes a family sets:
        actions: The actions it understands; see `task_actions` where they differ by task.
        signals: Name and one-line meaning of every process part it emits; ``format`` (-1 for a turn that could not be
            read) goes without saying.
        weights: Default composition of the scalar reward: part -> weight; the outcome counts 1.
        blocking: Whether `act` may take long; the collector then runs it in a thread.
        forkable: Whether `snapshot` / `restore` work.
        capacity: Most episodes that a process can play at once; a collector lets the others wait.

    Args:
        taskset: The tasks.
        split: Which split `reset` draws from when no task is named.
        action_format: A parser's name: ``tags``, ``xml``, ``hermes``, ``json`` or one of a plug-in.
        instructions: ``full`` puts how to act into the first message, ``none`` leaves it out (a model that was
            taught the format needs none).
        max_turns: Turn budget; None lets the family decide by task (`turn_budget`).
        max_action_chars: A longer action is refused as malformed.
        max_observation_chars: Upper bound of an observation; a longer one is cut, and says so at its end.
        render_mode: None or ``"ansi"``.

    Raises:
        ConfigError: An option that cannot be used.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"]}  # noqa: RUF012 - Gymnasium declares it so
    actions: ClassVar[Sequence[ActionSpec]] = ()
    signals: ClassVar[Mapping[str, str]] = {}
    weights: ClassVar[Mapping[str, float]] = {FORMAT: 0.1}
    # Known from the class on; an instance may set its own, by what its tasks need.
    blocking: bool = True
    forkable: bool = False
    capacity: int | None = None

    def __init__(
        self,
        taskset: TaskSet[T],
        *,
        split: Split = "train",
        action_format: str = "tags",
        instructions: Instructions = "full",
        max_turns: int | None = None,
        max_action_chars: int = 16_384,
        max_observation_chars: int = 65_536,
        render_mode: str | None = None,
    ) -> None:
        if max_turns is not None and max_turns < 1:
            raise ConfigError(f"max_turns must be at least 1, got {max_turns}")
        if max_action_chars < 1:
            raise ConfigError(f"max_action_chars must be at least 1, got {max_action_chars}")
        if max_observation_chars < MIN_OBSERVATION_CHARS:
            raise ConfigError(
                f"max_observation_chars must be at least {MIN_OBSERVATION_CHARS}, got {max_observation_chars}"
            )
        if instructions not in ("full", "none"):
            raise ConfigError(f"instructions must be 'full' or 'none', got {instructions!r}")
        if split not in SPLITS:
            raise ConfigError(f"split must be 'train' or 'heldout', got {split!r}")
        if render_mode not in (None, "ansi"):
            raise ConfigError(f"render_mode must be None or 'ansi', got {render_mode!r}")
        self.taskset = taskset
        self.split: Split = split
        self.__make_parser = PARSERS.get(action_format)
        self.__specs: Sequence[ActionSpec] = self.actions
        self.parser: ActionParser = self.__make_parser(self.actions)
        self.instructions = instructions
        self.max_turns = max_turns
        self.max_observation_chars = max_observation_chars
        self.render_mode = render_mode
        self.max_action_chars = max_action_chars
        self.action_space = UnicodeText(max_action_chars)
        self.observation_space = UnicodeText(max_observation_chars)
        self.__task: T | None = None
        self.__turn = self.__budget = 0
        self.__done = True
        self.__state_key = ""
        self.__transcript: list[str] = []

    # -- what a family implements ------------------------------------------------------------------------------------

    def begin(self, task: T) -> Opening:
        """Sets the task up. Implement this or `begin_async`; each is derived from the other.

        Raises:
            EnvironmentFault: The world could not be set up.
        """
        if not _overrides(self, "begin_async"):
            raise NotImplementedError(f"{type(self).__name__} implements neither begin nor begin_async")
        return run_blocking(self.begin_async(task))

    async def begin_async(self, task: T) -> Opening:
        """Asynchronous `begin`; by default the blocking one, in a thread when `blocking`."""
        return await asyncio.to_thread(self.begin, task) if self.blocking else self.begin(task)

    def act(self, turn: ParsedTurn) -> Outcome:
        """Carries out one well-formed turn. Implement this or `act_async`; each is derived from the other.

        Raises:
            EnvironmentFault: The world broke.
        """
        if not _overrides(self, "act_async"):
            raise NotImplementedError(f"{type(self).__name__} implements neither act nor act_async")
        return run_blocking(self.act_async(turn))

    async def act_async(self, turn: ParsedTurn) -> Outcome:
        """Asynchronous `act`; by default the blocking one, in a thread when `blocking`."""
        return await asyncio.to_thread(self.act, turn) if self.blocking else self.act(turn)

    def malformed(self, turn: ParsedTurn) -> Outcome:
        """Answer to a turn that could not be read; the state does not change."""
        return Outcome(f"Error: {turn.error}", RewardSignal(), self.__state_key)

    def task_actions(self, task: T) -> Sequence[ActionSpec]:
        """The actions of a task, for families in which they differ by task; `parser` follows them."""
        return self.actions

    def turn_budget(self, task: T) -> int:
        """Turns a task may take when `max_turns` is not given."""
        return 16

    def expert(self, mistakes: Mapping[str, float] | None = None, rng: np.random.Generator | None = None) -> str:
        """What a scripted solver would write now, in this environment's action format.

        Args:
            mistakes: Probability of each of the family's named kinds of mistake; None: none (the task gets solved).
            rng: Source of the mistakes; needed when `mistakes` is given.
        """
        raise NotImplementedError(f"{type(self).__name__} ships no expert")

    def vocabulary(self) -> Iterable[str]:
        """Texts that hold every word an episode can contain; word-level tokenizers are made from them.

        Raises:
            ConfigError: The family's words cannot be listed.
        """
        raise ConfigError(f"{type(self).__name__} lists no vocabulary, so model: tiny cannot be made for it")

    def fork_state(self) -> Any:
        """The family's own state, picklable; for forkable environments. The base class copies it."""
        raise ConfigError(f"{type(self).__name__} cannot snapshot")

    def load_fork(self, task: T, state: Any) -> None:
        """Puts a `fork_state` back."""
        raise ConfigError(f"{type(self).__name__} cannot restore")

    def offer(self, specs: Sequence[ActionSpec]) -> None:
        """Makes these the actions from here on; a family in which they change during an episode calls it."""
        if specs is not self.__specs:
            self.__specs, self.parser = specs, self.__make_parser(specs)

    # -- Gymnasium ---------------------------------------------------------------------------------------------------

    @property
    def task(self) -> T:
        """The task being played."""
        if self.__task is None:
            raise gymnasium.error.ResetNeeded("call reset() first")
        return self.__task

    @property
    def state_key(self) -> str:
        """Key of the state reached."""
        return self.__state_key

    @property
    def turns_left(self) -> int:
        return self.__budget - self.__turn

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Starts a task: ``options={"task": id}`` names it; otherwise it is drawn from the split under the seed.

        Raises:
            ConfigError: Unknown option or task.
            EnvironmentFault: The world could not be set up.
        """
        task = self.__choose(seed, options)
        return self.__opened(task, self.begin(task))

    async def reset_async(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """`reset` for callers inside an event loop."""
        task = self.__choose(seed, options)
        return self.__opened(task, await self.begin_async(task))

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Plays one turn of text.

        Raises:
            EnvironmentFault: The world broke; the episode must be run again.
        """
        turn = self.__read(action)
        return self.__stepped(turn, self.act(turn) if turn.error is None else self.malformed(turn))

    async def step_async(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """`step` for callers inside an event loop."""
        turn = self.__read(action)
        return self.__stepped(turn, await self.act_async(turn) if turn.error is None else self.malformed(turn))

    def render(self) -> str | None:
        """The transcript so far, in ``ansi`` mode."""
        return "\n".join(self.__transcript) if self.render_mode == "ansi" else None

    def snapshot(self) -> Snapshot:
        """The whole state, to come back to; only where `forkable`.

        Raises:
            ConfigError: This environment cannot fork.
        """
        return Snapshot(
            self.task.id,
            self.__turn,
            self.__done,
            self.__state_key,
            state=copy.deepcopy(self.fork_state()),
            random=self.np_random.bit_generator.state,
            transcript=tuple(self.__transcript),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Goes back to a snapshot, taken here or in another environment made the same way.

        Raises:
            ConfigError: This environment cannot fork.
        """
        task = self.taskset[snapshot.task_id]
        self.offer(self.task_actions(task))
        self.load_fork(task, copy.deepcopy(snapshot.state))
        self.__task, self.__budget = task, self.max_turns or self.turn_budget(task)
        self.__turn, self.__done, self.__state_key = snapshot.turn, snapshot.done, snapshot.state_key
        self.__transcript = list(snapshot.transcript)
        if snapshot.random:
            self.np_random.bit_generator.state = snapshot.random

    # -- shared machinery --------------------------------------------------------------------------------------------

    def __choose(self, seed: int | None, options: dict[str, Any] | None) -> T:
        super().reset(seed=seed)
        options = options or {}
        for key in options:
            if key != "task":
                raise ConfigError(f"reset option {key!r} is unknown; {did_you_mean(key, ['task'])}")
        task_id = options.get("task")
        if task_id is None:
            ids = self.taskset.ids(self.split)
            if not ids:
                raise ConfigError(f"the task set has no {self.split} tasks")
            task_id = ids[int(self.np_random.integers(len(ids)))]
        elif not isinstance(task_id, str):
            raise ConfigError(f"reset option 'task' must be a task id, got {task_id!r}")
        task = self.taskset[task_id]
        self.offer(self.task_actions(task))
        return task

    def __opened(self, task: T, opening: Opening) -> tuple[str, dict[str, Any]]:
        self.__task, self.__turn, self.__done = task, 0, False
        self.__budget = self.max_turns or self.turn_budget(task)
        self.__state_key = opening.state_key
        parts = [opening.prompt] if self.instructions == "none" else [self.parser.instructions(), opening.prompt]
        content = self.__clip("\n\n".join(parts))
        messages: list[Message] = [{"role": "user", "content": content}]
        if opening.system is not None:
            messages.insert(0, {"role": "system", "content": opening.system})
        self.__transcript = [f"[{m['role']}] {m['content']}" for m in messages]
        info = StepInfo(
            messages=messages,
            signal=RewardSignal(),
            state_key=opening.state_key,
            task_id=task.id,
            action={},
        )
        return content, dict(info)

    def __read(self, action: str) -> ParsedTurn:
        if self.__task is None or self.__done:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        limit = self.max_action_chars
        if len(action) > limit:
            return ParsedTurn(action[:limit], error=f"the action has {len(action)} characters; the limit is {limit}")
        return self.parser.parse(action)

    def __stepped(self, turn: ParsedTurn, out: Outcome) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.__turn += 1
        truncated = not out.terminated and self.__turn >= self.__budget
        self.__done = out.terminated or truncated
        self.__state_key = out.state_key
        signal = out.signal
        if turn.error is not None:
            signal = RewardSignal(signal.outcome, {**signal.process, FORMAT: -1.0})
        observation = self.__clip(out.observation)
        if self.render_mode is not None:
            self.__transcript += [f"[assistant] {turn.text}", f"[{self.parser.observation_role}] {observation}"]
        info = StepInfo(
            messages=[{"role": self.parser.observation_role, "content": observation}],
            signal=signal,
            state_key=out.state_key,
            task_id=self.task.id,
            action=turn.to_json(),
        )
        return observation, signal.compose(self.weights), out.terminated, truncated, dict(info)

    def __clip(self, text: str) -> str:
        limit = self.max_observation_chars
        if len(text) <= limit:
            return text
        note = f"\n[cut: {len(text)} characters, the limit is {limit}]"
        return text[: limit - len(note)] + note


def _overrides(env: AgentEnv[Any], method: str) -> bool:
    return getattr(type(env), method) is not getattr(AgentEnv, method)
