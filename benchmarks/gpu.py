"""A language model of 0.5 or 1.5 B parameters on a GPU: learner, rollout engine, new weights, the loop, and TRL.

    python benchmarks/gpu.py --size 0.5B --json gpu.json
    python benchmarks/gpu.py --size 1.5B --parts learner peer
    python benchmarks/gpu.py --device cpu --size tiny          # every part of it, on a CPU

The model has Qwen2.5's sizes and vocabulary (151,936) and random weights. Weights and optimiser are fp32, matrix
products and engines bf16, as the package does it by itself on a GPU (fp32 throughout on a CPU).

* `learner`: updates of multi-turn episodes, packed; with activations kept and with activations computed again. Tokens/s
  are those of the episodes, read and written. Model FLOPs utilisation (MFU) is model FLOPs over time over the device's
  peak (dense bf16, `gpu_parts/flops.py`; `--peak-tflops` says another). Model FLOPs of an update, forward and backward:

      6 x (parameters of the layers' matrices) x (tokens read)
      + 6 x width x vocabulary x (tokens predicted)
      + 12 x layers x heads x head size x (pairs of a token and one it attends to: n (n + 1) / 2 in a sequence of n)

  Embeddings, norms, the optimiser and whatever is computed again (activations, logits of a chunk) count nothing. Logits
  are needed where the policy wrote; the learner computes no others.
* `engine`: vLLM where it is installed and there is a GPU, else transformers: tokens sampled a second, by so many
  sessions at once, each of several turns.
* `sync`: milliseconds of new weights, from the learner to the CPU, from the learner into an engine of this process,
  from the learner into the engine of a Ray worker.
* `loop`: a short run of rollout, learner and new weights in an environment that answers at once; first one after the
  other in this process, then with a Ray worker that plays while the learner learns (staleness at most 1), on the same
  GPU. The idle share is 1 - (engine busy + learner busy) / wall; where both are busy at the same time it lies between
  that and 1 - max(engine, learner) / wall. Busy is the wall time inside them, so gaps between their kernels are not
  seen; these are in the sampled share, in which the driver says that no kernel ran (needs pynvml).
* `peer`: the learner's update against the training step of TRL's GRPOTrainer: the same model, episodes, advantages,
  types and loss; taking turns, an update each. TRL is given the episodes (`rollout_func`), so nothing is generated, and
  the time is that of learning alone. Its micro-batches are as large as the learner's token budget allows when padded.
  The gradient norms of both are shown: they are equal up to rounding. TRL is used where it is importable, else it gets
  a virtual environment of its own.

Figures are medians of `--runs` after one that warms up. A part that cannot be measured says why, and the others go on.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

PARTS = ("learner", "engine", "sync", "loop", "peer")
ROOT = Path(__file__).resolve().parents[1]
#: Exit status where there is no GPU.
NO_GPU = 2


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", choices=("0.5B", "1.5B", "tiny"), default="0.5B")
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--runs", type=int, default=5, help="of each measurement, after one that warms up")
    parser.add_argument("--updates", type=int, default=6, help="of the loop, after those that warm up")
    for name, what in (
        ("groups", "groups of an update"),
        ("samples", "episodes of a group"),
        ("prompt", "mean tokens of a prompt"),
        ("turns", "turns of an episode"),
        ("written", "mean tokens the policy writes in a turn"),
        ("observation", "mean tokens of an observation"),
    ):
        parser.add_argument(f"--{name}", type=int, help=f"{what}; by default that of the size")
    parser.add_argument("--sessions", type=int, help="live sessions of the engine; by default an update's episodes")
    parser.add_argument("--microbatch-tokens", type=int, default=8192, help="token budget of a micro-batch")
    parser.add_argument("--checkpointing", action="store_true", help="`peer`: both compute activations again")
    parser.add_argument("--memory-share", type=float, default=0.4, help="of the GPU, that vLLM takes")
    parser.add_argument("--peak-tflops", type=float, help="dense bf16 peak of the device, instead of the table's")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of learner and engine on a CPU, and of TRL")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv-peers", help="TRL's virtual environment")
    parser.add_argument("--work", type=Path, help="where model and logs go; by default a folder that is removed")
    parser.add_argument("--json", type=Path, help="write the result here, after each part")
    return parser.parse_args(argv)


def why_not(args: argparse.Namespace) -> str | None:
    """Why nothing can be measured, in one line."""
    if args.device == "cpu":
        return None
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed (extra: train)"
    import torch

    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no GPU; --device cpu --size tiny checks the script on a CPU"
    return None


def measure(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """All parts that are asked for; writes what there is after each."""
    import torch
    from gpu_parts import learning, looping, peer, playing, shapes
    from gpu_parts.flops import peak_flops
    from gpu_parts.shapes import say, tried
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if args.device == "cpu":
        torch.set_num_threads(args.threads)
    shape = shapes.SHAPES[args.size]
    shape = replace(shape, **{key: getattr(args, key) for key in asdict(shape) if getattr(args, key) is not None})
    name = shapes.machine(args.device)
    peak = args.peak_tflops * 1e12 if args.peak_tflops else peak_flops(name)
    say(f"making the model of {args.size}")
    folder, sizes = shapes.make_model(work / "model", args.size, shape.longest, args.seed)
    batch = shapes.make_batch(shape, sizes, args.seed)
    sessions = args.sessions or shape.episodes
    player = playing.Player(shape, sizes, args.device, sessions, args.memory_share, args.threads)
    budget = args.microbatch_tokens
    result: dict[str, Any] = {
        "machine": name,
        "peak_tflops": None if peak is None else peak / 1e12,
        "versions": shapes.versions(),
        "settings": {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()},
        "shape": asdict(shape),
        "model": asdict(sizes),
        "batch": {"tokens": batch.tokens, "model_tflop": {k: v / 1e12 for k, v in asdict(batch.flops).items()}},
    }

    def against_trl() -> dict[str, Any]:
        python = peer.find_peer(args.venv)
        steps = peer.steps_of(
            batch, folder, args.device, shape.samples, budget, args.checkpointing, args.runs + 1, args.threads
        )
        return peer.measure_peer(steps, batch, python, work, args.runs, peak, budget)

    def loop() -> dict[str, Any]:
        titles = {"synchronous": 0, "staleness 1": 1}
        measure = partial(looping.measure_loop, folder, player, budget, args.updates)
        return {title: tried(partial(measure, staleness)) for title, staleness in titles.items()}

    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "learner": lambda: learning.measure_learner(folder, batch, args.device, budget, args.runs, peak),
        "engine": lambda: playing.measure_engine(folder, player, args.runs),
        "sync": lambda: learning.measure_sync(folder, player, budget, args.runs),
        "loop": loop,
        "peer": against_trl,
    }
    for part in args.parts:
        say(f"measuring: {part}")
        result[part] = tried(parts[part])
        if args.json is not None:
            args.json.write_text(json.dumps(result, indent=2) + "\n")
    return result


def show(result: dict[str, Any]) -> None:
    """The table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{result['machine']}, {result['settings']['size']}", title_justify="left")
    table.add_column("part")
    table.add_column("what")
    table.add_column("measured", justify="right")
    for part, what, value in lines(result):
        table.add_row(part, what, value)
    Console(width=120, soft_wrap=True).print(table)
    print(", ".join(f"{name} {number}" for name, number in result["versions"].items()))
    if result["peak_tflops"] is None:
        print("no MFU: the peak of this device is not in the table; --peak-tflops says it")


