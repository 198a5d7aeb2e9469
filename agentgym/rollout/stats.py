"""Counters of a collector, and their sum over workers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields


@dataclass(slots=True)
class RolloutStats:
    """What a collector has done since it was made.

    Attributes:
        episodes: Episodes finished without a fault.
        turns, tokens, policy_tokens: Of those episodes, and of what was tried beside them (continuations that were not
            kept, rollouts that measure); tokens that those share with their episode count once.
        forks: Continuations and measuring rollouts tried.
        shared_tokens: Prompt tokens given to the engine for a fork although another session had been given them; an
            engine reads them again, as each session has a cache of its own.
        engine_s: Seconds waited for completions, added up over episodes (they wait at the same time).
        env_s: Seconds inside (or waiting for) environments, added up likewise.
        framework_s: Seconds of the collector's own work between the two.
        faults: Faults by kind.
    """

    episodes: int = 0
    turns: int = 0
    tokens: int = 0
    policy_tokens: int = 0
    forks: int = 0
    shared_tokens: int = 0
    engine_s: float = 0.0
    env_s: float = 0.0
    framework_s: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, float]:
        """Flat plain data; faults as ``fault.<kind>``."""
        data: dict[str, float] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "faults"}
        return data | {f"fault.{kind}": count for kind, count in sorted(self.faults.items())}


def add_up(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    """The sum of flat counters, key by key."""
    total: dict[str, float] = {}
    for part in parts:
        for key, value in part.items():
            total[key] = total.get(key, 0) + value
    return total
