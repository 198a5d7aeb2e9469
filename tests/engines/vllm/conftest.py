"""vLLM in the tests: one small model, one engine at a time (a process can have one)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, PreTrainedModel

from agentgym.engines.vllm import VllmEngine
from agentgym.trainers.tiny import TinyConfig, make_tiny

WORDS = [f"w{i}" for i in range(80)]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder; logits far from uniform; heads of the least width that vLLM's CPU build has kernels for."""
    config = TinyConfig(width=64, layers=2, heads=2, context=256, init_std=0.12, embedding_std=0.4, seed=1)
    return str(make_tiny(tmp_path_factory.mktemp("model"), WORDS, config))


@pytest.fixture
def reference(model: str) -> PreTrainedModel:
    """The same model in transformers."""
    network: PreTrainedModel = AutoModelForCausalLM.from_pretrained(model)
    return network


@contextmanager
def opened(model: str, **options: Any) -> Iterator[VllmEngine]:
    """An engine, closed afterwards."""
    engine = VllmEngine(model, **{"enforce_eager": True, "threads": 1, **options})
    try:
        yield engine
    finally:
        asyncio.run(engine.close())


@pytest.fixture(scope="session")
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """``run(coroutine)``: its result, within a minute."""

    def finish(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(asyncio.wait_for(work, 60))

    return finish


@pytest.fixture(scope="session")
def open_engine(model: str) -> Callable[..., Any]:
    """``with open_engine(**options) as engine``."""
    return lambda **options: opened(options.pop("model", model), **options)
