"""What an environment says: the messages and facts of a reset, of a step and of a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, TypedDict

from agentgym.signal import RewardSignal


class Message(TypedDict):
    """A chat message; ``role`` is system, user, assistant or tool."""

    role: str
    content: str


class StepInfo(TypedDict):
    """What ``info`` carries, at every reset and step.

    Keys:
        messages: Chat messages this reset or step adds (the policy's own text is not among them).
        signal: What the turn earned (empty at reset).
        state_key: Key of the state the environment is in now; equal for equal states.
        task_id: The task being played.
        action: The turn as parsed (`ParsedTurn.to_json`; empty at reset).
    """

    messages: list[Message]
    signal: RewardSignal
    state_key: str
    task_id: str
    action: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Opening:
    """How an episode begins.

    Attributes:
        prompt: What the agent is asked, without the instructions on how to act (the base class adds them).
        state_key: Key of the initial state.
        system: System message, if the family wants one.
    """

    prompt: str
    state_key: str
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one turn led to.

    Attributes:
        observation: What the agent reads next.
        signal: What the turn earned.
        state_key: Key of the state reached.
        terminated: The episode is over.
    """

    observation: str
    signal: RewardSignal
    state_key: str
    terminated: bool = False


@dataclass(slots=True)
class Snapshot:
    """A forkable environment's state: picklable, restorable any number of times, in any environment made alike.

    Attributes:
        task_id, turn, done, state_key: Where the episode is.
        state: The family's own (`AgentEnv.fork_state`).
        random: State of the environment's random numbers.
        transcript: What `render` shows.
    """

    task_id: str
    turn: int
    done: bool
    state_key: str
    state: Any = None
    random: Mapping[str, Any] = field(default_factory=dict)
    transcript: tuple[str, ...] = ()


def picture_name(state_key: str) -> str:
    """File name under which an environment that takes pictures keeps that of a state."""
    return f"{blake2b(state_key.encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}.png"
