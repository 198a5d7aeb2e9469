"""The pipeline: shaping stages as the configuration lists them, checked against the signals that the environment emits.

    rewards:
      - score: {name: f1}
      - weigh: {format: 0.1, evidence: 0.3, f1: 0.5}
      - gate:  {when: outcome, at_least: 1.0, drop: process}

A stage is a pure function from `RewardTable` to `RewardTable`; no stages leave the outcome alone as the reward. What a
stage remembers from batch to batch (a running price buffer, say) goes in and comes out as plain data, `Memory`, which
checkpoints keep. ``score`` and ``judge`` entries are no stages: they read tasks and episodes, and add parts to the
table before the stages run (`agentgym.rewards.shaping.scoring`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentgym.config import Config, validate
from agentgym.env import FORMAT
from agentgym.faults import ConfigError, did_you_mean
from agentgym.methods import Methods
from agentgym.rewards.shaping.scoring import OUTCOME, SCORERS, Scorer
from agentgym.rewards.table import RewardTable
from agentgym.task import TaskSet
from agentgym.trajectory import Group

Stage = Callable[..., Any]
STAGES: Methods[Stage] = Methods("shape", "shaping stage", "agentgym.shaping")

#: What the stages remember: ``<place>.<stage>`` -> plain data. A stage that is not named begins afresh.
Memory = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class BoundStage:
    """A stage with its parameters fixed.

    Attributes:
        key: Its place in the configuration and its name, e.g. ``rewards.1.par``.
        apply: Takes a table, and its memory where it has one.
        memory: See `Method.memory`.
    """

    key: str
    apply: Stage
    memory: type[Config] | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Scorers, then stages, in the order of the configuration.

    Attributes:
        stages: Each with its parameters fixed.
        scorers: What is measured on the episodes first.
        parts: Names of the process parts that turns can have: emitted, or measured by a scorer.
    """

    stages: tuple[BoundStage, ...] = ()
    scorers: tuple[Scorer, ...] = ()
    parts: frozenset[str] = frozenset()

    def read(self, groups: Iterable[Group], taskset: TaskSet[Any], update: int = 0) -> RewardTable:
        """The signals of groups, with what the scorers measure on them.

        Args:
            groups: Episodes without faults.
            taskset: Holds their tasks.
            update: The policy update that they belong to.
        """
        listed = list(groups)
        table = RewardTable.from_groups(listed, update)
        for scorer in self.scorers:
            table = scorer(table, listed, taskset)
        return table

    def run(self, table: RewardTable, memory: Memory) -> tuple[RewardTable, Memory]:
        """Applies the stages; returns the shaped table, and what is remembered after it."""
        after = dict(memory)
        for stage in self.stages:
            if stage.memory is None:
                table = stage.apply(table)
            else:
                before = validate(stage.memory, after.get(stage.key, {}), f"memory of {stage.key}")
                table, remembered = stage.apply(table, before)
                after[stage.key] = remembered.model_dump(mode="json")
        return table, after

    def __call__(self, table: RewardTable) -> RewardTable:
        """The shaped table, by stages that remember nothing yet."""
        return self.run(table, {})[0]


def build_stages(config: Sequence[Mapping[str, Any]], signals: Mapping[str, str]) -> Pipeline:
    """Checks the configured stages and puts them together.

    Args:
        config: One ``{stage name: parameters}`` a stage.
        signals: Name and meaning of the process parts that the environment emits; ``format`` goes without saying.

    Raises:
        ConfigError: An unknown stage, parameter or signal; names the nearest known one.
    """
    known = {FORMAT, *signals}
    stages: list[BoundStage] = []
    scorers: list[Scorer] = []
    for i, entry in enumerate(config):
        if not isinstance(entry, Mapping) or len(entry) != 1:
            raise ConfigError(f"rewards.{i}: a stage must look like 'name: {{parameter: value}}', got {entry!r}")
        name, options = next(iter(entry.items()))
        where = f"rewards.{i}.{name}"
        if not isinstance(options, Mapping | None):
            raise ConfigError(f"{where}: parameters must be a mapping, got {options!r}")
        if name in SCORERS:
            made = SCORERS.get(str(name))(options or {}, where)
            _check(made.reads, known, where)
            scorers.append(made.scorer)
            known.add(made.part)
            continue
        stages.append(_stage(str(name), options or {}, known, f"rewards.{i}"))
    return Pipeline(tuple(stages), tuple(scorers), frozenset(known))


def _stage(name: str, options: Mapping[str, Any], signals: Iterable[str], place: str) -> BoundStage:
    where = f"{place}.{name}"
    try:
        method = STAGES.get(name)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    parameters = method.check(options, where)
    _check(method.signals(dict(parameters)) if method.signals else (), signals, where)
    return BoundStage(where, method.bind(parameters), method.memory)


def _check(reads: Iterable[str], signals: Iterable[str], where: str) -> None:
    for signal in reads:
        if signal not in signals:
            nearest = did_you_mean(signal, {OUTCOME, *signals} - {signal})
            raise ConfigError(f"{where}: the environment emits no {signal!r}; {nearest}")
