"""What a run knows between two updates besides weights and sampler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """What a run knows besides the weights; goes into every checkpoint as plain data."""

    update: int = 0
    episodes: int = 0
    tokens: int = 0
    wall_s: float = 0.0
    warm_steps: int = 0
    warm_done: bool = False
    shaping: dict[str, Any] = field(default_factory=dict)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    clock: dict[str, float] = field(default_factory=dict)
    rollout: dict[str, float] = field(default_factory=dict)
    stream: dict[str, Any] = field(default_factory=dict)
