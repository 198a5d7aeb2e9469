"""Two real processes against one: the same losses, gradients, weights and files."""

from __future__ import annotations

import inspect
import json
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import ray
import torch
from transformers import AutoModelForCausalLM

from agentgym.faults import ConfigError, DataError
from agentgym.trainers.companions import Companions
from agentgym.trainers.distributed.fault import LearnerFault
from agentgym.trainers.distributed.learner import DistributedLearner
from agentgym.trainers.learner import Diverged, Learner
from agentgym.trainers.policy import LoraSettings

LORA = LoraSettings(rank=2)
#: Largest difference of a weight after a supervised step and three updates; each has moved by some 1e-2.
WEIGHTS = 2e-6
CHANGES = {
    "minibatches": {"minibatches": 2},
    "kl": {"kl": 0.3, "epochs": 2},
    "recompute": {"old_logprobs": "recompute", "importance_cap": 1.5, "epochs": 2},
    "lora": {"lora": LORA, "kl": 0.2, "kl_reference": "base", "epochs": 2, "gradient_checkpointing": True},
}


def train(learner, batch, advantages, updates=3):
    figures = [learner.supervised(batch, [1, 2, 1, 1, 0.5, 1], lr=1e-2, observation_weight=0.1)]
    return figures + [learner.update(batch, advantages) for _ in range(updates)]


def assert_close(mine, others, atol):
    assert mine.keys() == others.keys()
    for name in mine:
        torch.testing.assert_close(mine[name], others[name], atol=atol, rtol=0, msg=name)


def assert_figures(mine, others, rel=2e-5):
    for a, b in zip(mine, others, strict=True):
        assert a == pytest.approx(b, rel=rel, abs=1e-6)


@pytest.fixture(scope="module")
def single(tiny, make_trajectory, config):
    """``single(name, batch, advantages)``: one process's figures, weights and log-probabilities under `CHANGES[name]`,
    computed once."""
    done = {}

    def run(name, batch, advantages):
        if name not in done:
            learner = Learner(tiny, config(**CHANGES[name]))
            done[name] = train(learner, batch, advantages), learner.weights(), learner.logprobs(batch)
        return done[name]

    return run


@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", CHANGES)
def test_two_processes_learn_what_one_does(tiny, batch, advantages, group, config, single, name, sharding):
    learner = DistributedLearner(tiny, config(sharding=sharding, **CHANGES[name]), group=group)
    figures, weights, logprobs = single(name, batch, advantages)
    assert_figures(train(learner, batch, advantages), figures)
    assert_close(learner.weights(), weights, WEIGHTS)
    for mine, others in zip(learner.logprobs(batch), logprobs, strict=True):
        np.testing.assert_allclose(mine, others, atol=5e-5)
    assert (learner.steps, learner.supervised_steps) == (6, 1)


@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
@pytest.mark.parametrize("reference", ["device", "cpu"])
def test_resumed_equals_uninterrupted_bit_for_bit(
    tmp_path, tiny, batch, advantages, group, config, sharding, reference
):
    settings = config(sharding=sharding, kl=0.2, kl_reference=reference, minibatches=2)
    learner = DistributedLearner(tiny, settings, group=group)
    train(learner, batch, advantages, 1)
    learner.save(tmp_path)
    want = [learner.update(batch, advantages) for _ in range(2)]
    weights = {name: value.clone() for name, value in learner.weights().items()}
    again = DistributedLearner(tiny, settings, group=group)
    again.load(tmp_path)
    assert (again.steps, again.supervised_steps) == (2, 1)
    assert [again.update(batch, advantages) for _ in range(2)] == want
    assert_close(again.weights(), weights, 0.0)


@pytest.mark.parametrize("changes", [{}, {"lora": LORA}], ids=["full", "lora"])
@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_checkpoints_are_read_by_any_number_of_processes(
    tmp_path, tiny, batch, advantages, group, config, sharding, changes
):
    """Saved by two and read by one, saved by that one and read by two: moments, reference and counters included."""
    settings = config(sharding=sharding, kl=0.2, **changes)
    two, one = DistributedLearner(tiny, settings, group=group), Learner(tiny, settings)
    train(two, batch, advantages, 2)
    two.save(tmp_path / "two")
    want = two.update(batch, advantages)
    one.load(tmp_path / "two")
    assert (one.steps, one.supervised_steps) == (2, 1)
    one.save(tmp_path / "one")
    assert_figures([one.update(batch, advantages)], [want])
    assert_close(two.weights(), one.weights(), WEIGHTS)
    other = DistributedLearner(
        tiny, config(sharding="fsdp" if sharding == "ddp" else "ddp", kl=0.2, **changes), group=group
    )
    other.load(tmp_path / "one")
    assert (other.steps, other.supervised_steps) == (2, 1)
    assert_figures([other.update(batch, advantages)], [want])
    assert_close(other.weights(), one.weights(), WEIGHTS)


