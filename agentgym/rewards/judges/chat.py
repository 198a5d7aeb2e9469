"""`EngineChat`: any engine as the chat that prompted judges ask. `ClientChat`: a server that is asked in messages."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

from agentgym.engines.base import Completion, Engine
from agentgym.engines.chat import ChatRenderer
from agentgym.engines.http_chat import ChatClient
from agentgym.engines.http_wire import PromptTooLong
from agentgym.rewards.judges.models import Prompt, Reply
from agentgym.rewards.judges.verdict import TooLong


class EngineChat:
    """An engine that is asked in messages and answers in text.

    Control tokens inside messages are broken up by the renderer: judged text cannot end its message.

    Args:
        engine: Samples the replies; every question is a request of its own, without a session.
        renderer: Of the engine's model.
        name: What the engine runs, for `identity`.
    """

    def __init__(self, engine: Engine, renderer: ChatRenderer, name: str) -> None:
        self.engine, self.renderer, self._name = engine, renderer, name

    @property
    def identity(self) -> str:
        """The engine's name and the version of its weights."""
        return f"{self._name}@{self.engine.version}"

    async def __call__(self, item: Prompt, /) -> Reply:
        """See `Model`.

        Raises:
            EngineFault: The engine broke.
            TooLong: The prompt leaves no room for the reply: one that is cut off would be no verdict.
        """
        ids = self.renderer.start(item.messages)
        context = getattr(self.engine, "max_context", None)
        if context is not None and len(ids) + item.sampling.max_tokens > context:
            raise TooLong(f"prompt and reply take {len(ids)} + {item.sampling.max_tokens} of {context} tokens")
        completion = await self.engine.generate(ids, item.sampling)
        text = self.renderer.text(completion.token_ids)

        def probability(begin: int, end: int) -> float | None:
            return stretch_probability(self.renderer, completion, begin, end)

        return Reply(text, completion.finish_reason == "stop", probability)

    async def close(self) -> None:
        """Closes the engine."""
        await self.engine.close()


class ClientChat:
    """A server with a chat interface. It says nothing of probabilities, and its version is not known.

    Args:
        client: The way to it.
        identity: What is asked there.
    """

    def __init__(self, client: ChatClient, identity: str) -> None:
        self.client, self.identity = client, identity

    async def __call__(self, item: Prompt, /) -> Reply:
        """See `Model`.

        Raises:
            EngineFault: There is no reply.
            TooLong: The prompt does not fit into the model's context.
        """
        try:
            text, finish, _ = await self.client.ask(item.messages, item.sampling)
        except PromptTooLong as error:
            raise TooLong(str(error)) from None
        return Reply(text, finish == "stop")

    async def close(self) -> None:
        """Ends the connections."""
        await self.client.close()


def stretch_probability(renderer: ChatRenderer, completion: Completion, begin: int, end: int) -> float | None:
    """Probability of the tokens that hold a stretch of a completion's text, 0..1.

    Args:
        renderer: Decodes the tokens.
        completion: With log-probabilities.
        begin, end: The stretch ``text[begin:end]``.

    Returns:
        None where the engine gives no log-probabilities, or the tokens cannot be told.
    """
    ids, logprobs = completion.token_ids, completion.logprobs
    if len(logprobs) != len(ids):
        return None
    if ids and ids[-1] in renderer.end_ids:
        ids, logprobs = ids[:-1], logprobs[:-1]
    if not ids or end <= begin:
        return None

    def ends(index: int) -> int:
        """Where in the text a token ends; decoded only where the search looks."""
        return len(renderer.text(ids[: index + 1]))

    places = range(len(ids))
    first = bisect_right(places, begin, key=ends)
    # Up to the token that reaches the end, and those of the same character: it shows from the first of its tokens.
    last = max(bisect_left(places, end, key=ends) + 1, bisect_right(places, end, key=ends))
    chosen = logprobs[first:last]
    total = math.fsum(chosen)
    return math.exp(min(total, 0.0)) if chosen and math.isfinite(total) else None
