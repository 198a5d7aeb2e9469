"""`Fleet`: rollout workers in Ray actors, and the book of who holds which group.

A group is handed out once and is its worker's until it comes back or the worker is lost; then it is handed out again.
So none is lost and none is counted twice, whoever dies when. A group on which workers keep dying is tried alone in the
end, which tells the guilty from the bystanders; only then is it given up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentgym.faults import AgentGymError, EngineFault, MissingExtra
from agentgym.rollout.episode import faulted
from agentgym.rollout.request import EngineSpec, EnvSpec, FaultEvent, GroupRequest, Limits
from agentgym.rollout.stats import add_up
from agentgym.rollout.weights import pack_state
from agentgym.rollout.worker import Report, RolloutWorker
from agentgym.trajectory import Group

# Ray prints the loss of a worker to the driver's standard output, where JSON may be going; the fleet reports it itself.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed while executing")
try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ModuleNotFoundError as error:  # pragma: no cover - the train extra brings it
    raise MissingExtra("ray", "train") from error

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

#: `FaultEvent.kind` of a worker that was lost.
WORKER = "worker"
_ENGINE = EngineFault().kind
_HEARTBEAT_S = 2.0  # longest silence of a worker whose event loop is alive
_STARTS = 3  # how often a worker is started before the run gives up
_CLOSE_S = 5.0


class WorkerError(AgentGymError, RuntimeError):
    """A worker that cannot be started."""


class RaySession:
    """This process's connection to Ray: made by the first fleet that needs one, ended with the last."""

    _lock = threading.Lock()
    _users = 0

    @classmethod
    def enter(cls, address: str | None, object_store_memory: int) -> bool:
        """Returns whether `leave` must be called; a connection that somebody else made is used and left alone.

        Args:
            address: Of a cluster; None: a private Ray on this machine.
            object_store_memory: Bytes, of a private Ray.
        """
        with cls._lock:
            if cls._users == 0 and ray.is_initialized():
                return False
            quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
            if cls._users == 0 and address is not None:
                ray.init(address=address, **quiet)
            elif cls._users == 0:
                # A private instance needs neither telemetry nor a token file in the user's home; and its workers
                # may see the GPUs although they do not reserve one.
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                os.environ.setdefault("RAY_AUTH_MODE", "disabled")
                os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
                ray.init(address="local", include_dashboard=False, object_store_memory=object_store_memory, **quiet)
            cls._users += 1
            return True

    @classmethod
    def leave(cls) -> None:
        with cls._lock:
            cls._users -= 1
            if cls._users == 0:
                ray.shutdown()


@dataclass(slots=True)
class _Member:
    """One worker, and what it holds."""

    number: int
    actor: ActorHandle[Any]
    held: dict[str, GroupRequest] = field(default_factory=dict)
    alone: bool = False  # it holds a suspect group and gets no other
    answer: ObjectRef[Any] | None = None  # of the `next` call under way
    asked: float = 0.0

    @property
    def load(self) -> int:
        return sum(r.width for r in self.held.values())


