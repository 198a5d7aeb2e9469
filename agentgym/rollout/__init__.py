"""Runs episodes: a collector in one process, workers and a pool on Ray."""

from agentgym.rollout.accuracy import measure_accuracy
from agentgym.rollout.checking import RolloutMismatch
from agentgym.rollout.collector import Collector
from agentgym.rollout.demonstrations import demonstrate
from agentgym.rollout.episode import EpisodeTokens, renderer_for
from agentgym.rollout.forks import ForkedGroup
from agentgym.rollout.player import turn_seed
from agentgym.rollout.pool import RolloutPool
from agentgym.rollout.request import (
    AccuracyRequest,
    EngineSpec,
    EnvSpec,
    FaultEvent,
    ForkRequest,
    GroupRequest,
    Limits,
)
from agentgym.rollout.stats import RolloutStats

__all__ = [
    "AccuracyRequest",
    "Collector",
    "EngineSpec",
    "EnvSpec",
    "EpisodeTokens",
    "FaultEvent",
    "ForkRequest",
    "ForkedGroup",
    "GroupRequest",
    "Limits",
    "RolloutMismatch",
    "RolloutPool",
    "RolloutStats",
    "demonstrate",
    "measure_accuracy",
    "renderer_for",
    "turn_seed",
]
