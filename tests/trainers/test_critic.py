"""The critic: its values against a plain forward pass, what it learns, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel

from agentgym.faults import ConfigError, DataError
from agentgym.rewards.table import RewardTable
from agentgym.trainers.credit.base import PerToken, Values
from agentgym.trainers.critic import Critic, explained_variance, first_tokens, value_loss
from agentgym.trajectory import Group, Trajectory

FAST: dict[str, Any] = {"optimizer": {"lr": 5e-3}, "clip": None}


def randomise(critic: Critic, seed: int = 0) -> None:
    """Values that differ from state to state."""
    with torch.no_grad():
        critic._head.weight.normal_(generator=torch.Generator().manual_seed(seed))
        critic._head.bias.fill_(0.3)


def weights(critic: Critic) -> list[torch.Tensor]:
    return [p.detach().clone() for p in critic._trainee._parameters.values()]


def same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def table_of(trajectories: list[Trajectory], **changes: Any) -> RewardTable:
    return RewardTable.from_groups([Group("g", "t", trajectories)])


def test_values_are_those_of_a_plain_forward_pass(tiny, batch, make_context) -> None:
    batch[1].truncated = True  # ends in an observation
    batch[3].truncated = True  # its last sequence begins in the middle
    table = table_of(batch)
    critic = Critic(make_context(microbatch_tokens=40), {})
    randomise(critic)
    values, figures = critic.estimate(batch, table)

    plain = AutoModel.from_pretrained(tiny)
    token, turn, final = [], [], []
    with torch.no_grad():
        for trajectory in batch:
            before = np.zeros(len(trajectory) + 1)  # the value of what precedes each token, and of all of it
            for part in trajectory.sequences():
                ids = torch.from_numpy(trajectory.tokens[part].astype(np.int64))[None]
                before[part.start + 1 : part.stop + 1] = critic._head(plain(ids).last_hidden_state[0])[:, 0].numpy()
            written = trajectory.turn >= 0
            token.append(before[:-1][written])
            turn.append([before[np.flatnonzero(trajectory.turn == t)[0]] for t in range(len(trajectory.turns))])
            final.append(before[-1] if trajectory.truncated else 0.0)
    np.testing.assert_allclose(values.token, np.concatenate(token), atol=2e-5)
    np.testing.assert_allclose(values.turn, np.concatenate(turn), atol=2e-5)
    np.testing.assert_allclose(values.final, final, atol=2e-5)
    assert figures["mean"] == pytest.approx(np.concatenate(turn).mean(), abs=1e-4)
    assert np.count_nonzero(values.final) == 2


def test_a_fresh_critic_expects_nothing(batch, make_context) -> None:
    values, _ = Critic(make_context(), {}).estimate(batch, table_of(batch))
    assert not values.token.any()
    assert not values.turn.any()


def marked(make_trajectory: Any, seed: int, good: bool) -> Trajectory:
    """An episode whose first token says how it will end."""
    trajectory: Trajectory = make_trajectory([(6, 3), (5, 2)], seed=seed)
    trajectory.tokens[0] = 10 if good else 20
    return trajectory


@pytest.mark.parametrize(
    ("level", "returns", "per_token"),
    [("auto", "lambda", False), ("token", "lambda", True), ("token", "monte_carlo", False)],
)
def test_it_learns_what_can_be_known(make_trajectory, make_table, make_context, level, returns, per_token) -> None:
    critic = Critic(make_context(), {**FAST, "level": level, "returns": returns})
    first = last = 0.0
    for update in range(22):
        batch = [marked(make_trajectory, 100 * update + i, i % 2 == 0) for i in range(8)]
        goal = [1.0 if i % 2 == 0 else -1.0 for i in range(8)]
        table = make_table(batch, goal)
        values, _ = critic.estimate(batch, table)
        advantages: Any = np.repeat(goal, table.lengths) - values.turn
        if per_token:
            advantages = PerToken(np.repeat(goal, table.sum_turns(table.tokens).astype(int)) - values.token)
        figures = critic.learn(batch, table, advantages)
        first, last = first or figures["loss"], figures["loss"]
        assert figures["return"] == pytest.approx(0, abs=1e-6)
    assert last < 0.3 * first
    fresh = [marked(make_trajectory, 7_000 + i, i % 2 == 0) for i in range(6)]
    values, _ = critic.estimate(fresh, table_of(fresh))
    assert np.abs(values.turn - np.repeat([1, -1] * 3, 2)).mean() < 0.3
    assert figures["explained_variance"] > 0.7


def constant(critic: Critic, value: float) -> None:
    with torch.no_grad():
        critic._head.bias.fill_(value)


def test_returns_are_advantages_plus_values(batch, make_context) -> None:
    table = table_of(batch)
    advantages = np.arange(table.m, dtype=float)
    for per_turn, level, wanted in (
        (True, "auto", 0.5 + advantages.mean()),
        (True, "token", 0.5 + np.repeat(advantages, table.tokens).mean()),
        (False, "auto", 0.5 + np.arange(table.tokens.sum()).mean()),
        (False, "turn", 0.5 + (np.cumsum(table.tokens) - table.tokens).mean()),
    ):
        critic = Critic(make_context(), {"level": level})
        constant(critic, 0.5)
        critic.estimate(batch, table)
        given_: Any = advantages if per_turn else PerToken(np.arange(table.tokens.sum(), dtype=float))
        assert critic.learn(batch, table, given_)["return"] == pytest.approx(wanted)


def test_monte_carlo_returns_bootstrap_truncated_episodes(make_trajectory, make_table, make_context) -> None:
    batch = [make_trajectory([(3, 2), (3, 2)], seed=i) for i in range(2)]
    batch[1].truncated = True
    table = make_table(batch, [1.0, 0.0])
    critic = Critic(make_context(), {"returns": "monte_carlo", "gamma": 0.5})
    constant(critic, 0.8)
    critic.estimate(batch, table)
    # Ended: 1 and .5. Cut off: .5 * .8 after the last turn, half of that before.
    figures = critic.learn(batch, table, np.zeros(4))
    assert figures["return"] == pytest.approx((0.5 + 1 + 0.2 + 0.4) / 4, abs=1e-6)


def test_clipped_value_loss() -> None:
    values = torch.tensor([0.1, 0.5, 0.5, -0.5], requires_grad=True)
    old, returns = torch.zeros(4), torch.tensor([1.0, 1.0, 0.0, 1.0])
    loss = value_loss(values, old, returns, 0.2)
    torch.testing.assert_close(loss.detach(), 0.5 * torch.tensor([0.81, 0.64, 0.25, 2.25]))
    loss.sum().backward()
    # Moved beyond the clip towards the return: no further pull. Away from it: pulled back.
    torch.testing.assert_close(values.grad, torch.tensor([-0.9, 0.0, 0.5, -1.5]))
    torch.testing.assert_close(value_loss(values.detach(), old, returns, None)[1], torch.tensor(0.125))


def test_clipping_bounds_an_update(batch, make_context) -> None:
    table = table_of(batch)
    moved = {}
    for clip in (0.05, None):
        critic = Critic(make_context(), {"optimizer": {"lr": 5e-3}, "clip": clip, "epochs": 12})
        critic.estimate(batch, table)
        critic.learn(batch, table, np.full(table.m, 3.0))
        moved[clip] = float(np.abs(critic.estimate(batch, table)[0].turn).mean())
    assert moved[0.05] < 0.5 * moved[None]


def test_microbatches_are_only_a_matter_of_memory(batch, make_context) -> None:
    table = table_of(batch)
    after = []
    for budget in (30, 8192):
        critic = Critic(make_context(microbatch_tokens=budget), FAST)
        randomise(critic)
        critic.estimate(batch, table)
        critic.learn(batch, table, np.linspace(-1, 1, table.m))
        after.append(critic.estimate(batch, table)[0].token)
    np.testing.assert_allclose(after[0], after[1], atol=1e-3)


def test_it_leaves_the_policy_alone_and_starts_from_it(batch, make_context) -> None:
    context = make_context()
    critic, policy = Critic(context, FAST), context.learner.policy
    before = {n: p.detach().clone() for n, p in policy.trained().items()}
    table = table_of(batch)
    critic.estimate(batch, table)
    critic.learn(batch, table, np.ones(table.m))
    assert all(torch.equal(p, before[n]) for n, p in policy.trained().items())
    with torch.no_grad():
        for p in policy.trained().values():
            p.add_(0.01)
    critic.start()
    own = dict(critic._body.model.named_parameters())
    assert all(torch.equal(p, own[n]) for n, p in policy.trained().items())
    assert not critic.estimate(batch, table)[0].token.any()


def test_under_lora_only_adapters_are_copied(batch, make_context) -> None:
    context = make_context(lora={"rank": 2})
    critic = Critic(context, FAST)
    theirs = {p.data_ptr() for p in context.learner.policy.model.parameters()}
    own = {n: p for n, p in critic._trainee._parameters.items() if n.startswith("body.")}
    assert own
    assert all("lora_" in n and p.data_ptr() not in theirs for n, p in own.items())
    frozen = [p for p in critic._body.model.parameters() if not p.requires_grad]
    assert all(p.data_ptr() in theirs for p in frozen)
    table = table_of(batch)
    critic.estimate(batch, table)
    assert critic.learn(batch, table, np.ones(table.m))["grad_norm"] > 0


@pytest.mark.parametrize("minibatches", [1, 3])
def test_saved_and_loaded_goes_on_bit_for_bit(tmp_path: Path, batch, make_context, minibatches: int) -> None:
    table = table_of(batch)
    context = make_context(seed=5)
    one = Critic(context, {**FAST, "minibatches": minibatches})

    def update(critic: Critic) -> tuple[Values, dict[str, float]]:
        values, _ = critic.estimate(batch, table)
        return values, critic.learn(batch, table, np.linspace(-1, 1, table.m))

    update(one)
    update(one)
    one.save(tmp_path)
    other = Critic(context, {**FAST, "minibatches": minibatches})
    other.load(tmp_path)
    left, right = update(one), update(other)
    assert left[1] == right[1]
    assert np.array_equal(left[0].token, right[0].token)
    assert same(weights(one), weights(other))


def test_files_of_something_else_are_refused(tmp_path: Path, make_context) -> None:
    critic = Critic(make_context(), {})
    with pytest.raises(DataError, match=r"not a checkpoint of companions\.test"):
        critic.load(tmp_path)
    (tmp_path / "counters.json").write_text('{"steps": 0, "nonfinite": 0}')
    (tmp_path / "model.pt").write_bytes(b"no tensors")
    with pytest.raises(DataError, match=r"not a checkpoint of companions\.test"):
        critic.load(tmp_path)
    Critic(make_context(lora={"rank": 2}), {}).save(tmp_path)
    with pytest.raises(DataError, match="is on one side only"):
        critic.load(tmp_path)


def test_options_are_checked(make_context) -> None:
    with pytest.raises(ConfigError, match=r"companions\.test: unknown key 'epoch'; did you mean 'epochs'"):
        Critic(make_context(), {"epoch": 2})
    with pytest.raises(ConfigError, match="schedule 'cosine' needs decay_steps"):
        Critic(make_context(), {"optimizer": {"schedule": "cosine"}})


def test_batches_with_nothing_in_them(make_trajectory, make_context) -> None:
    critic = Critic(make_context(), {})
    empty = RewardTable.from_groups([])
    values, _ = critic.estimate([], empty)
    assert values.turn.shape == values.final.shape == values.token.shape == (0,)

    silent = make_trajectory([(4, 0)], seed=1)  # a turn of no tokens
    unplayed = make_trajectory([], seed=2, tail=5)  # a prompt and no turn
    unplayed.truncated = True
    nothing = make_trajectory([], seed=3)
    nothing.truncated = True
    batch = [silent, unplayed, nothing]
    table = table_of(batch)
    constant(critic, 0.7)
    values, _ = critic.estimate(batch, table)
    assert values.turn.tolist() == [0.0]
    assert values.final == pytest.approx([0.0, 0.7, 0.0])
    assert critic.learn(batch, table, np.zeros(1)) == {}


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=5))
def test_first_tokens_against_a_slow_reference(lengths: list[list[int]]) -> None:
    tokens = np.array([n for turns in lengths for n in turns], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(turns) for turns in lengths])]).astype(np.int64)
    zeros = np.zeros(len(tokens))
    table = RewardTable(
        group=np.zeros(len(lengths), np.int64),
        offsets=offsets,
        outcome=np.zeros(len(lengths)),
        turn_reward=zeros,
        parts={},
        state=np.zeros(len(tokens), np.int64),
        tokens=tokens,
        truncated=np.zeros(len(lengths), np.bool_),
        difficulty=np.zeros(len(lengths), np.int64),
    )
    values = np.arange(1.0, tokens.sum() + 1)
    wanted, start = [], 0
    for turns in lengths:
        end = start + sum(turns)
        at = start
        for n in turns:
            wanted.append(values[min(at, end - 1)] if end > start else 0.0)
            at += n
        start = end
    assert first_tokens(table, values).tolist() == wanted


def test_explained_variance() -> None:
    actual = np.array([1.0, 2.0, 3.0])
    assert explained_variance(actual, actual) == 1
    assert explained_variance(np.full(3, 9.0), actual) == 0
    assert explained_variance(actual, np.ones(3)) == 0
