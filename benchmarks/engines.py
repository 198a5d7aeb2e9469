"""Engines against each other on the same multi-turn work: `VllmEngine` against `TransformersEngine`, sampled tokens/s.

The work is a set of concurrent episodes: a prompt, then turns of a fixed number of sampled tokens, an observation after
each; lengths are ragged and drawn under a seed. Each side does it `runs` times, in turn about, and the figure is the
median; the ratio is the median of the pairs'. It runs on a CPU, in an environment that has vLLM's CPU build
(`make test-vllm` makes one):

    .venv-vllm/bin/python benchmarks/engines.py --sessions 64 --turns 4
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from agentgym.engines.base import Engine, Sampling
from agentgym.engines.transformers import TransformersEngine
from agentgym.engines.vllm import VllmEngine
from agentgym.trainers.tiny import TinyConfig, make_tiny

_FIRST_WORD = 20  # ids below are special tokens and tags


async def play(engine: Engine, args: argparse.Namespace) -> float:
    """All episodes at once; the seconds they took."""
    rng = np.random.default_rng(args.seed)

    def text(mean: int) -> list[int]:
        length = int(rng.integers(mean // 2, mean + mean // 2 + 1))
        return [int(t) for t in rng.integers(_FIRST_WORD, args.vocab, size=length)]

    work = [(text(args.prompt), [text(args.observation) for _ in range(args.turns)]) for _ in range(args.sessions)]

    async def episode(index: int) -> None:
        ids, observations = list(work[index][0]), work[index][1]
        for turn, observation in enumerate(observations):
            sampling = Sampling(max_tokens=args.sampled, seed=1000 * index + turn)
            completion = await engine.generate(ids, sampling, session=str(index))
            ids += completion.token_ids + observation
        engine.release(str(index))

    started = time.perf_counter()
    await asyncio.gather(*(episode(i) for i in range(args.sessions)))
    return time.perf_counter() - started


async def compare(engines: dict[str, Engine], args: argparse.Namespace) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for run in range(args.runs + 1):
        for name, engine in engines.items():
            if isinstance(engine, VllmEngine):
                await engine.update_weights(run, args.state)  # so that no run finds the caches of the one before
            took = await play(engine, args)
            if run:  # the first one warms up
                seconds[name].append(took)
    for engine in engines.values():
        await engine.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=64)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--prompt", type=int, default=60, help="mean tokens of the first prompt")
    parser.add_argument("--sampled", type=int, default=16, help="tokens sampled each turn")
    parser.add_argument("--observation", type=int, default=40, help="mean tokens of an observation")
    parser.add_argument("--width", type=int, default=64, help="width of the model; its heads are 32 wide")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocab", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compiled", action="store_true", help="let vLLM compile the model, which takes a minute")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the result here")
    args = parser.parse_args()

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        config = TinyConfig(width=args.width, layers=args.layers, heads=args.width // 32, context=4096)
        model = str(make_tiny(folder, [f"w{i}" for i in range(args.vocab)], config))
        transformers = TransformersEngine(model, device="cpu", end_ids=(), threads=args.threads)
        args.state = transformers.module.state_dict()
        engines: dict[str, Engine] = {
            "VllmEngine": VllmEngine(model, end_ids=(), threads=args.threads, enforce_eager=not args.compiled),
            "TransformersEngine": transformers,
        }
        seconds = asyncio.run(compare(engines, args))

    tokens = args.sessions * args.turns * args.sampled
    rates = {name: tokens / statistics.median(of) for name, of in seconds.items()}
    pairs = zip(seconds["TransformersEngine"], seconds["VllmEngine"], strict=True)
    ratio = statistics.median(slow / fast for slow, fast in pairs)
    print(f"{args.sessions} sessions x {args.turns} turns x {args.sampled} tokens, {args.threads} thread(s)")
    for name, rate in rates.items():
        stats = engines[name].stats
        print(f"{name:20s} {rate:9.0f} sampled tokens/s   {stats.read / (args.runs + 1):9.0f} prompt tokens read a run")
    print(f"VllmEngine against TransformersEngine (median of {args.runs} pairs): {ratio:.2f}x")
    if args.json is not None:
        settings = {key: value for key, value in vars(args).items() if key not in ("json", "state")}
        result = {"settings": settings, "ratio": ratio, "tokens_per_s": rates, "seconds": seconds}
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
