"""`Fleet`: rollout workers in Ray actors, and the book of who holds which group.

A group is handed out once and is its worker's until it comes back or the worker is lost; then it is handed out again.
So none is lost and none is counted twice, whoever dies when. A group on which workers keep dying is tried alone in the
end, which tells the guilty from the bystanders; only then is it given up.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentgym.faults import EngineFault, MissingExtra, first_line
from agentgym.rollout.episode import faulted
from agentgym.rollout.request import EngineSpec, EnvSpec, FaultEvent, GroupRequest, Limits
from agentgym.rollout.session import RaySession
from agentgym.rollout.stats import add_up
from agentgym.rollout.transport import Published, StoreTransport, Transport, TransportName, WorkerError, fetch
from agentgym.rollout.vitals import Hand, LastKnown
from agentgym.rollout.worker import Report, RolloutWorker
from agentgym.trajectory import Group

try:
    import ray
    from ray.exceptions import RayError
except ModuleNotFoundError as error:  # pragma: no cover - the train extra brings it
    raise MissingExtra("ray", "train") from error

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

#: `FaultEvent.kind` of a worker that was lost.
WORKER = "worker"
#: `FaultEvent.kind` of weights that had to be sent twice.
WEIGHTS = "weights"
_ENGINE = EngineFault().kind
_HEARTBEAT_S = 2.0  # longest silence of a worker whose event loop is alive
_STARTS = 3  # how often a worker is started before the run gives up
_CLOSE_S = 5.0
_AHEAD = 3  # times its places, what a worker is given while there is plenty waiting
_PLENTY = 0.25  # times all places


@dataclass(slots=True)
class _Member:
    """One worker, and what it holds."""

    number: int
    actor: ActorHandle[Any]
    held: dict[str, GroupRequest] = field(default_factory=dict)
    alone: bool = False  # it holds a suspect group and gets no other
    answer: ObjectRef[Any] | None = None  # of the `next` call under way
    asked: float = 0.0
    starting: ObjectRef[Any] | None = None  # of the call that sets it up; None: it can be used
    attempt: int = 1  # how often it was started in a row
    weights: Published | None = None  # the last it was sent while it started

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
        weights: TransportName,
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
        self._transport = _transport(weights)
        self._weights: Published | None = None
        self._events: list[FaultEvent] = []
        self._waiting: deque[GroupRequest] = deque()
        self._losses: Counter[str] = Counter()  # how often a group's worker was lost
        self._known = LastKnown()
        self._members: list[_Member] = []
        try:
            self._members = [self._start(number) for number in range(workers)]
            self._await_ready(workers)
        except BaseException:
            self.close()
            raise

    # -- starting and losing workers ---------------------------------------------------------------------------------

    def _start(self, number: int, attempt: int = 1) -> _Member:
        """A new worker, which begins to set itself up; with the newest weights, if there are any."""
        weights = self._weights
        newest = () if weights is None else (weights.version, weights.ref())
        actor: ActorHandle[Any] = self._kind.remote(self.env_spec, self.limits)  # type: ignore[assignment]
        ready: ObjectRef[Any] = actor.setup.remote(self.engine_spec, self.tokenizer, self.threads, *newest)
        return _Member(number, actor, starting=ready, attempt=attempt, weights=weights)

    def _started(self, member: _Member) -> None:
        """What a worker that starts was doing has come to an end.

        Raises:
            WorkerError: It has failed too often.
        """
        try:
            fetch(member.starting)
        except (RayError, EngineFault) as error:
            if member.attempt == _STARTS:
                raise WorkerError(f"worker {member.number} cannot be started: {first_line(error)}") from error
            self._say(WORKER, f"worker {member.number} was lost while it started: {first_line(error)}")
            self._kill(member)
            self._members[member.number] = self._start(member.number, member.attempt + 1)
            return
        member.starting = None
        if self._weights is not None and member.weights is not self._weights:  # there are newer ones by now
            member.weights = self._weights
            member.starting = member.actor.update_weights.remote(self._weights.version, self._weights.ref())

    def _replace(self, member: _Member, why: str) -> list[GroupRequest]:
        """Starts a new worker in a lost one's place; returns what the lost one held.

        Nobody waits for the new one, which may have to wait itself: for a node that has room for it.
        """
        held = list(member.held.values())
        self._known.lost(member.number)
        self._say(WORKER, f"worker {member.number} {why}; {len(held)} groups run again")
        self._kill(member)
        self._members[member.number] = self._start(member.number)
        return held

    @property
    def _ready(self) -> list[_Member]:
        """The workers that are set up."""
        return [m for m in self._members if m.starting is None]

    def _await_ready(self, least: int) -> None:
        """Hears of all workers that are set up by now, and waits until there are so many."""
        while starting := {m.starting: m for m in self._members if m.starting is not None}:
            RaySession.check()
            enough = len(self._ready) >= least
            wait_s = 0.0 if enough else _HEARTBEAT_S
            done, _ = ray.wait(list(starting), num_returns=1, timeout=wait_s)
            for ref in done:
                self._started(starting[ref])
            if enough and not done:
                return

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
        unfinished = {request.id for request in requests}
        try:
            if fixed:
                self._await_ready(least=1)
                members = self._ready
                for i, member in enumerate(members):
                    self._submit(member, list(requests[i :: len(members)]))
            else:
                self.submit(requests)
            while unfinished:
                for group in self.advance(whole=fixed):
                    if group.id in unfinished:
                        unfinished.discard(group.id)
                        yield group
        finally:
            if unfinished:
                self.cancel()

    def submit(self, requests: Sequence[GroupRequest], first: bool = False) -> None:
        """Adds groups to those that wait for a worker; `advance` brings them.

        Args:
            requests: With ids that no other group in the fleet has.
            first: Put them before those that wait already.
        """
        if first:
            self._waiting.extendleft(reversed(requests))
        else:
            self._waiting.extend(requests)

    @property
    def busy(self) -> bool:
        """Whether groups wait or are being played."""
        return bool(self._waiting) or any(member.held for member in self._members)

    def advance(self, wait_s: float = _HEARTBEAT_S, whole: bool = False) -> list[Group]:
        """Hands out what waits, and gathers what has finished.

        Args:
            wait_s: Longest wait for the first of them, in seconds.
            whole: Wait for all that a worker holds; one answer costs less than many.
        """
        self._hand_out()
        return self._gather(wait_s, whole)

    def _hand_out(self) -> None:
        """Gives waiting groups to the workers with the least to do, within their capacity.

        While many wait a worker has more than it has places for, since a group's places become free one by one; the
        last ones wait for whoever is first.
        """
        batches: dict[int, list[GroupRequest]] = {}
        waiting = self._waiting
        for _ in range(len(waiting)):
            request = waiting[0]
            suspect = self._losses[request.id] >= max(1, self.limits.retries)
            free = [m for m in self._ready if not m.alone and (not suspect or not m.held)]
            member = min(free, key=lambda m: m.load, default=None)
            most = self.limits.concurrency
            if len(waiting) * request.width > _PLENTY * len(self._members) * most:
                most *= _AHEAD
            if member is None or (member.held and member.load + request.width > most):
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

    def _gather(self, wait_s: float, whole: bool) -> list[Group]:
        """The next news of any worker, which answers within the heartbeat in any case."""
        RaySession.check()
        for member in self._members:
            if member.held and member.answer is None:
                wanted = len(member.held) if whole else 1
                member.answer, member.asked = member.actor.next.remote(_HEARTBEAT_S, wanted), time.monotonic()
        asked = {m.answer or m.starting: m for m in self._members if m.answer is not None or m.starting is not None}
        ready, _ = ray.wait(list(asked), num_returns=1, timeout=wait_s) if asked else ([], [])
        if ready:  # and whoever else has news: nobody waits behind those that always have some
            ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
        groups: list[Group] = []
        for ref in ready:
            member = asked[ref]
            if member.starting is not None:
                self._started(member)
                continue
            try:
                report: Report = fetch(ref)
            except RayError as error:
                groups += self._lost(member, f"died ({first_line(error)})")
                continue
            member.answer = None
            self._events += report.events
            if report.vitals is not None:
                self._known.heard(member.number, report.vitals)
            if report.error is not None:
                raise report.error
            groups += self._accept(member, report.groups)
        for member in self._members:
            if member.answer is not None and time.monotonic() - member.asked > self.patience_s:
                groups += self._lost(member, f"did not answer for {self.patience_s:g} s")
        return groups

    def _accept(self, member: _Member, groups: list[Group]) -> list[Group]:
        accepted: list[Group] = []
        engine_fails = False
        for group in groups:
            if group.id not in member.held:
                continue
            broken = any(t.fault is not None and t.fault.startswith(_ENGINE) for t in group.trajectories)
            if broken and self._losses[group.id] < self.limits.retries:
                engine_fails = True  # in every retry: it may be dead for all, so the worker starts afresh
                continue
            del member.held[group.id]
            self._losses.pop(group.id, None)
            member.alone = False
            accepted.append(group)
        if engine_fails:
            accepted += self._lost(member, "has an engine that fails")
        return accepted

    def _lost(self, member: _Member, why: str) -> list[Group]:
        """Replaces a worker; what it held waits again, or comes back as given up."""
        alone, losses = member.alone, self._losses
        given_up: list[Group] = []
        for request in reversed(self._replace(member, why)):
            losses[request.id] += 1
            if alone and losses[request.id] > self.limits.retries:
                fault = f"{WORKER}: the worker {why}, {losses[request.id]} times"
                self._say(WORKER, fault, request.id, losses[request.id], given_up=True)
                trajectories = [faulted(request, i, self.env_spec.id, fault) for i in range(len(request.seeds))]
                given_up.append(Group(request.id, request.task_id, trajectories))
                del losses[request.id]
            else:
                self._waiting.appendleft(request)
        return given_up

    def cancel(self) -> None:
        """Drops everything that waits or is being played."""
        self._waiting.clear()
        self._losses.clear()
        for member in self._ready:
            if member.held or member.answer is not None:
                try:
                    fetch(member.actor.cancel.remote(), self.patience_s)
                    if member.answer is not None:
                        self._events += fetch(member.answer, self.patience_s).events
                except RayError as error:
                    self._replace(member, f"could not be stopped ({first_line(error)})")
            member.held, member.alone, member.answer = {}, False, None

    # -- the rest of the pool's interface ----------------------------------------------------------------------------

    def update_weights(self, version: int, state: Mapping[str, Any]) -> None:
        """Gives every worker new weights."""
        self.install(self.publish(version, state))

    def publish(self, version: int, state: Mapping[str, Any]) -> Published:
        """Copies weights; may be called beside everything else, from any thread."""
        return self._transport.publish(version, state)

    def install(self, weights: Published) -> None:
        """Has every worker take published weights; those that start take them when they are ready."""
        self._weights = weights
        members = self._ready
        delivery = self._transport.deliver(weights, [m.actor for m in members], self.patience_s)
        if delivery.trouble:
            self._say(WEIGHTS, delivery.trouble)
        for index, why in delivery.lost.items():
            self._replace(members[index], f"could not take weights ({why})")

    def drain_events(self) -> list[FaultEvent]:
        events, self._events = self._events, []
        return events

    def stats(self) -> dict[str, float]:
        """The workers' counters, added up; those of workers lost meanwhile are lost with them."""
        parts = []
        refs: list[ObjectRef[Any]] = [member.actor.stats.remote() for member in self._ready]
        for ref in refs:
            with contextlib.suppress(RayError):
                parts.append(fetch(ref, self.patience_s))
        return add_up(parts)

    def snapshot(self) -> dict[str, Any]:
        """What is going on, as of the workers' last reports (`LastKnown.snapshot`); at once, from any thread."""
        most = self.limits.concurrency
        hands = {m.number: Hand.of([r.width for r in list(m.held.values())], most) for m in list(self._members)}
        facts = self._known.snapshot(hands)
        facts["groups"]["waiting"] = len(self._waiting)
        facts["faults"] = Counter(event.kind for event in list(self._events))
        return facts if self._weights is None else facts | {"version": self._weights.version}

    def close(self) -> None:
        self._transport.close()
        refs: list[ObjectRef[Any]] = [m.actor.close.remote() for m in self._members]
        with contextlib.suppress(Exception):  # whatever they say, they are to go
            ray.wait(refs, num_returns=len(refs), timeout=_CLOSE_S)
        for member in self._members:
            self._kill(member)
        self._members = []
        if self._entered:
            self._entered = False
            RaySession.leave()


def _transport(name: TransportName) -> Transport:
    if name == "store":
        return StoreTransport()
    from agentgym.rollout.collective import CollectiveTransport  # torch, which the store can do without

    return CollectiveTransport()
