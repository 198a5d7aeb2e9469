"""`SequenceScorer`: a sequence classifier of the transformers library as a reward model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from agentgym.engines.chat import ChatRenderer
from agentgym.engines.loading import DType
from agentgym.faults import ConfigError, first_line
from agentgym.rewards.judges.models import Batcher, Pair
from agentgym.rewards.judges.verdict import JudgeFault


class SequenceScorer:
    """A classifier's logit for a task and a text.

    The two are rendered as a conversation where the tokenizer has a chat template, otherwise encoded as a pair. Control
    tokens in them are broken up in the first case; in the second they cannot form a conversation.

    Args:
        model: Folder or hub name.
        label: Index of the class that is good; its score is the log-odds against the others. A model of one output is
            a regression, whose output is the score.
        template: Chat template instead of the tokenizer's own.
        template_kwargs: Variables of the chat template.
        device: ``"auto"`` takes a GPU where there is one.
        dtype: ``"auto"`` is bfloat16 on a GPU and float32 on a CPU.
        max_tokens: Longest input; of a longer one the end is kept. None: as many as the model has positions.
        batch: Inputs of one forward pass.

    Raises:
        ConfigError: A model or tokenizer that cannot be used, or no such class.
    """

    def __init__(
        self,
        model: str,
        *,
        label: int = 1,
        template: str | None = None,
        template_kwargs: Mapping[str, Any] | None = None,
        device: str = "auto",
        dtype: DType = "auto",
        max_tokens: int | None = None,
        batch: int = 16,
    ) -> None:
        where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        half = dtype == "bfloat16" or (dtype == "auto" and torch.device(where).type != "cpu")
        try:
            loaded: Any = AutoModelForSequenceClassification.from_pretrained(
                model, dtype=torch.bfloat16 if half else torch.float32
            )
            self.tokenizer: Any = AutoTokenizer.from_pretrained(model)
            self.module = loaded.to(where)
        except (OSError, ValueError, RuntimeError, AssertionError, SafetensorError) as error:
            reason = first_line(error)
            raise ConfigError(f"reward model {model!r} cannot be loaded: {reason}") from error
        self.module.train(False)
        config = self.module.config
        self.outputs = int(config.num_labels)
        if self.outputs > 1 and not 0 <= label < self.outputs:
            raise ConfigError(f"reward model {model!r} has {self.outputs} classes, label is {label}")
        positions = getattr(config.get_text_config(), "max_position_embeddings", None)
        self.max_tokens = max_tokens or positions or 2**31
        self.label, self.identity = label, f"{model}#{label}"
        templated = template is not None or bool(getattr(self.tokenizer, "chat_template", None))
        self.renderer = (
            ChatRenderer(self.tokenizer, template=template, template_kwargs=template_kwargs) if templated else None
        )
        pad = getattr(config.get_text_config(), "pad_token_id", None)
        if pad is None:  # the model finds the last token of each row by it
            pad = self.tokenizer.pad_token_id
            config.get_text_config().pad_token_id = config.pad_token_id = pad
        self._pad: int | None = pad
        self._batch = batch if pad is not None else 1
        self._batcher: Batcher[Pair, float] = Batcher(self.score, max(self._batch, 1) * 8)

    async def __call__(self, item: Pair, /) -> float:
        """The score of one pair; pairs that are asked at the same time share forward passes.

        Raises:
            JudgeFault: The model's output is not finite, or its forward pass failed.
        """
        score = await self._batcher(item)
        if not np.isfinite(score):
            raise JudgeFault("the reward model's output is not finite")
        return score

    def encode(self, pair: Pair) -> list[int]:
        """Ids of one input."""
        if self.renderer is None:
            ids: list[int] = self.tokenizer(pair.task, pair.text)["input_ids"]
        else:
            ids = self.renderer.start([{"role": "user", "content": pair.task}])
            ids = [*ids, *self.renderer.assistant(self.renderer.quoted(pair.text))]
        return ids[-self.max_tokens :]

    def score(self, pairs: Sequence[Pair]) -> list[float]:
        """Raw scores, in order; equal pairs are run once.

        Raises:
            JudgeFault: The forward pass failed.
        """
        rows = sorted(((pair, self.encode(pair)) for pair in dict.fromkeys(pairs)), key=lambda row: len(row[1]))
        scores: dict[Pair, float] = {}
        for begin in range(0, len(rows), self._batch):
            batch = rows[begin : begin + self._batch]
            try:
                values = self._forward([ids for _, ids in batch])
            except RuntimeError as error:
                raise JudgeFault(f"forward pass failed: {first_line(error)}") from error
            scores.update((pair, value) for (pair, _), value in zip(batch, values, strict=True))
        return [scores[pair] for pair in pairs]

    @torch.inference_mode()
    def _forward(self, rows: Sequence[list[int]]) -> list[float]:
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self._pad or 0, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        device = self.module.device
        logits = self.module(input_ids=ids.to(device), attention_mask=mask.to(device)).logits.double()
        if self.outputs == 1:
            return [float(v) for v in logits[:, 0]]
        others = torch.cat([logits[:, : self.label], logits[:, self.label + 1 :]], dim=1)
        return [float(v) for v in logits[:, self.label] - torch.logsumexp(others, dim=1)]
