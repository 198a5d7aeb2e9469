"""Builds what a run is made of from its configuration, and refuses what does not fit before anything is trained."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from agentgym.engines.base import ENGINES, Doubtful, Sampling
from agentgym.engines.chat import ChatRenderer
from agentgym.env import AgentEnv
from agentgym.faults import ConfigError, EngineFault
from agentgym.making import make_env
from agentgym.rewards.shaping import Pipeline, build_stages
from agentgym.rollout.episode import renderer_for
from agentgym.rollout.pool import RolloutPool
from agentgym.rollout.request import EngineSpec, EnvSpec
from agentgym.rollout.worker import load_tokenizer, make_engine
from agentgym.task import TaskSet
from agentgym.trainers.collecting import check_emitted
from agentgym.trainers.companions import Companions, check_companions
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.credit.base import Credit, build_credit
from agentgym.trainers.demonstrations import ExpertDemonstrations
from agentgym.trainers.evaluation import heldout_tasks
from agentgym.trainers.learner import Learner
from agentgym.trainers.losses import Loss, build_loss
from agentgym.trainers.rundir import RunDirectory
from agentgym.trainers.sampler import TaskSampler
from agentgym.trainers.tiny import make_tiny
from agentgym.trainers.warm_start import WarmStart

TINY = "tiny"


@dataclass(frozen=True)
class Parts:
    """What a run is made of.

    Attributes:
        directory: Its files.
        taskset: Its tasks.
        pipeline: Signals to rewards.
        credit: Rewards to advantages.
        companions: What it reads besides the rewards.
        learner: Advantages to weights.
        pool: Weights to episodes.
        sampler: Which tasks are played.
        warm_start: Supervised training before the first update, or none.
        sampling: How the policy is sampled.
    """

    directory: RunDirectory
    taskset: TaskSet[Any]
    pipeline: Pipeline
    credit: Credit
    companions: Companions
    learner: Learner
    pool: RolloutPool
    sampler: TaskSampler
    warm_start: WarmStart | None
    sampling: Sampling


@contextmanager
def build_parts(config: TrainConfig, path: Path) -> Iterator[Parts]:
    """Builds the parts of a run, and closes them in the end.

    Args:
        config: The run.
        path: Its folder; nothing is written before everything that can be checked has been.

    Raises:
        ConfigError: Something in the configuration cannot be used.
    """
    env = make_env(config.env.id, config.env.kwargs)
    config.collect.check(env)
    pipeline, credit = make_rewards(config, env)
    loss = build_loss(config.loss)
    sampler = TaskSampler(env.taskset, config.sampler, config.seed)
    heldout = heldout_tasks(env.taskset, 1)
    if config.eval.target is not None and config.eval.target not in heldout:
        raise ConfigError(
            f"eval.target: no held-out task of difficulty {config.eval.target}; there are {sorted(heldout)}"
        )
    demonstrated = training_tasks(env.taskset)
    check_mixes(config, demonstrated)
    if (config.sampling.top_p < 1 or config.sampling.top_k) and config.learner.old_logprobs == "rollout":
        raise ConfigError(
            "sampling.top_p and sampling.top_k change the distribution that is sampled from, which the learner cannot "
            "see; set learner.old_logprobs=recompute"
        )
    check_engine(config)
    with ExitStack() as stack:
        stack.callback(env.close)
        directory = RunDirectory(path, config.checkpoint.keep)
        stack.callback(directory.close)
        directory.write_config(config)
        model = model_folder(config, env, path)
        tokenizer = load_tokenizer(model)
        learner = make_learner(config, model, loss)
        stack.callback(learner.close)
        pool = stack.enter_context(make_pool(config, model, tokenizer))
        yield Parts(
            directory=directory,
            taskset=env.taskset,
            pipeline=pipeline,
            credit=credit,
            companions=Companions(credit.needs, config.companions, learner, config.seed),
            learner=learner,
            pool=pool,
            sampler=sampler,
            warm_start=make_warm_start(config, env, demonstrated, renderer_for(env, tokenizer)),
            sampling=config.sampling.build(),
        )


def make_rewards(config: TrainConfig, env: AgentEnv[Any]) -> tuple[Pipeline, Credit]:
    """What makes rewards of an environment's signals, and advantages of rewards.

    Raises:
        ConfigError: They do not fit the environment, each other, or the size of a group.
    """
    pipeline = build_stages(config.rewards, {**env.signals, **config.collect.signals()})
    credit = build_credit(config.credit)
    check_emitted("credit", credit.reads, pipeline.parts)
    check_companions(credit.needs, config.companions)
    if config.group_size < credit.least_group:
        raise ConfigError(
            f"credit {config.credit['name']}: compares {credit.least_group} or more in a group, and groups have "
            f"{config.group_size}; raise samples_per_task"
        )
    return pipeline, credit


def make_learner(config: TrainConfig, model: str, loss: Loss) -> Learner:
    """The learner of a configuration; of several processes, one that has its interface.

    Raises:
        ConfigError: The model or an option cannot be used.
        LearnerFault: Its processes cannot be started.
        MissingExtra: There are to be several, and Ray Train is not installed.
    """
    steps = max(1, config.updates * config.learner.epochs * config.learner.minibatches)
    temperature = config.sampling.temperature
    if config.learner.processes == 1:
        return Learner(model, config.learner, loss, temperature=temperature, total_steps=steps)
    from agentgym.trainers.distributed.learner import DistributedLearner

    learner = DistributedLearner(
        model,
        config.learner,
        loss,
        temperature=temperature,
        total_steps=steps,
        address=config.rollout.address,
        object_store_memory=config.rollout.object_store_bytes,
    )
    return cast(Learner, learner)


def check_engine(config: TrainConfig) -> None:
    """Refuses an engine whose completions cannot be trained on (`agentgym.engines.base.Doubtful`).

    Raises:
        ConfigError: Why.
    """
    kind = ENGINES.get(config.engine.name)
    if not hasattr(kind, "untrainable"):
        return  # nothing to ask, and making one may mean to load a model
    engine = make_engine(EngineSpec(config.engine.name, {"model": config.model, **config.engine.kwargs}), None)

    async def ask() -> str | None:
        try:
            return await cast(Doubtful, engine).untrainable(config.sampling.build())
        finally:
            await engine.close()

    try:
        reason = asyncio.run(ask())
    except EngineFault as fault:
        reason = fault.detail
    if reason is not None:
        raise ConfigError(f"engine {config.engine.name!r} cannot be trained: {reason}")


def make_pool(config: TrainConfig, model: str, tokenizer: Any) -> RolloutPool:
    """The rollout workers of a configuration.

    Args:
        config: The run.
        model: Folder or hub name of the policy.
        tokenizer: Its tokenizer, or where that is loaded from.

    Raises:
        ConfigError, MissingExtra, WorkerError: See `RolloutPool`.
    """
    return RolloutPool(
        EnvSpec(config.env.id, config.env.kwargs),
        EngineSpec(config.engine.name, {"model": model, **config.engine.kwargs}),
        tokenizer,
        config.rollout.workers,
        address=config.rollout.address,
        limits=config.rollout.limits.build(),
        threads=config.rollout.threads,
        weights=config.rollout.weights,
        worker_options=ray_options(config.rollout.resources),
        object_store_memory=config.rollout.object_store_bytes,
    )


def ray_options(resources: Mapping[str, float]) -> dict[str, Any]:
    """Resources by Ray's names for them, as options of an actor."""
    named = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
    options: dict[str, Any] = {named[name]: amount for name, amount in resources.items() if name in named}
    custom = {name: amount for name, amount in resources.items() if name not in named}
    return options | ({"resources": custom} if custom else {})


