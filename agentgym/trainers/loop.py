"""The training loop: tasks -> episodes -> shaping -> credit -> learner -> engines, and over again.

`train` reads like that line. What a run knows between two updates is all in its checkpoint (weights, optimiser,
sampler, counters, evaluations so far), and everything random is drawn from (seed, update), so that a run that was
killed goes on as if nothing had happened.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.faults import ConfigError
from agentgym.rewards.table import Floats, RewardTable
from agentgym.rollout.forks import learnable, select, tokens_of
from agentgym.rollout.request import GroupRequest
from agentgym.trainers.clock import PhaseClock
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.credit.base import PerToken, build_credit, has_signal, per_turn
from agentgym.trainers.evaluation import Evaluation, evaluate, evaluation_seed, heldout_tasks
from agentgym.trainers.interrupt import Interrupted, StopFlag
from agentgym.trainers.observer import Observer
from agentgym.trainers.parts import Parts, build_parts
from agentgym.trainers.progress import Progress
from agentgym.trainers.report import make_report, rollout_metrics
from agentgym.trainers.rundir import MODEL, RunDirectory
from agentgym.trainers.scribe import Scribe
from agentgym.trajectory import Group

# The stream of random numbers that the episodes are sampled with.
_EPISODES = 0xE715


def choose_directory(config: TrainConfig, fresh: bool = False) -> Path:
    """The run's folder: an unfinished run of the same configuration is gone on with; otherwise the next free name.

    Nothing that an earlier run wrote is ever overwritten.
    """
    base = Path(config.runs)
    for number in range(1, 10_000):
        path = base / (config.name if number == 1 else f"{config.name}-{number}")
        if not path.exists():
            return path
        run = RunDirectory(path)
        if not fresh and not run.finished and run.same_config(config):
            return path
    raise ConfigError(f"{base}: too many runs named {config.name!r}")


def train(config: TrainConfig, directory: Path, observer: Observer | None = None) -> dict[str, Any]:
    """Runs (or goes on with) a training run.

    Args:
        config: The run.
        directory: Its folder (`choose_directory`).
        observer: Is told what happens.

    Returns:
        The report, as written to ``report.json``.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the run is saved.
        ConfigError: Something in the configuration cannot be used; nothing was trained.
    """
    observer = observer or Observer()
    with StopFlag() as stop, build_parts(config, directory) as parts, Scribe() as scribe:
        run = Run(config, parts, observer, stop, scribe)
        try:
            run.resume()
            run.warm_start()
            run.evaluate(config.eval.final_tasks)
            observer.phase("training", config.updates, run.progress.update)
            while run.progress.update < config.updates:
                stop.check()
                update = run.progress.update
                groups = run.collect(update)
                table = run.shape(groups)
                advantages = run.credit(groups, table)
                run.learn(groups, table, advantages)
                run.finish_update(groups, table, advantages)
            return run.finish()
        except Interrupted as interrupted:
            run.save()
            scribe.wait()
            raise Interrupted(interrupted.signum, f"saved at update {run.progress.update} in {directory}") from None


class Run:
    """The steps of `train`, and the state they share.

    Args:
        config: The run.
        parts: What it is made of.
        observer: Is told what happens.
        stop: Asked between steps.
        scribe: Writes files while episodes are collected.
    """

    def __init__(self, config: TrainConfig, parts: Parts, observer: Observer, stop: StopFlag, scribe: Scribe) -> None:
        self.config, self.parts, self.observer, self.stop, self.scribe = config, parts, observer, stop, scribe
        self.directory: RunDirectory = parts.directory
        self.progress = Progress()
        self.clock = PhaseClock()
        self.evaluations: list[Evaluation] = []
        self._since = time.perf_counter()
        self._heldout: dict[int, dict[int, list[str]]] = {}
        self._figures: dict[str, float] = {}
        self._counted: dict[str, float] = {}
        self._played: list[Group] = []
        self._unwhitened: Floats | PerToken = np.zeros(0)

    # -- resume, save ------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Loads the newest sound checkpoint, if there is one."""
        found = self.directory.checkpoints.latest()
        if found is not None:
            self.parts.learner.load(found.path / "learner")
            self.parts.companions.load(found.path / "companions")
            self.progress = Progress(**found.state["progress"])
            self.parts.sampler.load(found.state["sampler"])
            self.evaluations = [Evaluation.from_json(e) for e in self.progress.evaluations]
            self.clock = PhaseClock(self.progress.clock)
            where = f"update {self.progress.update}" if self.progress.warm_done else "the warm start"
            self.observer.message(f"going on from {where} ({found.path})")
        self.directory.open_metrics({"warm_start": self.progress.warm_steps, "train": self.progress.update})
        self._push_weights()

    def save(self) -> None:
        """Writes a complete checkpoint, atomically; it is on disk when the scribe has nothing more to do."""
        with self.clock("checkpoint"):
            now = time.perf_counter()
            self.progress.wall_s += now - self._since
            self._since = now
            self.progress.clock = dict(self.clock.seconds)
            self.progress.evaluations = [e.to_json() for e in self.evaluations]
            state = copy.deepcopy({"progress": vars(self.progress), "sampler": self.parts.sampler.state()})
            step = self.progress.warm_steps + self.progress.update
            self.scribe.put(lambda: self.directory.checkpoints.save(step, self._write, state))

    def _write(self, folder: Path) -> None:
        self.parts.learner.save(folder / "learner")
        self.parts.companions.save(folder / "companions")

    def settle(self) -> None:
        """Waits until everything is written; called before weights change."""
        with self.clock("checkpoint"):
            self.scribe.wait()

    # -- the steps ---------------------------------------------------------------------------------------------------

    def warm_start(self) -> None:
        """Supervised training on expert demonstrations, once."""
        warm = self.parts.warm_start
        if self.progress.warm_done:
            return
        if warm is None:
            self.parts.companions.start()
            self.progress.warm_done = True
            return
        self.observer.phase("warm start", warm.steps, self.progress.warm_steps)
        for metrics in self._timed_steps(warm.run(self.parts.learner, start=self.progress.warm_steps)):
            self.progress.warm_steps += 1
            self.directory.log(self.progress.warm_steps, metrics, "warm_start")
            self.observer.advance(metrics)
            self.stop.check()
            if self.progress.warm_steps % self.config.checkpoint.warm_start_every == 0:
                self.save()
                self.settle()
        self.parts.learner.reset_optimizer()
        self.parts.companions.start()
        self.progress.warm_done = True
        self._push_weights()

    def _timed_steps(self, steps: Iterator[dict[str, float]]) -> Iterator[dict[str, float]]:
        while True:
            with self.clock("warm_start"):
                metrics = next(steps, None)
            if metrics is None:
                return
            yield metrics

    def evaluate(self, tasks: int) -> None:
        """Held-out evaluation, unless this update has been evaluated already."""
        if any(e.update == self.progress.update for e in self.evaluations):
            return
        with self.clock("evaluation"):
            if tasks not in self._heldout:
                self._heldout[tasks] = heldout_tasks(self.parts.taskset, tasks)
            evaluation, groups = evaluate(
                self.parts.pool.collect,
                self._heldout[tasks],
                self.parts.sampling,
                self.config.eval,
                update=self.progress.update,
                episodes=self.progress.episodes,
                seed=evaluation_seed(self.config.seed),
            )
            self._counted = self.parts.pool.stats()  # what an evaluation takes is not the updates' doing
            self.evaluations.append(evaluation)
            if self.config.store_episodes:
                self.scribe.put(partial(self.directory.episodes.write, "eval", self.progress.update, groups))
        self.observer.evaluation(evaluation)
        self.save()

    def collect(self, update: int) -> list[Group]:
        """The groups that the update learns from, in the order in which they were asked for; what had a fault is left
        out."""
        config = self.config
        wanted, groups = config.tasks_per_update, list[Group]()
        for attempt in range(config.dynamic_sampling.attempts if config.dynamic_sampling.enabled else 1):
            with self.clock("rollout"):
                requests = self._requests(update, attempt, wanted - len(groups))
                for group in self.parts.pool.collect(requests, ordered=True):
                    self.stop.check()
                    groups.append(group)
                self._count(self.parts.pool.stats())
            groups = [g for g in groups if self._usable(g)]
            if config.dynamic_sampling.enabled:
                groups = self._with_signal(groups)
            if len(groups) >= wanted:
                break
        self._played = groups
        return learnable(groups)

    def _count(self, counters: dict[str, float]) -> None:
        """Adds what the workers counted since the last look; a worker that died took its counters with it."""
        totals = self.progress.rollout
        for name, value in counters.items():
            totals[name] = totals.get(name, 0.0) + max(value - self._counted.get(name, 0.0), 0.0)
        self._counted = counters

    def _requests(self, update: int, attempt: int, n: int) -> list[GroupRequest]:
        # Dealt out in turn, so equal shares of each difficulty: no worker waits for one that got all the long episodes.
        tasks = sorted(self.parts.sampler.draw(update, n, attempt), key=self.parts.taskset.difficulty)
        seeds = np.random.SeedSequence([_EPISODES, self.config.seed, update, attempt])
        numbers = seeds.generate_state(n * self.config.samples_per_task, np.uint64).reshape(n, -1) >> np.uint64(2)
        ask, sampling = self.config.collect.request, self.parts.sampling
        return [
            ask(f"{update}.{attempt}.{i}", task, tuple(int(s) for s in numbers[i]), sampling)
            for i, task in enumerate(tasks)
        ]

    @staticmethod
    def _usable(group: Group) -> bool:
        # An episode that the world broke says nothing of the policy; the others of its group still compare.
        group.trajectories = [t for t in group.trajectories if t.fault is None]
        return bool(group.trajectories)

    def _with_signal(self, groups: list[Group]) -> list[Group]:
        judged = learnable(groups)
        table, _ = self.parts.pipeline.run(self._read(judged), self.progress.shaping)
        # What a companion makes of a batch may change it: without one, groups are judged by their advantages; with
        # one, by their returns.
        credit = build_credit({"name": "grpo"}) if self.parts.credit.needs else self.parts.credit
        keep = has_signal(table, credit(table))
        if (band := self.config.dynamic_sampling.accuracy) is not None:
            solved = np.array([np.mean(g.outcomes >= self.config.eval.success_at) for g in judged])
            keep &= (solved >= band[0]) & (solved <= band[1])
        return select(groups, {g.id for g, kept in zip(judged, keep, strict=True) if kept})

    def _read(self, groups: Sequence[Group]) -> RewardTable:
        return self.parts.pipeline.read(groups, self.parts.taskset, self.progress.update)

    def shape(self, groups: Sequence[Group]) -> RewardTable:
        """Signals to rewards."""
        with self.clock("credit"):
            table, memory = self.parts.pipeline.run(self._read(groups), self.progress.shaping)
            self.progress.shaping = dict(memory)
            return table

    def credit(self, groups: Sequence[Group], table: RewardTable) -> Floats | PerToken:
        """Rewards to advantages, one a turn or one a token."""
        self.settle()
        with self.clock("companions"):
            inputs, self._figures = self.parts.companions.estimate([t for g in groups for t in g.trajectories], table)
        with self.clock("credit"):
            if inputs:
                self._unwhitened = self.parts.credit.unwhitened(table, *inputs)
            return self.parts.credit(table, *inputs)

    def learn(self, groups: Sequence[Group], table: RewardTable, advantages: Floats | PerToken) -> None:
        """Advantages to weights, and the weights to the engines."""
        trajectories = [t for g in groups for t in g.trajectories]
        if trajectories:
            with self.clock("learn"):
                per_token = isinstance(advantages, PerToken)
                sizes = table.sum_turns(table.tokens).astype(np.int64) if per_token else table.lengths
                flat = advantages.values if isinstance(advantages, PerToken) else advantages
                parts = np.split(flat, np.cumsum(sizes)[:-1])
                self._figures |= self.parts.learner.update(trajectories, parts, per_token=per_token)
            if self.parts.credit.needs:
                with self.clock("companions"):
                    self._figures |= self.parts.companions.learn(trajectories, table, self._unwhitened)
        self.progress.update += 1
        self._push_weights()

    def _push_weights(self) -> None:
        with self.clock("weights"):
            self.parts.pool.update_weights(self.progress.update, self.parts.learner.weights())

    def finish_update(
        self,
        groups: Sequence[Group],
        table: RewardTable,
        advantages: Floats | PerToken,
    ) -> None:
        """Bookkeeping, evaluation and checkpoint after an update."""
        progress, config = self.progress, self.config
        forked = config.collect.name == "steps"
        # Continuations that were not kept are no episodes: those are counted, and their success is that of the run.
        whole = RewardTable.from_groups(self._played) if forked else table
        episodes = [t for g in self._played for t in g.trajectories]
        successes = np.array([t.outcome >= config.eval.success_at for t in episodes], dtype=np.float64)
        progress.episodes += len(episodes)
        progress.tokens += sum(tokens_of(g) for g in self._played)
        self.parts.sampler.learn(
            [(t.task_id, t.difficulty, float(s)) for t, s in zip(episodes, successes, strict=True)]
        )
        with self.clock("log"):
            row = self._figures | rollout_metrics(whole, table, successes, has_signal(table, advantages))
            row |= {"episodes": progress.episodes, "tokens_seen": progress.tokens}
            for event in self.parts.pool.drain_events():
                progress.faults[event.kind] = progress.faults.get(event.kind, 0) + 1
                self.observer.message(f"fault: {event.kind}: {event.detail}")
            self.scribe.put(partial(self.directory.log, progress.update, row, "train"))
            if config.store_episodes:
                numbers = (per_turn(table, advantages), table.turn_reward)
                self.scribe.put(partial(self.directory.episodes.write, "train", progress.update, groups, *numbers))
                if forked:
                    self.scribe.put(partial(self.directory.episodes.write, "path", progress.update, self._played))
        self.observer.advance(row)
        last = progress.update == config.updates
        if last or (config.eval.every and progress.update % config.eval.every == 0):
            self.evaluate(config.eval.final_tasks if last else config.eval.tasks)
        elif progress.update % config.checkpoint.every == 0:
            self.save()

    def finish(self) -> dict[str, Any]:
        """The final model, curve and report."""
        self.settle()
        self.parts.learner.policy.export(self.directory.path / MODEL)
        self.directory.draw_curve(self.evaluations, f"{self.config.env.id}, seed {self.config.seed}")
        report = make_report(self.config, self.progress, self.evaluations, self.clock)
        self.directory.write_report(report)
        return report
