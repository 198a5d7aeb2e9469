"""Companion ``latent_reward``: LaRe, the outcome given back to the steps through a few meaningful numbers a step.

"Latent Reward: LLM-Empowered Credit Assignment in Episodic Reinforcement Learning", arXiv 2412.11120 (ABSTRACT). A
latent reward function maps what is known of a turn (its state and action) to a vector of factors that matter; a
decoder, learned online, maps the vector to the turn's reward, so that an episode's rewards sum to its return:

    minimise over f  mean over episodes of (R - sum_t f(latent_t))^2

In the paper a language model writes the latent reward function. Here that code is the user's: reviewed, put into a
package and named in the configuration, never text that is run. Without one, the turn's named signals are the vector.
The decoder is fitted by least squares (FREE in the paper) to the last episodes, this batch's included, which cost
nothing to keep: a vector a turn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import nn

from agentgym.config import Config, validate
from agentgym.faults import ConfigError, DataError
from agentgym.registry import Registry
from agentgym.rewards.table import Floats, Ints, RewardTable
from agentgym.trainers.companions import CompanionContext
from agentgym.trainers.credit.base import PerToken, trajectory_returns
from agentgym.trainers.critic import explained_variance
from agentgym.trainers.trainee import CompanionOptimizer, Trainee
from agentgym.trajectory import Trajectory

#: Trajectory -> float[turns, k], the factors of each turn; k is always the same.
LatentFunction = Callable[[Trajectory], Any]
LATENTS: Registry[LatentFunction] = Registry("latent reward function", "agentgym.latents")

# A factor that varies less than this over the first batch is not scaled up to unit variance.
_FLAT = 1e-6
_STATE = "latent.json"


class DecoderOptimizer(CompanionOptimizer):
    """The decoder's AdamW."""

    lr: float = Field(1e-2, gt=0)
    """Peak learning rate."""


class LatentRewardConfig(Config):
    """LaRe for the credit methods that need ``latent_reward``."""

    function: str | None = None
    """Latent reward function: a registered name, or ``package.module:function`` of a function from a `Trajectory` to
    float[turns, k]; none: the turn's named signals."""
    signals: tuple[str, ...] = ()
    """Without a function: which process parts make up the vector; none: all that the first batch has. A part that
    restates the outcome (an exact match, say) leaves the whole of it on the last turn: name the others."""
    hidden: int = Field(0, ge=0)
    """Width of the decoder's hidden layer; 0: it is linear."""
    optimizer: DecoderOptimizer = DecoderOptimizer()
    """AdamW, schedule, clipping."""
    steps: int = Field(100, ge=1)
    """Optimiser steps an update, each over all remembered episodes."""
    memory: int = Field(512, ge=1)
    """Episodes remembered, the latest ones."""
    update: Literal["before", "after"] = "before"
    """Whether it learns from a batch before or after it rewards that batch."""

    @model_validator(mode="after")
    def _one_vector(self) -> LatentRewardConfig:
        if self.function is not None and self.signals:
            raise ValueError("signals make up the vector only where no function is named")
        return self


class LatentReward:
    """The companion ``latent_reward``.

    Args:
        context: See there.
        options: Of `LatentRewardConfig`.

    Raises:
        ConfigError: Options that do not fit, or no such latent reward function.
    """

    Options = LatentRewardConfig

    def __init__(self, context: CompanionContext, options: Mapping[str, Any]) -> None:
        self.config = validate(LatentRewardConfig, options, context.where)
        self._context = context
        self._function = None if self.config.function is None else LATENTS.get(self.config.function)
        self.start()

    def start(self) -> None:
        """Forgets everything."""
        self._names = self.config.signals
        self._decoder: _Decoder | None = None
        self._latent = np.zeros((0, 0))

    def estimate(self, trajectories: Sequence[Trajectory], table: RewardTable) -> tuple[Floats, dict[str, float]]:
        """The decoded reward of each turn, float64[M].

        Raises:
            ConfigError: The latent reward function does not return finite numbers of the one shape.
        """
        self._latent = self._read(trajectories, table)
        if not table.m:
            return np.zeros(0), {}
        decoder = self._decoder = self._decoder or self._make(self._latent)
        figures = self._fit(decoder, table) if self.config.update == "before" else {}
        rewards = decoder.rewards(self._latent)
        explained = explained_variance(table.sum_turns(rewards), trajectory_returns(table))
        return rewards, figures | {"explained_variance": explained}

    def learn(
        self, trajectories: Sequence[Trajectory], table: RewardTable, advantages: Floats | PerToken
    ) -> dict[str, float]:
        """Fits the decoder to the batch that was estimated last, unless that was done before."""
        del trajectories, advantages
        if self.config.update == "before" or self._decoder is None or not table.m:
            return {}
        return self._fit(self._decoder, table)

    def save(self, folder: Path) -> None:
        """See `Companion.save`."""
        width = None if self._decoder is None else len(self._decoder.mean)
        (folder / _STATE).write_text(json.dumps({"names": self._names, "width": width}), encoding="utf-8")
        if self._decoder is not None:
            self._decoder.save(folder)

    def load(self, folder: Path) -> None:
        """See `Companion.load`."""
        self.start()
        try:
            state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            self._names, width = tuple(str(name) for name in state["names"]), state["width"]
            made = None if width is None else self._make(np.zeros((0, int(width))))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(folder, f"not a checkpoint of {self._context.where}: {error}") from error
        if made is not None:
            made.load(folder)
        self._decoder = made

    def _make(self, latent: Floats) -> _Decoder:
        return _Decoder(latent, self.config, self._context)

    def _fit(self, decoder: _Decoder, table: RewardTable) -> dict[str, float]:
        decoder.remember(self._latent, table.lengths, trajectory_returns(table))
        return decoder.fit()

    def _read(self, trajectories: Sequence[Trajectory], table: RewardTable) -> Floats:
        """float64[M, k], the factors of each turn."""
        if self._function is None:
            if not self._names and table.m:
                self._names = tuple(sorted(table.parts))
            return (
                np.stack([table.part(name) for name in self._names], axis=1) if self._names else np.ones((table.m, 1))
            )
        rows = [self._call(self._function, trajectory) for trajectory in trajectories if trajectory.turns]
        widths = {row.shape[1] for row in rows} | (set() if self._decoder is None else {len(self._decoder.mean)})
        if len(widths) > 1:
            raise ConfigError(f"{self._named}: gave {sorted(widths)} factors a turn; it must always give as many")
        return np.concatenate(rows) if rows else np.zeros((0, 0))

    @property
    def _named(self) -> str:
        return f"{self._context.where}.function {self.config.function!r}"

    def _call(self, function: LatentFunction, trajectory: Trajectory) -> Floats:
        latent, turns = function(trajectory), len(trajectory.turns)
        try:
            factors = np.asarray(latent, dtype=np.float64)
        except (TypeError, ValueError):
            raise ConfigError(f"{self._named}: gave a {type(latent).__name__}, not an array of numbers") from None
        if factors.ndim != 2 or len(factors) != turns or not factors.size or not np.all(np.isfinite(factors)):
            raise ConfigError(f"{self._named}: gave {factors.shape}, not finite numbers of shape ({turns}, factors)")
        return factors


