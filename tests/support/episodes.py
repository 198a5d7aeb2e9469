"""Episodes by hand: what was done, shown and measured, turn by turn; tasks with whatever fields a test needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from making import trajectory

from agentgym.signal import RewardSignal
from agentgym.trajectory import Trajectory, Turn


@dataclass
class Step:
    """One turn: actions as (name, arguments), what the environment said and measured, the policy's text."""

    actions: Sequence[tuple[str, Mapping[str, Any]]] = ()
    shown: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    said: str = ""
    error: str | None = None


def search(query: str, shown: str = "", **parts: float) -> Step:
    return Step([("search", {"query": query})], shown, parts)


def answer(text: str, **parts: float) -> Step:
    return Step([("answer", {"text": text})], "noted", parts, f"<answer>{text}</answer>")


def bad(said: str = "?!") -> Step:
    """A turn that could not be read."""
    return Step((), "Error: no action found", {"format": -1.0}, said, "no action found")


def task(**fields: Any) -> SimpleNamespace:
    return SimpleNamespace(**fields)


def episode(*steps: Step, terminated: bool = True, outcome: float | None = None) -> Trajectory:
    turns, messages = [], [{"role": "user", "content": "go", "turn": -1}]
    for i, step in enumerate(steps):
        action: dict[str, Any] = {"actions": [{"name": n, "args": dict(a)} for n, a in step.actions]}
        if step.error is not None:
            action["error"] = step.error
        last = i == len(steps) - 1
        turns.append(Turn(RewardSignal(outcome if last else None, dict(step.parts)), f"s{i}", action))
        messages.append({"role": "assistant", "content": step.said, "turn": i})
        messages.append({"role": "user", "content": step.shown, "turn": i})
    played = trajectory(len(steps), messages=messages, terminated=terminated, truncated=not terminated)
    played.turns = turns
    return played


def letters(texts: Sequence[str]) -> list[list[float]]:
    """Counts of three letters: a stand-in for a sentence encoder."""
    return [[float(text.count(letter)) for letter in "abc"] for text in texts]
