from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from agentgym.faults import ConfigError, DataError
from agentgym.trainers.learner import Diverged, Learner, LearnerConfig
from agentgym.trainers.losses import build_loss
from agentgym.trainers.optim import OptimizerConfig
from agentgym.trainers.policy import LoraSettings

LR = 1e-2
# Large, so that AdamW does not blow the rounding of vanishing gradients up to whole steps.
EPS = 1e-3


def config(**changes: Any) -> LearnerConfig:
    optimizer = OptimizerConfig(lr=LR, eps=EPS, weight_decay=changes.pop("weight_decay", 0.0))
    return LearnerConfig(**({"optimizer": optimizer, "microbatch_tokens": 64, "chunk_tokens": 5} | changes))


@pytest.fixture
def advantages(batch):
    rng = np.random.default_rng(7)
    values = [rng.normal(size=len(t.turns)) for t in batch]
    values[1][:] = 0.0
    return values


def on_policy(learner, batch, scale=0.3):
    """Gives the batch the log-probabilities the learner's policy would have sampled it with, and a little noise."""
    rng = np.random.default_rng(3)
    for trajectory, logprobs in zip(batch, learner.logprobs(batch), strict=True):
        noise = rng.normal(scale=scale, size=len(trajectory)).astype(np.float32)
        trajectory.logprobs = np.where(trajectory.turn >= 0, np.minimum(logprobs + noise, 0), 0).astype(np.float32)
    return batch


def same(a, b, **tolerance):
    assert a.keys() == b.keys()
    for name in a:
        if tolerance:
            torch.testing.assert_close(a[name], b[name], **tolerance, msg=name)
        else:
            assert torch.equal(a[name], b[name]), name


def largest_change(a, b):
    return max((a[name] - b[name]).abs().max().item() for name in a)


def reference_update(model, optimizer, batch, advantages, plain_logprobs, *, kl=0.0, frozen=None, temperature=1.0):
    """The clipped loss by its formula, token-mean, on the model's own forward pass of one sequence at a time."""
    losses = []
    for trajectory, values in zip(batch, advantages, strict=True):
        anchor = [] if frozen is None else plain_logprobs(frozen, trajectory, temperature)
        for i, (position, logp) in enumerate(plain_logprobs(model, trajectory, temperature)):
            ratio = torch.exp(logp - float(trajectory.logprobs[position]))
            advantage = float(values[trajectory.turn[position]])
            loss = torch.maximum(-advantage * ratio, -advantage * ratio.clamp(0.8, 1.28))
            if advantage < 0:
                loss = torch.minimum(loss, torch.tensor(-advantage * 3.0))
            if kl:
                difference = anchor[i][1].detach() - logp
                loss = loss + kl * (difference.exp() - difference - 1)
            losses.append(loss)
    total = torch.stack(losses).mean()
    total.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return total.item(), norm.item()


def test_kl_in_the_reward_moves_advantages_and_not_the_loss(tiny, batch, advantages):
    """At the first update the policy is its own reference: nothing to pay. Later the divergence alone teaches."""
    free, paying = Learner(tiny, config()), Learner(tiny, config(kl=0.5, kl_in="reward"))
    sampled = on_policy(free, batch, 0.0)
    first = free.update(sampled, advantages), paying.update(sampled, advantages)
    assert first[0]["loss"] == pytest.approx(first[1]["loss"], abs=1e-4)
    assert "kl" not in first[1]
    still = [np.zeros_like(a) for a in advantages]
    sampled = on_policy(free, batch, 0.0)
    assert free.update(sampled, still).get("grad_norm", 0.0) == 0.0
    assert paying.update(on_policy(paying, batch, 0.0), still)["grad_norm"] > 0


