"""The rollout engine's figures, and a pool of workers to play and learn with."""

from __future__ import annotations

import asyncio
import importlib.util
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gpu_parts.flops import ModelShape
from gpu_parts.reading import ENV
from gpu_parts.shapes import EpisodeShape, forget_peak, peak_gib, ragged

from agentgym.engines.base import Engine, Sampling
from agentgym.rollout import EngineSpec, EnvSpec, GroupRequest, Limits, RolloutPool
from agentgym.rollout.worker import make_engine
from agentgym.trainers.tiny import make_tokenizer

#: Beside two states of weights, in which a tied head is listed twice, the object store holds finished groups.
_GROUPS_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Player:
    """How episodes are played.

    Attributes:
        shape: Of the episodes.
        model: Sizes of the model.
        device: ``cuda`` or ``cpu``.
        sessions: Episodes in flight.
        memory_share: Of the GPU, that vLLM takes.
        threads: CPU threads of an engine on a CPU.
    """

    shape: EpisodeShape
    model: ModelShape
    device: str
    sessions: int
    memory_share: float
    threads: int

    @property
    def engine(self) -> str:
        """vLLM where it is installed and there is a GPU."""
        return "vllm" if self.device == "cuda" and importlib.util.find_spec("vllm") else "transformers"

    def spec(self, model: str) -> EngineSpec:
        """The engine of a model folder, whose completions are as long as they may be."""
        own = {"memory_share": self.memory_share} if self.engine == "vllm" else {"device": self.device}
        threads = {"threads": self.threads} if self.device == "cpu" else {}
        common = {"max_sessions": self.sessions, "max_context": self.shape.longest, "end_ids": ()}
        return EngineSpec(self.engine, {"model": model, **common, **own, **threads})

    def make_engine(self, model: str) -> Engine:
        """An engine in this process."""
        return make_engine(self.spec(model), None)

    def requests(self, number: int, groups: int) -> list[GroupRequest]:
        """Groups of an update."""
        samples, sampling = self.shape.samples, Sampling(max_tokens=self.shape.written)
        seeds = np.random.SeedSequence(number).generate_state(groups * samples).reshape(groups, samples)
        return [
            GroupRequest(f"{number}.{i}", str(i % self.shape.groups), tuple(map(int, seeds[i])), sampling)
            for i in range(groups)
        ]


def pool(player: Player, model: str, workers: int, weights_bytes: int) -> RolloutPool:
    """Workers (none: this process) that play the benchmark's environment."""
    shape = player.shape
    words = player.model.vocabulary - len(make_tokenizer([]))
    env = {"tasks": shape.groups, "prompt": shape.prompt, "observation": shape.observation, "turns": shape.turns}
    return RolloutPool(
        EnvSpec(ENV, {**env, "words": words}),
        player.spec(model),
        Path(model),
        workers,
        limits=Limits(concurrency=player.sessions),
        threads=player.threads,
        object_store_memory=4 * weights_bytes + _GROUPS_BYTES,
    )


def measure_engine(model: str, player: Player, runs: int) -> dict[str, Any]:
    """Tokens that an engine samples a second with so many sessions alive, each of several turns."""
    forget_peak(player.device)
    engine = player.make_engine(model)
    rng = np.random.default_rng(0)

    def text(mean: int) -> list[int]:
        return [int(t) for t in rng.integers(32, player.model.vocabulary, ragged(rng, mean))]

    async def episode(run: int, index: int, prompt: list[int], observations: list[list[int]]) -> None:
        session = f"{run}.{index}"
        for turn, observation in enumerate(observations):
            sampling = Sampling(max_tokens=player.shape.written, seed=1000 * index + turn)
            completion = await engine.generate(prompt, sampling, session)
            prompt = prompt + completion.token_ids + observation
        engine.release(session)

    async def play(run: int) -> float:
        shape = player.shape
        # New texts every time: no run finds its prompts in the cache of the one before.
        work = [
            (text(shape.prompt), [text(shape.observation) for _ in range(shape.turns)]) for _ in range(player.sessions)
        ]
        since = time.perf_counter()
        await asyncio.gather(*(episode(run, i, *one) for i, one in enumerate(work)))
        return time.perf_counter() - since

    seconds, rates = [], []
    with asyncio.Runner() as runner:
        for run in range(runs + 1):
            before = engine.stats.generated
            took = runner.run(play(run))
            if run:  # the first one warms up
                seconds.append(took)
                rates.append((engine.stats.generated - before) / took)
        stats = asdict(engine.stats)
        runner.run(engine.close())
    return {
        "engine": type(engine).__name__,
        "sessions": player.sessions,
        "seconds": seconds,
        "tokens_per_s": statistics.median(rates),
        "stats": stats,
        "peak_gib": peak_gib(player.device),
    }
