"""`VllmRequest`: one completion on its way through vLLM."""

from __future__ import annotations

import math
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from agentgym.engines.base import Completion, FinishReason, Sampling
from agentgym.engines.stops import StopStrings
from agentgym.faults import EngineFault

_SEEDS = 2**63  # vLLM's are signed


def pending() -> Future[Any]:
    """A future that only the engine's thread ends: who waits for it may go, it cannot be cancelled."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


@dataclass(slots=True, eq=False)
class VllmRequest:
    """A prompt and what has been sampled after it so far.

    Attributes:
        tokens: Prompt and what has been sampled.
        prompt: Length of the prompt.
        limit: Most tokens to sample.
        ends: Tokens that end it.
        enders: Tokens after which stop strings are looked for.
        seen: Tokens, from the first, that the session has run through the model before.
        versions: (offset, version) of the weights: the first token's and, where they changed, from which token on.
        id: vLLM's name for it; a new one each time it is handed over.
        counted: Whether what vLLM read for it has been booked.
    """

    tokens: list[int]
    prompt: int
    sampling: Sampling
    session: str | None
    limit: int
    ends: frozenset[int]
    enders: frozenset[int]
    seen: int
    future: Future[Completion] = field(default_factory=pending)
    logprobs: list[float] = field(default_factory=list)
    versions: list[tuple[int, int]] = field(default_factory=list)
    id: str = ""
    counted: bool = False

    def parameters(self) -> Any:
        """vLLM's `SamplingParams` for what is still to be sampled."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        sampled = len(self.logprobs)
        return SamplingParams(
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            top_k=self.sampling.top_k,
            max_tokens=self.limit - sampled,
            # A request that goes on under new weights must not draw its first numbers again.
            seed=(self.sampling.seed + sampled) % _SEEDS,
            stop_token_ids=sorted(self.ends),
            ignore_eos=True,  # the model's own is among the ends
            logprobs=0,  # of the sampled token only
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )

    def extend(self, token: int, logprob: float, version: int, stops: StopStrings | None) -> bool:
        """Adds a sampled token; True when it completes a stop string (tokens that end a turn are vLLM's to see).

        Raises:
            EngineFault: The model's logits are not finite.
        """
        if not math.isfinite(logprob):
            raise EngineFault("the model's logits are not finite: its weights are damaged")
        if not self.versions or self.versions[-1][1] != version:
            self.versions.append((len(self.logprobs), version))
        self.tokens.append(token)
        self.logprobs.append(logprob)
        return (
            stops is not None
            and token in self.enders
            and token not in self.ends
            and stops.found(self.sampling.stop, self.tokens[self.prompt :])
        )

    def finish(self, reason: FinishReason) -> None:
        """Answers it."""
        (_, first), *changes = self.versions
        self.future.set_result(Completion(self.tokens[self.prompt :], self.logprobs, reason, first, tuple(changes)))
