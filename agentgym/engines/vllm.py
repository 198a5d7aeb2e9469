"""`VllmEngine`: vLLM as an engine, in this process; on GPUs, and on a CPU by vLLM's CPU build.

vLLM batches all live episodes continuously and keeps their key-value caches in blocks that are found again by what they
hold, so a turn reads only what is new (up to a block). A thread of its own is the only one that touches vLLM: what the
event loop wants comes in through a queue and is done between two steps.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import torch

from agentgym.config import validate
from agentgym.engines.base import Completion, EngineStats, FinishReason, Sampling
from agentgym.engines.loading import DType, context_length, default_ends, load_tokenizer
from agentgym.engines.sessions import common_prefix
from agentgym.engines.stops import StopStrings
from agentgym.engines.vllm_request import VllmRequest, pending
from agentgym.engines.vllm_start import Setup, start, stop
from agentgym.engines.vllm_weights import LoraServing, VllmWeights
from agentgym.faults import ConfigError, EngineFault, typed_line

log = logging.getLogger(__name__)

#: vLLM takes a lower temperature for this one without a word to the caller.
LEAST_TEMPERATURE = 0.01
_DRAINING_STEPS = 16  # within which batches that are still under way must have ended


class VllmEngine:
    """vLLM behind the protocol `agentgym.engines.base.Engine`; see the module's docstring. One a process.

    A completion's `version` is that of the weights that sampled its first token. When the weights change while it is
    being sampled, it goes on under the new ones after its history has been read again. Where cache runs out vLLM
    evicts blocks, not sessions: `stats.evictions` stays 0, and ``stats.extra["cached"]`` counts the prompt tokens that
    were found in the cache.

    Args:
        model: Folder or hub name.
        tokenizer: Needed for stop strings; by default loaded from `model`, where there is one.
        dtype: ``"auto"`` is bfloat16 on a GPU and float32 on a CPU.
        max_sessions: Completions sampled at the same time; others wait.
        max_context: Tokens of a sequence, prompt and completion; None: as many as the model has positions.
        max_step_tokens: Tokens of one forward pass; None: vLLM's choice. On a CPU it is at least `max_context`, since
            prompts are read whole there.
        end_ids: Tokens that end a turn; None: those of the generation configuration and the tokenizer.
        block_tokens: Tokens of a block of the cache; None: 32 on a CPU, vLLM's choice on a GPU.
        memory_share: Share of each GPU's memory that vLLM takes, cache included. On a CPU the environment variable
            VLLM_CPU_KVCACHE_SPACE says how many GiB the cache has (default 1).
        tensor_parallel: GPUs that one copy of the model is split over.
        enforce_eager: Compile nothing and capture no graphs: starts sooner, runs slower.
        lora: Serve with an adapter: ``{"rank": 16, "alpha": 32}`` (`LoraServing`). `update_weights` then takes an
            adapter's state as well as a whole model's.
        threads: CPU threads that a model on a CPU is computed with; None: torch's.
        args: Further arguments of vLLM's ``EngineArgs``, e.g. ``{"quantization": "fp8"}``.
        version: Of the weights as loaded.

    Raises:
        ConfigError: An argument or a model that cannot be used; this process has such an engine already.
        MissingExtra: vLLM is not installed.
        EngineFault: vLLM cannot run the model on this machine.
    """

    _alone = threading.Lock()  # held while there is one: vLLM's process groups are the process's

    def __init__(
        self,
        model: str,
        *,
        tokenizer: Any = None,
        dtype: DType = "auto",
        max_sessions: int = 256,
        max_context: int | None = None,
        max_step_tokens: int | None = None,
        end_ids: Sequence[int] | None = None,
        block_tokens: int | None = None,
        memory_share: float = 0.9,
        tensor_parallel: int = 1,
        enforce_eager: bool = False,
        lora: Mapping[str, Any] | LoraServing | None = None,
        threads: int | None = None,
        args: Mapping[str, Any] | None = None,
        version: int = 0,
    ) -> None:
        for name, value in (
            ("max_sessions", max_sessions),
            ("max_step_tokens", max_step_tokens),
            ("block_tokens", block_tokens),
            ("tensor_parallel", tensor_parallel),
        ):
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        if not 0 < memory_share <= 1:
            raise ConfigError(f"memory_share must be in (0, 1], got {memory_share}")
        self.version = version
        self.stats = EngineStats(extra={"cached": 0.0})
        self.lora = lora if lora is None or isinstance(lora, LoraServing) else validate(LoraServing, lora, "lora")
        self._weights = VllmWeights(model, self.lora)
        skeleton = self._weights.skeleton
        self.max_context = context_length(skeleton, max_context)
        self.tokenizer = tokenizer if tokenizer is not None else load_tokenizer(model)
        self.end_ids = frozenset(default_ends(skeleton, self.tokenizer) if end_ids is None else end_ids)
        embeddings: Any = skeleton.get_input_embeddings()
        self._vocabulary = len(embeddings.weight)
        self._stops = StopStrings(self.tokenizer) if self.tokenizer is not None else None
        setup = Setup(
            model=model,
            dtype=dtype,
            max_sessions=max_sessions,
            max_context=self.max_context,
            max_step_tokens=max_step_tokens,
            block_tokens=block_tokens,
            memory_share=memory_share,
            tensor_parallel=tensor_parallel,
            enforce_eager=enforce_eager,
            lora=self.lora,
            args=dict(args or {}),
        )
        self._vllm: Any = None
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._requests: dict[str, VllmRequest] = {}
        self._read: dict[str, list[int]] = {}  # session -> tokens it has run through the model
        self._numbers = itertools.count()
        self._fault: str | None = None
        self._open = True
        self._ended: Future[None] | None = None
        if not self._alone.acquire(blocking=False):
            raise ConfigError("this process has a vLLM engine already: close it, or collect in several rollout.workers")
        started: Future[None] = Future()
        work = partial(self._drive, partial(start, setup), threads or torch.get_num_threads(), started)
        self._thread = threading.Thread(target=work, name="vllm", daemon=True)
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._alone.release()
            raise

    # -- the protocol ------------------------------------------------------------------------------------------------

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling, session: str | None = None) -> Completion:
        """Samples one completion; see `Engine`. Cancelling it takes it out of vLLM.

        Raises:
            EngineFault: The engine broke or was closed.
            ConfigError: The prompt is empty, too long or not of the vocabulary; stop strings without a tokenizer; a
                temperature between 0 and `LEAST_TEMPERATURE`; what vLLM refuses.
        """
        self._alive()
        request = self._request(prompt_ids, sampling, session)
        self._inbox.put(partial(self._add, request))
        try:
            return await asyncio.wrap_future(request.future)
        except asyncio.CancelledError:
            self._inbox.put(partial(self._withdraw, request))
            raise

    async def update_weights(self, version: int, state: Mapping[str, Any]) -> None:
        """Takes new weights between two steps; all caches are dropped.

        Args:
            version: Theirs.
            state: Of the whole model; or, with `lora`, of an adapter on top of the model's present weights. A whole
                model's leaves no adapter.

        Raises:
            EngineFault: The weights do not fit. The engine, and every request of it, is then dead.
        """
        self._alive()
        done: Future[None] = pending()
        self._inbox.put(partial(self._update, version, state, done))
        await asyncio.wrap_future(done)

    def release(self, session: str) -> None:
        """Forgets what a session has read; vLLM evicts its cache when room is needed."""
        self._read.pop(session, None)

    async def close(self) -> None:
        """Ends vLLM; pending requests fail with `EngineFault`. May be called twice."""
        self._fault = self._fault or "the engine is closed"
        if self._ended is None:
            self._ended = pending()
            self._inbox.put(partial(self._shut, self._ended))
        await asyncio.wrap_future(self._ended)

    # -- requests, on the event loop ---------------------------------------------------------------------------------

    def _alive(self) -> None:
        if self._fault is not None:
            raise EngineFault(self._fault)

    def _request(self, prompt_ids: Sequence[int], sampling: Sampling, session: str | None) -> VllmRequest:
        tokens = [int(token) for token in prompt_ids]
        if not tokens:
            raise ConfigError("the prompt is empty")
        if len(tokens) >= self.max_context:
            raise ConfigError(f"the prompt has {len(tokens)} tokens, max_context is {self.max_context}")
        if min(tokens) < 0 or max(tokens) >= self._vocabulary:
            raise ConfigError(f"the prompt holds token {max(tokens)}, the vocabulary has {self._vocabulary}")
        if 0 < sampling.temperature < LEAST_TEMPERATURE:
            raise ConfigError(f"sampling.temperature: vLLM samples at 0 or from {LEAST_TEMPERATURE} on")
        enders: frozenset[int] = frozenset()
        if sampling.stop:
            if self._stops is None:
                raise ConfigError("sampling.stop needs a tokenizer, and the engine has none")
            enders = self._stops.enders(sampling.stop)
        seen = 0
        if session is not None:
            seen = common_prefix(self._read.setdefault(session, []), tokens)
        return VllmRequest(
            tokens=tokens,
            prompt=len(tokens),
            sampling=sampling,
            session=session,
            limit=min(sampling.max_tokens, self.max_context - len(tokens)),
            ends=self.end_ids.union(sampling.stop_token_ids),
            enders=enders,
            seen=seen,
        )

    # -- the engine's thread -----------------------------------------------------------------------------------------

    def _drive(self, start: Callable[[], Any], threads: int, started: Future[None]) -> None:
        """Does what comes in, and steps while there are requests."""
        try:
            torch.set_num_threads(threads)  # OpenMP's count is each thread's own
            self._vllm = start()
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(None)
        while self._open:
            try:
                for job in self._jobs():
                    job()
                if self._requests:
                    self._step()
            except EngineFault as fault:
                self._die(fault.detail)
            except Exception as error:  # whatever vLLM raises, its state is not to be relied on any more
                log.exception("vLLM failed")
                self._die(f"vLLM failed: {typed_line(error)}")

    def _jobs(self) -> Iterator[Callable[[], None]]:
        """What has come in; waits for it when there is nothing to sample."""
        wait = not self._requests
        while self._open:
            try:
                yield self._inbox.get(block=wait)
            except queue.Empty:
                return
            wait = False

    def _add(self, request: VllmRequest) -> None:
        from vllm.exceptions import VLLMClientError

        if self._fault is not None:
            request.future.set_exception(EngineFault(self._fault))
            return
        try:
            self._hand_over(request)
        except (ValueError, VLLMClientError) as error:
            del self._requests[request.id]
            request.future.set_exception(ConfigError(f"vLLM refuses the request: {typed_line(error)}"))

    def _hand_over(self, request: VllmRequest) -> None:
        """Gives vLLM a request, with what has been sampled of it already as a part of its prompt."""
        request.id, request.counted = str(next(self._numbers)), False
        prompt = {"type": "token", "prompt_token_ids": list(request.tokens)}
        self._requests[request.id] = request
        self._vllm.add_request(request.id, prompt, request.parameters(), lora_request=self._weights.adapter)

    def _withdraw(self, request: VllmRequest) -> None:
        if self._requests.pop(request.id, None) is not None:
            self._vllm.abort_request([request.id])

    def _step(self) -> None:
        started = time.perf_counter()
        outputs = self._vllm.step()
        self.stats.busy_s += time.perf_counter() - started
        self.stats.forwards += 1
        for output in outputs:
            request = self._requests.get(output.request_id)
            if request is not None:
                self._take(request, output)

    def _take(self, request: VllmRequest, output: Any) -> None:
        """Adds what vLLM sampled."""
        if not request.counted:
            self._account(request, output.num_cached_tokens or 0)
        said = output.outputs[0]
        logprobs = said.logprobs
        for index, token in enumerate(said.token_ids):
            # The sampled token's comes first of each position's.
            logprob = logprobs.logprobs[logprobs.start_indices[index]]
            self.stats.generated += 1
            if request.extend(token, logprob, self.version, self._stops):
                self._withdraw(request)
                self._end(request, "stop")
                return
        if output.finished:
            if said.finish_reason not in ("stop", "length"):
                raise EngineFault(f"vLLM ended a completion with {said.finish_reason!r}")
            del self._requests[request.id]
            self._end(request, said.finish_reason)

    def _account(self, request: VllmRequest, cached: int) -> None:
        """Books what was read of a prompt: tokens that its session had run before are reread."""
        self.stats.read += len(request.tokens) - cached
        self.stats.reread += max(0, request.seen - cached)
        self.stats.extra["cached"] += cached
        request.counted = True

    def _end(self, request: VllmRequest, reason: FinishReason) -> None:
        if request.session in self._read:
            self._read[request.session] = request.tokens[:-1]  # the last one was not run
        request.finish(reason)

    def _die(self, detail: str) -> None:
        """Fails every request, and those to come."""
        self._fault = self._fault or detail
        requests, self._requests = self._requests, {}
        for request in requests.values():
            if not request.future.done():
                request.future.set_exception(EngineFault(self._fault))

    # -- weights, on the engine's thread -----------------------------------------------------------------------------

    def _update(self, version: int, state: Mapping[str, Any], done: Future[None]) -> None:
        try:
            self._alive()
            self._install(state)
        except Exception as error:
            named = f"vLLM took no weights: {typed_line(error)}"
            fault = error if isinstance(error, EngineFault) else EngineFault(named)
            self._die(fault.detail)
            done.set_exception(fault)
            return
        self.version = version
        done.set_result(None)

    def _install(self, state: Mapping[str, Any]) -> None:
        """Checks a state; only then, with no request in vLLM and no cache, loads it; then the requests go on."""
        load = self._weights.prepare(state)
        self._vllm.abort_request(list(self._requests))
        self._drop_caches()
        load(self._vllm)
        for before, request in list(self._requests.items()):
            if request.counted:
                request.seen = max(request.seen, len(request.tokens) - 1)
            self._hand_over(request)
            del self._requests[before]

    def _drop_caches(self) -> None:
        for _ in range(_DRAINING_STEPS):
            if self._vllm.reset_prefix_cache():
                return
            self._vllm.step()  # blocks are held by batches under way
        raise EngineFault("vLLM did not let go of its caches")

    def _shut(self, done: Future[None]) -> None:
        self._die("the engine is closed")
        self._open = False
        try:
            stop(self._vllm)
        except Exception:
            log.exception("vLLM did not end cleanly")  # there is no more to be done with it
        self._vllm = None
        self._weights.close()
        self._alone.release()
        done.set_result(None)
