"""What the parts of `benchmarks/gpu.py` work on: the model, the batch, and the machine they run on."""

from __future__ import annotations

import gc
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_parts.flops import Flops, ModelShape

from agentgym.signal import RewardSignal
from agentgym.trainers.packing import Targets, micro_batches
from agentgym.trainers.tiny import TinyConfig, make_tiny, make_tokenizer
from agentgym.trajectory import Trajectory, Turn

#: Qwen2.5's sizes; the layers are Qwen3's, which differ in the norms of queries and keys and in having no biases.
SIZES: dict[str, dict[str, Any]] = {
    "0.5B": {"width": 896, "layers": 24, "heads": 14, "kv_heads": 2, "mlp_width": 4864},
    "1.5B": {"width": 1536, "layers": 28, "heads": 12, "kv_heads": 2, "mlp_width": 8960},
    "tiny": {"width": 64, "layers": 2, "heads": 4, "kv_heads": 2, "mlp_width": 192},
}
VOCABULARY = {"0.5B": 151_936, "1.5B": 151_936, "tiny": 1024}
#: Packages whose versions belong to the figures.
PACKAGES = ("agentgym", "torch", "transformers", "vllm", "ray")
#: As TRL has it: added to a group's standard deviation.
SCALE_EPSILON = 1e-4


@dataclass(frozen=True, slots=True)
class EpisodeShape:
    """An update's episodes; lengths are means, and drawn evenly between half and one and a half of them.

    Attributes:
        groups: Groups of an update.
        samples: Episodes of a group.
        prompt: Tokens of the first prompt.
        turns: Turns of an episode.
        written: Tokens the policy writes in a turn.
        observation: Tokens of what it reads after each turn but the last.
    """

    groups: int
    samples: int
    prompt: int
    turns: int
    written: int
    observation: int

    @property
    def episodes(self) -> int:
        return self.groups * self.samples

    @property
    def longest(self) -> int:
        """Most tokens an episode can have, those of the chat template included."""
        return 2 * (self.prompt + self.turns * (self.written + self.observation)) + 64


#: Shapes that are not asked for on the command line.
SHAPES = {
    "0.5B": EpisodeShape(groups=8, samples=8, prompt=512, turns=4, written=128, observation=256),
    "1.5B": EpisodeShape(groups=8, samples=8, prompt=512, turns=4, written=128, observation=256),
    "tiny": EpisodeShape(groups=4, samples=4, prompt=24, turns=3, written=8, observation=12),
}


@dataclass(frozen=True, slots=True)
class Batch:
    """An update's trajectories, what is to be learned from them, and the operations that takes.

    Attributes:
        trajectories: Of random tokens, those of a group one after the other.
        rewards: float64[N], one a trajectory.
        advantages: float64[turns] for each trajectory: its reward's distance from the group's mean, scaled.
        tokens: Of all trajectories.
        flops: Of one pass of training.
    """

    trajectories: list[Trajectory]
    rewards: list[float]
    advantages: list[np.ndarray[Any, np.dtype[np.float64]]]
    tokens: int
    flops: Flops


def make_model(folder: Path, size: str, context: int, seed: int) -> tuple[str, ModelShape]:
    """Writes a model with random weights and a tokenizer of one word for each of its embeddings."""
    from transformers import AutoConfig

    own = len(make_tokenizer([]))
    words = [f"w{i}" for i in range(VOCABULARY[size] - own)]
    config = TinyConfig(architecture="qwen3", context=context, rope_theta=1e6, seed=seed, **SIZES[size])
    make_tiny(folder, words, config)
    return str(folder), ModelShape.of(AutoConfig.from_pretrained(folder))


def ragged(rng: np.random.Generator, mean: int) -> int:
    """A length around the mean."""
    return int(rng.integers(max(1, mean // 2), mean + mean // 2 + 1))


def make_batch(shape: EpisodeShape, model: ModelShape, seed: int) -> Batch:
    """Multi-turn trajectories as a rollout brings them."""
    rng = np.random.default_rng(seed)
    logprob = -float(np.log(model.vocabulary))
    trajectories = []
    for i in range(shape.episodes):
        turn: list[int] = [-1] * ragged(rng, shape.prompt)
        for k in range(shape.turns):
            turn += [k] * ragged(rng, shape.written)
            turn += [-1] * (ragged(rng, shape.observation) if k < shape.turns - 1 else 0)
        written = np.array(turn) >= 0
        trajectories.append(
            Trajectory(
                episode_id=f"{i // shape.samples}/{i % shape.samples}",
                group_id=str(i // shape.samples),
                env="benchmark",
                task_id=str(i // shape.samples),
                split="train",
                difficulty=1,
                seed=i,
                tokens=rng.integers(32, model.vocabulary, len(turn)).astype(np.int32),
                logprobs=np.where(written, logprob, 0.0).astype(np.float32),
                turn=np.array(turn, dtype=np.int16),
                starts=np.zeros(1, dtype=np.int32),
                turns=[Turn(RewardSignal()) for _ in range(shape.turns)],
            )
        )
    rewards = rng.normal(size=(shape.groups, shape.samples))
    scaled = (rewards - rewards.mean(1, keepdims=True)) / (rewards.std(1, ddof=1, keepdims=True) + SCALE_EPSILON)
    # As the learner lays them out: what follows a trajectory's last target is not read.
    targets = Targets.of(trajectories)
    tokens = sum(map(len, trajectories))
    rows = micro_batches(trajectories, range(len(trajectories)), targets, tokens, torch.device("cpu"))
    lengths = [n for row in rows for n in row.lengths]
    return Batch(
        trajectories,
        rewards.ravel().tolist(),
        [np.full(shape.turns, value) for value in scaled.ravel()],
        tokens,
        model.training_flops(lengths, len(targets)),
    )


def sync(device: str) -> None:
    """Waits until the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_gib(device: str) -> float | None:
    """Most memory that tensors of this process had since `forget_peak`; None on a CPU."""
    return torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None


def forget_peak(device: str) -> None:
    """Gives memory back that nothing holds any more, and forgets how much there once was."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def machine(device: str) -> str:
    """The name that stands beside the figures."""
    return torch.cuda.get_device_name() if device == "cuda" else f"CPU ({platform.machine()})"


def versions() -> dict[str, str]:
    """Of what decides the figures, where it is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


def say(text: str) -> None:
    """Tells of what is going on."""
    print(text, file=sys.stderr, flush=True)


def tried(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What it returns, or ``missing``: why it cannot (memory that does not suffice, a package that is missing, ...)."""
    try:
        return work()
    except (Exception, SystemExit) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
        # A process that was started ends with what broke it, everything else begins with it.
        reason = f"{type(error).__name__}: {lines[-1 if isinstance(error, SystemExit) else 0][:300]}"
        say(f"not measured: {reason}")
        return {"missing": reason}
