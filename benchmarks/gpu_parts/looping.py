"""Rollout, learner and new weights in a loop, and how long the GPU has nothing to do meanwhile."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gpu_parts.learning import make_learner
from gpu_parts.playing import Player, pool
from gpu_parts.shapes import forget_peak, sync

from agentgym.rewards.table import RewardTable
from agentgym.rollout import GroupRequest, RolloutPool
from agentgym.trainers.clock import PhaseClock
from agentgym.trainers.credit.base import build_credit
from agentgym.trainers.learner import Learner
from agentgym.trainers.streaming import Streaming
from agentgym.trajectory import Group

_SAMPLE_S = 0.1
BUSY = "engine.busy_s"
#: Updates until a pipe is full in which episodes are at most one update old.
_FILLING = 2


class Utilisation:
    """Samples, in a thread, the share of time in which the GPU ran a kernel, as its driver says.

    Attributes:
        missing: Why there is none; None where there is.
    """

    def __init__(self, device: str) -> None:
        self._samples: list[float] = []
        self._wanted, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.missing: str | None = "no GPU" if device == "cpu" else None
        if self.missing is None:
            try:
                torch.cuda.utilization()
            except Exception as error:  # pynvml has a class of its own for whatever the driver refuses
                self.missing = f"{type(error).__name__}: {error}"

    def _run(self) -> None:
        while not self._end.wait(_SAMPLE_S):
            if self._wanted.is_set():
                self._samples.append(torch.cuda.utilization() / 100)

    def toggle(self) -> None:
        """From now on samples are kept, or are not."""
        (self._wanted.clear if self._wanted.is_set() else self._wanted.set)()

    def __enter__(self) -> Utilisation:
        if self.missing is None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self.missing is None:
            self._thread.join()

    @property
    def idle(self) -> float | None:
        """Share of the time without a kernel."""
        return 1 - statistics.mean(self._samples) if self._samples else None


class Loop:
    """An update after another, with the parts a run is made of.

    Args:
        player: What is played.
        learner: What learns.
        workers: What plays.
    """

    def __init__(self, player: Player, learner: Learner, workers: RolloutPool) -> None:
        self.player, self.learner, self.workers = player, learner, workers
        self.clock = PhaseClock()
        self.tokens = 0
        self._credit = build_credit({"name": "grpo"})

    def learn(self, groups: list[Group]) -> None:
        """Episodes to weights."""
        with self.clock("learn"):
            trajectories = [t for group in groups for t in group.trajectories]
            faults = {t.fault for t in trajectories if t.fault is not None}
            if faults:
                raise RuntimeError(f"episodes broke: {sorted(faults)[0]}")
            table = RewardTable.from_groups(groups)
            advantages = np.split(np.asarray(self._credit(table)), np.cumsum(table.lengths)[:-1])
            self.learner.update(trajectories, advantages)
            sync(self.player.device)
            self.tokens += sum(map(len, trajectories))

    def together(self, updates: int, mark: Callable[[float], None]) -> None:
        """Each update waits for its own episodes.

        Args:
            updates: After one that warms up.
            mark: Called with the engine's busy seconds where these updates begin and where they end.
        """
        for update in range(updates + 1):
            with self.clock("rollout"):
                requests = self.player.requests(update, self.player.shape.groups)
                groups = list(self.workers.collect(requests, ordered=True))
            self.learn(groups)
            with self.clock("weights"):
                self.workers.update_weights(update + 1, self.learner.weights())
            if update in (0, updates):
                mark(self.workers.stats()[BUSY])

    def beside(self, updates: int, mark: Callable[[float], None]) -> None:
        """Episodes are played while the learner learns, at most one update old; arguments as `together`."""
        last = updates + _FILLING - 1
        with self.workers.stream() as stream:
            groups = self.player.shape.groups
            streaming = Streaming(stream, groups, 1, "drop", self.player.requests, {}, _no_request)
            streaming.fill(_FILLING)
            for update in range(last + 1):
                with self.clock("rollout"):
                    taken = streaming.take(update, judge=lambda group: None, check=lambda: None)
                self.learn(taken)
                streaming.learned()
                with self.clock("weights"):
                    stream.update_weights(update + 1, self.learner.weights())
                    streaming.fill(_FILLING)  # after the last one too: a pipe that runs dry is not what is measured
                if update in (_FILLING - 1, last):
                    mark(stream.ask(lambda workers: workers.stats())[BUSY])


def _no_request(name: str, task: str, seeds: tuple[int, ...]) -> GroupRequest:
    raise AssertionError(f"nothing was on its way, yet {name} is asked for again")


def measure_loop(model: str, player: Player, microbatch_tokens: int, updates: int, staleness: int) -> dict[str, Any]:
    """A short run: idle share, and where the time goes.

    Args:
        model: Folder.
        player: What is played.
        microbatch_tokens: Of the learner.
        updates: That are measured.
        staleness: 0: in this process, one thing after another; 1: a worker plays while the learner learns.
    """
    forget_peak(player.device)
    learner = make_learner(model, player.device, microbatch_tokens, False)
    size = sum(p.numel() * p.element_size() for p in learner.policy.model.parameters())
    with pool(player, model, staleness, weights_bytes=size) as workers, Utilisation(player.device) as utilisation:
        loop = Loop(player, learner, workers)
        marks: list[_Mark] = []

        def mark(busy: float) -> None:
            utilisation.toggle()
            marks.append(_Mark(time.perf_counter(), busy, dict(loop.clock.seconds), loop.tokens))

        (loop.beside if staleness else loop.together)(updates, mark)
        first, last = marks
        wall = last.at - first.at
        engine = (last.busy_s - first.busy_s) / wall
        shares = {phase: (seconds - first.seconds[phase]) / wall for phase, seconds in last.seconds.items()}
        idle = max(0.0, 1 - engine - shares["learn"])
        return {
            "seconds": wall,
            "updates": updates,
            "trained_tokens_per_s": (last.tokens - first.tokens) / wall,
            "engine": engine,
            "phases": shares,
            # Of what runs at the same time it is only known that it overlaps by no more than the shorter of the two.
            "idle_least": idle,
            "idle_most": 1 - max(engine, shares["learn"]) if staleness else idle,
            "idle_sampled": utilisation.idle,
            "sampling_missing": utilisation.missing,
        }


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a loop stands: the time, the engine's busy seconds, the phases' seconds, tokens learned from."""

    at: float
    busy_s: float
    seconds: dict[str, float]
    tokens: int
