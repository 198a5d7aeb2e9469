"""The configuration of a training run: one validated tree (see `examples/search.yaml`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from agentgym.config import Config, apply_overrides, load_yaml, validate
from agentgym.engines.base import Sampling
from agentgym.rollout.request import Limits
from agentgym.trainers.collecting import CollectConfig, EpisodesConfig, StepsConfig
from agentgym.trainers.evaluation import EvalConfig
from agentgym.trainers.learner import LearnerConfig
from agentgym.trainers.sampler import SamplerConfig
from agentgym.trainers.tiny import TinyConfig
from agentgym.trainers.warm_start import WarmStartConfig


class EnvConfig(Config):
    """The environment: what ``gymnasium.make`` is called with."""

    id: str
    """Gymnasium id, e.g. ``agentgym/Search-v0``."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the environment."""


class SamplingConfig(Config):
    """How the policy is sampled while it collects."""

    temperature: float = Field(1.0, gt=0)
    """Softmax temperature; the learner computes its log-probabilities at the same one."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus mass; below 1 the learner recomputes old log-probabilities."""
    top_k: int = Field(0, ge=0)
    """Keep the k likeliest tokens; 0 keeps all."""
    max_tokens: int = Field(256, ge=1)
    """Tokens one turn may have."""

    def build(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, self.top_k, self.max_tokens)


class EngineConfig(Config):
    """The engine that writes the policy's text."""

    name: str = "transformers"
    """Registered name, e.g. ``transformers``."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the engine."""


class LimitsConfig(Config):
    """Bounds of an episode."""

    concurrency: int = Field(256, ge=1)
    """Episodes in flight in one worker."""
    step_s: float = Field(60.0, gt=0)
    """Seconds a step may take before it counts as a fault."""
    episode_s: float = Field(1800.0, gt=0)
    """Seconds an episode may take before it counts as a fault."""
    generate_s: float = Field(600.0, gt=0)
    """Seconds one completion may take before it counts as an engine fault."""
    retries: int = Field(2, ge=0)
    """How often an episode is run again after a fault."""
    episode_tokens: int = Field(32_768, ge=1)
    """Tokens (read and written) after which an episode is truncated."""
    blocking_steps: int = Field(64, ge=1)
    """Blocking environment calls that run at the same time in one worker, each in a thread."""

    def build(self) -> Limits:
        return Limits(**self.model_dump())


class RolloutConfig(Config):
    """Where and when episodes are collected."""

    workers: int = Field(2, ge=0)
    """Ray actors, each with its own engine and many environments; 0 collects in the training process, without Ray."""
    address: str | None = None
    """Address of a Ray cluster; none starts a local one."""
    threads: int = Field(1, ge=1)
    """CPU threads of each worker's engine."""
    resources: dict[str, float] = Field(default_factory=dict)
    """What Ray sets aside for each worker, e.g. ``{GPU: 1}``; on a cluster a worker that asks for no GPU sees none."""
    object_store_mb: int = Field(256, ge=80)
    """Memory of a local Ray's object store, in MiB. It holds finished groups, and the weights once for all workers, the
    old ones, too, until the last worker has read the new ones: at least three times the weights."""
    limits: LimitsConfig = LimitsConfig()
    """Bounds of an episode."""
    weights: Literal["store", "collective"] = "store"
    """How new weights reach the workers. ``store``: through Ray's object store, which is shared memory on one machine.
    ``collective``: broadcast to all workers at once, through NCCL where the learner and every worker have a GPU to
    themselves and through gloo otherwise; for workers on many machines, each of which would fetch its own copy."""
    max_staleness: int = Field(0, ge=0)
    """How many updates the policy may be ahead of the one that wrote an episode it learns from. 0: an update waits for
    its own episodes, all under the same weights. Above 0 episodes are collected while the learner learns, long ones go
    on under new weights, and an update learns from the groups that finish first."""
    stale: Literal["drop", "correct"] = "drop"
    """What becomes of a group that took longer than that: it is dropped, or learned from nevertheless, its tokens
    weighed by truncated importance weights (``learner.old_logprobs: recompute``)."""

    @property
    def object_store_bytes(self) -> int:
        return self.object_store_mb * 1024**2

    @model_validator(mode="after")
    def _with_workers(self) -> RolloutConfig:
        if self.weights == "collective" and not self.workers:
            raise ValueError("weights: collective needs workers: 1 or more, to which they are sent")
        if self.max_staleness and not self.workers:
            raise ValueError("max_staleness above 0 needs workers: 1 or more, which collect while the learner learns")
        return self


class DynamicSamplingConfig(Config):
    """Keep sampling groups until enough of them carry a learning signal (DAPO, arXiv 2503.14476)."""

    enabled: bool = False
    """Whether groups without any advantage are replaced by newly sampled ones."""
    attempts: int = Field(3, ge=1)
    """Rounds of sampling an update may take in all."""
    accuracy: tuple[float, float] | None = None
    """Keep only groups whose share of successful episodes (`eval.success_at`) lies in this closed band, as PRIME
    (arXiv 2502.01456) does with [0.2, 0.8]; none: any share."""

    @model_validator(mode="after")
    def _band(self) -> DynamicSamplingConfig:
        if self.accuracy is not None:
            low, high = self.accuracy
            if not 0 <= low <= high <= 1:
                raise ValueError(f"accuracy must be a band inside [0, 1], got {list(self.accuracy)}")
            if not self.enabled:
                raise ValueError("accuracy is a rule of dynamic sampling; set enabled: true")
        return self


