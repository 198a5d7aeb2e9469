"""Runs on disk without a policy: episodes of random players, shaped and credited as training does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import yaml

from agentgym.rewards.audit import play
from agentgym.rewards.degenerate import Scene
from agentgym.rewards.shaping import build_stages
from agentgym.store import EpisodeWriter
from agentgym.trainers.credit.base import build_credit, per_turn
from agentgym.trajectory import Group

#: The toy environment of `toy.py`: look, then enter the code.
ENV = "toy/Toy-v0"
REWARDS = [{"running_filter": {"parts": ["looked"]}}, {"weigh": {"looked": 0.5, "format": 0.1}}]
CREDIT = {"name": "gigpo", "gamma": 0.9}


def random_player(task: str, rng: np.random.Generator) -> Any:
    """Looks, enters the right code, or says nothing of use."""

    def policy(_: Scene) -> str:
        return str(
            rng.choice(
                ["<look></look>", f"<enter> code {task} </enter>", "<enter> 5 </enter>", "mumble"],
                p=[0.5, 0.2, 0.1, 0.2],
            )
        )

    return policy


def make_groups(rng: np.random.Generator, update: int, groups: int = 4, samples: int = 4) -> list[Group]:
    """Groups of random episodes on training tasks."""
    env: Any = gymnasium.make(ENV, disable_env_checker=True).unwrapped
    made = []
    for number in range(groups):
        task, group_id = f"train-{int(rng.integers(8))}", f"{update}.0.{number}"
        played = [play(env, task, random_player(task, rng), seed=i, name=str(i)) for i in range(samples)]
        made.append(
            Group(
                group_id,
                task,
                [replace(t, group_id=group_id, episode_id=f"{group_id}/{i}") for i, t in enumerate(played)],
            )
        )
    return made


def make_run(
    path: Path,
    updates: int = 3,
    rewards: Sequence[Mapping[str, Any]] = REWARDS,
    credit: Mapping[str, Any] = CREDIT,
    seed: int = 0,
) -> Path:
    """Writes a run's configuration and its training episodes, and one file of an evaluation; returns `path`."""
    env: Any = gymnasium.make(ENV, disable_env_checker=True).unwrapped
    pipeline, method = build_stages(rewards, env.signals), build_credit(credit)
    rng = np.random.default_rng(seed)
    writer, memory = EpisodeWriter(path / "episodes"), {}
    for update in range(updates):
        groups = make_groups(rng, update)
        table, memory = pipeline.run(pipeline.read(groups, env.taskset, update), memory)
        writer.write("train", update + 1, groups, per_turn(table, method(table)), table.turn_reward)
    writer.write("eval", updates, make_groups(rng, 99))
    config = {"name": path.name, "env": {"id": ENV, "kwargs": {}}, "rewards": list(rewards), "credit": dict(credit)}
    (path / "config.yaml").write_text(yaml.safe_dump({**config, "updates": updates}))
    return path


def write_yaml(path: Path, **content: Any) -> Path:
    """Writes a YAML file; returns its path."""
    path.write_text(yaml.safe_dump(content))
    return path
