"""The optimiser: AdamW (arXiv 1711.05101), learning-rate schedules, gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from agentgym.config import Config
from agentgym.faults import ConfigError

Schedule = Literal["constant", "linear", "cosine"]


class OptimizerConfig(Config):
    """AdamW and its learning rate."""

    lr: float = Field(5e-4, gt=0)
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running first and second moment."""
    eps: float = Field(1e-8, gt=0)
    """Added to the root of the second moment."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay, of matrices only (not of biases and norms)."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this global norm."""
    schedule: Schedule = "constant"
    """Shape of the learning rate after the warm-up."""
    warmup_steps: int = Field(0, ge=0)
    """Optimiser steps over which the learning rate rises from 0 to its peak."""
    decay_steps: int | None = Field(None, ge=1)
    """Optimiser steps, warm-up included, after which a linear or cosine schedule has reached `min_lr_ratio`; none: as
    many as the run has."""
    min_lr_ratio: float = Field(0.0, ge=0, le=1)
    """Share of the peak at which a schedule ends."""

    @model_validator(mode="after")
    def _complete(self) -> OptimizerConfig:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("betas must be in [0, 1)")
        return self

    def lr_at(self, step: int, total_steps: int | None = None) -> float:
        """Learning rate of an optimiser step: a pure function, so that there is no state to save.

        Args:
            step: 0-based number of the step.
            total_steps: Of the run; used where `decay_steps` is None.

        Raises:
            ConfigError: A schedule that decays, and no word on how long.
        """
        return learning_rate(
            step, self.decay_steps or total_steps, self.lr, self.schedule, self.warmup_steps, self.min_lr_ratio
        )


def learning_rate(
    step: int, total_steps: int | None, peak: float, schedule: Schedule, warmup_steps: int, min_ratio: float
) -> float:
    """See `OptimizerConfig.lr_at`."""
    if schedule != "constant" and total_steps is None:
        raise ConfigError(f"optimizer.schedule {schedule!r} needs optimizer.decay_steps")
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if schedule == "constant" or total_steps is None:
        return peak
    done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    left = 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return peak * (min_ratio + (1.0 - min_ratio) * left)


def make_optimizer(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over the parameters that want gradients; weight decay only where there are two dimensions or more."""
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=config.lr, betas=config.betas, eps=config.eps, foreach=True
    )


def step(optimizer: torch.optim.Optimizer, lr: float, max_grad_norm: float) -> float:
    """Clips the gradients, steps, and clears them.

    Returns:
        The gradients' global norm before clipping. Where it is not finite the parameters stay as they were.
    """
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    total = nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None], foreach=True)
    whole = total.full_tensor() if hasattr(total, "full_tensor") else total  # of a sharded model: over all shards
    norm = float(whole)
    if math.isfinite(norm):
        nn.utils.clip_grads_with_norm_(trained, max_grad_norm, whole, foreach=True)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
