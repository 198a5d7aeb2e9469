"""Whether a group that came back is the one that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from agentgym.faults import AgentGymError
from agentgym.rollout.forks import ForkedGroup, fork_seed, step_id
from agentgym.rollout.request import ForkRequest, GroupRequest
from agentgym.trajectory import Group


class RolloutMismatch(AgentGymError, RuntimeError):
    """What came back is not what was asked for: a bug or a broken worker; nothing of it may be trained on."""


def check_group(request: GroupRequest, group: Group) -> None:
    """Refuses a group that is not what was asked for.

    Raises:
        RolloutMismatch: Names group or episode, and what does not fit.
    """
    _check(request.id, request.task_id, request.seeds, group)
    if isinstance(request, ForkRequest):
        _check_forks(request, group)


def _check_forks(request: ForkRequest, group: Group) -> None:
    (path,) = group.trajectories
    steps = group.steps if isinstance(group, ForkedGroup) else []
    turns = 0 if path.fault is not None else len(path.turns)
    if len(steps) != turns:
        raise RolloutMismatch(f"group {group.id!r} has {len(steps)} steps for {turns} turns")
    for turn, step in enumerate(steps):
        name = step_id(request.id, turn)
        if step.id != name:
            raise RolloutMismatch(f"step {turn} of group {group.id!r} came back as {step.id!r}")
        seeds = tuple(fork_seed(request.seeds[0], turn, i) for i in range(request.continuations))
        _check(name, request.task_id, seeds, step)
        for trajectory in step.trajectories:
            if len(trajectory.turns) != 1:
                raise RolloutMismatch(f"{trajectory.episode_id} has {len(trajectory.turns)} turns instead of 1")


def _check(group_id: str, task_id: str, seeds: Sequence[int], group: Group) -> None:
    if group.task_id != task_id:
        raise RolloutMismatch(f"group {group_id!r} played task {group.task_id!r} instead of {task_id!r}")
    if len(group) != len(seeds):
        raise RolloutMismatch(f"group {group_id!r} has {len(group)} episodes instead of {len(seeds)}")
    for index, (trajectory, seed) in enumerate(zip(group.trajectories, seeds, strict=True)):
        found = (trajectory.episode_id, trajectory.group_id, trajectory.task_id, trajectory.seed)
        if found != (f"{group_id}/{index}", group_id, task_id, seed):
            raise RolloutMismatch(f"episode {index} of group {group_id!r} came back as {found}")
        try:
            trajectory.check()
        except ValueError as error:
            raise RolloutMismatch(f"group {group_id!r}: {error}") from error
