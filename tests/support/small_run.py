"""The smallest training run that is one: seconds on a CPU, and a policy that has something to learn."""

from __future__ import annotations

from typing import Any

SMALL_RUN: dict[str, Any] = {
    "env": {
        "id": "agentgym/Search-v0",
        "kwargs": {"instructions": "none", "hops": [1, 2], "worlds": 4, "heldout_worlds": 2, "questions": 4},
    },
    "tiny": {"width": 32, "layers": 1, "heads": 2},
    "warm_start": {"phases": [{"steps": 12, "batch": 16, "lr": 0.01}], "mistakes": {2: {"answer": 0.3}}},
    "sampling": {"max_tokens": 8},
    "rollout": {"workers": 0},
    "tasks_per_update": 3,
    "samples_per_task": 4,
    # The format counts in every episode, so that even this untaught policy has something to learn from.
    "rewards": [{"weigh": {"evidence": 1.0, "format": 0.1}}],
    "credit": {"name": "step_grpo"},
    "learner": {"optimizer": {"lr": 0.002}, "threads": 1},
    "eval": {"every": 0, "tasks": 3, "final_tasks": 4},
}
