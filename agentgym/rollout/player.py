"""`Player`: plays on one environment and in one session of the engine, under time limits.

Everything that collects is made of it: an episode is one player that plays from a reset to the end; a step with several
continuations is several players that go on from one snapshot.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from time import perf_counter
from typing import Any, TypeVar

from agentgym.engines.base import Completion, Engine, Listener, Sampling
from agentgym.engines.chat import ChatRenderer
from agentgym.env import Snapshot
from agentgym.faults import AgentGymError, ConfigError, EngineFault, EnvironmentFault, typed_line
from agentgym.rollout.episode import EpisodeTokens, task_renderer
from agentgym.rollout.request import GroupRequest, Limits
from agentgym.rollout.seats import Seat, Seats
from agentgym.rollout.stats import RolloutStats
from agentgym.task import Task
from agentgym.trajectory import Trajectory, Turn

# What a player can be doing, as messages name it.
_SETUP, _RESET, _RESTORE, _STEP, _SNAPSHOT, _GENERATE = "set-up", "reset", "restore", "step", "snapshot", "completion"
#: A mistake in one of these is the request's: to try again would not mend it.
_ASKED = (_SETUP, _RESET, _RESTORE, _SNAPSHOT, _GENERATE)
_DETAIL_CHARS = 300

T = TypeVar("T")


def turn_seed(seed: int, turn: int) -> int:
    """The sampling seed of a turn: 63 bits, a hash of the episode's seed and the turn's number."""
    return hashed_seed(f"{seed}:{turn}")


def hashed_seed(text: str) -> int:
    """63 bits that a text decides."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True, slots=True)
class Resources:
    """What the players of one collector share.

    Attributes:
        env: Id of the environment.
        engine: Writes the policy's text.
        renderer: Turns messages into tokens.
        limits: Bounds of an episode.
        seats: The environments.
        stats: Counts what is done.
        blocking: Held by each blocking call of an environment.
        stop_at_action: Completions also end at the action parser's stop strings.
    """

    env: str
    engine: Engine
    renderer: ChatRenderer
    limits: Limits
    seats: Seats
    stats: RolloutStats
    blocking: asyncio.Semaphore
    stop_at_action: bool


@dataclass(slots=True)
class Position:
    """A place in an episode: what was read and written, and what the environment said last.

    Attributes:
        task: The task being played.
        tokens: Of the episode so far.
        info: From the last reset or step.
        turns: Those that were played.
        terminated, truncated: How the episode ended, if it did.
    """

    task: Task
    tokens: EpisodeTokens
    info: dict[str, Any]
    turns: list[Turn] = field(default_factory=list)
    terminated: bool = False
    truncated: bool = False

    @property
    def over(self) -> bool:
        return self.terminated or self.truncated

    def fork(self) -> Position:
        """A copy to go on from in another way."""
        return Position(
            self.task,
            self.tokens.fork(),
            self.info,
            [*self.turns],
            terminated=self.terminated,
            truncated=self.truncated,
        )

    def hear(self) -> None:
        """Reads what the environment said to the last turn; the policy is to write again."""
        if self.turns:
            self.tokens.read(self.info["messages"])

    def trajectory(self, request: GroupRequest, index: int, env: str) -> Trajectory:
        """The episode so far, as that sample of the request."""
        return self.tokens.trajectory(
            self.turns,
            episode_id=f"{request.id}/{index}",
            group_id=request.id,
            env=env,
            task_id=self.task.id,
            split=self.task.split,
            difficulty=self.task.difficulty,
            seed=request.seeds[index],
            terminated=self.terminated,
            truncated=self.truncated,
            final_state_key=self.info["state_key"],
        )


