"""`RewardTable`: the signals of many groups as flat arrays, which shaping and credit assignment work on.

Turns of all trajectories lie one after the other (ragged, M in all), so that every method is a few vectorised numpy
calls however many groups there are. Nothing here knows tokens; a stored run can be shaped and credited again from its
Parquet files alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agentgym.trajectory import Group, Trajectory

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RewardTable:
    """Signals and rewards of N trajectories with M turns in all, from G groups.

    Attributes:
        group: int64[N], index of each trajectory's group, 0..G-1, not decreasing.
        offsets: int64[N+1], the turns of trajectory i are ``offsets[i]:offsets[i+1]`` (a trajectory may have none).
        outcome: float64[N], the trajectory's outcome reward (stages may change it).
        turn_reward: float64[M], the turn's process reward (0 until a stage such as `weigh` fills it).
        parts: Raw process parts by name, float64[M] each.
        state: int64[M], the anchor state in which the turn was taken; equal numbers = same task and equal state key.
        tokens: int64[M], policy tokens of the turn.
        truncated: bool[N], a budget ended the episode.
        difficulty: int64[N], of the task.
        task_id: N, of the task.
        answer: N, what ended the episode (`final_answer`); None where a budget did.
        said: M, the policy's text of each turn.
        state_key: M, the environment's key of the state in which the turn was taken; unlike `state` it holds between
            batches.
        acted: M, the turn's actions as JSON: equal where the same was done, whatever was thought.
        update: The policy update that the batch belongs to.
    """

    group: Ints
    offsets: Ints
    outcome: Floats
    turn_reward: Floats
    parts: Mapping[str, Floats]
    state: Ints
    tokens: Ints
    truncated: NDArray[np.bool_]
    difficulty: Ints
    task_id: tuple[str, ...] = ()
    answer: tuple[str | None, ...] = ()
    said: tuple[str, ...] = ()
    state_key: tuple[str, ...] = ()
    acted: tuple[str, ...] = ()
    update: int = 0

    @property
    def n(self) -> int:
        """Number of trajectories, N."""
        return len(self.group)

    @property
    def m(self) -> int:
        """Number of turns in all, M."""
        return int(self.offsets[-1])

    @property
    def n_groups(self) -> int:
        return int(self.group[-1]) + 1 if self.n else 0

    @property
    def lengths(self) -> Ints:
        """int64[N], turns of each trajectory."""
        return np.diff(self.offsets)

    @property
    def trajectory(self) -> Ints:
        """int64[M], index of the trajectory of each turn."""
        return np.repeat(np.arange(self.n), self.lengths)

    @property
    def index(self) -> Ints:
        """int64[M], 0-based number of each turn inside its trajectory."""
        return np.arange(self.m) - np.repeat(self.offsets[:-1], self.lengths)

    def part(self, name: str) -> Floats:
        """float64[M]; zeros for a part that no turn carries."""
        return self.parts[name] if name in self.parts else np.zeros(self.m)

    def sum_turns(self, values: Floats | Ints) -> Floats:
        """float64[N], the sum over each trajectory's turns."""
        return np.bincount(self.trajectory, weights=values, minlength=self.n).astype(np.float64)

    def with_rewards(self, *, outcome: Floats | None = None, turn_reward: Floats | None = None) -> RewardTable:
        """A copy with other rewards."""
        return replace(
            self,
            outcome=self.outcome if outcome is None else outcome,
            turn_reward=self.turn_reward if turn_reward is None else turn_reward,
        )

    def with_part(self, name: str, values: Floats) -> RewardTable:
        """A copy with one more process part (or another in its place).

        Args:
            name: Of the part.
            values: float64[M].
        """
        return replace(self, parts={**self.parts, name: values})

    @classmethod
    def from_groups(cls, groups: Iterable[Group], update: int = 0) -> RewardTable:
        """Reads the signals of groups; trajectories keep their order.

        Args:
            groups: Any number of them.
            update: The policy update that they belong to.
        """
        listed = list(groups)
        trajectories = [t for g in listed for t in g.trajectories]
        sizes = [len(g) for g in listed]
        lengths = np.array([len(t.turns) for t in trajectories], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        turns = [turn for t in trajectories for turn in t.turns]
        names = sorted({name for turn in turns for name in turn.signal.process})
        parts = {
            name: np.array([turn.signal.process.get(name, 0.0) for turn in turns], dtype=np.float64) for name in names
        }
        keys: dict[tuple[str, str], int] = {}
        state = [keys.setdefault((t.task_id, turn.state_key), len(keys)) for t in trajectories for turn in t.turns]
        counts = [
            np.bincount(t.turn[t.turn >= 0], minlength=len(t.turns))[: len(t.turns)] for t in trajectories if t.turns
        ]
        return cls(
            group=np.repeat(np.arange(len(sizes), dtype=np.int64), sizes),
            offsets=offsets,
            outcome=np.array([t.outcome for t in trajectories], dtype=np.float64),
            turn_reward=np.zeros(len(turns)),
            parts=parts,
            state=np.array(state, dtype=np.int64),
            tokens=np.concatenate(counts).astype(np.int64) if counts else np.zeros(0, dtype=np.int64),
            truncated=np.array([t.truncated for t in trajectories], dtype=np.bool_),
            difficulty=np.array([t.difficulty for t in trajectories], dtype=np.int64),
            task_id=tuple(t.task_id for t in trajectories),
            answer=tuple(final_answer(t) for t in trajectories),
            said=tuple(text for t in trajectories for text in said(t)),
            state_key=tuple(turn.state_key for turn in turns),
            acted=tuple(json.dumps(turn.action.get("actions", []), sort_keys=True) for turn in turns),
            update=update,
        )


def final_answer(trajectory: Trajectory) -> str | None:
    """What ended an episode: the one text argument of its last action, or all of the action's arguments as JSON.

    None where a budget ended the episode, or its last turn could not be read.
    """
    if not trajectory.terminated or not trajectory.turns:
        return None
    actions = trajectory.turns[-1].action.get("actions") or ()
    if not actions:
        return None
    arguments = actions[-1].get("args") or {}
    values = list(arguments.values())
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False)


def said(trajectory: Trajectory) -> list[str]:
    """The policy's text of each turn; empty where the messages do not hold it."""
    texts = [""] * len(trajectory.turns)
    for message in trajectory.messages:
        if message["role"] == "assistant" and 0 <= message["turn"] < len(texts):
            texts[message["turn"]] = message["content"]
    return texts
