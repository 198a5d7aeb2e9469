"""`TransformersEngine`: any causal language model of the transformers library as an engine, in this process.

Continuous batching: every forward pass advances all requests there are, those that read a prompt and those that sample,
as one packed row (`slots`). An episode keeps its slot between turns, so a turn reads only what is new. Between two
passes the event loop runs, and environments answer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from transformers import PreTrainedModel

from agentgym.engines.base import Completion, EngineStats, FinishReason, Sampling
from agentgym.engines.loading import DType, context_length, default_ends, load_model, load_tokenizer
from agentgym.engines.request import Request
from agentgym.engines.runner import ModelRunner
from agentgym.engines.sampler import RowParameters
from agentgym.engines.sessions import NO_SLOT, SessionTable, common_prefix
from agentgym.engines.slots import Chunk, Packing, SlotCache
from agentgym.engines.stops import StopStrings
from agentgym.engines.weights import load_weights
from agentgym.faults import ConfigError, EngineFault, typed_line

log = logging.getLogger(__name__)

_LOOP_ENDED = "the event loop that drove the engine ended"


class TransformersEngine:
    """The embedded engine; see the module's docstring and the protocol, `agentgym.engines.base.Engine`.

    A completion's `version` is that of the weights that sampled its first token. When the weights change while it is
    being sampled, it goes on under the new ones after reading its history again; each log-probability is always that of
    the distribution its token was sampled from.

    Args:
        model: Folder or hub name. Give this or `module`.
        module: A ready model, which the engine puts into evaluation mode; its device and type are kept.
        tokenizer: Needed for stop strings; by default loaded from `model`, where there is one.
        device: ``"auto"`` takes a GPU where there is one.
        dtype: ``"auto"`` is bfloat16 on a GPU and float32 on a CPU.
        max_sessions: Sessions whose cache is held at once; memory is taken as they come.
        max_context: Tokens of a sequence, prompt and completion; None: as many as the model has positions.
        max_step_tokens: Tokens of one forward pass; longer prompts are read in several.
        end_ids: Tokens that end a turn; None: those of the generation configuration and the tokenizer.
        threads: torch's threads in this process; None leaves them.
        in_thread: Run the model in a thread, so that the event loop stays free meanwhile; None: on a GPU only.
        patience_steps: Forward passes after which a request that waits for a slot goes before those that hold one.
        settle_rounds: Turns of the event loop granted, after completions, to the environments that answer at once, so
            that their next requests join the next forward pass.
        version: Of the weights as loaded.

    Raises:
        ConfigError: An argument or a model that cannot be used.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        module: PreTrainedModel | None = None,
        tokenizer: Any = None,
        device: str = "auto",
        dtype: DType = "auto",
        max_sessions: int = 256,
        max_context: int | None = None,
        max_step_tokens: int = 4096,
        end_ids: Sequence[int] | None = None,
        threads: int | None = None,
        in_thread: bool | None = None,
        patience_steps: int = 512,
        settle_rounds: int = 8,
        version: int = 0,
    ) -> None:
        for name, value in (("max_sessions", max_sessions), ("max_step_tokens", max_step_tokens)):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        if threads is not None:
            torch.set_num_threads(threads)
        if model is not None and module is None:
            module = load_model(model, device, dtype)
            tokenizer = tokenizer if tokenizer is not None else load_tokenizer(model)
        elif module is None or model is not None:
            raise ConfigError("give either model (a folder or hub name) or module (a ready model)")
        self.version = version
        self.stats = EngineStats()
        self.max_context = context_length(module, max_context)
        self.max_step_tokens = max_step_tokens
        self.patience_steps, self.settle_rounds = patience_steps, settle_rounds
        self.tokenizer = tokenizer
        self.end_ids = frozenset(default_ends(module, tokenizer) if end_ids is None else end_ids)
        self._packing = Packing()
        self._cache = SlotCache(max_sessions, self.max_context)
        self._runner = ModelRunner(module, self._cache, self._packing)
        self._sessions = SessionTable(max_sessions, self.stats)
        self._stops = StopStrings(tokenizer) if tokenizer is not None else None
        in_thread = self._runner.device.type != "cpu" if in_thread is None else in_thread
        self._executor = ThreadPoolExecutor(1, "engine") if in_thread else None
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []
        self._cancelled: list[Request] = []
        self._driver: asyncio.Task[None] | None = None
        self._flight: asyncio.Future[tuple[list[int], list[float]]] | None = None
        self._arrivals = self._halts = 0
        self._fault: str | None = None

    @property
    def module(self) -> PreTrainedModel:
        """The model, whose parameters `update_weights` writes."""
        return self._runner.model

    @property
    def device(self) -> str:
        """Where the model is; see `agentgym.engines.base.Placed`."""
        return str(self._runner.device)

    # -- the protocol ------------------------------------------------------------------------------------------------

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling, session: str | None = None) -> Completion:
        """Samples one completion; see `Engine`. A session's requests are answered one after another.

        Cancelling it frees the session's slot.

        Raises:
            EngineFault: The engine broke or was closed.
            ConfigError: The prompt is empty, too long or not of the vocabulary; stop strings without a tokenizer.
        """
        self._alive()
        if self._driver is not None and self._driver.get_loop().is_closed():
            self._abort(_LOOP_ENDED)
            self._driver = None
        request = self._request(prompt_ids, sampling, session)
        self._waiting.append(request)
        self._arrivals += 1
        if self._driver is None or self._driver.done():
            self._driver = asyncio.create_task(self._drive())
        try:
            return await request.future
        except asyncio.CancelledError:
            self._cancel(request)
            raise

    async def update_weights(self, version: int, state: Mapping[str, Any]) -> None:
        """Takes new weights between two forward passes; all caches are dropped. See `load_weights` for what fits.

        Raises:
            EngineFault: The weights do not fit. The engine, and every request of it, is then dead.
        """
        self._alive()
        await self._between_passes()
        try:
            load_weights(self._runner.model, state)
        except EngineFault as fault:
            self._fault = fault.detail
            self._abort(fault.detail)
            raise
        self.version = version
        self._sessions.invalidate()
        for request in self._running:
            request.fed = 0

    def release(self, session: str) -> None:
        """Forgets a session's cache, at once or, when a completion of it is being sampled, after it."""
        self._sessions.release(session)

    async def close(self) -> None:
        """Ends the engine; pending requests fail with `EngineFault`. May be called twice."""
        self._fault = self._fault or "the engine is closed"
        await self._between_passes()
        self._abort(self._fault)
        if self._executor is not None:
            self._executor.shutdown(wait=False)

    async def _between_passes(self) -> None:
        """Returns when no forward pass is running; none begins before the caller yields."""
        self._halts += 1
        try:
            while self._flight is not None:
                await asyncio.wait({self._flight})
                await asyncio.sleep(0)
        finally:
            self._halts -= 1

    # -- requests ----------------------------------------------------------------------------------------------------

    def _alive(self) -> None:
        if self._fault is not None:
            raise EngineFault(self._fault)

    def _request(self, prompt_ids: Sequence[int], sampling: Sampling, session: str | None) -> Request:
        tokens = [int(token) for token in prompt_ids]
        if not tokens:
            raise ConfigError("the prompt is empty")
        if len(tokens) >= self.max_context:
            raise ConfigError(f"the prompt has {len(tokens)} tokens, max_context is {self.max_context}")
        if min(tokens) < 0 or max(tokens) >= self._runner.vocabulary:
            raise ConfigError(f"the prompt holds token {max(tokens)}, the vocabulary has {self._runner.vocabulary}")
        enders: frozenset[int] = frozenset()
        if sampling.stop:
            if self._stops is None:
                raise ConfigError("sampling.stop needs a tokenizer, and the engine has none")
            enders = self._stops.enders(sampling.stop)
        return Request(
            tokens=tokens,
            prompt=len(tokens),
            sampling=sampling,
            session=self._sessions.open(session),
            future=asyncio.get_running_loop().create_future(),
            limit=min(sampling.max_tokens, self.max_context - len(tokens)),
            ends=self.end_ids.union(sampling.stop_token_ids),
            enders=enders,
            arrived=self.stats.forwards,
        )

    def _cancel(self, request: Request) -> None:
        if request in self._waiting:
            self._waiting.remove(request)
        elif request in self._running:
            self._cancelled.append(request)
            if self._flight is None:
                self._drop_cancelled()

    def _drop_cancelled(self) -> None:
        for request in self._cancelled:
            if request in self._running:
                self._running.remove(request)
                request.session.forget = True
                self._sessions.settle(request.session)
        self._cancelled.clear()

    def _abort(self, detail: str) -> None:
        """Fails every request and drops every cache."""
        requests = [*self._running, *self._waiting]
        self._running, self._cancelled = [], []
        self._waiting.clear()
        for request in requests:
            if not request.future.done() and not request.future.get_loop().is_closed():
                request.future.set_exception(EngineFault(detail))
        self._sessions.clear()
        self._cache.clear()

    # -- the driver --------------------------------------------------------------------------------------------------

    async def _drive(self) -> None:
        """Runs forward passes while there are requests."""
        try:
            while self._waiting or self._running:
                while self._halts:
                    await asyncio.sleep(0)
                ended = await self._step()
                arrivals = self._arrivals
                await asyncio.sleep(0)
                for _ in range(self.settle_rounds):
                    if self._arrivals - arrivals >= ended:
                        break
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._abort(_LOOP_ENDED)
            raise
        except EngineFault as fault:
            self._abort(fault.detail)
        except Exception as error:  # whatever torch raises (memory, device) is the engine's fault, not the caller's
            log.exception("forward pass failed")
            self._abort(f"forward pass failed: {typed_line(error)}")

    async def _step(self) -> int:
        """One forward pass; returns how many requests it ended."""
        self._admit()
        work = self._plan()
        if not work:
            return 0
        chunks = [chunk for _, chunk in work]
        sampled = [i for i, (request, chunk) in enumerate(work) if chunk.end == len(request.tokens)]
        requests = [work[i][0] for i in sampled]
        rows = RowParameters.of([r.sampling for r in requests], [len(r.logprobs) for r in requests])
        self._cache.reserve(self._sessions.span, max(chunk.end for chunk in chunks))
        version, started = self.version, time.perf_counter()
        if self._executor is None:
            tokens, logprobs = self._runner.run(chunks, sampled, rows)
        else:
            loop = asyncio.get_running_loop()
            self._flight = loop.run_in_executor(self._executor, self._runner.run, chunks, sampled, rows)
            try:
                tokens, logprobs = await self._flight
            finally:
                self._flight = None
        self.stats.busy_s += time.perf_counter() - started
        self.stats.forwards += 1
        if not all(map(math.isfinite, logprobs)):
            raise EngineFault("the model's logits are not finite: its weights are damaged")
        self._drop_cancelled()
        for request, chunk in work:
            request.account(chunk, self.stats)
        return sum(
            self._extend(request, token, logprob, version)
            for request, token, logprob in zip(requests, tokens, logprobs, strict=True)
        )

    def _admit(self) -> None:
        """Gives slots: first to those that have waited too long and to sessions that hold one, then to the rest."""
        for first in (True, False):
            left: deque[Request] = deque()
            for request in self._waiting:
                late = self.stats.forwards - request.arrived > self.patience_steps
                eligible = not first or late or request.session.slot != NO_SLOT
                if eligible and not self._sessions.full and self._sessions.claim(request.session):
                    self._begin(request)
                else:
                    left.append(request)
            self._waiting = left

    def _begin(self, request: Request) -> None:
        session = request.session
        request.seen = common_prefix(session.read, request.tokens)
        # The last token is always run: its logits are what the first sample is drawn from.
        request.fed = min(request.seen, session.cached, request.prompt - 1)
        session.read = request.tokens
        self._running.append(request)

    def _plan(self) -> list[tuple[Request, Chunk]]:
        """What the next forward pass runs: every request that samples, then prompts while tokens are left."""
        work = [(r, r.chunk(1)) for r in self._running if r.pending == 1]
        left = max(self.max_step_tokens - len(work), 0 if work else 1)
        for request in self._running:
            if request.pending > 1 and left > 0:
                most = self._packing.longest_chunk(len(request.tokens))
                chunk = request.chunk(min(request.pending, left, most))
                left -= len(chunk.tokens)
                work.append((request, chunk))
        return work

    def _extend(self, request: Request, token: int, logprob: float, version: int) -> bool:
        """Adds a sampled token; True when it ends the request."""
        if request.future.done():
            return False  # cancelled during the forward pass
        if not request.versions or request.versions[-1][1] != version:
            request.versions.append((len(request.logprobs), version))
        request.tokens.append(token)
        request.logprobs.append(logprob)
        self.stats.generated += 1
        reason: FinishReason | None = None
        if token in request.ends or (
            token in request.enders
            and self._stops is not None
            and self._stops.found(request.sampling.stop, request.tokens[request.prompt :])
        ):
            reason = "stop"
        elif len(request.logprobs) >= request.limit:
            reason = "length"
        if reason is None:
            return False
        self._running.remove(request)
        session = request.session
        session.cached = request.fed
        session.read = request.tokens[: request.fed]
        self._sessions.settle(session)
        (_, first), *changes = request.versions
        request.future.set_result(
            Completion(request.tokens[request.prompt :], request.logprobs, reason, first, tuple(changes))
        )
        return True
