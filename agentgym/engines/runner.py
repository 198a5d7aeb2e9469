"""Runs chunks of many sessions through a causal model in one forward pass and samples where a chunk ends its prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from agentgym.engines.sampler import RowParameters, sample
from agentgym.engines.slots import (
    Chunk,
    PackedBatch,
    Packing,
    SlotCache,
    attention_configs,
    pack,
    slot_attention_of,
)
from agentgym.faults import ConfigError, typed_line

_RUNNABLE_LAYERS = frozenset({"full_attention", "sliding_attention"})
_CHECK_TOKENS = 7
_CHECK_TOLERANCE = {torch.float32: 1e-3}
_CHECK_TOLERANCE_HALF = 0.3


class ModelRunner:
    """A model, its slots, and one call.

    Args:
        model: Put into evaluation mode; its attention is swapped only while `run` runs.
        cache: Slots.
        packing: See there.

    Raises:
        ConfigError: The model has layers, or an attention, that slots cannot serve.
    """

    def __init__(self, model: PreTrainedModel, cache: SlotCache, packing: Packing) -> None:
        self.model, self.cache, self.packing = model, cache, packing
        self.kind = str(model.config.model_type)
        if not getattr(model, "_supports_attention_backend", False):
            raise ConfigError(f"model type {self.kind!r} does not use transformers' attention interface")
        text = model.config.get_text_config()
        if strange := sorted(set(getattr(text, "layer_types", None) or ()) - _RUNNABLE_LAYERS):
            raise ConfigError(f"model type {self.kind!r} has {strange[0]!r} layers, which this engine cannot run")
        self.vocabulary: int = int(text.vocab_size)
        self._configs = attention_configs(model)
        model.train(False)
        self._check()

    @property
    def device(self) -> torch.device:
        return self.model.device

    def run(
        self, chunks: Sequence[Chunk], sampled: Sequence[int], rows: RowParameters
    ) -> tuple[list[int], list[float]]:
        """Reads the chunks into the cache; samples a token after ``chunks[i]`` for each i of `sampled`.

        Returns:
            Token ids and log-probabilities, in the order of `sampled`.
        """
        with torch.inference_mode():
            packed = pack(self.cache, chunks, self.device, self.packing)
            logits = self._logits(packed, [packed.last[i] for i in sampled] if sampled else packed.last[:1])
            return sample(logits, rows) if sampled else ([], [])

    def _logits(self, packed: PackedBatch, at: Sequence[int]) -> torch.Tensor:
        """[len(at), vocabulary]"""
        keep = torch.as_tensor(at, device=packed.input_ids.device)
        with slot_attention_of(self._configs):
            logits: torch.Tensor = self.model(
                input_ids=packed.input_ids,
                position_ids=packed.position_ids,
                use_cache=False,
                logits_to_keep=keep,
                packed=packed,
            ).logits[0]
        return logits

    def _check(self) -> None:
        """Proves on a few tokens, read in pieces, that the slots give what the model gives by itself."""
        ids = [(7 * i + 1) % self.vocabulary for i in range(_CHECK_TOKENS)]
        cache = SlotCache(2, _CHECK_TOKENS)
        cache.reserve(2, _CHECK_TOKENS)
        pieces = [(0, 3), (3, 4), (4, _CHECK_TOKENS)]
        try:
            with torch.inference_mode():
                plain = self.model(input_ids=torch.tensor([ids], device=self.device), use_cache=False).logits[0]
                got: list[torch.Tensor] = []
                for start, end in pieces:
                    chunks = [Chunk(slot, start, ids[start:end]) for slot in (0, 1)]
                    packed = pack(cache, chunks, self.device, self.packing)
                    got.append(self._logits(packed, packed.last)[1])
                want = plain[[end - 1 for _, end in pieces]].float().log_softmax(-1)
                gap = float((torch.stack(got).float().log_softmax(-1) - want).abs().max())
        except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"model type {self.kind!r} cannot run in this engine: {typed_line(error)}") from error
        if not gap <= _CHECK_TOLERANCE.get(self.model.dtype, _CHECK_TOLERANCE_HALF):
            raise ConfigError(
                f"model type {self.kind!r} cannot run in this engine: its log-probabilities are {gap:.2g} off "
                "those of a plain forward pass"
            )
