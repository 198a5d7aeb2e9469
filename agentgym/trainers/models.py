"""Loading causal language models for packed training, and proving that packing is right for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from agentgym.faults import ConfigError, first_line
from agentgym.trainers.attention import PACKED, Layout, register
from agentgym.trainers.logprobs import Head

# Largest relative error of packed against plain hidden states and logits: rounding stays far below, a leak far above.
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}
_PROBE_LENGTHS = (12, 5)  # the second is short: a leak shows in all of it


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of transformers' own: a run has its own."""
    from transformers.utils import logging as module

    logging: Any = module
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def load_model(source: str | Path, dtype: torch.dtype, device: torch.device) -> Any:
    """A causal language model with packed attention and without dropout.

    Dropout would make the log-probabilities differ from those of the policy that was sampled.

    Args:
        source: A folder or a hub name.
        dtype: Of the parameters.
        device: Where they go.

    Raises:
        ConfigError: No such model, or one that cannot be read.
    """
    from transformers import AutoModelForCausalLM

    register()
    try:
        with quiet():
            model: Any = AutoModelForCausalLM.from_pretrained(str(source), dtype=dtype, attn_implementation=PACKED)
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigError(f"model {str(source)!r}: {first_line(error)}") from error
    for parameter in model.parameters():
        # Loaded weights may still be pages of the file: their alignment (and so the rounding of matrix products) would
        # depend on it, and a file that is replaced would take the process down.
        parameter.data = parameter.data.to(device, copy=True)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.to(device)


def run_packed(model: Any, tokens: torch.Tensor, positions: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """Hidden states [N, width] of a packed row.

    Args:
        model: From `load_model`.
        tokens: int64[1, N].
        positions: int64[1, N].
        lengths: Of the row's sequences.
    """
    layout = Layout.of(lengths, tokens.device)
    output = model.get_decoder()(input_ids=tokens, position_ids=positions, use_cache=False, layout=layout)
    hidden: torch.Tensor = output.last_hidden_state[0]
    return hidden


def check_packing(model: Any) -> None:
    """Compares two packed sequences with the model's own forward pass of each (its "eager" attention).

    It catches whatever packed training cannot give: recurrent layers that carry state over, attention with a bias of
    its own, heads that scale logits in a way `Head` does not know.

    Raises:
        ConfigError: The model cannot be trained packed.
    """
    name = type(model).__name__
    device = model.get_input_embeddings().weight.device
    vocabulary = model.get_input_embeddings().weight.shape[0]
    draw = torch.Generator().manual_seed(0)
    rows = [torch.randint(vocabulary, (1, n), generator=draw).to(device) for n in _PROBE_LENGTHS]
    positions = [torch.arange(n, device=device)[None] for n in _PROBE_LENGTHS]
    with torch.no_grad():
        try:
            packed = run_packed(model, torch.cat(rows, 1), torch.cat(positions, 1), _PROBE_LENGTHS)
        except (TypeError, AttributeError) as error:
            raise ConfigError(f"{name}: cannot be trained packed: {error}") from error
        logits = Head.of(model).logits(packed)
        model.set_attn_implementation("eager")
        try:
            plain = torch.cat([model(input_ids=row, use_cache=False).logits[0].float() for row in rows])
        finally:
            model.set_attn_implementation(PACKED)
    relative = (logits - plain).norm(dim=1) / plain.norm(dim=1).clamp_min(1e-12)
    off = max(part.mean().item() for part in torch.split(relative, list(_PROBE_LENGTHS)))
    if not off <= _TOLERANCE[next(model.parameters()).dtype]:
        raise ConfigError(f"{name}: packed logits are {off:.1%} off the model's own: it cannot be trained packed")
