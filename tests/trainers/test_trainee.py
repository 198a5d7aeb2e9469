"""What companions share: optimiser steps and files, places of tokens, mini-batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from agentgym.trainers.learner import Diverged
from agentgym.trainers.optim import OptimizerConfig
from agentgym.trainers.packing import Targets
from agentgym.trainers.trainee import Trainee, correct, policy_slots, split_batch


def make() -> tuple[nn.Parameter, Trainee]:
    weight = nn.Parameter(torch.ones(2))
    return weight, Trainee({"w": weight}, OptimizerConfig(lr=0.1), 3, "companions.test")


def test_steps_that_are_not_finite_are_skipped_until_there_are_too_many() -> None:
    weight, trainee = make()
    for _ in range(2):
        weight.grad = torch.full((2,), float("nan"))
        assert not np.isfinite(trainee.step())
    assert weight.tolist() == [1, 1]
    weight.grad = torch.ones(2)
    assert trainee.step() == pytest.approx(2**0.5)
    assert weight[0] < 1
    for _ in range(2):
        weight.grad = torch.full((2,), float("inf"))
        trainee.step()
    weight.grad = torch.full((2,), float("inf"))
    with pytest.raises(Diverged, match=r"companions\.test: gradients were not finite in 3"):
        trainee.step()


def test_further_tensors_come_back(tmp_path) -> None:
    weight, trainee = make()
    weight.grad = torch.ones(2)
    trainee.step()
    trainee.save(tmp_path, further={"x": torch.arange(3)})
    other_weight, other = make()
    assert other.load(tmp_path)["further"]["x"].tolist() == [0, 1, 2]
    assert torch.equal(weight, other_weight)
    assert other.steps == 1
    other.reset()
    assert other.steps == 0


def test_slots_count_the_tokens_that_are_not_predicted_too(batch, make_trajectory) -> None:
    batch.insert(1, make_trajectory([(0, 3), (2, 1)], seed=9))  # writes before it reads anything
    targets = Targets.of(batch)
    want, start = [], 0
    for i, t in enumerate(batch):
        places = np.flatnonzero(t.turn >= 0)
        position = targets.position[targets.trajectory == i]
        want += [start + int(np.flatnonzero(places == p)[0]) for p in position]
        start += len(places)
    got = policy_slots(batch, targets)
    assert got.tolist() == want
    assert len(got) == start - 1


def test_minibatches_partition_the_batch() -> None:
    assert [part.tolist() for part in split_batch(3, 1, (0, 0))] == [[0, 1, 2]]
    parts = split_batch(7, 3, (1, 2))
    assert sorted(np.concatenate(parts).tolist()) == list(range(7))
    assert [p.tolist() for p in parts] == [p.tolist() for p in split_batch(7, 3, (1, 2))]
    assert len(split_batch(2, 5, (0,))) == 2


def test_correct_reads_the_environments_outcome(batch, make_table) -> None:
    make_table(batch, [1.0, 0.5, 0.0, 1.0, 0.0, 0.0])
    assert correct(batch, 0.5).tolist() == [True, True, False, True, False, False]
