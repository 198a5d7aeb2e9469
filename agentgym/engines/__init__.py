"""Engines write the policy's text: ``transformers`` (embedded default), ``vllm``, ``http`` and ``chat`` (servers),
``scripted`` (tests, benchmarks)."""

from agentgym.engines.base import ENGINES, Completion, Engine, EngineStats, FinishReason, Sampling

__all__ = ["ENGINES", "Completion", "Engine", "EngineStats", "FinishReason", "Sampling"]
