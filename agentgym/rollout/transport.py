"""How weights travel from the learner's process to the engines of a fleet: one interface, with a version.

`StoreTransport` puts a copy into Ray's object store, which the workers of a machine map into their memory and those of
another one fetch. `agentgym.rollout.collective.CollectiveTransport` broadcasts to all workers at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agentgym.faults import AgentGymError, EngineFault, MissingExtra, first_line
from agentgym.rollout.session import RaySession
from agentgym.rollout.weights import pack_state

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ModuleNotFoundError as error:  # pragma: no cover - the train extra brings it
    raise MissingExtra("ray", "train") from error

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

TransportName = Literal["store", "collective"]


class WorkerError(AgentGymError, RuntimeError):
    """A worker that cannot be started."""


class Published(Protocol):
    """Weights and their version: a copy, which stays what it is while the learner learns on."""

    @property
    def version(self) -> int: ...

    def ref(self) -> ObjectRef[Any]:
        """They in the object store, as `RolloutWorker.update_weights` takes them."""
        ...


@dataclass(slots=True)
class Delivery:
    """What came of a delivery.

    Attributes:
        lost: Index of a worker that did not take the weights, and must not be used any more -> why.
        trouble: What went wrong besides, in one line; empty: nothing did.
    """

    lost: dict[int, str] = field(default_factory=dict)
    trouble: str = ""


class Transport(Protocol):
    """The interface; a fleet has one, and calls it from one thread, `publish` excepted."""

    def publish(self, version: int, state: Mapping[str, Any]) -> Published:
        """Copies weights; may be called beside everything else, from any thread."""
        ...

    def deliver(self, weights: Published, actors: Sequence[ActorHandle[Any]], patience_s: float) -> Delivery:
        """Has workers take weights, and returns when they have.

        Args:
            weights: From `publish`.
            actors: The workers (`RolloutWorker`), all of them set up.
            patience_s: How long each of them may be silent.
        """
        ...

    def close(self) -> None:
        """Frees what it holds between two deliveries."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """Weights in the object store."""

    version: int
    stored: ObjectRef[Any]

    def ref(self) -> ObjectRef[Any]:
        return self.stored


class StoreTransport:
    """Through Ray's object store: shared memory on one machine, Ray's own transfer between several."""

    def publish(self, version: int, state: Mapping[str, Any]) -> Published:
        return Stored(version, RaySession.put(pack_state(state)))

    def deliver(self, weights: Published, actors: Sequence[ActorHandle[Any]], patience_s: float) -> Delivery:
        refs: list[ObjectRef[Any]] = [a.update_weights.remote(weights.version, weights.ref()) for a in actors]
        delivery = Delivery()
        for index, ref in enumerate(refs):
            try:
                fetch(ref, patience_s)
            except (RayError, EngineFault) as error:
                delivery.lost[index] = first_line(error)
        return delivery

    def close(self) -> None:
        """It holds nothing."""


def fetch(ref: Any, timeout_s: float | None = None) -> Any:
    """`ray.get` that raises the worker's own typed errors, not Ray's wrapping of them."""
    try:
        return ray.get(ref, timeout=timeout_s)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, AgentGymError):
            raise cause from None
        raise WorkerError(f"a worker failed: {first_line(cause or error)}") from error
