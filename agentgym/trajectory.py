"""A trajectory is token in, token out: what the engine sampled is what the learner trains on.

Nothing is decoded and tokenised again. Every token carries the turn that wrote it, or -1 where the text is not the
policy's (prompt, observation, tool result, template glue); the loss mask follows from that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.signal import RewardSignal

NOT_POLICY = -1


@dataclass(slots=True)
class Turn:
    """What is known of one turn besides its tokens.

    Attributes:
        signal: What the turn earned.
        state_key: Key of the state in which the turn was taken (its anchor state); equal keys = equal states.
        action: The action as parsed, as plain JSON data (`ParsedTurn.to_json`).
        reward: The environment's own scalar for the turn.
        version: Policy version that sampled it, or its first token where the weights changed meanwhile.
        changes: Where they did: (offset among the turn's tokens, version), from that token on; offsets rise.
        finish: Why the engine stopped: ``"stop"`` or ``"length"``.
        generate_s: Wall seconds waiting for the engine.
        env_s: Wall seconds inside the environment's step.
    """

    signal: RewardSignal
    state_key: str = ""
    action: dict[str, Any] = field(default_factory=dict)
    reward: float = 0.0
    version: int = 0
    finish: str = "stop"
    generate_s: float = 0.0
    env_s: float = 0.0
    changes: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Trajectory:
    """One episode of one policy.

    Attributes:
        episode_id: Unique in a run: ``group_id`` plus the sample's number.
        group_id: The group (same task, same policy version) it belongs to.
        env: Environment id, e.g. ``agentgym/Search-v0``.
        task_id, split, difficulty: Of the task played.
        seed: Seed of the episode's sampling.
        tokens: int32[n], every token the model read or wrote, in order.
        logprobs: float32[n], log-probability under the distribution sampled from; 0 where `turn` is -1.
        turn: int16[n], index of the turn that wrote the token, -1 where it is not the policy's.
        starts: int32[s], offsets in `tokens` where a sequence begins; ``[0]`` unless the chat template rewrote history
            (then each rewritten turn opens a new sequence that is read on its own).
        turns: One entry a turn.
        messages: The conversation as text, for people: ``{"role", "content", "turn"}``.
        terminated: The environment ended the episode.
        truncated: A budget (turns, tokens, time) ended it.
        final_state_key: Key of the state after the last turn.
        fault: Set on an episode the world broke; such a trajectory is never trained on.
    """

    episode_id: str
    group_id: str
    env: str
    task_id: str
    split: str
    difficulty: int
    seed: int
    tokens: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    turn: NDArray[np.int16]
    starts: NDArray[np.int32]
    turns: list[Turn]
    messages: list[dict[str, Any]] = field(default_factory=list)
    terminated: bool = False
    truncated: bool = False
    final_state_key: str = ""
    fault: str | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def outcome(self) -> float:
        """The episode's outcome; 0 where the environment never gave one (truncated)."""
        for turn in reversed(self.turns):
            if turn.signal.outcome is not None:
                return turn.signal.outcome
        return 0.0

    @property
    def policy_tokens(self) -> int:
        """How many tokens the policy wrote."""
        return int(np.count_nonzero(self.turn >= 0))

    @property
    def version(self) -> int:
        """Oldest policy version that wrote a turn."""
        return min((t.version for t in self.turns), default=0)

    def versions(self) -> NDArray[np.int64]:
        """int64[n], the policy version that sampled each token; -1 where the token is not the policy's."""
        versions = np.full(len(self), NOT_POLICY, np.int64)
        for index, turn in enumerate(self.turns):
            written = np.flatnonzero(self.turn == index)
            versions[written] = turn.version
            for offset, version in turn.changes:
                versions[written[offset:]] = version
        return versions

    def sequences(self) -> list[slice]:
        """The slices of `tokens` that are each read by the model on their own."""
        return [slice(a, b) for a, b in pairwise([*self.starts.tolist(), len(self.tokens)])]

    def check(self) -> None:
        """Refuses an inconsistent trajectory (a bug or a broken worker, never an agent's doing).

        Raises:
            ValueError: Says what does not fit.
        """
        n = len(self.tokens)
        if not (len(self.logprobs) == len(self.turn) == n):
            raise ValueError(f"{self.episode_id}: tokens, logprobs and turn differ in length")
        if n and int(self.tokens.min()) < 0:
            raise ValueError(f"{self.episode_id}: a token id is negative")
        if n and (len(self.starts) == 0 or self.starts[0] != 0):
            raise ValueError(f"{self.episode_id}: starts must begin with 0")
        if np.any(np.diff(self.starts) <= 0) or (len(self.starts) and self.starts[-1] >= max(n, 1)):
            raise ValueError(f"{self.episode_id}: starts must rise and lie inside the tokens")
        written = self.turn[self.turn >= 0]
        if written.size and (int(written.max()) >= len(self.turns) or np.any(np.diff(written) < 0)):
            raise ValueError(f"{self.episode_id}: token turns must rise and be below {len(self.turns)}")
        if np.any(self.turn < NOT_POLICY):
            raise ValueError(f"{self.episode_id}: a token's turn is below -1")
        if not np.all(np.isfinite(self.logprobs)) or np.any(self.logprobs > 1e-3):
            raise ValueError(f"{self.episode_id}: a log-probability is not finite or above 0")
        if np.any(self.logprobs[self.turn < 0] != 0):
            raise ValueError(f"{self.episode_id}: a token that is not the policy's carries a log-probability")


@dataclass(slots=True)
class Group:
    """The trajectories sampled for one task by one request; credit assignment compares them."""

    id: str
    task_id: str
    trajectories: list[Trajectory]

    def __len__(self) -> int:
        return len(self.trajectories)

    @property
    def outcomes(self) -> NDArray[np.float64]:
        """float64[n]"""
        return np.array([t.outcome for t in self.trajectories], dtype=np.float64)
