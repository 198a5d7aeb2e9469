"""``agentgym rescore``: other rewards and credit for stored episodes, without playing or sampling anything again.

What comes out is a folder like a run's, with its own ``config.yaml`` and ``episodes/``: `agentgym show`, `compare`,
`distance` and `rescore` itself read it. What the run wrote stays as it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.cli.common import console, emit_json, number, table
from agentgym.cli.stored import (
    CONFIG,
    EPISODES,
    TRAIN,
    Batch,
    StoredRun,
    build_rewards,
    dump_yaml,
    load_rewards,
    shaped,
)
from agentgym.faults import ConfigError
from agentgym.rewards.table import Floats, RewardTable
from agentgym.store import EpisodeWriter
from agentgym.trainers.compare import rank_correlation, refuse_needs
from agentgym.trainers.credit.base import build_credit, per_turn

#: Folder in a run's that holds its episodes scored anew.
RESCORED = "rescored"


@dataclass
class Pairs:
    """Numbers before and after, to be summed up.

    Attributes:
        before, after: float64 arrays of equal lengths, one of each a batch.
    """

    before: list[Floats] = field(default_factory=list)
    after: list[Floats] = field(default_factory=list)

    def add(self, before: Floats, after: Floats) -> None:
        self.before.append(before)
        self.after.append(after)

    def summary(self, size: bool) -> dict[str, float | None]:
        """Means before and after, of absolute values if `size`, and the rank correlation; None where there is none."""
        before, after = (np.concatenate([np.zeros(0), *arrays]) for arrays in (self.before, self.after))
        if not len(before):
            return {"stored": None, "new": None, "rank_correlation": None}
        correlation = float(rank_correlation(np.array([before, after]))[0, 1])
        return {
            "stored": float((np.abs(before) if size else before).mean()),
            "new": float((np.abs(after) if size else after).mean()),
            "rank_correlation": None if np.isnan(correlation) else correlation,
        }


@dataclass
class Tally:
    """What rescoring changed.

    Attributes:
        updates, groups, episodes, turns: How much was scored.
        outcome: Of each episode, as the environment gave it and as it is now shaped.
        reward: Shaped reward of each turn, where the run stored it.
        advantage: Of each turn, likewise.
        identical: Every stored reward and advantage came out again, bit for bit.
    """

    updates: int = 0
    groups: int = 0
    episodes: int = 0
    turns: int = 0
    outcome: Pairs = field(default_factory=Pairs)
    reward: Pairs = field(default_factory=Pairs)
    advantage: Pairs = field(default_factory=Pairs)
    identical: bool = True

    def add(self, batch: Batch, scored: RewardTable, advantages: Floats) -> None:
        self.updates += 1
        self.groups += len(batch.groups)
        self.episodes += scored.n
        self.turns += scored.m
        given = np.array([t.outcome for g in batch.groups for t in g.trajectories], dtype=np.float64)
        self.outcome.add(given, scored.outcome)
        for pairs, stored, new in (
            (self.reward, batch.rewards, scored.turn_reward),
            (self.advantage, batch.advantages, advantages),
        ):
            if stored is None:
                self.identical = False
            else:
                pairs.add(stored, new)
                self.identical &= bool(np.array_equal(stored, new))

    def to_json(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("updates", "groups", "episodes", "turns")}
        # The advantages of a group cancel: what says anything is their size.
        sums = {name: getattr(self, name).summary(name == "advantage") for name in ("outcome", "reward", "advantage")}
        return {**counts, **sums, "identical": self.identical}


def rescore_run(path: Path, rewards: Path, *, out: Path | None, as_json: bool) -> None:
    """Scores a run's training episodes anew, update by update, and writes them beside it.

    Args:
        path: Folder of the run.
        rewards: YAML file with ``rewards:`` and, if it is to change, ``credit:``.
        out: New folder; None: ``RUN/rescored/<name of the file>``.
        as_json: Print the summary as JSON.

    Raises:
        ConfigError: No such run, a file that cannot be used, a folder that is there already, or a credit method that
            needs more than rewards.
        DataError: A damaged file of episodes.
    """
    run, file = StoredRun(path), load_rewards(rewards)
    config = {**run.config, "rewards": file.rewards, "credit": file.credit or run.record.credit}
    credit = build_credit(config["credit"])
    refuse_needs(str(config["credit"]["name"]), credit)
    target = out if out is not None else path / RESCORED / rewards.stem
    tally = Tally()
    env = run.make_env()
    try:
        pipeline = build_rewards(file, env.signals, rewards)
        with _new_folder(target) as folder:
            writer = EpisodeWriter(folder / EPISODES)
            for batch, [scored] in shaped([pipeline], run.batches(), env.taskset):
                advantages = per_turn(scored, credit(scored))
                writer.write(TRAIN, batch.update, batch.groups, advantages, scored.turn_reward)
                tally.add(batch, scored, advantages)
            (folder / CONFIG).write_text(dump_yaml(config), encoding="utf-8")
    finally:
        env.close()
    _print(target, tally, as_json)


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, which takes its name when everything is in it; what fails leaves nothing behind.

    Raises:
        ConfigError: There is something of that name.
    """
    if target.exists():
        raise ConfigError(f"{target} is there already, and nothing is overwritten; name another folder with --out")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    scratch.mkdir()
    try:
        yield scratch
        os.rename(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _print(target: Path, tally: Tally, as_json: bool) -> None:
    report = tally.to_json()
    if as_json:
        emit_json({"out": str(target), **report})
        return
    out = console()
    out.print(f"{tally.episodes} episodes of {tally.updates} updates: {target}", markup=False)
    names = {
        "outcome": "outcome of an episode",
        "reward": "reward of a turn",
        "advantage": "size of a turn's advantage",
    }
    rows = [(said, *(number(v) for v in report[name].values())) for name, said in names.items()]
    out.print(table(("mean", "stored", "new", "rank correlation"), rows, right=("stored", "new", "rank correlation")))
    if tally.identical:
        out.print("every stored reward and advantage came out again, bit for bit")
