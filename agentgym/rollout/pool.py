"""`RolloutPool`: one interface to collect groups, in this process or on Ray workers, with what came back checked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from agentgym.faults import ConfigError
from agentgym.rollout.checking import RolloutMismatch, check_group
from agentgym.rollout.collector import Collector
from agentgym.rollout.request import EngineSpec, EnvSpec, FaultEvent, GroupRequest, Limits
from agentgym.rollout.vitals import Hand, LastKnown
from agentgym.rollout.worker import load_tokenizer, make_engine
from agentgym.trajectory import Group

if TYPE_CHECKING:
    from agentgym.rollout.stream import GroupStream
    from agentgym.rollout.transport import TransportName

DEFAULT_OBJECT_STORE_BYTES = 256 * 1024**2


class Workers(Protocol):
    """What a pool and its fleet both tell of what they do."""

    def drain_events(self) -> list[FaultEvent]: ...
    def stats(self) -> dict[str, float]: ...


class _Backend(Workers, Protocol):
    def collect(self, requests: Sequence[GroupRequest], fixed: bool) -> Generator[Group, None, None]: ...
    def update_weights(self, version: int, state: Mapping[str, Any]) -> None: ...
    def snapshot(self) -> dict[str, Any]: ...
    def close(self) -> None: ...


class InProcess:
    """One collector in the calling process: no Ray, no other process."""

    def __init__(self, env_spec: EnvSpec, engine_spec: EngineSpec, tokenizer: Any, limits: Limits) -> None:
        loaded = load_tokenizer(tokenizer)
        engine = make_engine(engine_spec, loaded)
        self.collector = asyncio.run(Collector.open(env_spec, engine, loaded, limits))

    def collect(self, requests: Sequence[GroupRequest], fixed: bool) -> Generator[Group, None, None]:
        return self.collector.iterate(requests)

    def update_weights(self, version: int, state: Mapping[str, Any]) -> None:
        self.collector.runner.run(self.collector.engine.update_weights(version, state))

    def drain_events(self) -> list[FaultEvent]:
        return self.collector.drain_events()

    def stats(self) -> dict[str, float]:
        return self.collector.counters()

    def snapshot(self) -> dict[str, Any]:
        known, vitals = LastKnown(), self.collector.vitals()
        known.heard(0, vitals)
        facts = known.snapshot({0: Hand(None, vitals.playing)})
        return facts | {"version": self.collector.engine.version}

    def close(self) -> None:
        self.collector.shutdown()


class RolloutPool:
    """Collects groups for a trainer, an evaluation or a data set.

    Args:
        env_spec: The environment; task ids choose split and task.
        engine_spec: The engine of each worker.
        tokenizer: The policy's tokenizer, or the folder (or hub name) it is loaded from.
        workers: Ray actors; 0 collects in this process, without Ray.
        address: Of a Ray cluster; None: a private local Ray, or the one this process has started already.
        limits: Bounds of an episode and of the retries.
        threads: CPU threads of each worker's engine.
        worker_options: Options of the Ray actors, e.g. ``{"num_gpus": 1}``.
        object_store_memory: Bytes of a local Ray's object store, which holds weights and finished groups.
        weights: How they reach the workers: ``"store"`` or ``"collective"`` (`agentgym.rollout.transport`).

    Raises:
        ConfigError: Environment, engine or tokenizer cannot be made as specified.
        MissingExtra: Workers were asked for and Ray is not installed.
        WorkerError: A worker keeps dying while it starts.
    """

    def __init__(
        self,
        env_spec: EnvSpec,
        engine_spec: EngineSpec,
        tokenizer: Any,
        workers: int = 0,
        *,
        address: str | None = None,
        limits: Limits | None = None,
        threads: int = 1,
        worker_options: Mapping[str, Any] | None = None,
        object_store_memory: int = DEFAULT_OBJECT_STORE_BYTES,
        weights: TransportName = "store",
    ) -> None:
        if workers < 0:
            raise ConfigError(f"workers must be 0 or more, got {workers}")
        if weights == "collective" and workers == 0:
            raise ConfigError("weights: collective sends to workers; workers must be 1 or more, got 0")
        limits = limits or Limits()
        self._backend: _Backend
        if workers == 0:
            self._backend = InProcess(env_spec, engine_spec, tokenizer, limits)
        else:
            from agentgym.rollout.fleet import Fleet

            self._backend = Fleet(
                env_spec,
                engine_spec,
                tokenizer,
                workers,
                limits,
                address=address,
                threads=threads,
                worker_options=worker_options,
                object_store_memory=object_store_memory,
                weights=weights,
            )

    def collect(self, requests: Sequence[GroupRequest], ordered: bool = False) -> Iterator[Group]:
        """Yields every requested group once. One call at a time; leaving it early cancels the rest.

        Args:
            requests: With ids that differ.
            ordered: Yield in the order of the requests, and deal them out to workers in a fixed way, so that a
                deterministic engine and environment give the same groups bit for bit; otherwise groups come as they
                finish and go to whichever worker is free.

        Raises:
            ConfigError: The requests cannot be played (ids not unique, unknown task).
            RolloutMismatch: What came back is not what was asked for.
        """
        requests = list(requests)
        wanted = {request.id: request for request in requests}
        if len(wanted) < len(requests):
            raise ConfigError("group requests must have ids that differ")
        return self._collect(requests, wanted, ordered)

    def _collect(self, requests: list[GroupRequest], wanted: dict[str, GroupRequest], ordered: bool) -> Iterator[Group]:
        early: dict[str, Group] = {}
        following = [request.id for request in reversed(requests)]
        with contextlib.closing(self._backend.collect(requests, fixed=ordered)) as groups:
            for group in groups:
                request = wanted.pop(group.id, None)
                if request is None:
                    raise RolloutMismatch(f"group {group.id!r} came back unasked, or twice")
                check_group(request, group)
                if not ordered:
                    yield group
                    continue
                early[group.id] = group
                while following and following[-1] in early:
                    yield early.pop(following.pop())
        if wanted:
            raise RolloutMismatch(f"{len(wanted)} groups did not come back, e.g. {next(iter(wanted))!r}")

    def stream(self) -> GroupStream:
        """The workers as a stream; until it is closed nothing else of the pool may be used.

        Raises:
            ConfigError: The pool has no workers: what plays in this process plays only while it is waited for.
        """
        from agentgym.rollout.fleet import Fleet
        from agentgym.rollout.stream import GroupStream

        if not isinstance(self._backend, Fleet):
            raise ConfigError("groups can be streamed from workers only; workers must be 1 or more, got 0")
        return GroupStream(self._backend)

    def update_weights(self, version: int, state: Mapping[str, Any]) -> None:
        """Gives every engine new weights (parameter name -> tensor), and later every restarted one.

        Raises:
            EngineFault: They do not fit the engine of this process.
            WorkerError: They do not fit a worker's, not even a new one's.
        """
        self._backend.update_weights(version, state)

    def drain_events(self) -> list[FaultEvent]:
        """Faults of episodes and losses of workers since the last call."""
        return self._backend.drain_events()

    def stats(self) -> dict[str, float]:
        """Counters of all workers, added up (`Collector.counters`)."""
        return self._backend.stats()

    def snapshot(self) -> dict[str, Any]:
        """What is going on: workers, groups and episodes in flight, tokens, faults that were not drained; plain data.

        At once, and from any thread: as the workers last told, nobody is asked (`agentgym.rollout.vitals`).
        """
        return self._backend.snapshot()

    def close(self) -> None:
        """Ends engines, environments and workers, and the local Ray that was started for them."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
