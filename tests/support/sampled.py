"""Completions, and what a plain forward pass says about them."""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedModel

from agentgym.engines.base import Completion, Sampling

Turn = tuple[list[int], Completion]


def prompt(seed: int, low: int = 1, high: int = 60) -> list[int]:
    """Ids of a random length, of a vocabulary of 90 or more."""
    rng = np.random.default_rng(seed)
    return [int(t) for t in rng.integers(3, 90, size=rng.integers(low, high))]


def logits(network: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """float32[n - 1, vocabulary]: those that predict all ids but the first."""
    with torch.inference_mode():
        found: torch.Tensor = network(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1].float()
    return found


def processed(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Log-probabilities after temperature, top-k and top-p, in the plainest way."""
    if sampling.temperature == 0:
        return logits.log_softmax(-1)
    logits = logits / sampling.temperature
    if sampling.top_k:
        logits = logits.masked_fill(logits < logits.topk(sampling.top_k).values[..., -1:], -torch.inf)
    values, order = logits.softmax(-1).sort(descending=True)
    beyond = values.cumsum(-1) - values >= sampling.top_p
    return logits.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), -torch.inf).log_softmax(-1)


def own_logprobs(network: PreTrainedModel, ids: list[int], completion: Completion, sampling: Sampling) -> torch.Tensor:
    """float32[n], the model's log-probabilities of a completion's tokens."""
    n = len(completion.token_ids)
    expected = processed(logits(network, ids + completion.token_ids)[-n:], sampling)
    return expected[torch.arange(n), torch.tensor(completion.token_ids)]


def worst(network: PreTrainedModel, turns: list[Turn], sampling: Sampling) -> float:
    """Largest difference between the log-probabilities of completions and the model's own."""
    return max(
        (own_logprobs(network, ids, completion, sampling) - torch.tensor(completion.logprobs)).abs().max().item()
        for ids, completion in turns
    )
