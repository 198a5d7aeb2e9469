"""Losses against published numbers, a padded slow reference, and the exactness of micro-batches."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.faults import ConfigError
from agentgym.trainers.losses import (
    LOSSES,
    Aggregate,
    build_loss,
    cispo,
    clipped,
    gspo,
    stable_reinforce,
    token_weights,
)

torch.set_num_threads(1)
AGGREGATES: tuple[Any, ...] = get_args(Aggregate)


def options(aggregate: str) -> dict[str, Any]:
    constant = {"constant": 3.0} if aggregate == "seq-mean-token-sum-norm" else {}
    return {"name": "clipped", "aggregate": aggregate, **constant}


# -- clipped surrogate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [(1.25, 1, -1.25), (1.5, 1, -1.28), (0.5, 1, -0.5), (0.5, -1, 0.8), (1.5, -1, 1.5), (4, -1, 3.0)],
)
def test_clipped_published_numbers(ratio: float, advantage: float, expected: float) -> None:
    logp = torch.tensor([math.log(ratio)], dtype=torch.float64)
    losses, _ = clipped(logp, torch.zeros(1), torch.tensor([float(advantage)]), torch.zeros(1, dtype=torch.int64))
    assert losses.item() == pytest.approx(expected, abs=1e-12)


def slow_clipped(logp: float, old: float, advantage: float, low: float, high: float, dual: float | None) -> float:
    ratio = math.exp(min(max(logp - old, -20.0), 20.0))
    loss = max(-advantage * ratio, -advantage * min(max(ratio, 1 - low), 1 + high))
    return min(loss, -advantage * dual) if dual is not None and advantage < 0 else loss


tokens = st.tuples(st.floats(-30, 0), st.floats(-30, 0), st.floats(-3, 3))


@settings(deadline=None)
@given(
    st.lists(tokens, min_size=1, max_size=8),
    st.sampled_from([0.0, 0.2, 0.9]),
    st.sampled_from([0.0, 0.28, 5.0]),
    st.sampled_from([None, 1.5, 3.0]),
)
def test_clipped_agrees_with_its_formula(
    batch: list[tuple[float, float, float]], low: float, high: float, dual: float | None
) -> None:
    logp, old, advantage = torch.tensor(batch, dtype=torch.float64).unbind(1)
    losses, figures = clipped(logp, old, advantage, torch.zeros(len(batch)), low=low, high=high, dual=dual)
    expected = [slow_clipped(*token, low, high, dual) for token in batch]
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    assert all(f.shape == losses.shape and torch.isfinite(f).all() and not f.requires_grad for f in figures.values())
    assert (figures["approx_kl"] >= -1e-12).all()


@pytest.mark.parametrize(
    ("ratio", "advantage", "slope", "clip", "dual"),
    [
        (1.0, 1.0, -1.0, 0.0, 0.0),
        (1.0, -1.0, 1.0, 0.0, 0.0),
        (1.5, 1.0, 0.0, 1.0, 0.0),  # above the upper bound there is nothing more to gain
        (0.5, -1.0, 0.0, 1.0, 0.0),
        (0.5, 1.0, -0.5, 0.0, 0.0),  # and on the other side the gradient stays
        (1.5, -1.0, 1.5, 0.0, 0.0),
        (4.0, -1.0, 0.0, 0.0, 1.0),
    ],
)
def test_where_the_gradient_stops(ratio: float, advantage: float, slope: float, clip: float, dual: float) -> None:
    logp = torch.tensor([math.log(ratio)], dtype=torch.float64, requires_grad=True)
    losses, figures = clipped(logp, torch.zeros(1), torch.tensor([advantage]), torch.zeros(1))
    losses.sum().backward()
    assert logp.grad is not None
    assert logp.grad.item() == pytest.approx(slope)
    assert (figures["clip_fraction"].item(), figures["dual_clip_fraction"].item()) == (clip, dual)


def test_extreme_log_ratios_stay_finite() -> None:
    logp = torch.tensor([0.0, -1e30, 0.0, -1e30], requires_grad=True)
    old = torch.tensor([-1e30, 0.0, -1e30, 0.0])
    losses, _ = clipped(logp, old, torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.zeros(4))
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert logp.grad is not None
    assert torch.isfinite(logp.grad).all()


# -- aggregation -------------------------------------------------------------------------------------------------------

SEQUENCE = torch.tensor([0, 0, 0, 1, 1, 1])
VALUES = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0, 0.0])
MASK = torch.tensor([1, 1, 1, 1, 0, 0], dtype=torch.bool)


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("token-mean", 2.5),
        ("seq-mean-token-sum", 5.0),
        ("seq-mean-token-mean", 3.0),
        ("seq-mean-token-sum-norm", 3.333333),
        ("turn-mean", (1.0 + 2.5 + 4.0) / 3),
    ],
)
def test_aggregation_published_numbers(aggregate: Any, expected: float) -> None:
    turn = torch.tensor([0, 1, 1, 0, 0, 1])
    weights = token_weights(aggregate, SEQUENCE, turn, MASK, constant=3.0)
    assert (weights * VALUES).sum().item() == pytest.approx(expected, abs=1e-6)
    assert (weights[~MASK] == 0).all()
    kept = token_weights(aggregate, SEQUENCE[MASK], turn[MASK], constant=3.0)
    torch.testing.assert_close(weights[MASK], kept, msg="masked tokens are as good as absent")


@st.composite
def ragged(draw: st.DrawFn) -> tuple[list[list[int]], int]:
    """Turns of each token, for some trajectories (some without tokens); and a seed."""
    one = st.lists(st.integers(0, 3), max_size=8).map(sorted)
    return draw(st.lists(one, min_size=1, max_size=6)), draw(st.integers(0, 10_000))


def aggregate_slowly(aggregate: str, losses: list[list[float]], turns: list[list[int]]) -> float:
    """The formulas on nested lists."""
    full = [row for row in losses if row]
    if not full:
        return 0.0
    if aggregate == "token-mean":
        return sum(map(sum, full)) / sum(map(len, full))
    if aggregate == "seq-mean-token-sum":
        return sum(map(sum, full)) / len(full)
    if aggregate == "seq-mean-token-mean":
        return sum(sum(row) / len(row) for row in full) / len(full)
    if aggregate == "seq-mean-token-sum-norm":
        return sum(map(sum, full)) / 3.0
    means = []
    for row, of in zip(losses, turns, strict=True):
        for turn in set(of):
            own = [x for x, t in zip(row, of, strict=True) if t == turn]
            means.append(sum(own) / len(own))
    return sum(means) / len(means)


@pytest.mark.parametrize("aggregate", AGGREGATES)
@settings(deadline=None, max_examples=50)
@given(batch=ragged())
def test_aggregations_agree_with_nested_lists(aggregate: Any, batch: tuple[list[list[int]], int]) -> None:
    turns, seed = batch
    generator = torch.Generator().manual_seed(seed)
    values = [torch.randn(len(row), generator=generator) for row in turns]
    sequence = torch.tensor([i for i, row in enumerate(turns) for _ in row], dtype=torch.int64)
    turn = torch.tensor([t for row in turns for t in row], dtype=torch.int64)
    weights = token_weights(aggregate, sequence, turn, constant=3.0)
    got = (weights * torch.cat(values)).sum().item()
    assert got == pytest.approx(aggregate_slowly(aggregate, [v.tolist() for v in values], turns), abs=1e-5)


@pytest.mark.parametrize("aggregate", AGGREGATES)
@settings(deadline=None, max_examples=30)
@given(batch=ragged(), cut=st.integers(0, 6))
def test_micro_batches_add_up_to_the_batch(aggregate: str, batch: tuple[list[list[int]], int], cut: int) -> None:
    turns, seed = batch
    loss = build_loss(options(aggregate))
    generator = torch.Generator().manual_seed(seed)
    sequence = torch.tensor([i for i, row in enumerate(turns) for _ in row], dtype=torch.int64)
    turn = torch.tensor([t for row in turns for t in row], dtype=torch.int64)
    n = len(sequence)
    old, advantage = (torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(2))
    start = old + 0.3 * torch.randn(n, generator=generator, dtype=torch.float64)
    weight = loss.token_weights(sequence, turn).double()

    def gradient(parts: list[torch.Tensor]) -> tuple[float, torch.Tensor]:
        logp = start.clone().requires_grad_()
        total = 0.0
        for p in parts:
            value, _ = loss(logp[p], old[p], advantage[p], weight[p], sequence[p])
            value.backward()
            total += value.item()
        assert logp.grad is not None
        return total, logp.grad

    whole, whole_gradient = gradient([torch.arange(n)])
    parts, parts_gradient = gradient([torch.where(sequence < cut)[0], torch.where(sequence >= cut)[0]])
    assert whole == pytest.approx(parts, abs=1e-12)
    torch.testing.assert_close(whole_gradient, parts_gradient, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_masked_tokens_have_no_influence(aggregate: str) -> None:
    loss = build_loss(options(aggregate))
    turn = torch.zeros(6, dtype=torch.int64)
    weight = loss.token_weights(SEQUENCE, turn, MASK)
    results = []
    for garbage in (0.0, 1e6):
        logp = torch.where(MASK, VALUES, torch.tensor(garbage)).requires_grad_()
        value, _ = loss(logp, VALUES - 0.1, torch.where(MASK, 1.0, garbage), weight, SEQUENCE)
        value.backward()
        assert logp.grad is not None
        assert (logp.grad[~MASK] == 0).all()
        results.append((value.item(), logp.grad))
    assert results[0][0] == results[1][0]
    torch.testing.assert_close(results[0][1], results[1][1])


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_no_policy_tokens(aggregate: str) -> None:
    loss = build_loss(options(aggregate))
    none = torch.zeros(0, dtype=torch.int64)
    logp = torch.zeros(0, requires_grad=True)
    value, figures = loss(logp, torch.zeros(0), torch.zeros(0), loss.token_weights(none, none), none)
    value.backward()
    assert value.item() == 0.0
    assert all(f.shape == (0,) for f in figures.values())
    assert (loss.token_weights(SEQUENCE, SEQUENCE, torch.zeros(6, dtype=torch.bool)) == 0).all()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "cliped"}, r"loss\.name: no loss 'cliped'; did you mean 'clipped'"),
        ({"name": "clipped", "hihg": 0.3}, r"loss \(clipped\): unknown key 'hihg'; did you mean 'high'"),
        ({"name": "clipped", "dual": 0.5}, r"dual: .*greater than 1"),
        ({"name": "clipped", "aggregate": "mean"}, r"aggregate: .*'token-mean'.*got 'mean'"),
        ({"name": "clipped", "aggregate": "seq-mean-token-sum-norm"}, "constant goes with aggregate"),
        ({"name": "clipped", "constant": 3.0}, "constant goes with aggregate"),
    ],
)
def test_mistakes_in_a_configuration_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_loss(config)


def test_the_norm_needs_its_constant() -> None:
    with pytest.raises(ValueError, match="needs a constant"):
        token_weights("seq-mean-token-sum-norm", SEQUENCE, SEQUENCE)


# -- GSPO, CISPO, StableReinforce --------------------------------------------------------------------------------------


def test_gspo_published_numbers() -> None:
    logp = torch.tensor([-1.0, -2.0, -1.5], dtype=torch.float64)
    old = torch.tensor([-1.2, -2.0, -1.6], dtype=torch.float64)
    losses, figures = gspo(logp, old, torch.ones(3), torch.zeros(3, dtype=torch.int64), low=0.2, high=0.2)
    torch.testing.assert_close(figures["ratio"], torch.full((3,), 1.105171, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(losses, torch.full((3,), -1.105171, dtype=torch.float64), atol=1e-6, rtol=0)


@settings(deadline=None)
@given(st.lists(st.tuples(tokens, st.integers(0, 2)), min_size=1, max_size=10))
def test_gspo_agrees_with_its_formula(batch: list[tuple[tuple[float, float, float], int]]) -> None:
    batch = sorted(batch, key=lambda entry: entry[1])
    logp, old, advantage = torch.tensor([t for t, _ in batch], dtype=torch.float64).unbind(1)
    sequence = torch.tensor([s for _, s in batch])
    expected = []
    for (_, _, a), own in batch:
        gaps = [x - y for (x, y, _), other in batch if other == own]
        ratio = math.exp(min(sum(gaps) / len(gaps), 10.0))
        expected.append(max(-a * ratio, -a * min(max(ratio, 0.8), 1.2)))
    losses, _ = gspo(logp, old, advantage, sequence, low=0.2, high=0.2)
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))


def test_gspo_gives_each_token_of_a_sequence_the_same_slope() -> None:
    logp = torch.tensor([-1.0, -2.0, -1.5], requires_grad=True)
    losses, _ = gspo(logp, torch.tensor([-1.2, -2.0, -1.6]), torch.ones(3), torch.zeros(3, dtype=torch.int64), high=0.2)
    losses.mean().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(logp.grad, torch.full((3,), -1.105171 / 3), atol=1e-5, rtol=0)
    clipped_logp = torch.tensor([-1.0, -1.0], requires_grad=True)
    losses, _ = gspo(clipped_logp, torch.tensor([-2.0, -2.0]), torch.ones(2), torch.zeros(2, dtype=torch.int64))
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert clipped_logp.grad is not None
    assert not clipped_logp.grad.any()


def test_gspo_has_one_aggregation() -> None:
    assert build_loss({"name": "gspo"}).aggregate == "seq-mean-token-mean"
    assert build_loss({"name": "gspo", "aggregate": "seq-mean-token-mean"}).aggregate == "seq-mean-token-mean"
    with pytest.raises(ConfigError, match="its aggregate is always seq-mean-token-mean"):
        build_loss({"name": "gspo", "aggregate": "token-mean"})


@settings(deadline=None)
@given(st.lists(tokens, min_size=1, max_size=8), st.sampled_from([0.0, 0.28, 4.0]))
def test_cispo_clips_the_weight_and_never_the_gradient(batch: list[tuple[float, float, float]], high: float) -> None:
    logp, old, advantage = torch.tensor(batch, dtype=torch.float64).unbind(1)
    logp.requires_grad_()
    losses, _ = cispo(logp, old, advantage, torch.zeros(len(batch)), high=high)
    weights = [min(math.exp(min(max(x - y, -20.0), 20.0)), 1 + high) for x, y, _ in batch]
    expected = [-w * a * x for w, (x, _, a) in zip(weights, batch, strict=True)]
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))
    losses.sum().backward()  # type: ignore[no-untyped-call]
    slopes = [-w * a for w, (_, _, a) in zip(weights, batch, strict=True)]
    torch.testing.assert_close(logp.grad, torch.tensor(slopes, dtype=torch.float64))


@pytest.mark.parametrize(("difference", "ratio"), [(20.0, 1000.0), (-20.0, 0.001), (0.1, math.exp(0.1))])
def test_stable_reinforce_bounds_the_ratio(difference: float, ratio: float) -> None:
    logp = torch.tensor([difference], dtype=torch.float64)
    for advantage in (1.0, -1.0):
        losses, figures = stable_reinforce(logp, torch.zeros(1), torch.tensor([advantage]), torch.zeros(1))
        assert figures["ratio"].item() == pytest.approx(ratio)
        expected = max(-advantage * ratio, -advantage * min(max(ratio, 0.8), 1.2))
        assert losses.item() == pytest.approx(expected)


def test_stable_reinforce_leaves_out_outliers_of_the_whole_batch() -> None:
    loss = build_loss({"name": "stable_reinforce"})
    advantage = torch.tensor([0.0] * 20 + [100.0])
    keep = loss.keep(advantage)
    assert keep is not None
    assert keep.tolist() == [True] * 20 + [False]
    turn = torch.zeros(21, dtype=torch.int64)
    weights = loss.token_weights(turn, turn, keep)
    assert weights[-1] == 0
    assert weights.sum().item() == pytest.approx(1.0)
    equal = loss.keep(torch.full((5,), 0.1))
    assert equal is not None
    assert equal.all()
    assert build_loss({"name": "stable_reinforce", "sigmas": None}).keep(advantage) is None
    assert build_loss({"name": "clipped"}).keep(advantage) is None
    assert loss.keep(torch.zeros(0)) is None


@pytest.mark.parametrize("name", [m.name for m in LOSSES.all()])
@settings(deadline=None, max_examples=30)
@given(batch=ragged(), seed=st.integers(0, 99))
def test_every_loss_adds_up_over_micro_batches(name: str, batch: tuple[list[list[int]], int], seed: int) -> None:
    """Loss and gradient of whole trajectories, one micro-batch each, are those of the batch at once."""
    turns, _ = batch
    sequence = torch.tensor([i for i, row in enumerate(turns) for _ in row], dtype=torch.int64)
    turn = torch.tensor([t for row in turns for t in row], dtype=torch.int64)
    generator = torch.Generator().manual_seed(seed)
    logp, old, advantage = torch.randn(3, len(turn), generator=generator, dtype=torch.float64)
    loss = build_loss({"name": name})
    weight = loss.token_weights(sequence, turn, loss.keep(advantage)).double()

    def run(parts: list[torch.Tensor]) -> tuple[float, torch.Tensor]:
        leaf = logp.clone().requires_grad_()
        total = 0.0
        for part in parts:
            value, _ = loss(leaf[part], old[part], advantage[part], weight[part], sequence[part])
            value.backward()  # type: ignore[no-untyped-call]
            total += value.item()
        return total, leaf.grad if leaf.grad is not None else torch.zeros_like(leaf)

    whole = run([torch.arange(len(turn))] if len(turn) else [])
    apart = run([torch.nonzero(sequence == i).flatten() for i in torch.unique(sequence)])
    assert whole[0] == pytest.approx(apart[0], abs=1e-9)
    torch.testing.assert_close(whole[1], apart[1], rtol=1e-9, atol=1e-12)
