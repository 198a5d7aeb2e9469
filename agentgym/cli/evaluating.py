"""``agentgym eval``: held-out success of a trained policy, or of any model the configuration names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentgym.cli.common import console, emit_json
from agentgym.cli.progress import ConsoleObserver
from agentgym.faults import ConfigError
from agentgym.making import make_env
from agentgym.rollout.request import GroupRequest
from agentgym.trainers.checkpoint import CheckpointStore
from agentgym.trainers.config import TrainConfig, load_config
from agentgym.trainers.distributed import shards
from agentgym.trainers.evaluation import evaluate, evaluation_seed, heldout_tasks
from agentgym.trainers.parts import TINY, make_pool
from agentgym.trainers.policy import Policy
from agentgym.trainers.rundir import CONFIG
from agentgym.trajectory import Group


def run_evaluation(
    path: Path,
    overrides: Sequence[str],
    *,
    run: Path | None,
    checkpoint: Path | None,
    tasks: int | None,
    as_json: bool,
) -> None:
    """Plays held-out tasks and prints success by difficulty with 95% intervals.

    Args:
        path: A configuration, or a run's folder (its own configuration and newest checkpoint are then taken).
        overrides: ``key=value`` each, on top of it.
        run: Take this run's newest checkpoint.
        checkpoint: Take this one: a folder of a run's ``checkpoints``, or a Hugging Face folder.
        tasks: Tasks of each difficulty; None: ``eval.final_tasks``.
        as_json: Print the scores as JSON.

    Raises:
        ConfigError: Nothing to evaluate, or a configuration that cannot be used.
    """
    if run is not None and checkpoint is not None:
        raise ConfigError("give --run or --checkpoint, not both")
    if path.is_dir():
        run = run if run is not None or checkpoint is not None else path
        path = path / CONFIG
    config = load_config(path, overrides)
    with ConsoleObserver(console(stderr=as_json)) as observer, _policy(config, run, checkpoint) as (model, origin):
        observer.message(f"policy: {origin}")
        env = make_env(config.env.id, config.env.kwargs)
        chosen = heldout_tasks(env.taskset, tasks or config.eval.final_tasks)
        observer.phase("evaluation", sum(map(len, chosen.values())) * (2 if config.eval.sampled else 1))
        with make_pool(config, model, model) as pool:

            def collect(requests: Sequence[GroupRequest]) -> Iterator[Group]:
                for group in pool.collect(requests):
                    observer.advance({})
                    yield group

            sampling = config.sampling.build()
            seed = evaluation_seed(config.seed)
            evaluation, _ = evaluate(collect, chosen, sampling, config.eval, update=0, episodes=0, seed=seed)
        if as_json:
            scores: list[dict[str, Any]] = [score.to_json() for score in evaluation.scores]
            emit_json({"env": config.env.id, "policy": origin, "seed": config.seed, "scores": scores})
        else:
            observer.evaluation(evaluation)


@contextmanager
def _policy(config: TrainConfig, run: Path | None, checkpoint: Path | None) -> Iterator[tuple[str, str]]:
    """(Hugging Face folder or hub name, what it is called) of the policy that is meant."""
    if run is not None:
        found = CheckpointStore(run / "checkpoints").latest()
        if found is None:
            raise ConfigError(f"{run} holds no checkpoint")
        checkpoint = found.path
    if checkpoint is None:
        if config.model == TINY:
            raise ConfigError("model 'tiny' has learned nothing by itself; name a policy with --run or --checkpoint")
        yield config.model, config.model
    elif (checkpoint / "config.json").is_file():
        yield str(checkpoint), str(checkpoint)
    elif (checkpoint / "learner" / "model").is_dir():
        yield str(checkpoint / "learner" / "model"), str(checkpoint)
    elif (checkpoint / "learner" / "adapter").is_dir() or shards.found(checkpoint / "learner"):
        source = checkpoint.parents[1] / TINY if config.model == TINY else config.model
        policy = Policy(source, config.learner)
        policy.load(checkpoint / "learner")
        with tempfile.TemporaryDirectory() as folder:
            yield str(policy.export(Path(folder))), str(checkpoint)
    else:
        raise ConfigError(f"{checkpoint} is neither a checkpoint of a run nor a Hugging Face folder")