@pytest.mark.parametrize(("kl", "temperature"), [(0.0, 1.0), (0.3, 1.0), (0.0, 0.6)])
def test_update_equals_a_plain_implementation(tiny, batch, advantages, plain_logprobs, kl, temperature):
    learner = Learner(tiny, config(kl=kl, weight_decay=0.1), temperature=temperature)
    on_policy(learner, batch)
    model, frozen = (AutoModelForCausalLM.from_pretrained(tiny) for _ in range(2))
    decay = [{"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1}]
    optimizer = torch.optim.AdamW(
        [*decay, {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0}], lr=LR, eps=EPS
    )
    for _ in range(3):
        metrics = learner.update(batch, advantages)
        loss, norm = reference_update(
            model, optimizer, batch, advantages, plain_logprobs, kl=kl, frozen=frozen, temperature=temperature
        )
        assert metrics["loss"] == pytest.approx(loss, abs=1e-5)
        assert metrics["grad_norm"] == pytest.approx(norm, rel=1e-3)
    same(learner.weights(), model.state_dict(), atol=1e-5, rtol=0)
    if kl:
        assert metrics["kl"] > 0


def test_logprobs_are_those_of_the_distribution_sampled_from(tiny, batch, plain_logprobs):
    model = AutoModelForCausalLM.from_pretrained(tiny)
    learner = Learner(tiny, config(), temperature=0.5)
    for trajectory, got in zip(batch, learner.logprobs(batch), strict=True):
        want = np.zeros(len(trajectory), dtype=np.float32)
        for position, logp in plain_logprobs(model, trajectory, 0.5):
            want[position] = logp.item()
        np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("aggregate", ["token-mean", "seq-mean-token-mean", "turn-mean"])
def test_micro_batch_size_does_not_change_the_update(tiny, batch, advantages, aggregate):
    loss = build_loss({"name": "clipped", "aggregate": aggregate})
    results = []
    for budget in (1, 40, 10_000):
        learner = Learner(tiny, config(microbatch_tokens=budget), loss)
        on_policy(learner, batch)
        learner.update(batch, advantages)
        gradient_scale = {n: s["exp_avg"] for n, s in learner._optimizer.state_dict()["state"].items()}
        results.append((learner.weights(), gradient_scale))
    for weights, moments in results[1:]:
        for key in moments:
            torch.testing.assert_close(moments[key], results[0][1][key], atol=1e-6, rtol=1e-5)
        same(weights, results[0][0], atol=1e-6, rtol=0)


def test_same_inputs_give_bit_identical_updates(tiny, batch, advantages):
    learners = [Learner(tiny, config(epochs=2, minibatches=2)) for _ in range(2)]
    on_policy(learners[0], batch)
    for _ in range(2):
        figures = [learner.update(batch, advantages) for learner in learners]
        assert figures[0] == figures[1]
    same(learners[0].weights(), learners[1].weights())


def test_trajectories_without_signal_are_not_run_but_counted(tiny, batch, advantages):
    learner = Learner(tiny, config())
    on_policy(learner, batch)
    metrics = learner.update(batch, advantages)
    assert (metrics["trajectories"], metrics["trajectories_run"]) == (6, 5)
    assert metrics["tokens"] == sum(len(t) for t in batch) - len(batch[1])
    # Had it not been counted, each other token would have weighed more.
    fewer = Learner(tiny, config())
    others = [i for i in range(6) if i != 1]
    total = fewer.update([batch[i] for i in others], [advantages[i] for i in others])["loss"]
    policy = [t.policy_tokens for t in batch]
    assert metrics["loss"] == pytest.approx(total * (sum(policy) - policy[1]) / sum(policy), rel=1e-4)


def test_no_signal_at_all_changes_nothing(tiny, batch):
    learner = Learner(tiny, config(weight_decay=0.5))
    before = learner.weights()
    metrics = learner.update(batch, [np.zeros(len(t.turns)) for t in batch])
    assert metrics["trajectories_run"] == metrics["tokens"] == 0
    same(learner.weights(), before)
    assert learner.update([], [])["trajectories"] == 0


def test_update_makes_good_turns_likelier_and_bad_ones_less(tiny, batch):
    learner = Learner(tiny, config())
    on_policy(learner, batch)
    signs = [np.where(np.arange(len(t.turns)) % 2 == 0, 1.0, -1.0) for t in batch]
    before = learner.logprobs(batch)
    learner.update(batch, signs)
    moved = [a - b for a, b in zip(learner.logprobs(batch), before, strict=True)]
    good = np.concatenate([m[t.turn % 2 == 0] for m, t in zip(moved, batch, strict=True)])
    bad = np.concatenate([m[t.turn % 2 == 1] for m, t in zip(moved, batch, strict=True)])
    assert good.mean() > 0 > bad.mean()


def test_epochs_and_minibatches_take_a_step_each_and_clip(tiny, batch, advantages):
    learner = Learner(tiny, config(epochs=3, minibatches=2))
    on_policy(learner, batch)
    metrics = learner.update(batch, advantages)
    assert learner.steps == 6
    assert metrics["clip_fraction"] > 0
    assert math.isfinite(metrics["approx_kl"])


def test_recomputed_old_logprobs_weigh_by_truncated_importance(tiny, batch, advantages):
    """One step: the ratio is 1 everywhere, and the loss is the advantage weighed by min(pi / engine, cap)."""
    learner = Learner(tiny, config(old_logprobs="recompute", importance_cap=1.2))
    on_policy(learner, batch)
    own = learner.logprobs(batch)
    metrics = learner.update(batch, advantages)
    weighed, counted = 0.0, 0
    for trajectory, logprobs, values in zip(batch, own, advantages, strict=True):
        at = np.flatnonzero(trajectory.turn >= 0)
        importance = np.minimum(np.exp(logprobs[at] - trajectory.logprobs[at]), 1.2)
        weighed -= float((importance * values[trajectory.turn[at]]).sum())
        counted += len(at)
    assert metrics["ratio"] == 1.0
    assert metrics["loss"] == pytest.approx(weighed / counted, rel=1e-4)
    assert metrics["importance"] <= 1.2

    # Two epochs start from the same old log-probabilities, computed before the first step.
    twice = Learner(tiny, config(old_logprobs="recompute", importance_cap=None, epochs=2))
    assert twice.update(batch, advantages)["ratio"] != 1.0


def test_sequence_ratios_see_whole_trajectories(tiny, batch, advantages):
    """With importance weights a trajectory, micro-batches must not split one."""
    results = []
    for budget in (1, 10_000):
        settings = config(old_logprobs="recompute", importance_level="sequence", microbatch_tokens=budget)
        learner = Learner(tiny, settings)
        on_policy(learner, batch)
        results.append(learner.update(batch, advantages))
    assert results[0]["importance"] == pytest.approx(results[1]["importance"], rel=1e-5)
    assert results[0]["loss"] == pytest.approx(results[1]["loss"], rel=1e-4)


@pytest.mark.parametrize(
    "changes",
    [{}, {"kl": 0.2, "epochs": 2, "minibatches": 2}, {"lora": LoraSettings(rank=2)}, {"precision": "bf16"}],
    ids=["plain", "kl", "lora", "bf16"],
)
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, tiny, batch, advantages, changes):
    learner = Learner(tiny, config(**changes))
    on_policy(learner, batch)
    learner.supervised(batch, lr=LR)
    learner.update(batch, advantages)
    learner.save(tmp_path)
    want = [learner.update(batch, advantages) for _ in range(2)]
    again = Learner(tiny, config(**changes))
    again.load(tmp_path)
    assert [again.update(batch, advantages) for _ in range(2)] == want
    same(again.weights(), learner.weights())
    assert (again.steps, again.supervised_steps) == (learner.steps, learner.supervised_steps)


@pytest.mark.parametrize("sharp", ["cpu", "base"])
def test_the_reference_may_lie_elsewhere_or_be_the_bare_model(tmp_path, tiny, batch, advantages, sharp):
    """Without a warm start the model under fresh adapters is the policy as it was before the first update."""
    results = []
    for reference in ("device", sharp):
        learner = Learner(tiny, config(kl=0.3, kl_reference=reference, lora=LoraSettings(rank=2)))
        on_policy(learner, batch)
        learner.update(batch, advantages)
        learner.save(tmp_path / reference)
        results.append((learner.update(batch, advantages), learner.weights()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    assert results[0][0]["kl"] > 0
    same(results[0][1], results[1][1], atol=1e-7, rtol=0)
    assert (tmp_path / sharp / "reference.pt").exists() == (sharp == "cpu")
    with pytest.raises(ValueError, match="needs lora"):
        config(kl_reference="base")


def test_loading_something_else_is_refused(tmp_path, tiny):
    learner = Learner(tiny, config())
    with pytest.raises(DataError, match="not weights"):
        learner.load(tmp_path)
    learner.save(tmp_path)
    (tmp_path / "optimizer.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match="learner's checkpoint"):
        learner.load(tmp_path)


def test_supervised_is_weighted_cross_entropy(tiny, batch, plain_logprobs):
    learner = Learner(tiny, config())
    model = AutoModelForCausalLM.from_pretrained(tiny)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, eps=EPS, weight_decay=0.0)
    own = [1.0, 0.5, 2.0, 1.0, 0.0, 1.0]
    metrics = learner.supervised(batch, own, lr=LR, observation_weight=0.1)
    total, norm, policy_nll = torch.zeros(()), 0.0, []
    for trajectory, weight in zip(batch, own, strict=True):
        for part in trajectory.sequences():
            tokens = torch.from_numpy(trajectory.tokens[part].astype(np.int64))
            logp = torch.log_softmax(model(input_ids=tokens[None]).logits[0], 1)[:-1].gather(1, tokens[1:, None])[:, 0]
            written = torch.from_numpy(trajectory.turn[part] >= 0)[1:]
            reached = torch.arange(part.start + 1, part.stop) > int(np.argmax(trajectory.turn >= 0))
            share = torch.where(written, 1.0, 0.1 * reached) * weight  # the prompt does not count
            total, norm = total - (share * logp).sum(), norm + float(share.sum())
            policy_nll += (-logp[written]).tolist()
    (total / norm).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    same(learner.weights(), model.state_dict(), atol=1e-6, rtol=0)
    assert metrics["loss"] == pytest.approx(np.mean(policy_nll), rel=1e-4)
    assert metrics["lr"] == LR


def test_supervised_learns(tiny, batch):
    learner = Learner(tiny, config())
    losses = [learner.supervised(batch, lr=LR, observation_weight=0.1)["loss"] for _ in range(20)]
    assert losses[-1] < losses[0] / 2


def test_lora_update_trains_only_adapters(tiny, batch, advantages):
    learner = Learner(tiny, config(lora=LoraSettings(rank=2)))
    on_policy(learner, batch)
    before = learner.weights()
    for _ in range(2):
        learner.update(batch, advantages)
    after = learner.weights()
    assert torch.equal(after["model.embed_tokens.weight"], before["model.embed_tokens.weight"])
    assert largest_change(after, before) > 0


def test_reset_optimizer_begins_the_schedule_anew(tiny, batch, advantages):
    settings = config(optimizer=OptimizerConfig(lr=LR, schedule="linear"))
    learner = Learner(tiny, settings, total_steps=4)
    on_policy(learner, batch)
    assert [learner.update(batch, advantages)["lr"] for _ in range(3)] == pytest.approx([LR, LR * 0.75, LR * 0.5])
    learner.reset_optimizer()
    assert learner.steps == 0
    assert learner.update(batch, advantages)["lr"] == LR


def test_nonfinite_gradients_skip_the_step_and_end_in_an_error(tiny, batch, advantages):
    learner = Learner(tiny, config(nonfinite_limit=2))
    on_policy(learner, batch)
    learner.update(batch, advantages)
    with torch.no_grad():
        next(iter(learner.policy.trained().values()))[10] = float("nan")
    weights = learner.weights()
    metrics = learner.update(batch, advantages)
    assert metrics["nonfinite_steps"] == 1
    assert torch.equal(learner.weights()["model.norm.weight"], weights["model.norm.weight"])
    with pytest.raises(Diverged, match="2 optimiser steps in a row"):
        learner.update(batch, advantages)


def test_refuses_what_must_not_be_trained_on(tiny, batch, advantages):
    learner = Learner(tiny, config())
    with pytest.raises(ValueError, match="6"):
        learner.update(batch, advantages[:-1])
    with pytest.raises(ValueError, match=r"g\.3: needs 4 finite"):
        learner.update(batch, [*advantages[:2], np.array([0, 1, np.nan, 0]), *advantages[3:]])
    batch[2].fault = "crash"
    with pytest.raises(ValueError, match="never trained on"):
        learner.update(batch, advantages)
    batch[2].fault = None
    batch[2].tokens[3] = 10_000
    with pytest.raises(ValueError, match="embeddings"):
        learner.logprobs(batch)


def test_refuses_options_that_do_not_fit(tiny):
    with pytest.raises(ConfigError, match="temperature"):
        Learner(tiny, config(), temperature=0.0)
    with pytest.raises(ConfigError, match="decay_steps"):
        Learner(tiny, config(optimizer=OptimizerConfig(schedule="cosine")))


def test_context_is_respected(tmp_path, make_trajectory):
    from agentgym.trainers.tiny import TinyConfig, make_tiny

    folder = make_tiny(tmp_path, [f"w{i}" for i in range(60)], TinyConfig(width=8, layers=1, heads=2, context=16))
    learner = Learner(folder, config())
    learner.logprobs([make_trajectory([(8, 4), (8, 4)], starts=(0, 12))])
    with pytest.raises(ConfigError, match="24 tokens, but the model's context is 16"):
        learner.logprobs([make_trajectory([(8, 4), (8, 4)])])
