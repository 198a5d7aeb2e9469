"""`CollectiveTransport`: weights as a broadcast (`agentgym.rollout.broadcast`), NCCL between GPUs, gloo otherwise.

One copy of the weights is made a version, in the memory of the machine (not of its GPUs, of which a learner has none to
spare). It serves three ends: the learner may learn on while it is sent; a bucket at a time goes through the GPU; and
a worker that is started later gets the weights of that very version, through the object store. Nothing is put there
unless such a worker asks.

What fails is the broadcast as a whole: the death of one worker ends it for others that are well. So those that did not
confirm get the same weights through the object store once more; who does not take them then is lost. The group is made
anew at the next delivery. Nothing takes longer than twice the patience, and the connecting of a group.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import ray
import torch
from ray.exceptions import RayError

from agentgym.faults import EngineFault, first_line
from agentgym.rollout.broadcast import Host, Link, Plan, SyncFault, choose_backend, own_gpu, pack
from agentgym.rollout.session import RaySession
from agentgym.rollout.transport import Delivery, Published, StoreTransport, fetch
from agentgym.rollout.weights import pack_state

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

_util: Any = ray.util  # untyped
_POLL_S = 0.1  # how late the failure of the sending itself may be noticed
_LAST_SIGN_S = 5.0  # how long after a failure the death of a worker may be its cause


@dataclass(slots=True)
class Packed:
    """Weights in buckets, and in the object store from when somebody asks for them there."""

    version: int
    plan: Plan
    buckets: list[torch.Tensor]
    stored: ObjectRef[Any] | None = None

    def ref(self) -> ObjectRef[Any]:
        if self.stored is None:
            self.stored = RaySession.put(pack_state(self.plan.state(self.buckets)))
        return self.stored


class CollectiveTransport:
    """See the module's docstring, and `Transport`."""

    def __init__(self) -> None:
        self._store = StoreTransport()
        self._link: Link | None = None
        self._actors: list[ActorHandle[Any]] = []  # that are in the group

    def publish(self, version: int, state: Mapping[str, Any]) -> Published:
        return Packed(version, *pack(state))

    def deliver(self, weights: Published, actors: Sequence[ActorHandle[Any]], patience_s: float) -> Delivery:
        delivery = Delivery()
        done: set[int] = set()
        try:
            if self._link is None or list(actors) != self._actors:
                self._meet(actors, patience_s, delivery)
            if self._link is not None:
                self._broadcast(self._link, cast(Packed, weights), patience_s, done, delivery)
        except SyncFault as fault:
            delivery.trouble = first_line(fault)
        if len(done) < len(actors):
            self.close()
        rest = [i for i in range(len(actors)) if i not in done and i not in delivery.lost]
        again = self._store.deliver(weights, [actors[i] for i in rest], patience_s) if rest else Delivery()
        delivery.lost |= {rest[i]: why for i, why in again.lost.items()}
        return delivery

    def _meet(self, actors: Sequence[ActorHandle[Any]], patience_s: float, delivery: Delivery) -> None:
        """Makes a group of these workers; none where one of them is lost.

        Raises:
            SyncFault: They cannot be connected.
        """
        self.close()
        self._actors = list(actors)
        own = own_gpu()
        gpus = _ask_all([actor.gpu.remote() for actor in actors], patience_s, delivery) if own else []
        if delivery.lost or not actors:
            return
        try:
            host = Host(_util.get_node_ip_address(), len(actors) + 1, choose_backend([own, *gpus]), patience_s)
        except (RuntimeError, OSError) as error:
            raise SyncFault(f"the workers could not be connected: {first_line(error)}") from error
        # All of them are known to be on their way before this process waits for them.
        _ask_all([a.join.remote(host.meeting, rank) for rank, a in enumerate(actors, 1)], patience_s, delivery)
        if not delivery.lost:
            self._link = Link(host.meeting, 0, host.store)

    def _broadcast(self, link: Link, weights: Packed, patience_s: float, done: set[int], delivery: Delivery) -> None:
        """Sends, until all have confirmed or it has failed.

        Args:
            link: The group of `_actors`.
            weights: What.
            patience_s: How long it may take.
            done: Takes the index of whoever confirms.
            delivery: Takes those that are lost.

        Raises:
            SyncFault: It failed.
        """
        refs: list[ObjectRef[Any]] = [a.receive.remote(weights.version, weights.plan) for a in self._actors]
        pending = {ref: index for index, ref in enumerate(refs)}
        sending = _in_thread(link, weights.buckets)
        until = time.monotonic() + patience_s
        failure: BaseException | None = None
        while pending:
            RaySession.check()
            ready, _ = ray.wait(list(pending), num_returns=1, timeout=_POLL_S)
            for ref in ready:
                index = pending.pop(ref)
                try:
                    fetch(ref)
                except SyncFault as fault:
                    failure = failure or fault
                except EngineFault as error:  # it has got them; they did not fit
                    delivery.lost[index] = first_line(error)
                except RayError as error:
                    delivery.lost[index] = first_line(error)
                    raise SyncFault("the broadcast failed: a worker died") from error
                else:
                    done.add(index)
            if sending.done():
                failure = failure or sending.exception()
            if failure is not None:  # the others may notice a death before Ray does, which knows whose it is
                until = min(until, time.monotonic() + _LAST_SIGN_S)
            if time.monotonic() > until:
                raise failure or SyncFault(f"the broadcast took more than {patience_s:g} s")
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Ends the group."""
        for actor in self._actors:
            actor.leave.remote()
        if self._link is not None:
            self._link.close()
        self._link, self._actors = None, []


def _ask_all(refs: Sequence[ObjectRef[Any]], patience_s: float, delivery: Delivery) -> list[Any]:
    """What all answer; those that do not are lost, and missing."""
    answers = []
    for index, ref in enumerate(refs):
        try:
            answers.append(fetch(ref, patience_s))
        except RayError as error:
            delivery.lost[index] = first_line(error)
    return answers


def _in_thread(link: Link, buckets: Sequence[torch.Tensor]) -> Future[None]:
    """Sends in a thread: who waits for the sending does not hear that a worker died."""
    sending: Future[None] = Future()

    def send() -> None:
        try:
            link.send(buckets)
        except BaseException as error:
            sending.set_exception(error)
        else:
            sending.set_result(None)

    threading.Thread(target=send, name="weights", daemon=True).start()
    return sending
