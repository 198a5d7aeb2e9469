"""`CausalScorer`: the log-probabilities that a causal language model of the transformers library gives to given tokens.

One forward pass scores many passages: they are sorted by length, padded on the left so that the targets end together,
and logits are computed for the targets alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from agentgym.engines.chat import ChatRenderer
from agentgym.engines.loading import DType, context_length, load_model, load_tokenizer
from agentgym.faults import ConfigError, first_line
from agentgym.rewards.judges.models import Batcher, Passage, TokenScores
from agentgym.rewards.judges.verdict import JudgeFault, TooLong

#: Numbers the ready models that were given without a name, so that none passes for another.
_UNNAMED = itertools.count()


class CausalScorer:
    """A language model that scores texts instead of writing them.

    Text from outside cannot say the control tokens of the chat template. Where a passage is longer than the context,
    what the assistant has said loses its beginning.

    Args:
        model: Folder or hub name. Give this or `module`.
        module: A ready model, put into evaluation mode; with its `tokenizer`.
        tokenizer: Of the model; by default loaded from `model`.
        template: Chat template instead of the tokenizer's own.
        template_kwargs: Variables of the chat template.
        device: ``"auto"`` takes a GPU where there is one.
        dtype: ``"auto"`` is bfloat16 on a GPU and float32 on a CPU.
        max_context: Longest sequence, in tokens; None: as many as the model has positions.
        batch_tokens: Tokens of one forward pass, padding included; a longer passage goes alone.
        batch_logits: Target tokens of one forward pass, padding included: their logits are what fills the memory.
        name: Identity of a ready model.

    Raises:
        ConfigError: An argument, model or tokenizer that cannot be used.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        module: PreTrainedModel | None = None,
        tokenizer: Any = None,
        template: str | None = None,
        template_kwargs: Mapping[str, Any] | None = None,
        device: str = "auto",
        dtype: DType = "auto",
        max_context: int | None = None,
        batch_tokens: int = 16_384,
        batch_logits: int = 1_024,
        name: str | None = None,
    ) -> None:
        if (model is None) == (module is None):
            raise ConfigError("give either model (a folder or hub name) or module (a ready model)")
        loaded = load_model(model, device, dtype) if model is not None else module
        if loaded is None or batch_tokens < 1 or batch_logits < 1:
            raise ConfigError("batch_tokens and batch_logits must be at least 1")
        tokenizer = load_tokenizer(model) if tokenizer is None and model is not None else tokenizer
        if tokenizer is None:
            raise ConfigError("a judge by likelihood needs the model's tokenizer")
        self.module = loaded
        self.module.train(False)
        self.renderer = ChatRenderer(tokenizer, template=template, template_kwargs=template_kwargs)
        self.context = context_length(loaded, max_context)
        self.batch_tokens, self.batch_logits = batch_tokens, batch_logits
        self.identity = name or model or f"module-{next(_UNNAMED)}-{id(module)}"
        self._batcher: Batcher[Passage, TokenScores | JudgeFault] = Batcher(self.score, batch_logits)

    async def __call__(self, item: Passage, /) -> TokenScores:
        """How likely the target is; passages that are asked at the same time share forward passes.

        Raises:
            TooLong: The messages and the target do not fit into the context.
            JudgeFault: The target has no tokens, or the model's logits are not finite.
        """
        result = await self._batcher(item)
        if isinstance(result, JudgeFault):
            raise type(result)(result.detail)
        return result

    def score(self, passages: Sequence[Passage]) -> list[TokenScores | JudgeFault]:
        """A result for each passage, or why there is none; equal passages are run once."""
        results: dict[Passage, TokenScores | JudgeFault] = {}
        encoded: list[tuple[Passage, list[int], int]] = []
        for passage in dict.fromkeys(passages):
            try:
                before, target = self.encode(passage)
                encoded.append((passage, before + target, len(target)))
            except JudgeFault as fault:
                results[passage] = fault
        encoded.sort(key=lambda row: len(row[1]))
        try:
            for rows in self._batches(encoded):
                for (passage, _, _), scores in zip(rows, self._forward(rows), strict=True):
                    finite = bool(np.all(np.isfinite(scores.logprobs)) and np.all(np.isfinite(scores.values)))
                    results[passage] = scores if finite else JudgeFault("the model's logits are not finite")
        except RuntimeError as error:  # torch: out of memory, device lost
            failed = JudgeFault(f"forward pass failed: {first_line(error)}")
            return [results.get(passage, failed) for passage in passages]
        return [results[passage] for passage in passages]

    def encode(self, passage: Passage) -> tuple[list[int], list[int]]:
        """Ids of what comes before the target, and of the target.

        Raises:
            TooLong: Messages and target do not fit into the context.
            JudgeFault: The target has no tokens.
        """
        messages: list[Any] = [{"role": role, "content": content} for role, content in passage.messages]
        target_text = self.renderer.quoted(passage.target)
        if passage.role == "user":
            # The user's message is rendered with its header; what follows its text is not scored.
            marked = self.renderer.render([*messages, {"role": "user", "content": passage.target.strip()}])
            head, found, _ = marked.rpartition(target_text.strip())
            if not found:
                raise JudgeFault("the chat template changes the user's message, which cannot be found in it")
            before, said, target_text = self.renderer.encode(head), [], target_text.strip()
        else:
            before = self.renderer.start(messages)
            said = self.renderer.assistant(self.renderer.quoted(passage.said)) if passage.said else []
            if said and said[-1] == self.renderer.end_id:
                said = said[:-1]
        target = self.renderer.encode(target_text)
        if not target:
            raise JudgeFault("the text to be scored has no tokens")
        room = self.context - len(before) - len(target)
        if room < 0 or not before:
            raise TooLong(f"task and text have {len(before) + len(target)} tokens, the context {self.context}")
        return before + said[max(0, len(said) - room) :], target

    def _batches(
        self, encoded: Sequence[tuple[Passage, list[int], int]]
    ) -> Iterator[list[tuple[Passage, list[int], int]]]:
        rows: list[tuple[Passage, list[int], int]] = []
        for row in encoded:
            width, scored = len(row[1]), max([row[2], *(r[2] for r in rows)]) + 1
            count = len(rows) + 1
            if rows and (count * width > self.batch_tokens or count * scored > self.batch_logits):
                yield rows
                rows = []
            rows.append(row)
        if rows:
            yield rows

    @torch.inference_mode()
    def _forward(self, rows: Sequence[tuple[Passage, list[int], int]]) -> list[TokenScores]:
        width, scored = max(len(ids) for _, ids, _ in rows), max(n for _, _, n in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, (_, row, _) in enumerate(rows):
            ids[i, width - len(row) :] = torch.tensor(row)
            mask[i, width - len(row) :] = 1
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        device = self.module.device
        ids = ids.to(device)
        logits = self.module(
            input_ids=ids,
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            use_cache=False,
            logits_to_keep=scored + 1,
        ).logits[:, :-1]
        labels = ids[:, -scored:]
        results = []
        for i, (_, _, n) in enumerate(rows):
            row = logits[i, -n:].float()
            values = torch.logsumexp(row, dim=1)
            logprobs = row.gather(1, labels[i, -n:, None])[:, 0] - values
            results.append(TokenScores(logprobs.double().cpu().numpy(), values.double().cpu().numpy()))
        return results