def test_every_rank_writes_a_shard(tmp_path, tiny, group, config):
    learner = DistributedLearner(tiny, config(sharding="fsdp"), group=group)
    learner.save(tmp_path / "learner")
    files = sorted((tmp_path / "learner" / "shards").glob("*.distcp"))
    assert len(files) == 2
    sizes = [file.stat().st_size for file in files]
    assert max(sizes) < 1.5 * min(sizes)
    assert json.loads((tmp_path / "learner" / "learner.json").read_text())["steps"] == 0
    (tmp_path / "learner" / "shards" / ".metadata").write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match="not weights of"):
        learner.load(tmp_path / "learner")
    with pytest.raises(DataError, match="not weights of"):
        learner.load(tmp_path / "nowhere")
    assert learner.running


@pytest.mark.parametrize("changes", [{}, {"lora": LORA}], ids=["full", "lora"])
def test_exports_an_ordinary_model_folder(tmp_path, tiny, batch, advantages, group, config, changes):
    learner = DistributedLearner(tiny, config(sharding="fsdp", **changes), group=group)
    train(learner, batch, advantages, 1)
    assert learner.policy.export(tmp_path / "model") == tmp_path / "model"
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert_close(learner.weights(), dict(model.state_dict()), 0.0)
    assert (tmp_path / "model" / "tokenizer_config.json").exists()


def test_ranks_without_work_wait_for_no_one(tiny, batch, advantages, group, config):
    for sharding in ("ddp", "fsdp"):
        one, two = Learner(tiny, config()), DistributedLearner(tiny, config(sharding=sharding), group=group)
        assert_figures([two.update(batch[:1], advantages[:1])], [one.update(batch[:1], advantages[:1])])
        assert two.update([], [])["trajectories"] == 0
        still = two.update(batch, [np.zeros_like(a) for a in advantages])
        assert (still["trajectories_run"], "grad_norm" in still) == (0, False)
        assert two.logprobs([]) == []
        assert_close(two.weights(), one.weights(), WEIGHTS)


def test_nonfinite_gradients_skip_the_step_in_all_ranks(tmp_path, tiny, batch, advantages, group, config):
    poisoned = Learner(tiny, config())
    with torch.no_grad():
        next(iter(poisoned.policy.trained().values()))[10] = float("nan")
    poisoned.save(tmp_path)
    for sharding in ("ddp", "fsdp"):
        learner = DistributedLearner(tiny, config(sharding=sharding, nonfinite_limit=2), group=group)
        learner.load(tmp_path)
        assert learner.update(batch, advantages)["nonfinite_steps"] == 1
        norm = "model.norm.weight"
        assert torch.equal(learner.weights()[norm], poisoned.weights()[norm])
        with pytest.raises(Diverged, match="2 optimiser steps in a row"):
            learner.update(batch, advantages)
        learner.restart()
        assert np.isfinite(learner.update(batch, advantages)["grad_norm"])


def test_what_all_ranks_refuse_is_refused_and_the_group_goes_on(tmp_path, tiny, batch, advantages, group, config):
    learner = DistributedLearner(tiny, config(), group=group)
    with pytest.raises(ValueError, match="never trained on"):
        learner.update([replace(batch[0], fault="crash")], advantages[:1])
    with pytest.raises(ValueError, match="advantages of 1 trajectories for 2"):
        learner.update(batch[:2], advantages[:1])
    with pytest.raises(ConfigError, match=r"nowhere"):
        DistributedLearner(tmp_path / "nowhere", config(), group=group)
    with pytest.raises(ConfigError, match="temperature"):
        DistributedLearner(tiny, config(), temperature=0.0, group=group)
    (tmp_path / "file").write_text("")
    learner = DistributedLearner(tiny, config(), group=group)
    assert learner.update(batch, advantages)["trajectories"] == 6


def test_companions_of_the_policy_are_refused(tiny, group, config):
    learner = DistributedLearner(tiny, config(), group=group)
    with pytest.raises(ConfigError, match=r"learner\.processes 2: .* set learner\.processes=1"):
        Companions(["value"], {}, learner, 0)


def test_it_has_the_learners_interface():
    """Every call of `Learner`, with the same arguments."""
    for name, method in inspect.getmembers(Learner, inspect.isfunction):
        if not name.startswith("_"):
            theirs = inspect.signature(getattr(DistributedLearner, name))
            assert inspect.signature(method) == theirs, name


def test_a_killed_rank_is_an_error_at_once_and_the_group_starts_again(tmp_path, tiny, batch, advantages, group, config):
    """The last test of the module: it takes the group down."""
    learner = DistributedLearner(tiny, config(sharding="fsdp"), group=group)
    learner.update(batch, advantages)
    learner.save(tmp_path)
    want = learner.update(batch, advantages)
    victim = ray.get(group._members[1].__ray_call__.remote(lambda self: os.getpid()))
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(LearnerFault, match=r"processes are down: rank (0, )?1 died"):
        learner.update(batch, advantages)
    assert time.monotonic() - began < 20
    with pytest.raises(LearnerFault, match="load a checkpoint"):
        learner.weights()
    learner.load(tmp_path)
    try:
        assert learner.steps == 1
        assert learner.update(batch, advantages) == want
    finally:
        learner.close()
    assert not learner.running
