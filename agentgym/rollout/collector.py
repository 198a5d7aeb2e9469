"""`Collector`: runs the episodes of one process concurrently, none waiting for another's turn.

Every episode is one coroutine: engine, environment, engine, ... A fault of the world (an environment that raises or
hangs, an engine that fails) ends the attempt, not the run: the episode is played again on a fresh environment, and
after the last retry it comes back with `Trajectory.fault` set and nothing to train on. It never counts as a zero.

With a non-blocking environment and a deterministic engine, the same requests give bit-identical groups in the same
order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from agentgym.engines.base import Engine
from agentgym.engines.chat import ChatRenderer
from agentgym.faults import EnvironmentFault
from agentgym.rollout.accuracy import play_measured
from agentgym.rollout.episode import faulted, renderer_for
from agentgym.rollout.forks import ForkedGroup, play_steps
from agentgym.rollout.player import Player, Resources
from agentgym.rollout.request import AccuracyRequest, EnvSpec, FaultEvent, ForkRequest, GroupRequest, Limits
from agentgym.rollout.seats import Seats
from agentgym.rollout.stats import RolloutStats
from agentgym.rollout.vitals import Activity, Vitals
from agentgym.trajectory import Group, Trajectory

# An episode, and the groups of its steps where it was forked.
_Played = tuple[Trajectory, list[Group]]


class Collector:
    """Collects groups in one process, on one event loop.

    Args:
        env_spec: How environments are made; they are reused between episodes.
        engine: Writes the policy's text.
        renderer: Turns messages into tokens.
        limits: Bounds of an episode, and of the retries.
        stop_at_action: Completions also end at the action parser's stop strings (``</search>``), not only at the end of
            the turn.
        seats: Environments made before; None: made as they are needed.

    Attributes:
        stats: Counters since the collector was made.
    """

    def __init__(
        self,
        env_spec: EnvSpec,
        engine: Engine,
        renderer: ChatRenderer,
        limits: Limits | None = None,
        *,
        stop_at_action: bool = True,
        seats: Seats | None = None,
    ) -> None:
        self.env_spec, self.engine, self.renderer = env_spec, engine, renderer
        self.limits = limits or Limits()
        self.stats = RolloutStats()
        self._events: list[FaultEvent] = []
        self._seats = seats or Seats(env_spec)
        self._places = asyncio.Semaphore(self.limits.concurrency)
        self._turnstile = asyncio.Lock()
        self._activity = Activity()
        blocking = asyncio.Semaphore(self.limits.blocking_steps)
        self._resources = Resources(
            env_spec.id, engine, renderer, self.limits, self._seats, self.stats, blocking, stop_at_action
        )
        self._runner: asyncio.Runner | None = None

    @classmethod
    async def open(cls, env_spec: EnvSpec, engine: Engine, tokenizer: Any, limits: Limits | None = None) -> Collector:
        """A collector whose renderer fits the environment, and that plays no more episodes at once than it can.

        Raises:
            ConfigError: The environment cannot be made, or the tokenizer's chat template cannot be used.
        """
        seats = Seats(env_spec)
        seat = await seats.take()
        seats.give_back(seat)
        limits = limits or Limits()
        if seat.env.capacity is not None:
            limits = replace(limits, concurrency=min(limits.concurrency, seat.env.capacity))
        return cls(env_spec, engine, renderer_for(seat.env, tokenizer), limits, seats=seats)

    # -- collecting --------------------------------------------------------------------------------------------------

    async def collect(self, requests: Sequence[GroupRequest]) -> AsyncGenerator[Group, None]:
        """Yields whole groups as they finish. Several calls may run at once; they share the collector's limits.

        Raises:
            ConfigError: The environment cannot be made, or a task does not exist.
        """
        done: asyncio.Queue[Group | BaseException] = asyncio.Queue()
        tasks = [task for request in requests for task in self._start(request, done)]
        try:
            for _ in requests:
                finished = await done.get()
                if isinstance(finished, BaseException):
                    raise finished
                yield finished
        finally:
            unfinished = [task for task in tasks if not task.done()]
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    def iterate(self, requests: Sequence[GroupRequest]) -> Generator[Group, None, None]:
        """`collect` for callers outside of an event loop; episodes advance while the caller waits for a group."""
        groups = self.collect(requests)
        try:
            finished: list[Group] = []
            while self.runner.run(_next(groups, finished)):
                yield finished.pop()
        finally:
            self.runner.run(groups.aclose())

    @property
    def runner(self) -> asyncio.Runner:
        """The event loop of blocking callers: one for all calls, since engines and environments may belong to it."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner

    def run(self, requests: Sequence[GroupRequest]) -> list[Group]:
        """All groups, in the order of the requests; blocking."""
        place = {request.id: i for i, request in enumerate(requests)}
        return sorted(self.iterate(requests), key=lambda group: place[group.id])

    def drain_events(self) -> list[FaultEvent]:
        """The faults since the last call."""
        events, self._events = self._events, []
        return events

    def counters(self) -> dict[str, float]:
        """`stats` and the engine's own counters (``engine.<name>``), flat."""
        engine = asdict(self.engine.stats)
        extra = engine.pop("extra")
        return self.stats.to_json() | {f"engine.{name}": value for name, value in (engine | extra).items()}

    def vitals(self) -> Vitals:
        """How it is doing right now; safe to call from any thread."""
        return Vitals(self.counters(), *self._activity.look())

    async def close(self) -> None:
        """Closes engine and environments."""
        self._seats.close()
        await self.engine.close()

    def shutdown(self) -> None:
        """`close` for callers of `iterate` and `run`."""
        with self.runner as runner:
            runner.run(self.close())
        self._runner = None

    def _start(self, request: GroupRequest, done: asyncio.Queue[Group | BaseException]) -> list[asyncio.Task[None]]:
        played: list[_Played | None] = [None] * len(request.seeds)
        left = len(played)

        async def play(index: int) -> None:
            nonlocal left
            try:
                async with self._room(request.players):
                    played[index] = await self._episode(request, index)
            except Exception as error:  # a mistake of the user's (or ours): the whole call ends with it
                done.put_nowait(error)
                return
            left -= 1
            if not left:
                done.put_nowait(_group(request, [p for p in played if p is not None]))

        if not played:
            done.put_nowait(_group(request, []))
        return [asyncio.create_task(play(index)) for index in range(len(played))]

    # -- one episode -------------------------------------------------------------------------------------------------

    async def _episode(self, request: GroupRequest, index: int) -> _Played:
        attempt = 1
        while True:
            try:
                played = await self._attempt(request, index, f"{request.id}/{index}#{attempt}")
                self.stats.episodes += 1
                return played
            except EnvironmentFault as fault:
                given_up = attempt > self.limits.retries
                episode = f"{request.id}/{index}"
                self._events.append(FaultEvent(fault.kind, fault.detail, request.id, episode, attempt, given_up))
                self.stats.faults[fault.kind] = self.stats.faults.get(fault.kind, 0) + 1
                if given_up:
                    return faulted(request, index, self.env_spec.id, str(fault)), []
                attempt += 1

    async def _attempt(self, request: GroupRequest, index: int, session: str) -> _Played:
        # What is measured beside an episode is played as episodes are, each in the time of one.
        shared = None if isinstance(request, AccuracyRequest) else _now() + self.limits.episode_s
        sessions = [session] if request.players == 1 else [f"{session}.{i}" for i in range(request.players)]
        players = [Player(self._resources, request.sampling, name, shared) for name in sessions]
        try:
            if isinstance(request, ForkRequest):
                return await play_steps(request, players)
            if isinstance(request, AccuracyRequest):
                return await play_measured(request, index, players), []
            return await players[0].run(partial(self._play, players[0], request, index)), []
        finally:
            for player in players:
                player.leave()

    async def _play(self, player: Player, request: GroupRequest, index: int) -> Trajectory:
        seed, stats = request.seeds[index], self.stats
        position = await player.reset(seed, request.task_id)
        await player.play(position, seed)
        trajectory = player.finish(position, request, index)
        stats.turns += len(trajectory.turns)
        stats.tokens += len(trajectory)
        stats.policy_tokens += trajectory.policy_tokens
        return trajectory

    @contextlib.asynccontextmanager
    async def _room(self, size: int) -> AsyncGenerator[None, None]:
        """Holds so many of the collector's places, or all of them."""
        taken = 0
        try:
            async with self._turnstile:  # two that each held half of what they need would wait for each other
                while taken < min(size, self.limits.concurrency):
                    await self._places.acquire()
                    taken += 1
                    self._activity.begin()
            yield
        finally:
            for _ in range(taken):
                self._activity.end()
                self._places.release()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _group(request: GroupRequest, played: Sequence[_Played]) -> Group:
    trajectories = [trajectory for trajectory, _ in played]
    if isinstance(request, ForkRequest):
        steps = [step for _, groups in played for step in groups]
        return ForkedGroup(request.id, request.task_id, trajectories, steps)
    return Group(request.id, request.task_id, trajectories)


async def _next(groups: AsyncGenerator[Group, None], out: list[Group]) -> bool:
    # The group is handed over on the side: `asyncio.Runner` formats the result of what it has run, for seconds.
    async for group in groups:
        out.append(group)
        return True
    return False
