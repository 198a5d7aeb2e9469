"""What `benchmarks/gpu.py` says without a GPU: its count of operations, its table of peaks, its refusal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen3Config, Qwen3ForCausalLM

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
LENGTHS = (48, 20, 7)


@pytest.fixture
def flops(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from gpu_parts import flops

    return flops


def tiny() -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=80,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    return Qwen3ForCausalLM._from_config(config, attn_implementation="eager")


def test_operations_are_those_that_torch_counts(flops: ModuleType) -> None:
    model = tiny()
    with FlopCounterMode(display=False) as counter:
        for n in LENGTHS:
            model(input_ids=torch.arange(n)[None], use_cache=False).logits.sum().backward()
    said = flops.ModelShape.of(model.config).training_flops(LENGTHS, predicted=sum(LENGTHS))
    # Torch's plain attention multiplies every pair of tokens; half of them are masked, and needed by nobody.
    every_pair = sum(n * n for n in LENGTHS) / sum(n * (n + 1) / 2 for n in LENGTHS)
    counted = counter.get_total_flops()
    assert said.layers + said.head + said.attention * every_pair == pytest.approx(counted, rel=0.01)


def test_operations_by_hand(flops: ModuleType) -> None:
    # One layer: queries 4x6 and output 6x4, keys and values 4x2 each, MLP three times 4x10.
    shape = flops.ModelShape(layers=1, width=4, mlp_width=10, heads=3, kv_heads=1, head_size=2, vocabulary=50)
    assert shape.matrices == 24 + 24 + 8 + 8 + 120
    # Sequences of 1 and 2 tokens: 3 tokens, 1 + 3 pairs; a pair is a score and a weighted value in each of 3 heads.
    found = shape.training_flops([1, 2], predicted=2)
    assert found.layers == 3 * 2 * 184 * 3
    assert found.head == 3 * 2 * 4 * 50 * 2
    assert found.attention == 3 * (2 * 2 * 2) * 3 * 4
    assert found.total == found.layers + found.head + found.attention


def test_the_batch_counts_what_the_learner_reads(flops: ModuleType) -> None:
    from gpu_parts.shapes import EpisodeShape, make_batch

    model = flops.ModelShape(layers=1, width=4, mlp_width=10, heads=3, kv_heads=1, head_size=2, vocabulary=50)
    shape = EpisodeShape(groups=3, samples=2, prompt=9, turns=2, written=4, observation=6)
    batch = make_batch(shape, model, seed=1)
    assert len(batch.trajectories) == 6
    assert batch.tokens == sum(map(len, batch.trajectories))
    # The last token of each is predicted, not read.
    lengths = [len(t) - 1 for t in batch.trajectories]
    assert batch.flops == model.training_flops(lengths, sum(t.policy_tokens for t in batch.trajectories))
    for first in (0, 2, 4):
        pair = [float(batch.advantages[i][0]) for i in (first, first + 1)]
        assert sum(pair) == pytest.approx(0, abs=1e-9)
        assert (pair[0] > 0) == (batch.rewards[first] > batch.rewards[first + 1])
    for trajectory in batch.trajectories:
        trajectory.check()


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10", 125),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", None),
        ("NVIDIA GeForce GTX 1080", None),
        ("NVIDIA RTX A1000", None),
        ("CPU (x86_64)", None),
    ],
)
def test_peaks(flops: ModuleType, name: str, tflops: float | None) -> None:
    assert flops.peak_flops(name) == (None if tflops is None else tflops * 1e12)


def test_without_a_gpu_it_says_so_in_one_line() -> None:
    command = [sys.executable, str(BENCHMARKS / "gpu.py")]
    env = {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(BENCHMARKS.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "sees no GPU" in done.stderr
