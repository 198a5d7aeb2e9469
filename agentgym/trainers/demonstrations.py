"""The demonstrations of a warm start: fresh ones for every step, or a number of them that are played once and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

import numpy as np

from agentgym.engines.chat import ChatRenderer
from agentgym.env import AgentEnv
from agentgym.faults import EnvironmentFault
from agentgym.rollout.demonstrations import demonstrate
from agentgym.trainers.warm_start import WarmStartConfig, WarmStartPhase
from agentgym.trajectory import Trajectory

# The stream of random numbers that chooses the tasks that are demonstrated.
_STREAM = 0xDE70
#: How often a kept demonstration is tried whose environment breaks.
ATTEMPTS = 3


class ExpertDemonstrations:
    """Lets the environment's expert play training tasks.

    Args:
        config: The warm start.
        seed: Of the run.
        env: Plays the fresh ones, and the kept ones where they are played one after the other.
        make_env: Makes another such environment; closed when it has played.
        ids: Difficulty -> ids of the training tasks.
        renderer: See `agentgym.rollout.renderer_for`.
    """

    def __init__(
        self,
        config: WarmStartConfig,
        seed: int,
        env: AgentEnv[Any],
        make_env: Callable[[], AgentEnv[Any]],
        ids: Mapping[int, Sequence[str]],
        renderer: ChatRenderer,
    ) -> None:
        self._config, self._seed, self._env, self._make_env = config, seed, env, make_env
        self._ids, self._renderer = ids, renderer
        self._kept: dict[tuple[tuple[tuple[int, float], ...], int], list[Trajectory]] = {}

    def __call__(self, step: int, phase: WarmStartPhase) -> Sequence[Trajectory]:
        """The demonstrations of a step of the warm start."""
        rng = np.random.default_rng([_STREAM, self._seed, step])
        mix = phase.mix or dict.fromkeys(sorted(self._ids), 1.0)
        if phase.kept is None:
            return self._play(self._env, rng, mix, phase.batch)
        key = (*mix.items(),), phase.kept
        if key not in self._kept:
            self._kept[key] = self._play_all(mix, phase.kept)
        return [self._kept[key][int(n)] for n in rng.integers(phase.kept, size=phase.batch)]

    def _play(
        self, env: AgentEnv[Any], rng: np.random.Generator, mix: Mapping[int, float], count: int
    ) -> list[Trajectory]:
        weights = np.array(list(mix.values()), dtype=np.float64)
        chosen = rng.choice(np.array(list(mix)), size=count, p=weights / weights.sum())
        tasks = [self._ids[int(d)][int(rng.integers(len(self._ids[int(d)])))] for d in chosen]
        return demonstrate(env, tasks, self._config.mistakes, int(rng.integers(2**31)), self._renderer)

    def _play_all(self, mix: Mapping[int, float], count: int) -> list[Trajectory]:
        """As many, each by a number of its own, so that a resumed run has the same ones, however many at a time."""
        idle: SimpleQueue[AgentEnv[Any]] = SimpleQueue()
        playing = min(self._config.playing, count, self._env.capacity or count)
        with ExitStack() as stack:
            idle.put(self._env)
            for _ in range(playing - 1):
                idle.put(made := self._make_env())
                stack.callback(made.close)

            def play(number: int) -> Trajectory:
                env = idle.get()
                try:
                    for attempt in range(1, ATTEMPTS + 1):
                        rng = np.random.default_rng([_STREAM, self._seed, number, 1])
                        try:
                            return self._play(env, rng, mix, 1)[0]
                        except EnvironmentFault:
                            if attempt == ATTEMPTS:
                                raise
                finally:
                    idle.put(env)
                raise AssertionError("unreachable")

            with ThreadPoolExecutor(playing, thread_name_prefix="demonstrations") as pool:
                return list(pool.map(play, range(count)))
