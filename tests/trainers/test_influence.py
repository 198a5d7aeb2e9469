"""Influence on correct answers, against gradients that torch takes and against sums over pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from agentgym.faults import ConfigError
from agentgym.rewards.table import RewardTable
from agentgym.trainers.influence import Influence


@pytest.mark.parametrize("metric", ["gradient", "residual"])
def test_against_all_pairs(tiny, batch, make_table, make_context, plain_logprobs, metric) -> None:
    table = make_table(batch, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0])  # the last group has no correct answer
    companion = Influence(make_context(chunk_tokens=3, microbatch_tokens=40), {"metric": metric})
    got, figures = companion.estimate(batch, table)

    plain = AutoModelForCausalLM.from_pretrained(tiny)
    output = plain.get_output_embeddings().weight
    features = []
    for t in batch:
        rows = []
        for part in t.sequences():
            ids = torch.from_numpy(t.tokens[part].astype(np.int64))[None]
            states = plain.get_decoder()(ids).last_hidden_state[0]
            for offset in range(1, ids.shape[1]):
                if t.turn[part.start + offset] >= 0:
                    h = states[offset - 1].detach()
                    logp = torch.log_softmax(output @ h, 0)[ids[0, offset]]
                    if metric == "gradient":
                        rows.append(torch.autograd.grad(logp, output)[0].flatten())
                    else:
                        rows.append((1 - logp.exp().detach()) * h)
        features.append(torch.stack(rows))
    want = []
    for group in range(3):
        right = torch.cat([features[i] for i in (2 * group, 2 * group + 1) if table.outcome[i]] or [torch.zeros(0, 1)])
        for i in (2 * group, 2 * group + 1):
            zero = torch.zeros(len(features[i]))
            want.append((features[i] @ right.T).mean(1) if len(right) else zero)
    np.testing.assert_allclose(got, torch.cat(want).numpy(), atol=1e-5, rtol=1e-4)
    assert got[: table.tokens[:5].sum()].all()
    assert not got[-int(table.tokens[-4:].sum()) :].any()
    assert figures["groups"] == pytest.approx(2 / 3)


def test_tokens_of_correct_answers_help_and_their_rivals_hurt(make_trajectory, make_table, make_context) -> None:
    """Three answers to one prompt; the third differs from the first two in one token."""
    batch = [make_trajectory([(8, 3)], seed=1) for _ in range(3)]
    batch[2].tokens[9] = (batch[2].tokens[9] - 7 + 1) % 50 + 7
    table = make_table(batch, [1.0, 1.0, 0.0], size=3)
    got, figures = Influence(make_context(), {}).estimate(batch, table)
    first, second, third = got.reshape(3, 3)
    assert np.array_equal(first, second)
    assert third[0] == pytest.approx(first[0])
    assert first[1] > third[1]
    assert figures["groups"] == 1


def test_it_trains_and_keeps_nothing(tmp_path: Path, batch, make_table, make_context) -> None:
    context = make_context()
    table = make_table(batch, [1.0] * 6)
    companion = Influence(context, {})
    before = {n: p.detach().clone() for n, p in context.learner.policy.trained().items()}
    companion.start()
    one, _ = companion.estimate(batch, table)
    assert companion.learn(batch, table, np.zeros(table.m)) == {}
    companion.save(tmp_path)
    assert not list(tmp_path.iterdir())
    other = Influence(context, {})
    other.load(tmp_path)
    assert np.array_equal(other.estimate(batch, table)[0], one)
    assert all(torch.equal(p, before[n]) and p.grad is None for n, p in context.learner.policy.trained().items())


def test_batches_with_nothing_in_them(make_trajectory, make_table, make_context) -> None:
    companion = Influence(make_context(), {})
    assert companion.estimate([], RewardTable.from_groups([]))[0].shape == (0,)
    batch = [make_trajectory([(4, 0)], seed=1), make_trajectory([(4, 2)], seed=2), make_trajectory([], seed=3)]
    got, _ = companion.estimate(batch, make_table(batch, [1.0, 0.0, 0.0], size=3))  # the correct one said nothing
    assert got.tolist() == [0.0, 0.0]


def test_options_are_checked(make_context) -> None:
    with pytest.raises(ConfigError, match="metric"):
        Influence(make_context(), {"metric": "cosine"})
