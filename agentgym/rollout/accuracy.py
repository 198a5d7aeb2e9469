"""How likely the policy is to succeed before and after each turn of an episode, measured by rollouts.

From the prefix before each turn the policy plays on to the end a few times; the share of those rollouts that succeed is
the accuracy there. A verifiable stepwise reward (VSRM: the accuracy after a step minus that before it) is made from the
two parts that this puts on every turn. Episodes are measured as they are collected (`AccuracyRequest`) or afterwards
(`measure_accuracy`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from agentgym.engines.base import Completion, Sampling
from agentgym.env import Snapshot
from agentgym.faults import ConfigError, EnvironmentFault
from agentgym.rollout.forks import add_parts, fork_seed, unread
from agentgym.rollout.player import Player, Position, together, turn_seed
from agentgym.rollout.request import AccuracyRequest, GroupRequest
from agentgym.trajectory import Group, Trajectory, Turn

#: Process parts: the accuracy of rollouts from before and from after the turn.
BEFORE, AFTER = "accuracy_before", "accuracy_after"

Prefix = tuple[Position, Snapshot]


async def play_measured(request: AccuracyRequest, index: int, players: Sequence[Player]) -> Trajectory:
    """Plays (or replays) one episode, and measures the accuracy before and after each of its turns.

    Before a turn, it is the share of rollouts from there that succeed; after a turn, what it is before the next one;
    after the last turn, whether the episode itself succeeded.

    Args:
        request: What is asked for.
        index: Which of its episodes.
        players: One a rollout; the first plays the episode too.

    Returns:
        The episode, with the parts `BEFORE` and `AFTER` on every turn.
    """
    first = players[0]
    position, prefixes = await first.run(partial(_play_marked, first, request, index))
    episode = first.finish(position, request, index)
    stats = first.resources.stats
    stats.turns += len(episode.turns)
    stats.tokens += len(episode)
    stats.policy_tokens += episode.policy_tokens
    reads = [position.tokens.prompt(), *([] for _ in players[1:])]
    work = [
        _roll_out(player, prefixes, read, request, index, fork)
        for fork, (player, read) in enumerate(zip(players, reads, strict=True))
    ]
    right = np.array(await together(work), dtype=np.float64)
    before = right.mean(axis=0).tolist() if prefixes else []
    own = float(episode.outcome >= request.success_at)
    for turn, low, high in zip(episode.turns, before, [*before, own][1:], strict=True):
        add_parts(turn, {BEFORE: low, AFTER: high})
    return episode


async def _play_marked(player: Player, request: AccuracyRequest, index: int) -> tuple[Position, list[Prefix]]:
    """Plays the episode, and keeps what there was before each turn."""
    seed = request.seeds[index]
    script = request.replay[index] if request.replay else None
    position = await player.reset(seed, request.task_id)
    prefixes: list[Prefix] = []
    while not position.over:
        turn = len(position.turns)
        prefix = (position.fork(), await player.snapshot())
        if script is None:
            await player.turn(position, turn_seed(seed, turn))
        elif turn < len(script):
            ids = list(script[turn])
            position.hear()
            written = Completion(ids, [0.0] * len(ids), "stop", player.resources.engine.version)
            await player.act(position, written, generate_s=0.0)
        else:
            position.truncated = True
        if len(position.turns) > turn:
            prefixes.append(prefix)
    if script is not None and len(position.turns) < len(script):
        raise EnvironmentFault("replay", f"it ended after {len(position.turns)} of {len(script)} turns")
    return position, prefixes


async def _roll_out(
    player: Player, prefixes: Sequence[Prefix], read: list[int], request: AccuracyRequest, index: int, fork: int
) -> list[bool]:
    """Plays on from each prefix; one session does so in turn, as what it has read of one is the beginning of the next.

    Args:
        read: What its session has read so far.

    Returns:
        Which of the rollouts succeeded.
    """
    stats = player.resources.stats
    results = []
    for turn, (prefix, snapshot) in enumerate(prefixes):
        rollout = prefix.fork()
        seed = fork_seed(request.seeds[index], turn, fork)

        async def play_on(rollout: Position = rollout, snapshot: Snapshot = snapshot, seed: int = seed) -> None:
            await player.restore(snapshot)
            await player.play(rollout, seed)

        await player.run(play_on)
        results.append(_outcome(rollout.turns) >= request.success_at)
        stats.forks += 1
        stats.turns += len(rollout.turns) - turn
        if len(rollout.turns) > turn:
            tokens, spans = rollout.tokens, [rollout.tokens.span(t) for t in range(turn, len(rollout.turns))]
            stats.shared_tokens += unread(read, tokens.prompt(turn))
            stats.tokens += spans[-1][1] - spans[0][0]
            stats.policy_tokens += sum(end - begin for begin, end in spans)
            read = tokens.prompt()
    return results


def _outcome(turns: Sequence[Turn]) -> float:
    outcome = turns[-1].signal.outcome if turns else None
    return 0.0 if outcome is None else outcome


def measure_accuracy(
    collect: Callable[[Sequence[GroupRequest]], Iterable[Group]],
    trajectories: Sequence[Trajectory],
    sampling: Sampling,
    *,
    rollouts: int = 4,
    success_at: float = 1.0,
) -> list[Trajectory]:
    """Measures stored episodes: each is played again in a forkable environment, and rolled out from every prefix.

    Args:
        collect: Runs requests, e.g. `RolloutPool.collect`; its engine is the policy that is measured, and its tokenizer
            the one that the episodes were written with.
        trajectories: Whole episodes without faults, of the environment that `collect` plays.
        sampling: How the rollouts are sampled.
        rollouts: From each prefix.
        success_at: A rollout succeeds when its outcome reaches this.

    Returns:
        Copies, in order, with the parts `BEFORE` and `AFTER` on every turn; one that could not be measured has `fault`
        set.

    Raises:
        ConfigError: The environment does not play an episode as it was stored.
    """
    requests = [
        AccuracyRequest(f"accuracy-{i}", t.task_id, (t.seed,), sampling, rollouts, success_at, (_script(t),))
        for i, t in enumerate(trajectories)
    ]
    place = {request.id: i for i, request in enumerate(requests)}
    measured: list[Trajectory] = [*trajectories]
    for group in collect(requests):
        i = place[group.id]
        measured[i] = _merge(trajectories[i], group.trajectories[0])
    return measured


def _script(trajectory: Trajectory) -> tuple[tuple[int, ...], ...]:
    turns = range(len(trajectory.turns))
    return tuple(tuple(trajectory.tokens[trajectory.turn == t].tolist()) for t in turns)


def _merge(stored: Trajectory, played: Trajectory) -> Trajectory:
    if played.fault is not None:
        return replace(stored, fault=played.fault)
    turns = []
    for number, (old, new) in enumerate(zip(stored.turns, played.turns, strict=True)):
        if (old.state_key, old.signal.outcome) != (new.state_key, new.signal.outcome):
            raise ConfigError(
                f"episode {stored.episode_id!r}, turn {number}: played again it goes another way "
                f"(state {new.state_key!r} for {old.state_key!r}); the environment is not the one it is from"
            )
        turn = replace(old)
        add_parts(turn, {name: new.signal.process[name] for name in (BEFORE, AFTER)})
        turns.append(turn)
    return replace(stored, turns=turns)
