"""`RolloutWorker`: a collector behind a mailbox, made to live in a Ray actor.

The pool submits requests and asks for what is finished; an answer that stays away tells it that the worker hangs.
Nothing here imports Ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentgym.engines.base import ENGINES, Engine, Placed
from agentgym.faults import AgentGymError, ConfigError, EngineFault, first_line, typed_line
from agentgym.rollout.collector import Collector
from agentgym.rollout.request import EngineSpec, EnvSpec, FaultEvent, GroupRequest, Limits
from agentgym.rollout.vitals import Vitals
from agentgym.rollout.weights import unpack_state
from agentgym.trajectory import Group

if TYPE_CHECKING:
    from agentgym.rollout.broadcast import Meeting, Plan, Receiver


@dataclass(slots=True)
class Report:
    """What a worker has to say: finished groups, faults, an error that ends the run, and how it is doing."""

    groups: list[Group] = field(default_factory=list)
    events: list[FaultEvent] = field(default_factory=list)
    error: AgentGymError | None = None
    vitals: Vitals | None = None


def load_tokenizer(tokenizer: Any) -> Any:
    """A tokenizer as it is, or loaded from its folder (or hub name).

    Raises:
        ConfigError: There is none.
    """
    if not isinstance(tokenizer, str | Path):
        return tokenizer
    if isinstance(tokenizer, Path) and not tokenizer.is_dir():
        raise ConfigError(f"tokenizer {str(tokenizer)!r}: no such folder")
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(tokenizer))
    except (OSError, ValueError) as error:
        raise ConfigError(f"tokenizer {str(tokenizer)!r}: {first_line(error)}") from error


def make_engine(spec: EngineSpec, tokenizer: Any) -> Engine:
    """The engine of a specification; one that takes a ``tokenizer`` and was not given one gets the policy's.

    Raises:
        ConfigError: No such engine, or arguments it does not take.
    """
    kind = ENGINES.get(spec.name)
    kwargs = dict(spec.kwargs)
    signature = inspect.signature(kind)
    if "tokenizer" in signature.parameters:
        kwargs.setdefault("tokenizer", tokenizer)
    try:
        signature.bind(**kwargs)
    except TypeError as error:
        raise ConfigError(f"engine {spec.name!r}: {error}") from None
    engine: Engine = kind(**kwargs)
    return engine


class RolloutWorker:
    """Collects in its own process.

    Args:
        env_spec: How environments are made.
        limits: Bounds of an episode.
    """

    def __init__(self, env_spec: EnvSpec, limits: Limits) -> None:
        self.env_spec, self.limits = env_spec, limits
        self._collector: Collector | None = None
        self._done: asyncio.Queue[Group | AgentGymError | None] = asyncio.Queue()  # None wakes `next` up
        self._tasks: set[asyncio.Task[None]] = set()
        self._receiver: Receiver | None = None

    async def setup(
        self,
        engine_spec: EngineSpec,
        tokenizer: Any,
        threads: int,
        version: int | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> int:
        """Makes engine, environment and renderer; returns the process id.

        Args:
            engine_spec: How the engine is made.
            tokenizer: The policy's, or its folder.
            threads: CPU threads the engine may use.
            version: Of weights to begin with; None: the engine's own.
            state: These weights, as for `update_weights`.

        Raises:
            ConfigError: One of them cannot be made as specified.
            EngineFault: The weights do not fit.
        """
        os.environ["OMP_NUM_THREADS"] = str(threads)
        loaded = load_tokenizer(tokenizer)
        engine = make_engine(engine_spec, loaded)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        self._collector = await Collector.open(self.env_spec, engine, loaded, self.limits)
        if version is not None and state is not None:
            await self.update_weights(version, state)
        return os.getpid()

    @property
    def collector(self) -> Collector:
        if self._collector is None:
            raise ConfigError("the worker is not set up")
        return self._collector

    async def submit(self, requests: Sequence[GroupRequest]) -> None:
        """Starts collecting; `next` brings what is finished."""
        task = asyncio.create_task(self._collect(requests))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _collect(self, requests: Sequence[GroupRequest]) -> None:
        try:
            async for group in self.collector.collect(requests):
                self._done.put_nowait(group)
        except AgentGymError as error:
            self._done.put_nowait(error)
        except Exception as error:
            self._done.put_nowait(EngineFault(f"the collector failed: {typed_line(error)}"))

    async def next(self, wait_s: float, at_least: int = 1) -> Report:
        """What has finished since the last call.

        Args:
            wait_s: Longest wait, in seconds.
            at_least: Groups to wait for; an error is told at once.
        """
        report = Report()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while len(report.groups) < at_least and report.error is None:
                    item = await self._done.get()
                    if item is None:
                        break
                    self._sort(item, report)
        while not self._done.empty():
            self._sort(self._done.get_nowait(), report)
        report.events, report.vitals = self.collector.drain_events(), self.collector.vitals()
        return report

    @staticmethod
    def _sort(item: Group | AgentGymError | None, report: Report) -> None:
        if isinstance(item, Group):
            report.groups.append(item)
        elif item is not None:
            report.error = report.error or item

    async def cancel(self) -> None:
        """Drops everything submitted and not yet fetched; a `next` under way comes back."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while not self._done.empty():
            self._done.get_nowait()
        self._done.put_nowait(None)

    async def update_weights(self, version: int, state: Mapping[str, Any]) -> None:
        """Gives the engine new weights (as `agentgym.rollout.weights.pack_state` packed them).

        Raises:
            EngineFault: They do not fit; the engine is of no use any more.
        """
        await self.collector.engine.update_weights(version, unpack_state(state))

    async def gpu(self) -> str:
        """`agentgym.rollout.broadcast.own_gpu` of this process."""
        from agentgym.rollout.broadcast import own_gpu

        return own_gpu()

    async def join(self, meeting: Meeting, rank: int) -> None:
        """Goes to meet the sender and the other workers; comes back at once."""
        from agentgym.rollout.broadcast import Receiver

        self._receiver = Receiver(meeting, rank)

    async def receive(self, version: int, plan: Plan) -> None:
        """Gives the engine new weights, which are broadcast where it has joined; episodes go on meanwhile.

        Raises:
            SyncFault: They did not arrive; the engine has its old ones.
            EngineFault: They do not fit; the engine is of no use any more.
        """
        from agentgym.rollout.broadcast import SyncFault

        engine = self.collector.engine
        if self._receiver is None:
            raise SyncFault("the worker is in no group")
        state = await self._receiver.receive(plan, engine.device if isinstance(engine, Placed) else "cpu")
        await engine.update_weights(version, state)

    async def leave(self) -> None:
        """Gives up the group, and what is on its way there."""
        if self._receiver is not None:
            self._receiver.leave()
        self._receiver = None

    async def stats(self) -> dict[str, float]:
        """`Collector.counters`."""
        return self.collector.counters()

    async def ping(self) -> int:
        """The process id: the worker's event loop is alive."""
        return os.getpid()

    async def close(self) -> None:
        """Drops all work; closes engine and environments."""
        if self._collector is not None:
            await self.cancel()
            await self._collector.close()
