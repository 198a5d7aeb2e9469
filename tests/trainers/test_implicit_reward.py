"""PRIME's reward model: q is a log ratio, training separates right from wrong, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from agentgym.faults import DataError
from agentgym.rewards.table import RewardTable
from agentgym.signal import RewardSignal
from agentgym.trainers.implicit_reward import ImplicitReward
from agentgym.trajectory import Group, Trajectory, Turn

FAST: dict[str, Any] = {"optimizer": {"lr": 3e-3}, "scale": "none"}


def table_of(trajectories: list[Trajectory]) -> RewardTable:
    return RewardTable.from_groups([Group("g", "t", trajectories)])


def judged(make_trajectory: Any, seed: int, right: bool) -> Trajectory:
    """Right episodes begin with token 10, wrong ones with token 20; what else they write is all the same."""
    trajectory: Trajectory = make_trajectory([(5, 2), (4, 2)], seed=seed)
    trajectory.tokens[trajectory.turn >= 0] = 30
    trajectory.tokens[5] = 10 if right else 20
    trajectory.turns[-1] = Turn(RewardSignal(float(right)))
    return trajectory


def judged_batch(make_trajectory: Any, update: int) -> list[Trajectory]:
    return [judged(make_trajectory, 100 * update + i, i % 2 == 0) for i in range(8)]


def test_the_first_estimate_of_an_untrained_model_is_zero(batch, make_context) -> None:
    model = ImplicitReward(make_context(), {"update": "after"})
    q, figures = model.estimate(batch, table_of(batch))
    assert q.shape == (sum(t.policy_tokens for t in batch),)
    assert not q.any()
    assert figures == {"accuracy": 1.0}  # nobody is right, and nobody is held to be


def test_q_is_a_plain_log_ratio(tiny, make_trajectory, make_context, plain_logprobs) -> None:
    batch = judged_batch(make_trajectory, 0)
    model = ImplicitReward(make_context(microbatch_tokens=30), FAST)
    q, _ = model.estimate(batch, table_of(batch))
    reference = AutoModelForCausalLM.from_pretrained(tiny)
    trained = AutoModelForCausalLM.from_pretrained(tiny)
    trained.load_state_dict(model._model.model.state_dict())
    with torch.no_grad():
        want = [
            float(a - b)
            for t in batch
            for (_, a), (_, b) in zip(plain_logprobs(trained, t), plain_logprobs(reference, t), strict=True)
        ]
    np.testing.assert_allclose(q, want, atol=2e-5)
    assert np.abs(q).max() > 1e-3


def test_the_first_loss_and_gradient_are_those_of_the_formula(tiny, make_trajectory, make_context, plain_logprobs):
    batch = judged_batch(make_trajectory, 0)
    batch.append(make_trajectory([(4, 0)], seed=9))  # no token: no part in the mean
    model = ImplicitReward(make_context(), {"optimizer": {"max_grad_norm": 1e6}, "beta": 0.5})
    _, figures = model.estimate(batch, table_of(batch))
    plain = AutoModelForCausalLM.from_pretrained(tiny)
    losses = []
    for t in batch[:-1]:
        logps = torch.stack([logp for _, logp in plain_logprobs(plain, t)])
        p = torch.sigmoid(0.5 * (logps - logps.detach()).sum())
        losses.append(-torch.log(p) if t.outcome else -torch.log(1 - p))
    loss = torch.stack(losses).mean()
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in plain.parameters()]).norm()
    assert figures["loss"] == pytest.approx(np.log(2), abs=1e-6) == pytest.approx(float(loss.detach()), abs=1e-6)
    assert figures["grad_norm"] == pytest.approx(float(norm), rel=1e-4)


@pytest.mark.parametrize(("update", "minibatches"), [("before", 1), ("after", 2)])
def test_q_comes_to_separate_right_from_wrong(tmp_path, make_trajectory, make_context, update, minibatches) -> None:
    options = {"optimizer": {"lr": 5e-3}, "minibatches": minibatches, "scale": "none"}
    model = ImplicitReward(make_context(), {**options, "update": update})
    for number in range(20):
        batch = judged_batch(make_trajectory, number)
        table = table_of(batch)
        _, figures = model.estimate(batch, table)
        learned = model.learn(batch, table, np.zeros(table.m))
        assert ("loss" in learned) == (update == "after")
        assert ("loss" in figures) == (update == "before")
    assert (figures | learned)["loss"] < 0.65
    model.save(tmp_path)
    judge = ImplicitReward(make_context(), {**options, "update": "after"})  # judges without having seen
    judge.load(tmp_path)
    fresh = judged_batch(make_trajectory, 1_000)
    q, figures = judge.estimate(fresh, table_of(fresh))
    assert figures["accuracy"] == 1.0
    assert figures["margin"] > 2
    # The turn that decides carries most of the difference: this is what makes it a process reward.
    turns, right = q.reshape(8, 2, 2).sum(2), np.arange(8) % 2 == 0
    first, second = turns[right].mean(0) - turns[~right].mean(0)
    assert first > 1.5 * abs(second)


def test_rewards_are_of_the_size_of_outcomes(make_trajectory, make_context) -> None:
    batch = judged_batch(make_trajectory, 0)
    batch.insert(3, make_trajectory([(4, 0)], seed=9))
    q, beta, scaled = (
        ImplicitReward(make_context(), {**FAST, "scale": s}).estimate(batch, table_of(batch))[0]
        for s in ("none", "beta", "batch")
    )
    np.testing.assert_allclose(beta, 0.05 * q)
    largest = max(abs(episode[i:].sum()) for episode in beta.reshape(8, 4) for i in range(4))
    np.testing.assert_allclose(scaled, beta / (largest + 1e-6), rtol=1e-9)


def test_correctness_is_the_environments_own(make_trajectory, make_context) -> None:
    batch = [judged(make_trajectory, i, i % 2 == 0) for i in range(2)]
    table = table_of(batch)
    shaped = table.with_rewards(outcome=table.outcome - 5)
    one, two = (ImplicitReward(make_context(), FAST).estimate(batch, t)[0] for t in (table, shaped))
    assert np.array_equal(one, two)
    none_right = ImplicitReward(make_context(), {**FAST, "correct_at": 2.0}).estimate(batch, table)[1]
    assert "margin" not in none_right


def test_probabilities_are_those_at_temperature_one(tiny, make_trajectory, make_context) -> None:
    from agentgym.trainers.companions import CompanionContext
    from agentgym.trainers.learner import Learner, LearnerConfig

    batch = judged_batch(make_trajectory, 0)
    hot = CompanionContext(Learner(tiny, LearnerConfig(), temperature=3.0), 0, "companions.test")
    one, two = (ImplicitReward(c, FAST).estimate(batch, table_of(batch))[0] for c in (make_context(), hot))
    assert np.array_equal(one, two)


def test_it_starts_from_the_policy_as_it_is(batch, make_context) -> None:
    context = make_context()
    model = ImplicitReward(context, {"update": "after"})
    with torch.no_grad():
        for p in context.learner.policy.trained().values():
            p.add_(0.05)
    model.start()
    assert not model.estimate(batch, table_of(batch))[0].any()
    for name, p in context.learner.policy.trained().items():
        assert torch.equal(p, model._model.trained()[name])
        assert torch.equal(p, model._reference[name])
        assert p.data_ptr() != model._model.trained()[name].data_ptr()


def test_saved_and_loaded_goes_on_bit_for_bit(tmp_path: Path, make_trajectory, make_context) -> None:
    context = make_context(seed=3)
    options = {**FAST, "minibatches": 2, "epochs": 2}
    one = ImplicitReward(context, options)
    batches = [judged_batch(make_trajectory, i) for i in range(3)]
    for batch in batches[:2]:
        one.estimate(batch, table_of(batch))
    one.save(tmp_path)
    with torch.no_grad():  # the policy moves on: neither model nor reference may come from it again
        for p in context.learner.policy.trained().values():
            p.mul_(0.9)
    other = ImplicitReward(context, options)
    other.load(tmp_path)
    left, right = (m.estimate(batches[2], table_of(batches[2])) for m in (one, other))
    assert np.array_equal(left[0], right[0])
    assert left[1] == right[1]
    for name, p in one._model.trained().items():
        assert torch.equal(p, other._model.trained()[name])


def test_files_without_a_reference_are_refused(tmp_path: Path, make_context) -> None:
    model = ImplicitReward(make_context(), {})
    model._trainee.save(tmp_path)
    with pytest.raises(DataError, match="no reference"):
        model.load(tmp_path)


def test_batches_with_nothing_in_them(make_trajectory, make_context) -> None:
    model = ImplicitReward(make_context(), FAST)
    empty = RewardTable.from_groups([])
    assert model.estimate([], empty)[0].shape == (0,)
    silent = [make_trajectory([(4, 0)], seed=1), make_trajectory([], seed=2)]
    q, figures = model.estimate(silent, table_of(silent))
    assert q.shape == (0,)
    assert "loss" not in figures


def test_a_token_that_nothing_comes_before_earns_nothing(make_trajectory, make_context) -> None:
    odd = make_trajectory([(0, 3), (2, 2)], seed=4)
    model = ImplicitReward(make_context(), FAST)
    q, _ = model.estimate([odd], table_of([odd]))
    assert q[0] == 0
    assert np.all(q[1:] != 0)
