"""The learner's figures, and the way of its weights to the engines."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gpu_parts.playing import Player, pool
from gpu_parts.shapes import Batch, forget_peak, peak_gib, sync, tried

from agentgym.trainers.learner import Learner, LearnerConfig
from agentgym.trainers.optim import OptimizerConfig

#: So small that the policy, and with it the work, stays the same from update to update.
LR = 1e-7
#: Never reached: the gradient's norm is computed, as in any run, and said as it is.
MAX_GRAD_NORM = 1e9


def make_learner(model: str, device: str, microbatch_tokens: int, checkpointing: bool) -> Learner:
    """A learner that does one optimiser step an update, ratios beginning at 1, as the peer's do."""
    optimizer = OptimizerConfig(lr=LR, max_grad_norm=MAX_GRAD_NORM)
    config = LearnerConfig(
        device=device,
        gradient_checkpointing=checkpointing,
        microbatch_tokens=microbatch_tokens,
        old_logprobs="recompute",
        importance_cap=None,
        optimizer=optimizer,
    )
    return Learner(model, config)


def timed_update(learner: Learner, batch: Batch, device: str) -> tuple[float, float]:
    """Seconds of an update, and its gradient norm."""
    sync(device)
    since = time.perf_counter()
    figures = learner.update(batch.trajectories, batch.advantages)
    sync(device)
    return time.perf_counter() - since, figures["grad_norm"]


def rates(seconds: list[float], batch: Batch, peak: float | None) -> dict[str, Any]:
    """Figures of updates that took so long."""
    median = statistics.median(seconds)
    return {
        "seconds": seconds,
        "median_s": median,
        "tokens_per_s": batch.tokens / median,
        "model_tflops": batch.flops.total / median / 1e12,
        "mfu": None if peak is None else batch.flops.total / median / peak,
    }


def measure_learner(
    model: str, batch: Batch, device: str, microbatch_tokens: int, runs: int, peak: float | None
) -> dict[str, Any]:
    """Updates with activations kept and with activations computed again."""

    def measure(checkpointing: bool) -> dict[str, Any]:
        forget_peak(device)
        learner = make_learner(model, device, microbatch_tokens, checkpointing)
        took = [timed_update(learner, batch, device) for _ in range(runs + 1)]
        row = rates([seconds for seconds, _ in took[1:]], batch, peak)  # the first one warms up
        return row | {"grad_norm": took[0][1], "peak_gib": peak_gib(device)}

    return {
        title: tried(partial(measure, checkpointing))
        for title, checkpointing in (("plain", False), ("checkpointing", True))
    }


def measure_sync(model: str, player: Player, microbatch_tokens: int, runs: int) -> dict[str, Any]:
    """New weights: out of the learner, into an engine of this process, into one behind a Ray worker."""
    forget_peak(player.device)
    learner = make_learner(model, player.device, microbatch_tokens, False)
    size = sum({t.data_ptr(): t.numel() * t.element_size() for t in learner.weights().values()}.values())

    def measure(work: Callable[[int], Any]) -> dict[str, Any]:
        took = []
        for version in range(1, runs + 2):
            sync(player.device)
            since = time.perf_counter()
            work(version)
            sync(player.device)
            took.append((time.perf_counter() - since) * 1e3)
        return {"ms": statistics.median(took[1:])}  # the first one takes memory

    def into_engine() -> dict[str, Any]:
        engine = player.make_engine(model)
        with asyncio.Runner() as runner:
            found = measure(lambda version: runner.run(engine.update_weights(version, learner.weights())))
            runner.run(engine.close())
        return {"engine": type(engine).__name__} | found

    def into_worker() -> dict[str, Any]:
        with pool(player, model, workers=1, weights_bytes=size) as workers:
            return measure(lambda version: workers.update_weights(version, learner.weights()))

    result: dict[str, Any] = {"bytes": size, "cpu": measure(lambda _: learner.weights())}
    for title, work in (("engine", into_engine), ("worker", into_worker)):
        result[title] = tried(work)
        forget_peak(player.device)
    return result
