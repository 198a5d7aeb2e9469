"""vLLM in a training run: in the training process and in a Ray worker, its log-probabilities stay the learner's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentgym.engines.base import Sampling
from agentgym.rollout import EngineSpec, EnvSpec, GroupRequest, RolloutPool
from agentgym.trainers.config import TrainConfig, load_config
from agentgym.trainers.learner import Learner, LearnerConfig
from agentgym.trainers.loop import train
from agentgym.trainers.optim import OptimizerConfig
from agentgym.trainers.rundir import read_metrics

ROOT = Path(__file__).resolve().parents[3]
ENV = {"instructions": "none", "hops": [1, 2], "worlds": 4, "heldout_worlds": 2, "questions": 4}
ENGINE = {"enforce_eager": True, "max_context": 512, "threads": 1}
TOLERANCE = 1e-4


def config(runs: Path, workers: int) -> TrainConfig:
    """examples/search.yaml, cut small; the heads are as wide as vLLM's CPU build wants them."""
    return load_config(
        ROOT / "examples" / "search.yaml",
        [
            f"runs={runs}",
            f"env.kwargs={ENV}",
            "tiny.heads=2",
            "engine.name=vllm",
            f"engine.kwargs={ENGINE}",
            f"rollout.workers={workers}",
            "warm_start.phases=[{steps: 10, batch: 16, lr: 0.01}]",
            "warm_start.mistakes={2: {answer: 0.3}}",
            "updates=3",
            "tasks_per_update=4",
            "samples_per_task=4",
            "sampler.mix=null",
            "rewards=[{weigh: {format: 0.1}}]",
            "learner.optimizer.lr=0.01",
            "learner.threads=1",
            "eval={every: 3, tasks: 2, final_tasks: 2}",
        ],
    )


@pytest.mark.parametrize("workers", [0, 1], ids=["in process", "Ray worker"])
def test_a_training_run_on_vllm(tmp_path: Path, workers: int) -> None:
    report = train(config(tmp_path, workers), tmp_path / "run")
    assert report["updates"] == 3
    gaps = [row["logprob_gap"] for row in read_metrics(tmp_path / "run") if "logprob_gap" in row]
    assert gaps
    assert max(gaps) < TOLERANCE / 10  # of an update's mean


def test_after_every_sync_the_engine_says_what_the_learner_says(model: str, record_property: Any) -> None:
    learner = Learner(model, LearnerConfig(device="cpu", threads=1, optimizer=OptimizerConfig(lr=0.02)))
    rng, worst = np.random.default_rng(0), []
    engine = EngineSpec("vllm", {"model": model, "enforce_eager": True, "end_ids": ()})
    with RolloutPool(EnvSpec("agentgym/Search-v0", ENV), engine, model) as pool:
        names = [f"train/w{i}/h1/q0" for i in range(4)]
        for version in range(4):
            requests = [
                GroupRequest(f"{version}.{name}", name, tuple(range(4)), Sampling(max_tokens=16)) for name in names
            ]
            trajectories = [t for group in pool.collect(requests) for t in group.trajectories]
            assert {turn.version for t in trajectories for turn in t.turns} == {version}
            own = learner.logprobs(trajectories)
            worst.append(max(float(np.abs(a - t.logprobs).max()) for a, t in zip(own, trajectories, strict=True)))
            learner.update(trajectories, [rng.normal(size=len(t.turns)) for t in trajectories])
            pool.update_weights(version + 1, learner.policy.weights())
    print(f"largest difference of log-probabilities by version: {worst}")
    assert max(worst) < TOLERANCE
