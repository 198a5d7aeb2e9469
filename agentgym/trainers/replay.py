"""Computes a run's updates again from its stored episodes, in the order in which they were learned from.

What an asynchronous run learns from depends on which episodes finished first. That order is what the run stores: the
groups of an update lie in its file as they were taken, each token's weights among what is known of it. With it, and a
checkpoint to begin from, every later update follows; on a CPU bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from agentgym.config import validate
from agentgym.faults import ConfigError, DataError, first_line
from agentgym.making import make_env
from agentgym.store import read_groups
from agentgym.trainers.clock import PhaseClock
from agentgym.trainers.companions import Companions
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.losses import build_loss
from agentgym.trainers.parts import make_learner, make_rewards, model_folder
from agentgym.trainers.rundir import CONFIG, RunDirectory
from agentgym.trainers.update import Updater


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it.

    Attributes:
        first, last: Updates done in the checkpoint begun from, and in the one compared with.
        groups: Groups learned from in between.
        difference: Largest absolute difference between a weight computed again and the stored one.
        weight: Its name.
    """

    first: int
    last: int
    groups: int
    difference: float
    weight: str


def replay(path: Path, told: Callable[[int, int], None] = lambda update, groups: None) -> Replayed:
    """Computes the updates between a run's oldest and newest checkpoint again.

    Nothing of the run is changed.

    Args:
        path: The run's folder.
        told: Is told each update and the number of its groups, once it is done.

    Raises:
        ConfigError: Not a run; fewer than two checkpoints of its updates (``checkpoint.keep`` says how many stay);
            or it did not store its episodes.
        DataError: Its episodes or checkpoints are damaged.
    """
    try:
        stored = yaml.safe_load((path / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: not the folder of a run ({CONFIG}: {error.strerror})") from None
    except yaml.YAMLError as error:
        raise DataError(path / CONFIG, f"not YAML: {first_line(error)}") from None
    config = validate(TrainConfig, stored, str(path / CONFIG))
    if not config.store_episodes:
        raise ConfigError(f"{path}: the run did not store its episodes (store_episodes: false)")
    directory = RunDirectory(path, config.checkpoint.keep)
    trained = [c for c in directory.checkpoints.sound() if c.state["progress"]["warm_done"]]
    if not trained or trained[0].state["progress"]["update"] == trained[-1].state["progress"]["update"]:
        raise ConfigError(
            f"{path}: needs checkpoints of two updates to compute what lies between them; found "
            f"{len(trained)} (checkpoint.keep: {config.checkpoint.keep})"
        )
    first, last = trained[0], trained[-1]
    with ExitStack() as closing:
        env = make_env(config.env.id, config.env.kwargs)
        closing.callback(env.close)
        pipeline, credit = make_rewards(config, env)
        learner = make_learner(config, model_folder(config, env, path), build_loss(config.loss))
        closing.callback(learner.close)
        companions = Companions(credit.needs, config.companions, learner, config.seed)
        updater = Updater(env.taskset, pipeline, credit, companions, learner)
        learner.load(first.path / "learner")
        companions.load(first.path / "companions")
        updater.memory = first.state["progress"]["shaping"]
        begin, end = int(first.state["progress"]["update"]), int(last.state["progress"]["update"])
        clock, n = PhaseClock(), 0
        for update in range(begin, end):
            groups = list(read_groups(directory.episodes.path("train", update + 1)))
            table = updater.shape(groups, update)
            updater.learn(groups, table, updater.credit(groups, table, clock), clock)
            n += len(groups)
            told(update + 1, len(groups))
        computed = {name: value.clone() for name, value in learner.weights().items()}
        learner.load(last.path / "learner")
        gaps = {name: _gap(computed[name], value) for name, value in learner.weights().items()}
    widest = max(gaps, key=lambda name: gaps[name])
    return Replayed(begin, end, n, gaps[widest], widest)


def _gap(one: torch.Tensor, two: torch.Tensor) -> float:
    return float((one.double() - two.double()).abs().max()) if one.numel() else 0.0
