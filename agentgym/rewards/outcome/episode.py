"""Reading an episode: what was done, said, shown and measured, turn by turn.

Everything here is text and data that a policy wrote or provoked; it is read, never run, and whatever is missing or
malformed reads as nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from agentgym.actions import Action
from agentgym.env import FORMAT
from agentgym.rewards.outcome.registry import Floats
from agentgym.trajectory import Trajectory


class AnyTask(Protocol):
    """A task of which nothing is read."""


def actions(trajectory: Trajectory) -> list[tuple[Action, ...]]:
    """[T], the actions of each turn; none for a turn that could not be read."""
    return [tuple(_actions(turn.action)) for turn in trajectory.turns]


def argument(action: Action) -> str | None:
    """The one text argument of an action; None where there is none or more than one."""
    texts = [value for value in action.args.values() if isinstance(value, str)]
    return texts[0] if len(texts) == 1 else None


def queries(trajectory: Trajectory, name: str = "search") -> list[str | None]:
    """[T], the text of each turn's last action of that name; None where the turn has none."""
    return [
        next((argument(action) for action in reversed(turn) if action.name == name), None)
        for turn in actions(trajectory)
    ]


def observations(trajectory: Trajectory) -> list[str]:
    """[T], what the environment said after each turn."""
    texts: list[list[str]] = [[] for _ in trajectory.turns]
    for message in trajectory.messages:
        if message["role"] != "assistant" and 0 <= message["turn"] < len(texts):
            texts[message["turn"]].append(message["content"])
    return ["\n".join(parts) for parts in texts]


def part(trajectory: Trajectory, name: str) -> Floats:
    """float64[T], a process part as the environment emitted it; 0 where it did not."""
    return np.array([turn.signal.process.get(name, 0.0) for turn in trajectory.turns], dtype=np.float64)


def formatted(trajectory: Trajectory) -> list[bool]:
    """[T], whether each turn was well-formed: it could be read, and the environment did not fault its format."""
    return ["error" not in t.action and t.signal.process.get(FORMAT, 0.0) >= 0.0 for t in trajectory.turns]


def well_formed(trajectory: Trajectory) -> bool:
    """Whether the episode has turns and each of them is well-formed."""
    return bool(trajectory.turns) and all(formatted(trajectory))


def at_last(values: Floats, amount: float) -> Floats:
    """A copy with an amount added to the last turn; of nothing where there are no turns."""
    paid = values.copy()
    paid[-1:] += amount
    return paid


def _actions(stored: Mapping[str, object]) -> list[Action]:
    listed = stored.get("actions")
    found = []
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
            args = entry.get("args")
            found.append(Action(entry["name"], args if isinstance(args, Mapping) else {}))
    return found
