"""How many processes learn, and what each of them has."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentgym.config import Config

Sharding = Literal["ddp", "fsdp"]


class GroupConfig(Config):
    """The processes that learn together."""

    processes: int = Field(1, ge=1)
    """Processes that learn together under Ray Train, each with a GPU of its own where the learner runs on GPUs; 1: the
    training process itself, without Ray."""
    sharding: Sharding = "ddp"
    """With several processes: ``ddp``: each holds the whole model and optimiser; ``fsdp``: parameters, gradients and
    moments are split over them (FSDP2)."""
    resources: dict[str, float] = Field(default_factory=dict)
    """What Ray sets aside for each of several processes, e.g. ``{CPU: 8, memory: 6.4e10}``; a GPU need not be named."""
    exchange_timeout_s: float = Field(1800.0, ge=1)
    """Seconds one of several processes waits for the others in an exchange before it gives up."""