def model_folder(config: TrainConfig, env: AgentEnv[Any], path: Path) -> str:
    """The policy's folder or hub name; ``tiny`` is made in the run's folder, once."""
    if config.model != TINY:
        return config.model
    folder = path / "tiny"
    if not (folder / "model.safetensors").exists():
        tags = ("think", *env.parser.specs)
        seed = config.tiny.seed if config.tiny.seed is not None else config.seed
        make_tiny(folder, env.vocabulary(), config.tiny.model_copy(update={"seed": seed}), tags)
    return str(folder)


def training_tasks(taskset: TaskSet[Any]) -> dict[int, list[str]]:
    """Difficulty -> ids of the training tasks."""
    ids: dict[int, list[str]] = {}
    for task_id in taskset.ids("train"):
        ids.setdefault(taskset.difficulty(task_id), []).append(task_id)
    return ids


def check_mixes(config: TrainConfig, ids: Mapping[int, Sequence[str]]) -> None:
    """Refuses a warm start whose phases demonstrate what there is not.

    Args:
        config: The run.
        ids: From `training_tasks`.

    Raises:
        ConfigError: A phase demonstrates a difficulty that no training task has, or its weights cannot be drawn from.
    """
    for number, phase in enumerate(config.warm_start.phases if config.warm_start is not None else ()):
        where, weights = f"warm_start.phases.{number}.mix", phase.mix or {}
        for difficulty in weights:
            if difficulty not in ids:
                raise ConfigError(f"{where}: no training task of difficulty {difficulty}; there are {sorted(ids)}")
        if weights and not (sum(weights.values()) > 0 and min(weights.values()) >= 0):
            raise ConfigError(f"{where}: weights must be 0 or more, and one of them above 0")


def make_warm_start(
    config: TrainConfig, env: AgentEnv[Any], ids: Mapping[int, Sequence[str]], renderer: ChatRenderer
) -> WarmStart | None:
    """The warm start, its demonstrations played by the environment's expert on training tasks (`training_tasks`)."""
    if config.warm_start is None:
        return None
    demonstrations = ExpertDemonstrations(
        config.warm_start, config.seed, env, lambda: make_env(config.env.id, config.env.kwargs), ids, renderer
    )
    return WarmStart(config.warm_start, demonstrations)
