"""How `benchmarks/peers.py` talks to the trainers it compares: an update at a time, each in a process of its own.

The driver writes a line to a side's standard input for every update it wants, and reads back one JSON row. Only one
side is at work at any moment, so all of them meet the same machine.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Work:
    """What every side is to do.

    Attributes:
        model: Folder of the policy that all start from.
        env: Keyword arguments of `SearchEnv`.
        tasks: Task ids, a list an update.
        samples: Episodes a task.
        turns: Turn budget of an episode.
        max_tokens: Tokens a turn may have.
        lr: Learning rate; small, so that the policy and with it the work stays the same from update to update.
        threads: CPU threads.
    """

    model: str
    env: dict[str, Any]
    tasks: list[list[str]]
    samples: int
    turns: int
    max_tokens: int
    lr: float
    threads: int


@dataclass(frozen=True)
class Row:
    """What one update took, and how much work it was; means over its episodes.

    Attributes:
        seconds: Wall time of the whole update.
        rollout_s: Of that, playing the episodes: engine, environment, parsing, scoring.
        learn_s: Of that, from the episodes to new weights.
        episodes: Episodes played.
        turns, policy_tokens, tokens: An episode's.
        outcome: Share of right answers.
        trained: Share of the episodes that were run through the model to learn from (those whose advantages are not
            all 0).
    """

    seconds: float
    rollout_s: float
    learn_s: float
    episodes: int
    turns: float
    policy_tokens: float
    tokens: float
    outcome: float
    trained: float


@dataclass(frozen=True)
class Steps:
    """What a trainer of `benchmarks/gpu.py` is to learn from, again and again: sequences that are given.

    Attributes:
        model: Folder.
        device: ``cuda`` (bfloat16 products, float32 weights) or ``cpu`` (float32).
        prompts, completions: Token ids, a list a sequence; those of a group one after the other.
        written: 1 for each token of a completion that the policy wrote, else 0.
        rewards: One a sequence.
        samples: Sequences of a group.
        micro_batch: Sequences run through the model at one time.
        lr: Learning rate.
        checkpointing: Whether activations are computed again.
        updates: How many are run.
        threads: CPU threads.
    """

    model: str
    device: str
    prompts: list[list[int]]
    completions: list[list[int]]
    written: list[list[int]]
    rewards: list[float]
    samples: int
    micro_batch: int
    lr: float
    checkpointing: bool
    updates: int
    threads: int


@dataclass(frozen=True)
class Step:
    """What one update of `Steps` took.

    Attributes:
        seconds: From the scored sequences to new weights.
        grad_norm: Of the whole batch's gradient, before the step.
        peak_gib: Most memory that tensors had on the GPU; None on a CPU.
    """

    seconds: float
    grad_norm: float
    peak_gib: float | None


class Baton:
    """The side's end. Anything else that is printed goes to standard error."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def hello(self, versions: dict[str, str]) -> None:
        """Ready to begin."""
        self._write(versions)

    def wait(self) -> bool:
        """Until the next update is wanted; False: none is."""
        return bool(sys.stdin.readline())

    def report(self, row: Row | Step) -> None:
        """An update is done."""
        self._write(asdict(row))

    def _write(self, data: dict[str, Any]) -> None:
        print(json.dumps(data), file=self._out, flush=True)