def lines(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Part, what, and its figure, of all that was measured."""
    rows: list[tuple[str, str, str]] = []
    for part in PARTS:
        found = result.get(part)
        if found is None:
            continue
        if "missing" in found:
            rows.append((part, "not measured", found["missing"]))
            continue
        rows += [(part, what, value) for what, value in _SHOWN[part](found)]
    return rows


def _or_why(row: dict[str, Any], shown: Callable[[dict[str, Any]], str]) -> str:
    return f"not measured: {row['missing']}" if "missing" in row else shown(row)


def _training(row: dict[str, Any]) -> str:
    mfu = "" if row["mfu"] is None else f", MFU {row['mfu']:.1%}"
    memory = "" if row["peak_gib"] is None else f", {row['peak_gib']:.1f} GiB"
    speed = f"{row['tokens_per_s']:,.0f} tokens/s, {row['median_s']:.3f} s, {row['model_tflops']:.3g} TFLOP/s"
    return speed + mfu + memory


def _learner(found: dict[str, Any]) -> list[tuple[str, str]]:
    titles = {"plain": "activations kept", "checkpointing": "activations computed again"}
    return [(title, _or_why(found[key], _training)) for key, title in titles.items()]


def _engine(found: dict[str, Any]) -> list[tuple[str, str]]:
    what = f"{found['engine']}, {found['sessions']} sessions"
    return [(what, f"{found['tokens_per_s']:,.0f} sampled tokens/s")]


def _sync(found: dict[str, Any]) -> list[tuple[str, str]]:
    ways = {"cpu": "learner to CPU", "engine": "learner to an engine", "worker": "learner to a Ray worker's engine"}
    rows = [(title, _or_why(found[key], lambda row: f"{row['ms']:,.1f} ms")) for key, title in ways.items()]
    return [("size", f"{found['bytes'] / 2**20:,.0f} MiB"), *rows]


def _loop(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for title, row in found.items():
        if "missing" in row:
            rows.append((title, _or_why(row, str)))
            continue
        least, most = row["idle_least"], row["idle_most"]
        idle = f"{least:.1%}" if least == most else f"{least:.1%} to {most:.1%}"
        sampled = "not sampled" if row["idle_sampled"] is None else f"sampled {row['idle_sampled']:.1%}"
        rows.append((f"{title}: idle", f"{idle}, {sampled}"))
        rows.append((f"{title}: busy", f"engine {row['engine']:.1%}, learner {row['phases']['learn']:.1%}"))
        rows.append((f"{title}: speed", f"{row['trained_tokens_per_s']:,.0f} tokens/s"))
    return rows


def _peer(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("agentgym", _training(found["agentgym"])),
        (f"TRL {found['trl']['versions']['trl']}", _training(found["trl"])),
        ("agentgym against TRL", f"{found['ratio']:.2f}x (gradient norms: {found['grad_norm_ratio']:.4f})"),
    ]


_SHOWN: dict[str, Callable[[dict[str, Any]], list[tuple[str, str]]]] = {
    "learner": _learner,
    "engine": _engine,
    "sync": _sync,
    "loop": _loop,
    "peer": _peer,
}


def main() -> None:
    args = parse()
    reason = why_not(args)
    if reason is not None:
        print(f"benchmarks/gpu.py: {reason}", file=sys.stderr)
        raise SystemExit(NO_GPU)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # The workers' processes import the environment.
    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))

    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        show(measure(args, work))


if __name__ == "__main__":
    main()
