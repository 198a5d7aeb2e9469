"""Truncated step-level sampling (SLATE, arXiv 2602.23440; only its abstract is known): k continuations of one turn.

Every turn of an episode is sampled k times from the same prefix, the environment put back by a snapshot for each; the
continuations are one-turn trajectories of a group of their own. One is kept, and the next step begins where it led to,
until it ends the episode or the turn budget does. Own choices: which one is kept (drawn by softmax of its score), and
that an episode is sampled along a single path.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from agentgym.engines.sessions import common_prefix
from agentgym.env import Snapshot
from agentgym.rollout.player import Player, Position, hashed_seed, together, turn_seed
from agentgym.rollout.request import ForkRequest
from agentgym.signal import RewardSignal
from agentgym.trajectory import NOT_POLICY, Group, Trajectory, Turn

# The stream of random numbers that the kept continuations are drawn with.
_CHOICE = 0x51A7E


@dataclass(slots=True)
class ForkedGroup(Group):
    """What a `ForkRequest` brings back.

    Attributes:
        trajectories: One: the episode along the continuations that were kept.
        steps: A group for each of its turns, ``<id>.step<turn>``: the turn's continuations. Each is a trajectory of one
            turn, whose prefix is context; credit assignment compares them.
    """

    steps: list[Group] = field(default_factory=list)


def learnable(groups: Iterable[Group]) -> list[Group]:
    """The groups whose trajectories are compared and learned from: of a forked episode, its steps."""
    return [part for group in groups for part in (group.steps if isinstance(group, ForkedGroup) else [group])]


def select(groups: Iterable[Group], ids: Collection[str]) -> list[Group]:
    """The groups of which something is left when only `learnable` groups of these ids are."""
    left = [
        replace(group, steps=[step for step in group.steps if step.id in ids])
        if isinstance(group, ForkedGroup)
        else group
        for group in groups
    ]
    return [group for group in left if any(part.id in ids for part in learnable([group]))]


def tokens_of(group: Group) -> int:
    """Tokens read and written; those that continuations share with their episode count once."""
    whole = sum(len(t) for t in group.trajectories)
    if not isinstance(group, ForkedGroup):
        return whole
    tried = sum(t.policy_tokens for step in group.steps for t in step.trajectories)
    return whole + tried - sum(t.policy_tokens for t in group.trajectories)


def step_id(group_id: str, turn: int) -> str:
    """Id of the group of a turn's continuations."""
    return f"{group_id}.step{turn}"


def fork_seed(seed: int, turn: int, fork: int) -> int:
    """The seed of what is tried from the prefix before a turn: 63 bits, by the episode's seed and the fork's number."""
    return hashed_seed(f"{seed}:{turn}:{fork}")


def choose(scores: Sequence[float], temperature: float, rng: np.random.Generator) -> int:
    """Which continuation is kept: drawn with p_i = softmax(score_i / temperature).

    Args:
        scores: One a continuation.
        temperature: 0: the best one, by lot where several are.
        rng: Of the draw.
    """
    values = np.asarray(scores, dtype=np.float64)
    above = values - values.max()
    if temperature > 0:
        # A temperature near 0 sends what is not the best to -inf, as it should.
        with np.errstate(over="ignore"):
            weights = np.exp(above / temperature)
    else:
        weights = (above == 0).astype(np.float64)
    return int(rng.choice(len(values), p=weights / weights.sum()))


def score(signal: RewardSignal, weights: Mapping[str, float]) -> float:
    """The weighted sum of a turn's process parts."""
    return sum(weight * signal.process.get(name, 0.0) for name, weight in weights.items())


