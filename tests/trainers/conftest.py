"""Hand-made trajectories and models for the trainer's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentgym.rewards.table import RewardTable
from agentgym.signal import RewardSignal
from agentgym.trainers.companions import CompanionContext
from agentgym.trainers.learner import Learner, LearnerConfig
from agentgym.trainers.tiny import TinyConfig, make_tiny
from agentgym.trajectory import Group, Trajectory, Turn

WORDS = [f"w{i}" for i in range(60)]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: Llama-style, width 16, grouped-query attention."""
    config = TinyConfig(width=16, layers=2, heads=4, kv_heads=2, init_std=0.3)
    return make_tiny(tmp_path_factory.mktemp("tiny"), WORDS, config)


@pytest.fixture(scope="session")
def make_trajectory() -> Callable[..., Trajectory]:
    """``make_trajectory(turns=[(read, written), ...], seed=0, starts=(0,), tail=0)``: random tokens, in which each turn
    reads `read` tokens and writes `written`, and `tail` tokens are read after the last."""

    def make(turns: list[tuple[int, int]], seed: int = 0, starts: tuple[int, ...] = (0,), tail: int = 0) -> Trajectory:
        rng = np.random.default_rng(seed)
        turn = [n for t, (read, written) in enumerate(turns) for n in [-1] * read + [t] * written] + [-1] * tail
        turn_array = np.array(turn, dtype=np.int16)
        logprobs = np.where(turn_array >= 0, rng.uniform(-4, -0.5, len(turn)), 0.0).astype(np.float32)
        trajectory = Trajectory(
            episode_id=f"g.{seed}",
            group_id="g",
            env="test",
            task_id="t",
            split="train",
            difficulty=1,
            seed=seed,
            tokens=rng.integers(7, 60, len(turn)).astype(np.int32),
            logprobs=logprobs,
            turn=turn_array,
            starts=np.array(starts, dtype=np.int32),
            turns=[Turn(RewardSignal()) for _ in turns],
        )
        trajectory.check()
        return trajectory

    return make


@pytest.fixture
def batch(make_trajectory: Callable[..., Trajectory]) -> list[Trajectory]:
    """Ragged: one to four turns, one with a rewritten history, one that ends in an observation, one of one turn."""
    return [
        make_trajectory([(9, 3), (11, 4)], seed=1),
        make_trajectory([(5, 2)], seed=2, tail=7),
        make_trajectory([(20, 5), (3, 1), (14, 6), (2, 2)], seed=3),
        make_trajectory([(6, 3), (12, 4)], seed=4, starts=(0, 9)),
        make_trajectory([(4, 9), (30, 2)], seed=5),
        make_trajectory([(8, 1), (8, 1)], seed=6),
    ]


@pytest.fixture(scope="session")
def plain_logprobs() -> Callable[..., list[Any]]:
    """``plain_logprobs(model, trajectory, temperature=1)``: a list of (position, log-probability tensor) of policy
    tokens, by the model's own forward pass of each sequence alone."""

    def compute(model: Any, trajectory: Trajectory, temperature: float = 1.0) -> list[tuple[int, torch.Tensor]]:
        result = []
        for part in trajectory.sequences():
            tokens = torch.from_numpy(trajectory.tokens[part].astype(np.int64))
            logits = model(input_ids=tokens[None]).logits[0].float() / temperature
            for offset in range(1, len(tokens)):
                if trajectory.turn[part.start + offset] >= 0:
                    logp = torch.log_softmax(logits[offset - 1], dim=0)[tokens[offset]]
                    result.append((part.start + offset, logp))
        return result

    return compute


@pytest.fixture(scope="session")
def make_table() -> Callable[..., RewardTable]:
    """``make_table(trajectories, outcomes, size=2)``: writes the outcomes into the trajectories' last turns and reads
    the trajectories as groups of `size`."""

    def make(trajectories: list[Trajectory], outcomes: list[float], size: int = 2) -> RewardTable:
        for trajectory, outcome in zip(trajectories, outcomes, strict=True):
            if trajectory.turns:
                trajectory.turns[-1] = Turn(RewardSignal(outcome, trajectory.turns[-1].signal.process))
        parts = [trajectories[i : i + size] for i in range(0, len(trajectories), size)]
        return RewardTable.from_groups([Group(f"g{i}", "t", part) for i, part in enumerate(parts)])

    return make


@pytest.fixture
def make_context(tiny: Path) -> Callable[..., CompanionContext]:
    """``make_context(seed=0, **learner)``: what a companion is made from, around a fresh learner of the tiny model."""

    def make(seed: int = 0, **options: Any) -> CompanionContext:
        return CompanionContext(Learner(tiny, LearnerConfig.model_validate(options)), seed, "companions.test")

    return make
