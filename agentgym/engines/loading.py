"""Loads a causal model and its tokenizer from a folder or the hub, and reads from them what an engine must know."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from agentgym.faults import ConfigError, first_line

log = logging.getLogger(__name__)

DType = Literal["auto", "float32", "bfloat16"]


def load_model(name: str, device: str, dtype: DType) -> PreTrainedModel:
    """The model, in evaluation mode.

    Args:
        name: Folder or hub name.
        device: ``"auto"`` takes a GPU where there is one.
        dtype: ``"auto"`` is bfloat16 on a GPU and float32 on a CPU.

    Raises:
        ConfigError: A device or type there is not; a folder or name that holds no causal model.
    """
    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        torch.empty(0, device=where)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device!r} cannot be used: {first_line(error)}") from error
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype != "auto" and dtype not in types:
        raise ConfigError(f"dtype must be 'auto', 'float32' or 'bfloat16', got {dtype!r}")
    kind = types["float32" if torch.device(where).type == "cpu" else "bfloat16"] if dtype == "auto" else types[dtype]
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=kind)
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigError(f"model {name!r} cannot be loaded: {first_line(error)}") from error
    loaded: PreTrainedModel = model.to(where)
    return loaded


def load_tokenizer(name: str) -> Any:
    """The tokenizer of a folder or hub name; None where there is none."""
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError):
        log.info("model %s comes without a tokenizer: no stop strings", name)
        return None


def context_length(module: PreTrainedModel, wanted: int | None) -> int:
    """Tokens a sequence may have: as wanted, or as many as the model has positions.

    Raises:
        ConfigError: More than the model has, or not known.
    """
    positions = getattr(module.config.get_text_config(), "max_position_embeddings", None)
    if wanted is None:
        if positions is None:
            raise ConfigError("the model does not say how many positions it has: give max_context")
        return int(positions)
    if wanted < 2 or (positions is not None and wanted > positions):
        raise ConfigError(f"max_context must be between 2 and the model's {positions} positions, got {wanted}")
    return wanted


def default_ends(module: PreTrainedModel, tokenizer: Any) -> set[int]:
    """Ids that end a turn: those of the generation configuration and the tokenizer's end of sequence."""
    generation = getattr(module, "generation_config", None)
    sources = (getattr(generation, "eos_token_id", None), getattr(tokenizer, "eos_token_id", None))
    ends: set[int] = set()
    for source in sources:
        if isinstance(source, Iterable):
            ends.update(int(token) for token in source)
        elif source is not None:
            ends.add(int(source))
    return ends
