"""Servers that have a chat interface and nothing else (hosted models): messages in, text out.

`ChatClient` asks one; judges use it as it is. `ChatEngine` lets such a model play: it is told the conversation besides
its tokens (`agentgym.engines.base.Listener`), and what the model writes is stored as tokens of the tokenizer at hand,
without log-probabilities. That is for evaluation; it is never trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from agentgym.clients import encodable
from agentgym.engines.base import Completion, EngineStats, FinishReason, Sampling
from agentgym.engines.http_answers import Malformed, TextTokens, ended_text, read_answer
from agentgym.engines.http_wire import Refused, Wire
from agentgym.faults import ConfigError, EngineFault

#: Roles that every chat interface takes; others (a tool's result) become the user's.
ROLES = ("system", "user", "assistant")
#: Statuses that say that the server cannot be used as configured.
_MISTAKES = (400, 401, 403, 404, 405, 422)


class ChatClient:
    """One model behind ``/chat/completions``.

    Args:
        url: Address up to and with ``/v1``.
        model: As the server calls it.
        max_tokens_key: How a request says how long a reply may be; some models want ``max_completion_tokens``.
        seeded: Send the seed; some servers refuse it.
        tempered: Send temperature and top_p; some models refuse any but their own.
        stats: Where requests and tokens are counted.
        options: Those of `agentgym.engines.http_wire.HttpConfig`: ``api_key_env``, ``concurrency``, ``timeout_s``...

    Raises:
        ConfigError: An option that cannot be used.
        MissingExtra: httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        max_tokens_key: str = "max_tokens",
        seeded: bool = True,
        tempered: bool = True,
        stats: EngineStats | None = None,
        **options: Any,
    ) -> None:
        self.model, self.max_tokens_key, self.seeded, self.tempered = model, max_tokens_key, seeded, tempered
        self.stats = EngineStats() if stats is None else stats
        self._wire = Wire({"url": url, **options}, self.stats)
        self._answered = self._tells_stop = False

    async def ask(self, messages: Sequence[Mapping[str, Any]], sampling: Sampling) -> tuple[str, FinishReason, bool]:
        """The reply to a conversation.

        Stop strings are part of it. They are sent once the server has shown that it says which one it found; before,
        and to all others, the reply is cut off here.

        Returns:
            The text; how it ended; whether it ended by itself, rather than at a stop string or the limit.

        Raises:
            PromptTooLong: The conversation does not fit into the model's context.
            ConfigError: The server refuses its first request: key, model or an option is wrong.
            EngineFault: There is no reply, or one that is malformed.
        """
        if sampling.top_k:
            raise ConfigError("sampling.top_k: chat interfaces do not take it")
        body: dict[str, Any] = {"model": self.model, "messages": told(messages)}
        body[self.max_tokens_key] = sampling.max_tokens
        if self.tempered:
            body |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
        if self.seeded:
            body["seed"] = sampling.seed
        if sampling.stop and self._tells_stop:
            body["stop"] = list(sampling.stop)
        try:
            reply = await self._wire.post("chat/completions", {**self._wire.config.extra, **body})
        except Refused as error:
            if self._answered or error.status not in _MISTAKES:
                raise
            raise ConfigError(f"engine: {error.detail}") from None
        try:
            answer = read_answer(reply, "chat")
        except Malformed as error:
            raise self._wire.fault(str(error)) from None
        self._answered, self._tells_stop = True, answer.tells_stop
        self.stats.forwards += 1
        self.stats.read += max((answer.prompt_tokens or 0) - answer.cached_tokens, 0)
        self.stats.generated += answer.completion_tokens or 0
        text, finish = ended_text(answer, sampling.stop)
        return text, finish, finish == "stop" and not text.endswith(sampling.stop)

    async def close(self) -> None:
        """Ends the connections."""
        await self._wire.close()


class ChatEngine:
    """A model behind a chat interface as a policy, for evaluation.

    Args:
        url, model: See `ChatClient`.
        tokenizer: Any with a chat template: it counts tokens and stores what was said, and must be able to say it.
        options: Those of `ChatClient`.
    """

    def __init__(self, url: str, model: str, *, tokenizer: Any = None, **options: Any) -> None:
        self.version = 0
        self.stats = EngineStats()
        self._tokenizer = tokenizer
        self._client = ChatClient(url, model, stats=self.stats, **options)
        self._heard: dict[str, Sequence[Mapping[str, Any]]] = {}

    def attach(self, session: str, env: Any) -> None:
        """Looks at the environment of a session.

        Raises:
            ConfigError: Its action format shows tools through a chat template of ours, which is not used here.
        """
        if env.parser.wants_tools:
            raise ConfigError("engine 'chat': this action format shows tools through a chat template; take another")

    def hear(self, session: str, messages: Sequence[Mapping[str, Any]]) -> None:
        """See `agentgym.engines.base.Listener`."""
        self._heard[session] = messages

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling, session: str | None = None) -> Completion:
        """Samples a reply to what the session has heard; see `Engine`.

        Raises:
            EngineFault: There is no reply, or one that is malformed.
            ConfigError: The conversation is too long, not known, or the server cannot be used as configured.
        """
        messages = self._heard.get(session or "")
        if messages is None:
            raise ConfigError("engine 'chat' reads messages, and was only given tokens")
        text, finish, ended = await self._client.ask(messages, sampling)
        return Completion(self._text.encode(text, sampling, ended), [], finish, self.version)

    @cached_property
    def _text(self) -> TextTokens:
        return TextTokens(self._tokenizer)

    async def untrainable(self, sampling: Sampling) -> str | None:
        """See `agentgym.engines.base.Doubtful`."""
        return "a chat interface gives text, not the tokens that were sampled; it serves evaluation only"

    async def update_weights(self, version: int, state: Mapping[str, Any]) -> None:
        """Takes none.

        Raises:
            EngineFault: Always.
        """
        raise EngineFault("a chat interface takes no weights")

    def release(self, session: str) -> None:
        """Forgets a session's conversation."""
        self._heard.pop(session, None)

    async def close(self) -> None:
        """Ends the connections; pending requests fail with `EngineFault`."""
        await self._client.close()


def told(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """A conversation in the form that every chat interface takes: known roles, and no two messages of one role in a
    row."""
    made: list[dict[str, str]] = []
    for message in messages:
        role = message["role"] if message["role"] in ROLES else "user"
        content = encodable(str(message["content"]))
        if made and made[-1]["role"] == role:
            made[-1]["content"] += f"\n\n{content}"
        else:
            made.append({"role": role, "content": content})
    return made