def last_turn(trajectory: Trajectory, group_id: str, index: int, seed: int) -> Trajectory:
    """The last turn of an episode as a trajectory of one turn, all that came before being context.

    Args:
        trajectory: At least one turn.
        group_id, index: The group it is to belong to, and its place there.
        seed: That it was sampled with.
    """
    last = len(trajectory.turns) - 1
    # A turn before a rewritten history cannot be read by this one; its sequence is left out.
    start = int(trajectory.starts[-1])
    written = trajectory.turn[start:] == last
    return replace(
        trajectory,
        episode_id=f"{group_id}/{index}",
        group_id=group_id,
        seed=seed,
        tokens=trajectory.tokens[start:],
        logprobs=np.where(written, trajectory.logprobs[start:], np.float32(0.0)),
        turn=np.where(written, 0, NOT_POLICY).astype(np.int16),
        starts=np.zeros(1, dtype=np.int32),
        turns=trajectory.turns[-1:],
        messages=[{**m, "turn": 0 if m["turn"] == last else NOT_POLICY} for m in trajectory.messages],
    )


async def play_steps(request: ForkRequest, players: Sequence[Player]) -> tuple[Trajectory, list[Group]]:
    """Plays one episode step by step, each with its continuations.

    Args:
        request: What is asked for.
        players: One a continuation; each keeps its session from step to step, so that an engine reads only what is new
            to it: nothing of the prefix but, in the sessions that were not kept, the turn that was.

    Returns:
        The path that was kept, and the group of each of its turns.
    """
    first, seed = players[0], request.seeds[0]
    position = await first.run(partial(first.reset, seed, request.task_id))
    snapshot: Snapshot | None = await first.run(first.snapshot)
    groups: list[Group] = []
    kept, shared = 0, 0
    read: list[list[int]] = [[] for _ in players]
    while snapshot is not None:
        step = len(position.turns)
        seeds = [fork_seed(seed, step, i) for i in range(len(players))]
        tried = await together(
            [
                player.run(partial(_continue, player, position.fork(), snapshot, request, of_fork))
                for player, of_fork in zip(players, seeds, strict=True)
            ]
        )
        forks = [fork for fork, _ in tried]
        if any(len(fork.turns) == step for fork in forks):  # the prefix is the same, so it leaves no token to any
            position.truncated = True
            break
        group_id = step_id(request.id, step)
        env = first.resources.env
        played = [last_turn(fork.trajectory(request, 0, env), group_id, i, seeds[i]) for i, fork in enumerate(forks)]
        groups.append(Group(group_id, request.task_id, played))
        shared += sum(unread(read[i], fork.tokens.prompt(step)) for i, fork in enumerate(forks) if i != kept)
        read = [fork.tokens.prompt() for fork in forks]
        scores = [score(fork.turns[-1].signal, request.weights) for fork in forks]
        kept = choose(scores, request.temperature, np.random.default_rng([_CHOICE, seed, step]))
        position, snapshot = tried[kept]
    path = first.finish(position, request, 0)
    written = sum(t.policy_tokens for g in groups for t in g.trajectories)
    stats = first.resources.stats
    stats.forks += len(players) * len(groups)
    stats.turns += len(players) * len(groups)
    stats.policy_tokens += written
    stats.tokens += len(path) + written - path.policy_tokens
    stats.shared_tokens += shared
    return path, groups


async def _continue(
    player: Player, position: Position, snapshot: Snapshot, request: ForkRequest, seed: int
) -> tuple[Position, Snapshot | None]:
    """Plays one turn from a prefix; the snapshot after it is None where the episode is over."""
    await player.restore(snapshot)
    before = len(position.turns)
    await player.turn(position, turn_seed(seed, 0))
    if request.scorer is not None and len(position.turns) > before:
        turn = position.turns[-1]
        add_parts(turn, request.scorer(turn.signal))
    return position, None if position.over else await player.snapshot()


def add_parts(turn: Turn, parts: Mapping[str, float]) -> None:
    """Adds process parts to a turn's signal, or puts them in the place of those of the same name."""
    turn.signal = RewardSignal(turn.signal.outcome, {**turn.signal.process, **parts})


def unread(read: Sequence[int], prompt: Sequence[int]) -> int:
    """How many tokens of a prompt a session that has read a sequence does not have in its cache."""
    return len(prompt) - common_prefix(read, prompt)
