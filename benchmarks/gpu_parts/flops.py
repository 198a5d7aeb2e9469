"""Floating-point operations that a language model cannot do without, and how many a device can do in a second."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Dense bfloat16 products with float32 sums, operations a second, as the makers' data sheets say (without sparsity).
#: By the words of ``torch.cuda.get_device_name``; where several fit, the longest says it.
PEAKS: Mapping[str, float] = {
    "B200": 2250e12,
    "H200": 989e12,
    "H200 NVL": 836e12,
    "GH200": 989e12,
    "H100": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "A100": 312e12,
    "A30": 165e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
}


def peak_flops(device_name: str) -> float | None:
    """What a device of this name can do; None where it is not known (a slice of a GPU is not)."""
    if re.search(r"\bMIG\b", device_name):
        return None
    known = [key for key in PEAKS if re.search(rf"\b{key}\b", device_name)]
    return PEAKS[max(known, key=len)] if known else None


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a decoder with gated MLPs and grouped-query attention, as Qwen's and Llama's are.

    Attributes:
        layers: Decoder layers.
        width: Of the hidden state.
        mlp_width: Inner size of the MLP.
        heads: Attention heads.
        kv_heads: Key-value heads.
        head_size: Of one head.
        vocabulary: Rows of the output embedding.
    """

    layers: int
    width: int
    mlp_width: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int

    @classmethod
    def of(cls, config: Any) -> ModelShape:
        """That of a transformers configuration."""
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return cls(
            config.num_hidden_layers,
            config.hidden_size,
            config.intermediate_size,
            config.num_attention_heads,
            config.num_key_value_heads,
            size,
            config.vocab_size,
        )

    @property
    def matrices(self) -> int:
        """Parameters of the layers that multiply every token: embeddings, norms and biases are none of them."""
        attention = self.width * self.head_size * 2 * (self.heads + self.kv_heads)
        return self.layers * (attention + 3 * self.width * self.mlp_width)

    def training_flops(self, lengths: Sequence[int], predicted: int) -> Flops:
        """Forward and backward passes over sequences.

        The backward pass costs two forward passes (gradients of the inputs and of the weights); what is computed again
        to save memory does not count.

        Args:
            lengths: Tokens of each sequence that the model reads.
            predicted: Tokens whose log-probability is wanted; the others need no logits.
        """
        pairs = sum(n * (n + 1) // 2 for n in lengths)  # a token attends to itself and those before it
        return Flops(
            layers=6.0 * self.matrices * sum(lengths),
            head=6.0 * self.width * self.vocabulary * predicted,
            attention=12.0 * self.layers * self.heads * self.head_size * pairs,
        )


@dataclass(frozen=True, slots=True)
class Flops:
    """Operations by part; a multiplication and an addition are two."""

    layers: float
    head: float
    attention: float

    @property
    def total(self) -> float:
        return self.layers + self.head + self.attention
