"""Reward tables for tests: by hand, and a hypothesis strategy for any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from agentgym.rewards.table import RewardTable

PARTS = ("a", "b")


@dataclass(frozen=True)
class Row:
    """A trajectory; the parts say how many turns it has, or `turns` where there are none."""

    outcome: float = 0.0
    parts: Mapping[str, Sequence[float]] = field(default_factory=dict)
    rewards: Sequence[float] = ()
    turns: int = 1
    tokens: int = 1
    answer: str | None = None
    said: Sequence[str] = ()
    states: Sequence[str] = ()
    truncated: bool = False

    @property
    def length(self) -> int:
        given = [len(v) for v in (*self.parts.values(), self.rewards, self.said, self.states) if len(v)]
        return given[0] if given else self.turns


def reward_table(groups: Sequence[Sequence[Row]], *, tasks: Sequence[str] = (), update: int = 0) -> RewardTable:
    """Groups of rows; each group is one task (``t0``, ``t1``, ... unless named); `tokens` are those of a turn."""
    flat = [row for group in groups for row in group]
    lengths = [row.length for row in flat]
    names = tasks or [f"t{i}" for i in range(len(groups))]
    parts = {name for row in flat for name in row.parts}

    def turns(values: Sequence[float], length: int) -> list[float]:
        return list(values) if len(values) else [0.0] * length

    task_of = [names[i] for i, group in enumerate(groups) for _ in group]
    keys = [(t, s) for t, r, n in zip(task_of, flat, lengths, strict=True) for s in (r.states or ("",) * n)]
    numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return RewardTable(
        group=np.repeat(np.arange(len(groups)), [len(g) for g in groups]).astype(np.int64),
        offsets=np.cumsum([0, *lengths]).astype(np.int64),
        outcome=np.array([row.outcome for row in flat], np.float64),
        turn_reward=np.array([v for r, n in zip(flat, lengths, strict=True) for v in turns(r.rewards, n)], np.float64),
        parts={
            name: np.array(
                [v for r, n in zip(flat, lengths, strict=True) for v in turns(r.parts.get(name, ()), n)], np.float64
            )
            for name in parts
        },
        state=np.array([numbers[key] for key in keys], np.int64),
        tokens=np.repeat([row.tokens for row in flat], lengths).astype(np.int64),
        truncated=np.array([row.truncated for row in flat], np.bool_),
        difficulty=np.ones(len(flat), np.int64),
        task_id=tuple(task_of),
        answer=tuple(row.answer for row in flat),
        said=tuple(t for r, n in zip(flat, lengths, strict=True) for t in (r.said or ("",) * n)),
        state_key=tuple(state for _, state in keys),
        update=update,
    )


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A row of 0 to 4 turns with the parts `PARTS`."""
    n = draw(st.integers(0, 4))
    value = st.floats(-2, 2, allow_subnormal=False)
    texts = st.sampled_from(["", "Paris", "the city of Paris", "Rome", "no\n\nidea", "是的 是的"])
    return Row(
        outcome=draw(st.sampled_from([-1.0, 0.0, 0.5, 1.0]) | st.floats(0, 1, allow_subnormal=False)),
        parts={name: draw(st.lists(value, min_size=n, max_size=n)) for name in PARTS},
        rewards=draw(st.lists(value, min_size=n, max_size=n)),
        turns=n,
        tokens=draw(st.integers(0, 30)),
        answer=draw(st.none() | texts),
        said=draw(st.lists(texts, min_size=n, max_size=n)),
        states=draw(st.lists(st.sampled_from(["", "s0", "s1"]), min_size=n, max_size=n)),
        truncated=draw(st.booleans()),
    )


#: Up to three groups of one to four rows.
groups_of_rows = st.lists(st.lists(rows(), min_size=1, max_size=4), max_size=3)
