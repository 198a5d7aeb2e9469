"""`Request`: one completion on its way through the transformers engine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agentgym.engines.base import Completion, EngineStats, Sampling
from agentgym.engines.sessions import Session
from agentgym.engines.slots import Chunk


@dataclass(slots=True, eq=False)
class Request:
    """A prompt and what has been sampled after it so far.

    Attributes:
        tokens: Prompt and what has been sampled.
        prompt: Length of the prompt.
        limit: Most tokens to sample.
        ends: Tokens that end it.
        enders: Tokens after which stop strings are looked for.
        fed: Tokens, from the first, that are in the session's slot.
        seen: Tokens, from the first, that the session has ever run through the model.
        versions: Of the weights: (offset, version) of the first token and of each from which on they had changed.
        arrived: Forward passes made before it came.
    """

    tokens: list[int]
    prompt: int
    sampling: Sampling
    session: Session
    future: asyncio.Future[Completion]
    limit: int
    ends: frozenset[int]
    enders: frozenset[int]
    arrived: int
    fed: int = 0
    seen: int = 0
    versions: list[tuple[int, int]] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.fed

    def chunk(self, count: int) -> Chunk:
        """The next tokens to run."""
        return Chunk(self.session.slot, self.fed, self.tokens[self.fed : self.fed + count])

    def account(self, chunk: Chunk, stats: EngineStats) -> None:
        """Books a chunk that has been run: prompt tokens are read; tokens run before, sampled ones too, are reread."""
        again = max(0, min(chunk.end, self.seen) - chunk.start)
        fresh = max(0, min(chunk.end, self.prompt) - max(chunk.start, self.seen))
        stats.read += again + fresh
        stats.reread += again
        self.fed = chunk.end
        self.seen = max(self.seen, chunk.end)
