from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agentgym.trainers.packing import Targets, balance, micro_batches, pack, plan

CPU = torch.device("cpu")


@given(st.lists(st.integers(0, 300), max_size=40), st.integers(1, 1000))
def test_plan_holds_every_nonempty_trajectory_once_within_the_budget(lengths, budget):
    bins = plan(lengths, budget)
    assert sorted(i for b in bins for i in b) == [i for i, n in enumerate(lengths) if n]
    for members in bins:
        assert members
        assert sum(lengths[i] for i in members) <= budget or len(members) == 1


def test_plan_puts_similar_lengths_together():
    assert plan([5, 90, 10, 80, 0, 85], 180) == [[1, 5], [3, 2, 0]]


def test_targets_are_policy_tokens_but_never_the_first_of_a_sequence(make_trajectory):
    first = make_trajectory([(3, 2), (1, 1)], seed=1)
    second = make_trajectory([(0, 3), (2, 2)], seed=2, starts=(0, 3), tail=1)
    targets = Targets.of([first, second])
    assert targets.trajectory.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert targets.position.tolist() == [3, 4, 6, 1, 2, 5, 6]
    assert targets.turn.tolist() == [0, 0, 1, 0, 0, 1, 1]
    assert targets.offsets.tolist() == [0, 3, 7]
    early = make_trajectory([(3, 2), (2, 1)], seed=3, tail=1)
    assert Targets.of([early], observations=True).position.tolist() == [3, 4, 5, 6, 7, 8]  # all but the prompt
    every = Targets.of([second], observations=True)
    assert every.position.tolist() == [1, 2, 4, 5, 6, 7]
    assert every.turn.tolist() == [0, 0, -1, 1, 1, -1]


def test_split_puts_values_back_where_they_came_from(batch):
    targets = Targets.of(batch)
    values = np.arange(1, len(targets) + 1, dtype=np.float32)
    arrays = targets.split(values, [len(t) for t in batch])
    for trajectory, array in zip(batch, arrays, strict=True):
        assert array.shape == (len(trajectory),)
        assert np.array_equal(array != 0, trajectory.turn >= 0)
    assert np.array_equal(np.concatenate([a[a != 0] for a in arrays]), values)


def test_pack_lays_sequences_end_to_end(make_trajectory):
    first = make_trajectory([(3, 2)], seed=1, tail=4)
    second = make_trajectory([(2, 2), (3, 1)], seed=2, starts=(0, 4))
    targets = Targets.of([first, second])
    row = pack([first, second], [1, 0], targets, CPU)
    # The last target of a sequence is not read, nor is what follows it.
    assert row.lengths == (3, 3, 4)
    assert row.tokens[0].tolist() == [*second.tokens[:3], *second.tokens[4:7], *first.tokens[:4]]
    assert row.positions[0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3]
    assert row.predict.tolist() == [1, 2, 5, 8, 9]
    assert row.labels.tolist() == [
        second.tokens[2],
        second.tokens[3],
        second.tokens[7],
        first.tokens[3],
        first.tokens[4],
    ]
    assert row.slots.tolist() == [2, 3, 4, 0, 1]
    assert row.size == 10


def test_pack_leaves_out_sequences_without_targets(make_trajectory):
    trajectory = make_trajectory([(5, 0), (3, 2)], seed=1, starts=(0, 5))
    row = pack([trajectory], [0], Targets.of([trajectory]), CPU)
    assert row.lengths == (4,)
    silent = make_trajectory([(5, 0)], seed=1)
    assert pack([silent], [0], Targets.of([silent]), CPU).size == 0


def test_empty_batch():
    targets = Targets.of([])
    assert len(targets) == 0
    assert targets.offsets.tolist() == [0]
    assert plan([], 10) == []


@given(st.lists(st.integers(0, 400), max_size=60), st.integers(1, 9))
def test_shares_differ_by_at_most_the_longest_and_hold_everything_once(lengths, ranks):
    shares = balance(lengths, ranks)
    assert sorted(i for share in shares for i in share) == [i for i, n in enumerate(lengths) if n]
    tokens = [sum(lengths[i] for i in share) for share in shares]
    assert max(tokens) - min(tokens) <= max(lengths, default=0)
    assert balance(lengths, 1)[0] == sorted((i for i, n in enumerate(lengths) if n), key=lambda i: (-lengths[i], i))


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_ranks_share_all_targets_in_equally_many_micro_batches(batch, ranks):
    targets = Targets.of(batch)
    members = [0, 2, 3, 4, 5]
    rows = [micro_batches(batch, members, targets, 24, CPU, rank, ranks) for rank in range(ranks)]
    assert len({len(own) for own in rows}) == 1
    slots = np.concatenate([row.slots.numpy() for own in rows for row in own])
    assert sorted(slots.tolist()) == [n for n in range(len(targets)) if targets.trajectory[n] in members]
    for row in (row for own in rows for row in own if not len(row.slots)):
        assert (row.size, len(row.labels)) == (1, 1)
