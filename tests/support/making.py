"""Trajectories for tests: one by hand, and hypothesis strategies for any."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from agentgym.signal import RewardSignal
from agentgym.trajectory import Group, Trajectory, Turn

SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def trajectory(turns: int = 3, sample: int = 0, group: str = "g0", task: str = "t0", **changes: Any) -> Trajectory:
    """Two prompt tokens, then two policy tokens and one observation token a turn."""
    turn = np.array([-1, -1, *(k for i in range(turns) for k in (i, i, -1))], dtype=np.int16)
    fields: dict[str, Any] = {
        "episode_id": f"{group}/{sample}",
        "group_id": group,
        "env": "toy/Toy-v0",
        "task_id": task,
        "split": "train",
        "difficulty": 1,
        "seed": sample,
        "tokens": np.arange(len(turn), dtype=np.int32),
        "logprobs": np.where(turn >= 0, -0.5, 0.0).astype(np.float32),
        "turn": turn,
        "starts": np.zeros(1, dtype=np.int32),
        "turns": [
            Turn(RewardSignal(1.0 if i == turns - 1 else None, {"looked": 0.5}), f"s{i}", {"actions": []}, 0.5, 3)
            for i in range(turns)
        ],
        "messages": [{"role": "user", "content": "find it", "turn": -1}],
        "terminated": True,
        "final_state_key": "open",
    }
    return Trajectory(**{**fields, **changes})


@st.composite
def trajectories(draw: st.DrawFn, group: str, task: str) -> Trajectory:
    turns = draw(
        st.lists(
            st.builds(
                Turn,
                signal=st.builds(
                    RewardSignal,
                    outcome=st.none() | FINITE,
                    process=st.dictionaries(st.text(max_size=8), FINITE, max_size=3),
                ),
                state_key=st.text(max_size=12),
                action=st.dictionaries(st.text(max_size=6), JSON, max_size=3),
                reward=FINITE,
                version=st.integers(0, 2**40),
                changes=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2**40)), max_size=2).map(tuple),
                finish=st.sampled_from(["stop", "length"]),
                generate_s=FINITE,
                env_s=FINITE,
            ),
            max_size=4,
        )
    )
    runs = [(k, draw(st.integers(0, 4))) for i in range(len(turns)) for k in (-1, i)] + [(-1, draw(st.integers(0, 2)))]
    turn = np.array([k for k, n in runs for _ in range(n)], dtype=np.int16)
    n = len(turn)
    logprobs = [draw(st.floats(-50, 0, width=32)) if k >= 0 else 0.0 for k in turn]
    starts = sorted({0, *draw(st.lists(st.integers(1, n - 1), max_size=2))}) if n > 1 else [0] * min(n, 1)
    return Trajectory(
        episode_id=draw(st.text(max_size=8)),
        group_id=group,
        env=draw(st.text(max_size=8)),
        task_id=task,
        split=draw(st.sampled_from(["train", "heldout"])),
        difficulty=draw(st.integers(0, 100)),
        seed=draw(st.integers(0, 2**64 - 1)),
        tokens=np.array(draw(st.lists(st.integers(0, 2**31 - 1), min_size=n, max_size=n)), dtype=np.int32),
        logprobs=np.array(logprobs, dtype=np.float32),
        turn=turn,
        starts=np.array(starts, dtype=np.int32),
        turns=turns,
        messages=draw(
            st.lists(
                st.fixed_dictionaries(
                    {
                        "role": st.sampled_from(["system", "user", "assistant", "tool"]),
                        "content": st.text(max_size=20),
                        "turn": st.integers(-1, 100),
                    }
                ),
                max_size=3,
            )
        ),
        terminated=draw(st.booleans()),
        truncated=draw(st.booleans()),
        final_state_key=draw(st.text(max_size=8)),
        fault=draw(st.none() | st.text(max_size=8)),
    )


@st.composite
def groups(draw: st.DrawFn) -> list[Group]:
    ids = draw(st.lists(st.text(max_size=6), max_size=3, unique=True))
    made = []
    for group_id in ids:
        task = draw(st.text(max_size=6))
        made.append(Group(group_id, task, draw(st.lists(trajectories(group_id, task), min_size=1, max_size=3))))
    return made


def same(a: Trajectory, b: Trajectory) -> None:
    """Asserts that two trajectories are equal in every field, types of arrays included."""
    for name in Trajectory.__slots__:
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype, name
            assert np.array_equal(x, y), name
        else:
            assert x == y, name
