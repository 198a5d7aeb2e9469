"""Two ranks for all tests of a module: starting processes takes longer than anything that is done with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from agentgym.trainers.distributed.group import RankGroup
from agentgym.trainers.learner import LearnerConfig
from agentgym.trainers.optim import OptimizerConfig
from agentgym.trajectory import Trajectory

RANKS = 2
LR = 1e-2
# Large, so that AdamW does not blow the rounding of vanishing gradients up to whole steps.
EPS = 1e-3


def make_config(**changes: Any) -> LearnerConfig:
    """A learner of small micro-batches, so that ranks have several, and not equally many."""
    options = {"optimizer": OptimizerConfig(lr=LR, eps=EPS), "microbatch_tokens": 24, "chunk_tokens": 5, "threads": 1}
    return LearnerConfig(**({"processes": RANKS} | options | changes))


@pytest.fixture(scope="session")
def config() -> Any:
    """`make_config`."""
    return make_config


@pytest.fixture(scope="module")
def group() -> Iterator[RankGroup]:
    """The processes of two ranks."""
    group = RankGroup(make_config())
    yield group
    group.stop()


@pytest.fixture
def advantages(batch: list[Trajectory]) -> list[np.ndarray[Any, Any]]:
    """Of `batch`; one trajectory has none."""
    rng = np.random.default_rng(7)
    values = [rng.normal(size=len(t.turns)) for t in batch]
    values[1][:] = 0.0
    return values
