"""What a run says of itself: a row of figures an update, and ``report.json`` in the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.clock import PhaseClock
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.evaluation import Evaluation
from agentgym.trainers.progress import Progress


def make_report(
    config: TrainConfig,
    progress: Progress,
    evaluations: list[Evaluation],
    clock: PhaseClock,
) -> dict[str, Any]:
    """The report. The headline success is the greedy one on the target difficulty (``eval.target``)."""
    first, last = evaluations[0], evaluations[-1]
    target = config.eval.target if config.eval.target is not None else max(s.difficulty for s in last.scores)
    final = last.of(target)
    seconds = clock.seconds
    return {
        "env": config.env.id,
        "name": config.name,
        "seed": config.seed,
        "model": config.model,
        "updates": progress.update,
        "episodes": progress.episodes,
        "target_difficulty": target,
        "warm_start_success": round(first.of(target).rate, 4),
        "warm_start_success_ci": [round(x, 4) for x in first.of(target).ci],
        "final_success": round(final.rate, 4),
        "final_success_ci": [round(x, 4) for x in final.ci],
        "evaluations": [e.to_json() for e in evaluations],
        "wall_s": round(progress.wall_s, 1),
        "tokens_per_s": round(progress.tokens / seconds["rollout"], 1) if seconds.get("rollout") else 0.0,
        "seconds": {phase: round(s, 2) for phase, s in seconds.items()},
        "time_share": clock.share(),
        "framework_share": round(framework_share(seconds, progress.rollout, config.rollout.workers), 4),
        "rollout": {k: round(v, 4) for k, v in progress.rollout.items()},
    }


def framework_share(seconds: dict[str, float], rollout: dict[str, float], workers: int) -> float:
    """Share of the updates' wall clock that was spent neither in a model nor in an environment.

    Workers run side by side, so a worker's seconds count by their mean; one that waits for another is overhead too. The
    seconds of environments whose steps overlap (blocking or asynchronous ones) add up, so for them it is a lower bound.

    Args:
        seconds: Wall seconds by phase.
        rollout: Counters of the workers while they collected (`RolloutPool.stats`).
        workers: How many there are; 0 stands for the training process itself.
    """
    total = sum(seconds.get(phase, 0.0) for phase in ("rollout", "credit", "learn", "weights", "log", "checkpoint"))
    inside = (rollout.get("engine.busy_s", 0.0) + rollout.get("env_s", 0.0)) / max(workers, 1)
    return max(0.0, 1.0 - (inside + seconds.get("learn", 0.0)) / total) if total > 0 else 0.0


def rollout_metrics(
    whole: RewardTable,
    table: RewardTable,
    successes: Floats,
    signal: NDArray[np.bool_],
) -> dict[str, float]:
    """What the collected episodes look like: success, turns, tokens, rewards, and success by difficulty.

    Args:
        whole: Of the episodes.
        table: Of what is learned from: the episodes themselves, or the continuations of their steps.
        successes: float64[N], of the episodes.
        signal: bool[G], which groups of the table have any gradient.
    """
    if whole.n == 0 or table.n == 0:
        return {}
    row = {
        "success": float(successes.mean()),
        "outcome": float(whole.outcome.mean()),
        "process": float(table.sum_turns(table.turn_reward).mean()),
        "turns": float(whole.lengths.mean()),
        "policy_tokens": float(whole.tokens.sum() / whole.n),
        "truncated": float(whole.truncated.mean()),
        "groups_with_signal": float(signal.mean()),
    }
    if table is not whole:
        row["continuations"] = float(table.n)
    for difficulty in np.unique(whole.difficulty):
        row[f"success_{difficulty}"] = float(successes[whole.difficulty == difficulty].mean())
    for of in (table, whole):
        row |= {f"part_{name}": float(values.sum() / of.n) for name, values in of.parts.items()}
    return row