class _Decoder:
    """From factors to rewards, and the episodes it is fitted to.

    Args:
        latent: float64[M, k] of the first batch; factors are measured in its standard deviations from its mean.
        config: See `LatentRewardConfig`.
        context: See `CompanionContext`.
    """

    _KEPT = ("mean", "scale", "_latent", "_lengths", "_returns")

    def __init__(self, latent: Floats, config: LatentRewardConfig, context: CompanionContext) -> None:
        width, self._config = latent.shape[1], config
        self.mean = latent.mean(0) if len(latent) else np.zeros(width)
        deviation = latent.std(0) if len(latent) else np.ones(width)
        self.scale = np.where(deviation > _FLAT, deviation, 1.0)
        self._net = _network([width, config.hidden, 1] if config.hidden else [width, 1], context.seed)
        parameters, limit = dict(self._net.named_parameters()), context.learner.config.nonfinite_limit
        self._trainee = Trainee(parameters, config.optimizer, limit, context.where)
        self._latent, self._lengths, self._returns = np.zeros((0, width)), np.zeros(0, np.int64), np.zeros(0)

    def rewards(self, latent: Floats) -> Floats:
        """float64[M] of factors float64[M, k]."""
        with torch.no_grad():
            return np.asarray(self._net(self._standard(latent))[:, 0].numpy(), dtype=np.float64)

    def remember(self, latent: Floats, lengths: Ints, returns: Floats) -> None:
        """Adds episodes, the oldest give way; one without turns teaches nothing.

        Args:
            latent: float64[M, k].
            lengths: int64[N], turns of each.
            returns: float64[N].
        """
        played = lengths > 0
        self._lengths = np.concatenate([self._lengths, lengths[played]])[-self._config.memory :]
        self._returns = np.concatenate([self._returns, returns[played]])[-self._config.memory :]
        held = int(self._lengths.sum())
        self._latent = np.concatenate([self._latent, latent])[-held:] if held else self._latent

    def fit(self) -> dict[str, float]:
        """The configured steps on all that is remembered; returns the last ``loss`` and ``grad_norm``."""
        if not len(self._lengths):
            return {}
        factors, returns = self._standard(self._latent), torch.from_numpy(self._returns)
        owner = torch.from_numpy(np.repeat(np.arange(len(self._lengths)), self._lengths))
        for _ in range(self._config.steps):
            sums = torch.zeros_like(returns).index_add(0, owner, self._net(factors)[:, 0])
            loss = ((returns - sums) ** 2).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            norm = self._trainee.step()
        return {"loss": float(loss.detach()), "grad_norm": norm}

    def save(self, folder: Path) -> None:
        """Writes everything that the next `fit` depends on."""
        self._trainee.save(folder, **{name: torch.from_numpy(getattr(self, name)) for name in self._KEPT})

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote.

        Raises:
            DataError: Not the files of this decoder.
        """
        state = self._trainee.load(folder)
        if missing := [name for name in self._KEPT if not isinstance(state.get(name), torch.Tensor)]:
            raise DataError(folder, f"not a checkpoint of latent_reward: no {missing[0]}")
        for name in self._KEPT:
            setattr(self, name, state[name].numpy())

    def _standard(self, latent: Floats) -> torch.Tensor:
        return torch.from_numpy((latent - self.mean) / self.scale)


def _network(widths: Sequence[int], seed: int) -> nn.Sequential:
    """Linear layers with tanh between them, in float64; the last one begins at 0, and so do all rewards."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for inner, outer in pairwise(widths):
            layers += [nn.Tanh()] * bool(layers) + [nn.Linear(inner, outer, dtype=torch.float64)]
    for parameter in layers[-1].parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(*layers)
