"""`Run`, the training loop: tasks -> episodes -> shaping -> credit -> learner -> engines, and over again.

`Run.go` reads like that line. What a run knows between two updates is all in its checkpoint (weights, optimiser,
sampler, counters, evaluations so far), and everything random is drawn from (seed, update), so that a run that was
killed goes on as if nothing had happened.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import numpy as np

from agentgym.rewards.table import Floats, RewardTable
from agentgym.rollout.forks import learnable, select, tokens_of
from agentgym.rollout.pool import Workers
from agentgym.rollout.request import GroupRequest
from agentgym.trainers.clock import PhaseClock
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.credit.base import PerToken, build_credit, has_signal, per_turn
from agentgym.trainers.distributed.fault import LearnerFault
from agentgym.trainers.evaluation import Evaluation, evaluate, evaluation_seed, heldout_tasks
from agentgym.trainers.interrupt import StopFlag
from agentgym.trainers.journal import LEARNER, Journal
from agentgym.trainers.observer import Observer
from agentgym.trainers.parts import Parts
from agentgym.trainers.progress import Progress
from agentgym.trainers.report import make_report, rollout_metrics
from agentgym.trainers.rundir import MODEL, RunDirectory
from agentgym.trainers.saving import Saver
from agentgym.trainers.scribe import Scribe
from agentgym.trainers.streaming import Streaming
from agentgym.trainers.update import Updater
from agentgym.trajectory import Group

T = TypeVar("T")
# The stream of random numbers that the episodes are sampled with.
_EPISODES = 0xE715
#: How often in a row learner or Ray may be lost with nothing new learned in between.
RETRIES = 3


class Run:
    """The steps, and the state they share.

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
        self.updater = Updater(parts.taskset, parts.pipeline, parts.credit, parts.companions, parts.learner)
        self.streaming: Streaming | None = None
        self.row: dict[str, float] = {}  # figures of the last update
        self.journal = Journal(parts.directory.path)
        self.saver = Saver(parts, scribe, self.journal)
        self._lost: list[tuple[int, int]] = []  # where the learner was lost, in steps
        self._since = time.perf_counter()
        self._heldout: dict[int, dict[int, list[str]]] = {}
        self._counted: dict[str, float] = {}
        self._played: list[Group] = []

    @property
    def wall_s(self) -> float:
        """Seconds the run has taken, all its processes together."""
        return self.progress.wall_s + time.perf_counter() - self._since

    def go(self) -> dict[str, Any]:
        """From the newest checkpoint, or from the beginning, to the end; returns the report."""
        self.resume()
        self.warm_start()
        self.evaluate(self.config.eval.final_tasks)
        self.open_stream()
        self.observer.phase("training", self.config.updates, self.progress.update)
        while self.progress.update < self.config.updates:
            self.stop.check()
            groups = self.collect(self.progress.update)
            table = self.shape(groups)
            advantages = self.credit(groups, table)
            self.learn(groups, table, advantages)
            self.finish_update(groups, table, advantages)
        return self.finish()

    # -- resume, recover, save ---------------------------------------------------------------------------------------

    def recover(self, fault: LearnerFault) -> None:
        """Makes ready to go on from the newest checkpoint after processes of the learner were lost.

        Raises:
            LearnerFault: They were lost too often without a step between.
        """
        self.close_stream()
        self.scribe.wait()
        self.journal.note(LEARNER, self.progress.update, str(fault))
        self.observer.message(f"fault: {LEARNER}: {fault}")
        self._counted = self.parts.pool.stats()
        self._lost.append((self.progress.warm_steps, self.progress.update))
        if self._lost.count(self._lost[-1]) > RETRIES:
            raise fault

    def resume(self) -> None:
        """Loads the newest sound checkpoint, if there is one."""
        found = self.directory.checkpoints.latest()
        if found is not None:
            self.parts.learner.load(found.path / "learner")
            self.parts.companions.load(found.path / "companions")
            self.progress = Progress(**found.state["progress"])
            self.updater.memory = self.progress.shaping
            self.parts.sampler.load(found.state["sampler"])
            self.evaluations = [Evaluation.from_json(e) for e in self.progress.evaluations]
            self.clock = PhaseClock(self.progress.clock)
            where = f"update {self.progress.update}" if self.progress.warm_done else "the warm start"
            self.observer.message(f"going on from {where} ({found.path})")
        elif self.config.learner.processes > 1:
            self.save()  # where several processes begin again that were lost before anything else was saved
            self.settle()
        if not self._lost:
            self.journal.open(self.progress.update)
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
            self.progress.shaping = dict(self.updater.memory)
            if self.streaming is not None:
                self.progress.stream = asdict(self.streaming.book)
            state = copy.deepcopy({"progress": vars(self.progress), "sampler": self.parts.sampler.state()})
            step = self.progress.warm_steps + self.progress.update
            self.saver.save(step, state)

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
        for metrics in self.clock.steps("warm_start", warm.run(self.parts.learner, start=self.progress.warm_steps)):
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

    def evaluate(self, tasks: int) -> None:
        """Held-out evaluation, unless this update has been evaluated already."""
        if any(e.update == self.progress.update for e in self.evaluations):
            return
        with self.clock("evaluation"):
            if tasks not in self._heldout:
                self._heldout[tasks] = heldout_tasks(self.parts.taskset, tasks)
            evaluation, groups = evaluate(
                self.parts.pool.collect if self.streaming is None else self.streaming.stream.collect,
                self._heldout[tasks],
                self.parts.sampling,
                self.config.eval,
                update=self.progress.update,
                episodes=self.progress.episodes,
                seed=evaluation_seed(self.config.seed),
            )
            # What an evaluation takes is not the updates' doing.
            self._counted = self._ask(lambda workers: workers.stats())
            self.evaluations.append(evaluation)
            if self.config.store_episodes:
                self.scribe.put(partial(self.directory.episodes.write, "eval", self.progress.update, groups))
        self.observer.evaluation(evaluation)
        self.save()

    def collect(self, update: int) -> list[Group]:
        """The groups that the update learns from, in the order in which they were asked for; what had a fault is left
        out."""
        config = self.config
        if self.streaming is not None:
            with self.clock("rollout"):
                self._played = self.streaming.take(update, self._useless, self.stop.check)
                self._count(self._ask(lambda workers: workers.stats()))
            return learnable(self._played)
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

    def open_stream(self) -> None:
        """From here on episodes are played all the time, where the configuration says so."""
        config, rollout = self.config, self.config.rollout
        if not rollout.max_staleness or self.progress.update >= config.updates:
            return
        ask, sampling = config.collect.request, self.parts.sampling
        self.streaming = Streaming(
            self.parts.pool.stream(),
            config.tasks_per_update,
            rollout.max_staleness,
            rollout.stale,
            # The rounds of an update that waits for its episodes are numbered from 0.
            draw=lambda number, n: self._requests(self.progress.update, number + config.dynamic_sampling.attempts, n),
            book=self.progress.stream,
            remake=lambda name, task, seeds: ask(name, task, seeds, sampling),
        )
        self.streaming.fill(config.updates - self.progress.update)

    def close_stream(self) -> None:
        if self.streaming is not None:
            self.streaming.stream.close()
            self.streaming = None

    def _ask(self, question: Callable[[Workers], T]) -> T:
        """What the workers answer, whoever owns them now."""
        return question(self.parts.pool) if self.streaming is None else self.streaming.stream.ask(question)

    def _useless(self, group: Group) -> str | None:
        if not self._usable(group):
            return "fault"
        return "no_signal" if self.config.dynamic_sampling.enabled and not self._with_signal([group]) else None

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
        table = self.updater.peek(judged, self.progress.update)
        # What a companion makes of a batch may change it: without one, groups are judged by their advantages; with
        # one, by their returns.
        credit = build_credit({"name": "grpo"}) if self.parts.credit.needs else self.parts.credit
        keep = has_signal(table, credit(table))
        if (band := self.config.dynamic_sampling.accuracy) is not None:
            solved = np.array([np.mean(g.outcomes >= self.config.eval.success_at) for g in judged])
            keep &= (solved >= band[0]) & (solved <= band[1])
        return select(groups, {g.id for g, kept in zip(judged, keep, strict=True) if kept})

    def shape(self, groups: Sequence[Group]) -> RewardTable:
        """Signals to rewards."""
        with self.clock("credit"):
            return self.updater.shape(groups, self.progress.update)

    def credit(self, groups: Sequence[Group], table: RewardTable) -> Floats | PerToken:
        """Rewards to advantages, one a turn or one a token."""
        self.settle()
        return self.updater.credit(groups, table, self.clock)

    def learn(self, groups: Sequence[Group], table: RewardTable, advantages: Floats | PerToken) -> None:
        """Advantages to weights, and the weights to the engines."""
        self.updater.learn(groups, table, advantages, self.clock)
        self.progress.update += 1
        if self.streaming is not None:
            self.streaming.learned()
        self._push_weights()

    def _push_weights(self) -> None:
        with self.clock("weights"):
            version, state = self.progress.update, self.parts.learner.weights()
            if self.streaming is None:
                self.parts.pool.update_weights(version, state)
            else:
                self.streaming.stream.update_weights(version, state)
                self.streaming.fill(self.config.updates - version)

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
            row = self.updater.figures | rollout_metrics(whole, table, successes, has_signal(table, advantages))
            row |= {"episodes": progress.episodes, "tokens_seen": progress.tokens}
            if self.streaming is not None:
                row |= self.streaming.figures()
            for event in self._ask(lambda workers: workers.drain_events()):
                self.journal.fault(event, progress.update)
                self.observer.message(f"fault: {event.kind}: {event.detail}")
            self.row = row
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
        report = make_report(self.config, self.progress, self.evaluations, self.clock) | self.journal.report()
        self.directory.write_report(report)
        return report
