"""Judges' models for tests: scripted chats, a byte-level tokenizer, a small random language model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from agentgym.rewards.judges.models import Passage, Prompt, Reply, TokenScores

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_NONCE = re.compile(r"marks that end in ([0-9a-f]+)")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 60))


def nonce_of(user: str) -> str:
    """The nonce that a prompt names; a prompt names it first, before anything that is judged."""
    found = _NONCE.search(user)
    assert found is not None
    return found[1]


class ScriptedChat:
    """A chat whose replies a function writes, from the user message and its nonce; remembers what it was asked."""

    identity = "scripted"

    def __init__(self, answer: Callable[[str, str], str | Reply]) -> None:
        self.answer = answer
        self.asked: list[Prompt] = []

    async def __call__(self, item: Prompt, /) -> Reply:
        self.asked.append(item)
        await asyncio.sleep(0)
        user = item.messages[-1]["content"]
        said = self.answer(user, nonce_of(user))
        return said if isinstance(said, Reply) else Reply(said)


def saying(label: str) -> ScriptedChat:
    """A chat that always gives this verdict."""
    return ScriptedChat(lambda user, nonce: f"Because.\nVERDICT {nonce}: {label}")


def block(user: str, name: str) -> str:
    """What stands between the marks of that name."""
    nonce = nonce_of(user)
    return user.partition(f"<{name}-{nonce}>\n")[2].partition(f"\n</{name}-{nonce}>")[0]


class ScriptedLikelihood:
    """A likelihood scorer whose log-probabilities a function gives; V is 0 throughout."""

    identity = "scripted"

    def __init__(self, logprobs: Callable[[Passage], Sequence[float]]) -> None:
        self.logprobs = logprobs
        self.asked: list[Passage] = []

    async def __call__(self, item: Passage, /) -> TokenScores:
        self.asked.append(item)
        values = np.array(self.logprobs(item), dtype=np.float64)
        return TokenScores(values, np.zeros_like(values))


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token; control tokens of a ChatML template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    table = {symbol: i for i, symbol in enumerate([*special, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=table, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    pad, start, end = special
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=end, pad_token=pad, additional_special_tokens=[start]
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def small_model(tokenizer: PreTrainedTokenizerFast, context: int = 4096) -> LlamaForCausalLM:
    """A random model whose probabilities are far from uniform."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(5)
    return model
