"""The learner's update against the training step of TRL's GRPOTrainer, on the same sequences."""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpu_parts.learning import LR, make_learner, rates, timed_update
from gpu_parts.shapes import Batch, forget_peak, peak_gib, say
from peer_sides.baton import Step, Steps
from peers import SIDES, TRL, Side, make_peer


def find_peer(folder: Path) -> Path:
    """A Python that has TRL: this one, or that of a virtual environment, made when it is not there.

    Raises:
        RuntimeError: It cannot be made.
    """
    if importlib.util.find_spec("trl"):
        return Path(sys.executable)
    try:
        return make_peer(folder)
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"TRL {TRL} cannot be installed into {folder}") from error


def steps_of(
    batch: Batch, model: str, device: str, samples: int, microbatch_tokens: int, checkpointing: bool, updates: int,
    threads: int,
) -> Steps:  # fmt: skip
    """The batch as TRL takes it: prompts, and completions that hold what the environment said too."""
    prompts, completions, written = [], [], []
    for trajectory in batch.trajectories:
        tokens, turn = trajectory.tokens.tolist(), trajectory.turn.tolist()
        first = next(i for i, number in enumerate(turn) if number >= 0)
        prompts.append(tokens[:first])
        completions.append(tokens[first:])
        written.append([int(number >= 0) for number in turn[first:]])
    padded = max(map(len, prompts)) + max(map(len, completions))
    n = len(prompts)
    # Of all equal parts the largest within the budget.
    micro_batch = max(
        size for size in range(1, n + 1) if n % size == 0 and (size == 1 or size * padded <= microbatch_tokens)
    )
    return Steps(
        model=model,
        device=device,
        prompts=prompts,
        completions=completions,
        written=written,
        rewards=batch.rewards,
        samples=samples,
        micro_batch=micro_batch,
        lr=LR,
        checkpointing=checkpointing,
        updates=updates,
        threads=threads,
    )


def measure_peer(
    steps: Steps, batch: Batch, python: Path, work: Path, runs: int, peak: float | None, budget: int
) -> dict[str, Any]:
    """The sides take turns, an update each; the ratio is that of neighbours."""
    settings = work / "steps.json"
    settings.write_text(json.dumps(asdict(steps)))
    forget_peak(steps.device)
    learner = make_learner(steps.model, steps.device, budget, steps.checkpointing)
    ours: list[tuple[float, float]] = []
    theirs: list[Step] = []
    command = [str(python), str(SIDES / "with_trl_step.py"), str(settings)]
    with Side("TRL", command, work / "trl.log", steps.threads) as side:
        for run in range(runs + 1):
            ours.append(timed_update(learner, batch, steps.device))
            theirs.append(Step(**side.ask()))
            say(f"update {run + 1}/{runs + 1}: agentgym {ours[-1][0]:.3f} s, TRL {theirs[-1].seconds:.3f} s")
        found = side.versions
    seconds, peers = [s for s, _ in ours[1:]], [step.seconds for step in theirs[1:]]
    own = rates(seconds, batch, peak) | {"grad_norm": ours[0][1], "peak_gib": peak_gib(steps.device)}
    theirs_all = rates(peers, batch, peak) | {"grad_norm": theirs[0].grad_norm, "peak_gib": theirs[-1].peak_gib}
    return {
        "agentgym": own,
        "trl": theirs_all | {"versions": found, "micro_batch": steps.micro_batch},
        "ratio": statistics.median(peer / mine for peer, mine in zip(peers, seconds, strict=True)),
        "grad_norm_ratio": theirs[0].grad_norm / ours[0][1],
    }