class _Clock:
    """The time limit of what a player is doing right now, on one timer that is set anew for each wait."""

    __slots__ = ("deadline", "limit", "phase", "timer")

    def __init__(self) -> None:
        self.phase, self.limit, self.deadline = _SETUP, inf, inf
        self.timer: asyncio.Timeout

    def start(self, phase: str, limit: float = inf) -> None:
        self.phase, self.limit = phase, limit
        self.timer.reschedule(min(asyncio.get_running_loop().time() + limit, self.deadline))

    def fault(self, error: BaseException) -> EnvironmentFault:
        """What an exception out of the attempt means."""
        if self.timer.expired():
            if asyncio.get_running_loop().time() >= self.deadline:
                return EnvironmentFault("timeout", f"the episode ran out of time in a {self.phase}")
            detail = f"a {self.phase} took longer than {self.limit:g} s"
        else:
            detail = f"{self.phase}: {typed_line(error, _DETAIL_CHARS)}"
        if self.phase == _GENERATE:
            return EngineFault(detail)
        return EnvironmentFault("timeout" if self.timer.expired() else "crash", detail)


class Player:
    """Plays on one environment, in one session of the engine. All but `run` and `leave` are called inside `run`.

    Args:
        resources: Shared with all players.
        sampling: Parameters of every turn; the seed is given turn by turn.
        session: Its name for the engine.
        deadline: The event loop's time at which it must be done; None: each `run` may take as long as an episode.
    """

    def __init__(self, resources: Resources, sampling: Sampling, session: str, deadline: float | None = None) -> None:
        self.resources, self.sampling, self.session = resources, sampling, session
        self._deadline = deadline
        self._clock = _Clock()
        self._attach = getattr(resources.engine, "attach", None)
        self._listener = resources.engine if isinstance(resources.engine, Listener) else None
        self._ends = sampling.stop_token_ids + tuple(sorted(resources.renderer.end_ids))
        self._seat: Seat | None = None
        self._mark = 0.0  # since when the framework itself has been at work

    # -- time and place ----------------------------------------------------------------------------------------------

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Does some playing under the time limits; an environment is taken when first needed.

        Raises:
            EnvironmentFault: The world broke. The environment is given up.
            ConfigError: What was asked for cannot be played.
        """
        clock = self._clock
        episode_s = self.resources.limits.episode_s
        clock.deadline = asyncio.get_running_loop().time() + episode_s if self._deadline is None else self._deadline
        try:
            async with asyncio.timeout(None) as clock.timer:
                clock.start(_SETUP)
                if self._seat is None:
                    self._take(await self.resources.seats.take())
                return await work()
        except BaseException as error:
            if self._seat is not None:
                self._seat.close()
                self._seat = None
            if isinstance(error, EnvironmentFault) or (isinstance(error, AgentGymError) and clock.phase in _ASKED):
                raise
            if isinstance(error, Exception | SystemExit):  # environments and engines are other people's code
                raise clock.fault(error) from error
            raise

    def _take(self, seat: Seat) -> None:
        self._seat = seat
        if self._attach is not None:
            self._attach(self.session, seat.env)

    def leave(self) -> None:
        """Ends the session, and gives a sound environment back."""
        self.resources.engine.release(self.session)
        if self._seat is not None:
            self.resources.seats.give_back(self._seat)
            self._seat = None

    @property
    def seat(self) -> Seat:
        if self._seat is None:
            raise ConfigError("a player plays inside run()")
        return self._seat

    # -- playing -----------------------------------------------------------------------------------------------------

    async def reset(self, seed: int, task_id: str) -> Position:
        """Begins an episode."""
        seat, renderer = self.seat, self.resources.renderer
        began = perf_counter()
        _, info = await self._call(_RESET, partial(seat.reset, seed, task_id))
        self._mark = perf_counter()
        self.resources.stats.env_s += self._mark - began
        tokens = EpisodeTokens(task_renderer(renderer, seat.env), info["messages"])
        tokens.note(info["messages"])
        return Position(seat.env.task, tokens, info)

    async def snapshot(self) -> Snapshot:
        """The environment's state, to come back to here or in another player."""
        return await self._timed(_SNAPSHOT, self.seat.snapshot)

    async def restore(self, snapshot: Snapshot) -> None:
        """Puts the environment into that state."""
        await self._timed(_RESTORE, partial(self.seat.restore, snapshot))

    async def play(self, position: Position, seed: int) -> None:
        """Plays on to the end of the episode."""
        while not position.over:
            await self.turn(position, turn_seed(seed, len(position.turns)))

    async def turn(self, position: Position, seed: int) -> None:
        """Plays one turn; where no token is left for it, there is none and the episode is truncated."""
        written = await self.speak(position, seed)
        if written is not None:
            await self.act(position, *written)

    async def speak(self, position: Position, seed: int) -> tuple[Completion, float] | None:
        """Has the policy write a turn; None, and the position truncated, where no token is left for it.

        Returns:
            What was written, and the seconds waited for it.
        """
        resources, tokens = self.resources, position.tokens
        position.hear()
        room = resources.limits.episode_tokens - len(tokens)
        if room < 1:
            position.truncated = True
            return None
        sampling = self._sampling(seed, room)
        prompt = tokens.prompt()
        if self._listener is not None:
            self._listener.hear(self.session, tokens.messages)
        asked = perf_counter()
        resources.stats.framework_s += asked - self._mark
        self._clock.start(_GENERATE, resources.limits.generate_s)
        try:
            completion = await resources.engine.generate(prompt, sampling, self.session)
        except ConfigError:
            if not position.turns:
                raise
            position.truncated = True  # the history has outgrown the engine's context: a token budget like any other
            self._mark = perf_counter()
            return None
        self._mark = perf_counter()
        resources.stats.engine_s += self._mark - asked
        if completion.logprobs and len(completion.logprobs) != len(completion.token_ids):
            detail = f"{len(completion.token_ids)} tokens came with {len(completion.logprobs)} log-probabilities"
            raise EngineFault(detail)
        return completion, self._mark - asked

    async def act(self, position: Position, completion: Completion, generate_s: float) -> None:
        """Has the environment answer a turn that took so many seconds to write."""
        resources, seat, tokens = self.resources, self.seat, position.tokens
        state_key = position.info["state_key"]
        text = resources.renderer.text(completion.token_ids)
        tokens.write(completion.token_ids, completion.logprobs or 0.0, text)
        acting = perf_counter()
        if seat.inline:  # the hot path: nothing can interrupt such a step, so its time is looked at afterwards
            self._clock.phase = _STEP
            _, reward, terminated, truncated, info = seat.env.step(text)
            done = perf_counter()
            if done - acting > resources.limits.step_s:
                raise EnvironmentFault("timeout", f"a step took longer than {resources.limits.step_s:g} s")
        else:
            _, reward, terminated, truncated, info = await self._call(_STEP, partial(seat.step, text))
            done = perf_counter()
        resources.stats.framework_s += acting - self._mark
        resources.stats.env_s += done - acting
        self._mark = done
        position.turns.append(
            Turn(
                info["signal"],
                state_key,
                info["action"],
                float(reward),
                completion.version,
                completion.finish_reason,
                generate_s,
                done - acting,
                completion.changes,
            )
        )
        tokens.note(info["messages"])
        position.info = info
        position.terminated, position.truncated = bool(terminated), bool(truncated)

    def finish(self, position: Position, request: GroupRequest, index: int) -> Trajectory:
        """The episode so far, as that sample of the request."""
        trajectory = position.trajectory(request, index, self.resources.env)
        self.resources.stats.framework_s += perf_counter() - self._mark
        return trajectory

    async def _timed(self, phase: str, call: Callable[[], Awaitable[T]]) -> T:
        began = perf_counter()
        result = await self._call(phase, call)
        self._mark = perf_counter()
        self.resources.stats.env_s += self._mark - began
        return result

    async def _call(self, phase: str, call: Callable[[], Awaitable[T]]) -> T:
        """A call of the environment under its time limit; waiting for a free thread does not count."""
        limit = self.resources.limits.step_s
        if not self.seat.threaded:
            self._clock.start(phase, limit)
            return await call()
        self._clock.start(phase)
        async with self.resources.blocking:
            self._clock.start(phase, limit)
            return await call()

    def _sampling(self, seed: int, room: int) -> Sampling:
        base = self.sampling
        # The actions may change from turn to turn.
        stop = base.stop + self.seat.env.parser.stop if self.resources.stop_at_action else base.stop
        return Sampling(base.temperature, base.top_p, base.top_k, min(base.max_tokens, room), stop, self._ends, seed)


async def together(work: Sequence[Awaitable[T]]) -> list[T]:
    """The results of things done at the same time, in order; when one fails, the others are given up."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