class CheckpointConfig(Config):
    """Complete checkpoints: killed at any moment, a run goes on from the last one."""

    every: int = Field(1, ge=1)
    """Updates between checkpoints."""
    warm_start_every: int = Field(200, ge=1)
    """Warm-start steps between checkpoints."""
    keep: int = Field(2, ge=1)
    """How many stay on disk."""


class StatusConfig(Config):
    """What a run tells of itself while it goes on: to ``agentgym status`` and to Prometheus."""

    every_s: float = Field(2.0, gt=0)
    """Seconds between two writes of ``status.json``."""
    prometheus_port: int | None = Field(None, ge=0, le=65_535)
    """Port of an endpoint for Prometheus, at ``/metrics``; 0 picks a free one, which ``status.json`` names; none: no
    endpoint."""
    prometheus_host: str = "127.0.0.1"
    """Interface that it listens on: this machine alone. Nobody is asked for a password."""

    @property
    def prometheus(self) -> tuple[str, int] | None:
        return None if self.prometheus_port is None else (self.prometheus_host, self.prometheus_port)


class TrainConfig(Config):
    """A training run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run and of its folder; in a file it may be left out, and is then the file's own name."""
    runs: str = "runs"
    """Folder that holds the runs."""
    seed: int = Field(0, ge=0)
    """Decides everything random in the run."""
    env: EnvConfig
    """The environment."""
    model: str = "tiny"
    """``tiny`` (made on the spot), a folder, or a hub name such as ``Qwen/Qwen3-0.6B``."""
    tiny: TinyConfig = TinyConfig()
    """The model that ``model: tiny`` makes."""
    engine: EngineConfig = EngineConfig()
    """The engine that writes the policy's text."""
    rollout: RolloutConfig = RolloutConfig()
    """Where episodes are collected."""
    sampling: SamplingConfig = SamplingConfig()
    """How the policy is sampled."""
    warm_start: WarmStartConfig | None = None
    """Supervised training on expert demonstrations before the first update; none: no warm start."""
    updates: int = Field(100, ge=0)
    """Policy updates."""
    tasks_per_update: int = Field(16, ge=1)
    """Groups an update learns from."""
    samples_per_task: int = Field(8, ge=1)
    """Episodes of a group."""
    collect: CollectConfig = EpisodesConfig()
    """What an update collects: whole episodes, the steps of one, or episodes whose accuracy is measured by turn."""
    sampler: SamplerConfig = SamplerConfig()
    """Which tasks an update plays."""
    dynamic_sampling: DynamicSamplingConfig = DynamicSamplingConfig()
    """Whether groups without a signal are replaced."""
    rewards: list[dict[str, Any]] = Field(default_factory=list)
    """Shaping stages, in order; none: the outcome alone."""
    credit: dict[str, Any] = Field(default_factory=lambda: {"name": "grpo"})
    """Credit assignment: ``name`` and the method's parameters."""
    companions: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Options of the models that the credit method reads and that are trained beside the policy, by name: ``value``
    (a critic), ``implicit_reward``, ..."""
    loss: dict[str, Any] = Field(default_factory=lambda: {"name": "clipped"})
    """Policy loss: ``name`` and its parameters."""
    learner: LearnerConfig = LearnerConfig()
    """Optimiser, packing, precision."""
    eval: EvalConfig = EvalConfig()
    """Held-out evaluation."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """Checkpoints."""
    status: StatusConfig = StatusConfig()
    """The live view."""
    store_episodes: bool = True
    """Write every training episode to Parquet."""

    @model_validator(mode="after")
    def _shares(self) -> TrainConfig:
        if self.collect.name == "steps" and self.dynamic_sampling.accuracy is not None:
            raise ValueError(
                "dynamic_sampling.accuracy compares the episodes of a task; collect: steps plays one of each"
            )
        learner = self.learner
        corrected = learner.old_logprobs == "recompute" and learner.importance_cap is not None
        if self.rollout.stale == "correct" and not corrected:
            raise ValueError(
                "rollout.stale: correct weighs tokens by importance; set learner.old_logprobs: recompute and "
                "learner.importance_cap"
            )
        return self

    @property
    def group_size(self) -> int:
        """Trajectories that are compared: a task's episodes, or with ``collect: steps`` a turn's continuations."""
        if isinstance(self.collect, StepsConfig):
            return self.collect.continuations or self.samples_per_task
        return self.samples_per_task


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Reads a run's configuration.

    Args:
        path: A YAML file; ``name`` defaults to its stem.
        overrides: ``key.sub=value`` each.

    Raises:
        ConfigError: Names the file, the key and what was meant.
    """
    data = apply_overrides({"name": path.stem, **load_yaml(path)}, overrides)
    return validate(TrainConfig, data, str(path))
