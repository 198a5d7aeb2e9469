"""`HttpEngine`: any OpenAI-compatible server as an engine.

What a server can do is found out by asking it once. One that takes prompts as token ids and says which tokens it
sampled, with their log-probabilities (vLLM), is exact: its completions can be trained on. Of any other one only the
text is had: the prompt is sent as text, the answer is cut into tokens again, log-probabilities stay unknown. That is
good enough for evaluation and judges, and `HttpEngine.untrainable` says why it is not for more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from agentgym.engines.base import Completion, EngineStats, Sampling
from agentgym.engines.http_answers import Answer, Malformed, TextTokens, ended_text, read_answer
from agentgym.engines.http_asking import Abilities, Api, ask_server, request
from agentgym.engines.http_sync import FolderSync
from agentgym.engines.http_wire import Wire
from agentgym.faults import ConfigError, EngineFault

#: How the server gets new weights.
Sync = Literal["none", "folder"]


class HttpEngine:
    """The engine behind a server; see the module's docstring and the protocol, `agentgym.engines.base.Engine`.

    A completion's `version` is that of the weights the server had when it was asked for. Sessions have no meaning
    here: a server finds the history it has read before by itself.

    Args:
        url: Address up to and with ``/v1``.
        model: As the server calls it.
        tokenizer: Of the policy; needed where only text is exchanged.
        api: ``tokens``: refuse a server that is not exact; ``text``: exchange text with any.
        max_context: Tokens of a sequence, prompt and completion; None: as the server says.
        sync: How the server gets new weights; see `agentgym.engines.http_sync`.
        sync_folder: For ``folder``: where weights are written; the server must see the same folder by the same name.
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
        tokenizer: Any = None,
        api: Api = "auto",
        max_context: int | None = None,
        sync: Sync = "none",
        sync_folder: str | None = None,
        **options: Any,
    ) -> None:
        for name, value, known in (("api", api, ("auto", "tokens", "text")), ("sync", sync, ("none", "folder"))):
            if value not in known:
                raise ConfigError(f"engine: {name} must be one of {', '.join(known)}, got {value!r}")
        if max_context is not None and max_context < 2:
            raise ConfigError(f"engine: max_context must be at least 2, got {max_context}")
        if (sync == "folder") != (sync_folder is not None):
            raise ConfigError("engine: sync 'folder' and sync_folder go together")
        self.version = 0
        self.stats = EngineStats()
        self.model, self.api = model, api
        self.max_context = max_context
        self.tokenizer = tokenizer
        self._wire = Wire({"url": url, **options}, self.stats)
        self._sync = None if sync_folder is None else FolderSync(self._wire, Path(sync_folder))
        self._found: Abilities | None = None
        self._asking: asyncio.Task[Abilities] | None = None
        self._fault: str | None = None

    # -- the protocol ------------------------------------------------------------------------------------------------

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling, session: str | None = None) -> Completion:
        """Samples one completion; see `Engine`.

        Raises:
            EngineFault: The server gives none, or one that is malformed.
            ConfigError: The prompt is empty or too long; the server cannot be used as configured.
        """
        self._alive()
        prompt = [int(token) for token in prompt_ids]
        if not prompt:
            raise ConfigError("the prompt is empty")
        can = await self._abilities()
        most = sampling.max_tokens
        if self.max_context is not None:
            most = min(most, self.max_context - len(prompt))
            if most < 1:
                raise ConfigError(f"the prompt has {len(prompt)} tokens, max_context is {self.max_context}")
        said = prompt if can.reads_ids else self._text.decode(prompt)
        body = request(self.model, said, sampling, extended=can.extended, stops=can.exact or can.tells_stop, most=most)
        reply, version = await self._reply({**self._wire.config.extra, **body})
        try:
            answer = read_answer(reply, "completion", self._vocabulary)
            if can.exact:
                return self._exact(answer, prompt, sampling, most, can.processed, version)
        except Malformed as error:
            raise self._wire.fault(str(error)) from None
        text, finish = ended_text(answer, sampling.stop)
        ids = self._text.encode(text, sampling, finish == "stop" and not text.endswith(sampling.stop))
        self._count(answer, len(prompt), len(ids))
        return Completion(ids, [], finish, version)

    async def _reply(self, body: Mapping[str, Any]) -> tuple[Any, int]:
        """What the server answers, and the version of the weights that it then has."""
        sync = self._sync
        if sync is None:
            return await self._wire.post("completions", body), self.version
        sent = (self.version, sync.mended)

        async def ready() -> None:
            nonlocal sent
            await sync.settle()
            sent = (self.version, sync.mended)

        while True:
            reply = await self._wire.post("completions", body, ready=ready)
            version, mended = sent
            if sync.doubtful:
                await sync.settle()
            if sync.mended == mended:
                return reply, version

    def _exact(
        self, answer: Answer, prompt: list[int], sampling: Sampling, most: int, processed: bool, version: int
    ) -> Completion:
        ids, logprobs = answer.token_ids, answer.logprobs
        if ids is None or logprobs is None:
            raise Malformed("the answer holds no token ids with log-probabilities")
        if not 1 <= len(ids) <= most:
            raise Malformed(f"{len(ids)} tokens were sampled, and 1 to {most} were asked for")
        if answer.prompt_ids is not None and answer.prompt_ids != prompt:
            raise Malformed("the server read another prompt than it was sent")
        self._count(answer, len(prompt), len(ids))
        known = processed or _plain(sampling)
        return Completion(ids, logprobs if known else [], answer.finish, version)

    async def update_weights(self, version: int, state: Mapping[str, Any]) -> None:
        """Gives the server new weights, in the way that was configured; see `agentgym.engines.http_sync`.

        Raises:
            EngineFault: It cannot take them; the engine is then dead.
        """
        self._alive()
        if self._sync is None:
            self._fault = f"{self._wire.where}: the server's weights cannot be changed (sync is 'none')"
            raise EngineFault(self._fault)
        try:
            await self._sync.put(version, state)
        except EngineFault as fault:
            self._fault = fault.detail
            raise
        self.version = version

    def release(self, session: str) -> None:
        """Nothing: the server keeps and drops what it has read as it likes."""

    async def close(self) -> None:
        """Ends the connections; pending requests fail with `EngineFault`. May be called twice."""
        self._fault = self._fault or "the engine is closed"
        if self._asking is not None and self._asking.get_loop() is asyncio.get_running_loop():
            self._asking.cancel()
        await self._wire.close()

    async def untrainable(self, sampling: Sampling) -> str | None:
        """Why completions sampled so must not be trained on; see `agentgym.engines.base.Doubtful`."""
        can = None if self.api == "text" else await self._abilities()
        if can is None or not can.exact:
            return "the server gives text, not sampled tokens with log-probabilities; it serves evaluation only"
        if not can.processed and not _plain(sampling):
            return (
                "the server reports log-probabilities from before temperature, top-p and top-k (start vLLM with "
                "--logprobs-mode processed_logprobs, or sample with temperature 1, top_p 1 and top_k 0)"
            )
        if self._sync is None:
            return "the server's weights cannot be changed (sync is 'none')"
        return await self._sync.unusable()

    # -- the server --------------------------------------------------------------------------------------------------

    async def _abilities(self) -> Abilities:
        """What the server can do; whoever needs to know at the same time waits for the same answer."""
        if self._found is None:
            asking = self._asking
            if asking is None or asking.done() or asking.get_loop() is not asyncio.get_running_loop():
                self._asking = asking = asyncio.create_task(self._ask())
            try:
                self._found = await asyncio.shield(asking)
            except asyncio.CancelledError:
                if asking.cancelled() and self._fault is not None:
                    raise EngineFault(self._fault) from None
                raise
            if self.max_context is None:
                self.max_context = self._found.max_context
        return self._found

    async def _ask(self) -> Abilities:
        text = None if self.tokenizer is None else self._text
        return await ask_server(self._wire, self.model, self.api, text, self._vocabulary)

    def _alive(self) -> None:
        if self._fault is not None:
            raise EngineFault(self._fault)

    @cached_property
    def _text(self) -> TextTokens:
        return TextTokens(self.tokenizer)

    @cached_property
    def _vocabulary(self) -> int | None:
        return None if self.tokenizer is None else vocabulary_of(self.tokenizer)

    def _count(self, answer: Answer, prompt: int, generated: int) -> None:
        read = prompt if answer.prompt_tokens is None else answer.prompt_tokens
        self.stats.read += max(read - answer.cached_tokens, 0)
        self.stats.generated += generated
        self.stats.forwards += 1


def vocabulary_of(tokenizer: Any) -> int:
    """How many tokens the tokenizer's model can sample: models round their vocabulary up."""
    from transformers import AutoConfig

    own, source = len(tokenizer), getattr(tokenizer, "name_or_path", "")
    if not source:
        return own
    try:
        config = AutoConfig.from_pretrained(source)
        return max(own, int(config.get_text_config().vocab_size))
    except (OSError, ValueError, AttributeError, TypeError):
        return own


def _plain(sampling: Sampling) -> bool:
    """Sampled from the model's own distribution (or greedily, whose log-probabilities are of that by contract)."""
    return sampling.temperature in (0.0, 1.0) and sampling.top_p == 1.0 and sampling.top_k == 0
