"""Starts vLLM in this process: its environment, its arguments, and a first token to see that it works.

vLLM: Efficient Memory Management for Large Language Model Serving with PagedAttention, arXiv 2309.06180.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from agentgym.engines.loading import DType
from agentgym.engines.vllm_weights import LoraServing
from agentgym.faults import ConfigError, EngineFault, MissingExtra, did_you_mean, typed_line

#: Coarser blocks (vLLM's own 128) would hardly ever hold a short turn whole; its kernels want multiples of this.
_CPU_BLOCK_TOKENS = 32
_CPU_STEP_TOKENS = 4096
#: Unless the user's environment says otherwise: quiet, on standard error, no telemetry; on a CPU a cache of 1 GiB,
#: and threads that no core is set aside for, as engine, environments and learner share them.
_ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}
_PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Setup:
    """What the engine is started with; None leaves a value to vLLM. See `agentgym.engines.vllm.VllmEngine`."""

    model: str
    dtype: DType
    max_sessions: int
    max_context: int
    max_step_tokens: int | None
    block_tokens: int | None
    memory_share: float
    tensor_parallel: int
    enforce_eager: bool
    lora: LoraServing | None
    args: Mapping[str, Any]


def start(setup: Setup) -> Any:
    """vLLM's engine, in this process; with tensor parallelism its workers are processes of their own.

    Raises:
        MissingExtra: vLLM is not installed.
        ConfigError: A model or an argument that vLLM refuses.
        EngineFault: It started, but cannot sample.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    with _own_state():
        try:
            from vllm.engine.arg_utils import EngineArgs
            from vllm.exceptions import VLLMClientError
            from vllm.platforms import current_platform
            from vllm.v1.engine.llm_engine import LLMEngine
        except ModuleNotFoundError as error:
            if error.name is not None and error.name.partition(".")[0] == "vllm":
                raise MissingExtra("vllm", "vllm") from None
            raise
        arguments = _arguments(setup, cpu=current_platform.is_cpu())
        known = {field.name for field in fields(EngineArgs)}
        if unknown := sorted(set(arguments) - known):
            raise ConfigError(
                f"engine.kwargs.args.{unknown[0]}: vLLM has no such argument; {did_you_mean(unknown[0], known)}"
            )
        try:
            engine = LLMEngine.from_engine_args(EngineArgs(**arguments))
        except (OSError, TypeError, ValueError, VLLMClientError) as error:
            raise ConfigError(f"vLLM does not take model {setup.model!r} so: {typed_line(error)}") from error
        try:
            _probe(engine)
        except Exception as error:
            stop(engine)
            raise EngineFault(f"vLLM cannot sample from {setup.model!r}: {typed_line(error)}") from error
    return engine


def _arguments(setup: Setup, cpu: bool) -> dict[str, Any]:
    own: dict[str, Any] = {
        "model": setup.model,
        "skip_tokenizer_init": True,  # token ids in and out
        "logprobs_mode": "processed_logprobs",  # of the distribution that is sampled from
        "max_num_seqs": setup.max_sessions,
        "max_model_len": setup.max_context,
        "tensor_parallel_size": setup.tensor_parallel,
    }
    default: dict[str, Any] = {
        "dtype": setup.dtype if setup.dtype != "auto" else ("float32" if cpu else "bfloat16"),
        "gpu_memory_utilization": setup.memory_share,
        "enforce_eager": setup.enforce_eager,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if setup.max_step_tokens is not None:
        default["max_num_batched_tokens"] = setup.max_step_tokens
    if setup.block_tokens is not None:
        default["block_size"] = setup.block_tokens
    if cpu:
        default.setdefault("block_size", _CPU_BLOCK_TOKENS)
        # A prompt that is read in parts must not draw numbers for each, and vLLM cannot turn a CPU's generator back.
        step = max(setup.max_step_tokens or _CPU_STEP_TOKENS, setup.max_context, setup.max_sessions)
        default |= {"enable_chunked_prefill": False, "max_num_batched_tokens": step}
    if setup.tensor_parallel > 1:
        default["distributed_executor_backend"] = "mp"  # inside a Ray actor vLLM would ask Ray for more of them
    if setup.lora is not None:
        default |= {"enable_lora": True, "max_lora_rank": setup.lora.rank, "max_loras": 1}
    if taken := sorted(set(setup.args) & set(own)):
        raise ConfigError(f"engine.kwargs.args.{taken[0]}: this argument is the engine's own")
    return {**default, **setup.args, **own}


def _probe(engine: Any) -> None:
    """Samples one token: some models load on a device whose kernels then refuse them; and what is compiled when it is
    first used is compiled now."""
    from vllm import SamplingParams

    params = SamplingParams(max_tokens=1, temperature=0, logprobs=0, detokenize=False, ignore_eos=True)
    engine.add_request(_PROBE, {"type": "token", "prompt_token_ids": [0]}, params)
    while engine.has_unfinished_requests():
        engine.step()
    engine.reset_prefix_cache()


def stop(engine: Any) -> None:
    """Ends vLLM and frees its memory."""
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    engine.engine_core.shutdown()
    cleanup_dist_env_and_memory()


@contextmanager
def _own_state() -> Iterator[None]:
    """vLLM seeds this process's random generators and, on a CPU, makes torch deaf to new thread counts: undone."""
    threads, states = torch.set_num_threads, (random.getstate(), np.random.get_state(), torch.get_rng_state())
    try:
        yield
    finally:
        torch.set_num_threads = threads
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