class Fleet:
    """Workers on a local Ray or a cluster; the Ray half of `RolloutPool`, whose arguments it takes."""

    def __init__(
        self,
        env_spec: EnvSpec,
        engine_spec: EngineSpec,
        tokenizer: Any,
        workers: int,
        limits: Limits,
        *,
        address: str | None,
        threads: int,
        worker_options: Mapping[str, Any] | None,
        object_store_memory: int,
    ) -> None:
        self.env_spec, self.engine_spec, self.tokenizer = env_spec, engine_spec, tokenizer
        self.limits, self.threads = limits, threads
        # An inline step or a forward pass may hold a worker's event loop for as long as its limit allows.
        self.patience_s = limits.step_s + limits.generate_s + _HEARTBEAT_S
        self._entered = RaySession.enter(address, object_store_memory)
        # A private Ray on one machine shares its cores as the operating system sees fit; a cluster schedules by them.
        private = self._entered and address is None
        options: dict[str, Any] = {"num_cpus": 0 if private else threads, "max_concurrency": 16}
        self._kind = ray.remote(RolloutWorker).options(**(options | dict(worker_options or {})))
        self._weights: tuple[int, ObjectRef[Any]] | None = None
        self._events: list[FaultEvent] = []
        self._members: list[_Member] = []
        try:
            self._members = [_Member(number, self._spawn()) for number in range(workers)]
            ready = [self._set_up(member) for member in self._members]
            for member, ref in zip(self._members, ready, strict=True):
                self._await_setup(member, ref)
        except BaseException:
            self.close()
            raise

    # -- starting and losing workers ---------------------------------------------------------------------------------

    def _spawn(self) -> ActorHandle[Any]:
        actor: ActorHandle[Any] = self._kind.remote(self.env_spec, self.limits)  # type: ignore[assignment]
        return actor

    def _set_up(self, member: _Member) -> ObjectRef[Any]:
        ref: ObjectRef[Any] = member.actor.setup.remote(self.engine_spec, self.tokenizer, self.threads)
        return ref

    def _await_setup(self, member: _Member, ref: ObjectRef[Any]) -> None:
        for attempt in range(1, _STARTS + 1):
            try:
                _get(ref)
                if self._weights is not None:
                    version, state = self._weights
                    _get(member.actor.update_weights.remote(version, state))
                return
            except (RayError, EngineFault) as error:
                if attempt == _STARTS:
                    raise WorkerError(f"worker {member.number} cannot be started: {_line(error)}") from error
                self._say(WORKER, f"worker {member.number} was lost while it started: {_line(error)}")
            self._kill(member)
            member.actor = self._spawn()
            ref = self._set_up(member)

    def _replace(self, member: _Member, why: str) -> list[GroupRequest]:
        """Puts a new worker in a lost one's place; returns what the lost one held."""
        held = list(member.held.values())
        self._say(WORKER, f"worker {member.number} {why}; {len(held)} groups run again")
        self._kill(member)
        member.actor = self._spawn()
        member.held, member.alone, member.answer = {}, False, None
        self._await_setup(member, self._set_up(member))
        return held

    @staticmethod
    def _kill(member: _Member) -> None:
        with contextlib.suppress(Exception):  # it may be dead already
            ray.kill(member.actor, no_restart=True)

    def _say(self, kind: str, detail: str, group: str = "", attempt: int = 1, given_up: bool = False) -> None:
        self._events.append(FaultEvent(kind, detail, group, "", attempt, given_up))

    # -- collecting --------------------------------------------------------------------------------------------------

    def collect(self, requests: Sequence[GroupRequest], fixed: bool) -> Generator[Group, None, None]:
        """Yields groups in order of completion.

        Args:
            requests: What to collect.
            fixed: Deal the groups out in a fixed way and all at once, rather than to whoever is free.
        """
        waiting = deque(requests)
        unfinished = {request.id for request in requests}
        losses: Counter[str] = Counter()
        try:
            if fixed:
                n = len(self._members)
                for i, member in enumerate(self._members):
                    self._submit(member, list(requests[i::n]))
                waiting.clear()
            while unfinished:
                self._hand_out(waiting, losses)
                for group in self._gather(waiting, losses, whole=fixed):
                    if group.id in unfinished:
                        unfinished.discard(group.id)
                        yield group
        finally:
            if unfinished:
                self._cancel()

    def _hand_out(self, waiting: deque[GroupRequest], losses: Counter[str]) -> None:
        """Gives waiting groups to the workers with the least to do, within their capacity."""
        batches: dict[int, list[GroupRequest]] = {}
        for _ in range(len(waiting)):
            request = waiting[0]
            suspect = losses[request.id] >= max(1, self.limits.retries)
            free = [m for m in self._members if not m.alone and (not suspect or not m.held)]
            member = min(free, key=lambda m: m.load, default=None)
            if member is None or (member.held and member.load + request.width > self.limits.concurrency):
                break
            waiting.popleft()
            member.held[request.id] = request
            member.alone = suspect
            batches.setdefault(member.number, []).append(request)
        for number, batch in batches.items():
            self._submit(self._members[number], batch)

    def _submit(self, member: _Member, batch: list[GroupRequest]) -> None:
        if batch:
            member.held |= {request.id: request for request in batch}
            member.actor.submit.remote(batch)

    def _gather(self, waiting: deque[GroupRequest], losses: Counter[str], whole: bool) -> list[Group]:
        """Waits for the next news of any worker; with `whole`, for all that it holds (one answer costs less than many).

        A worker answers within the heartbeat in any case.
        """
        for member in self._members:
            if member.held and member.answer is None:
                wanted = len(member.held) if whole else 1
                member.answer, member.asked = member.actor.next.remote(_HEARTBEAT_S, wanted), time.monotonic()
        asked = {m.answer: m for m in self._members if m.answer is not None}
        ready, _ = ray.wait(list(asked), num_returns=1, timeout=_HEARTBEAT_S)
        groups: list[Group] = []
        for ref in ready:
            member = asked[ref]
            try:
                report: Report = _get(ref)
            except RayError as error:
                groups += self._lost(member, f"died ({_line(error)})", waiting, losses)
                continue
            member.answer = None
            self._events += report.events
            if report.error is not None:
                raise report.error
            groups += self._accept(member, report.groups, waiting, losses)
        for member in self._members:
            if not ready and member.answer is not None and time.monotonic() - member.asked > self.patience_s:
                groups += self._lost(member, f"did not answer for {self.patience_s:g} s", waiting, losses)
        return groups

    def _accept(
        self, member: _Member, groups: list[Group], waiting: deque[GroupRequest], losses: Counter[str]
    ) -> list[Group]:
        accepted: list[Group] = []
        engine_fails = False
        for group in groups:
            if group.id not in member.held:
                continue
            broken = any(t.fault is not None and t.fault.startswith(_ENGINE) for t in group.trajectories)
            if broken and losses[group.id] < self.limits.retries:
                engine_fails = True  # in every retry: it may be dead for all, so the worker starts afresh
                continue
            del member.held[group.id]
            member.alone = False
            accepted.append(group)
        if engine_fails:
            accepted += self._lost(member, "has an engine that fails", waiting, losses)
        return accepted

    def _lost(self, member: _Member, why: str, waiting: deque[GroupRequest], losses: Counter[str]) -> list[Group]:
        """Replaces a worker; what it held waits again, or comes back as given up."""
        alone = member.alone
        given_up: list[Group] = []
        for request in reversed(self._replace(member, why)):
            losses[request.id] += 1
            if alone and losses[request.id] > self.limits.retries:
                fault = f"{WORKER}: the worker {why}, {losses[request.id]} times"
                self._say(WORKER, fault, request.id, losses[request.id], given_up=True)
                trajectories = [faulted(request, i, self.env_spec.id, fault) for i in range(len(request.seeds))]
                given_up.append(Group(request.id, request.task_id, trajectories))
            else:
                waiting.appendleft(request)
        return given_up

    def _cancel(self) -> None:
        for member in self._members:
            if member.held or member.answer is not None:
                try:
                    _get(member.actor.cancel.remote(), self.patience_s)
                    if member.answer is not None:
                        self._events += _get(member.answer, self.patience_s).events
                except RayError as error:
                    self._replace(member, f"could not be stopped ({_line(error)})")
            member.held, member.alone, member.answer = {}, False, None

    # -- the rest of the pool's interface ----------------------------------------------------------------------------

    def update_weights(self, version: int, state: Mapping[str, Any]) -> None:
        """Puts the weights into the object store once and has every worker read them."""
        self._weights = (version, ray.put(pack_state(state)))
        refs: list[tuple[_Member, ObjectRef[Any]]] = [
            (m, m.actor.update_weights.remote(*self._weights)) for m in self._members
        ]
        for member, ref in refs:
            try:
                _get(ref, self.patience_s)
            except (RayError, EngineFault) as error:
                self._replace(member, f"could not take weights ({_line(error)})")

    def drain_events(self) -> list[FaultEvent]:
        events, self._events = self._events, []
        return events

    def stats(self) -> dict[str, float]:
        """The workers' counters, added up; those of workers lost meanwhile are lost with them."""
        parts = []
        refs: list[ObjectRef[Any]] = [member.actor.stats.remote() for member in self._members]
        for ref in refs:
            with contextlib.suppress(RayError):
                parts.append(_get(ref, self.patience_s))
        return add_up(parts)

    def close(self) -> None:
        refs: list[ObjectRef[Any]] = [m.actor.close.remote() for m in self._members]
        with contextlib.suppress(Exception):  # whatever they say, they are to go
            ray.wait(refs, num_returns=len(refs), timeout=_CLOSE_S)
        for member in self._members:
            self._kill(member)
        self._members = []
        if self._entered:
            self._entered = False
            RaySession.leave()


def _get(ref: Any, timeout: float | None = None) -> Any:
    """`ray.get` that raises the worker's own typed errors, not Ray's wrapping of them."""
    try:
        return ray.get(ref, timeout=timeout)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, AgentGymError):
            raise cause from None
        raise WorkerError(f"a worker failed: {_line(cause or error)}") from error


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
