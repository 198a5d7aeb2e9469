"""agentgym: multi-turn environments for language-model agents, rewards for every step, step-aware GRPO on Ray.

``import agentgym`` registers the environments with Gymnasium and stays light; everything else is imported on first use.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import gymnasium

if TYPE_CHECKING:  # the names of _EXPORTS, for type checkers
    from agentgym.actions import Action, ActionSpec, ParsedTurn
    from agentgym.env import AgentEnv, Opening, Outcome, Snapshot
    from agentgym.faults import AgentGymError, ConfigError, DataError, EnvironmentFault, MissingExtra
    from agentgym.signal import RewardSignal
    from agentgym.task import Task, TaskSet
    from agentgym.trajectory import Group, Trajectory, Turn

__version__ = "0.1.0"

_EXPORTS = {
    "Action": "actions",
    "ActionSpec": "actions",
    "AgentEnv": "env",
    "AgentGymError": "faults",
    "ConfigError": "faults",
    "DataError": "faults",
    "EnvironmentFault": "faults",
    "Group": "trajectory",
    "MissingExtra": "faults",
    "Opening": "env",
    "Outcome": "env",
    "ParsedTurn": "actions",
    "RewardSignal": "signal",
    "Snapshot": "env",
    "Task": "task",
    "TaskSet": "task",
    "Trajectory": "trajectory",
    "Turn": "trajectory",
}
# Spelled out, since type checkers cannot evaluate it; a test holds it equal to _EXPORTS.
__all__ = [
    "Action",
    "ActionSpec",
    "AgentEnv",
    "AgentGymError",
    "ConfigError",
    "DataError",
    "EnvironmentFault",
    "Group",
    "MissingExtra",
    "Opening",
    "Outcome",
    "ParsedTurn",
    "RewardSignal",
    "Snapshot",
    "Task",
    "TaskSet",
    "Trajectory",
    "Turn",
    "__version__",
]

#: Environments that come with the package: Gymnasium id -> entry point.
BUILT_IN_ENVS = {
    "agentgym/Routing-v0": "agentgym.envs.routing:RoutingEnv",
    "agentgym/Search-v0": "agentgym.envs.search:SearchEnv",
    "agentgym/Sql-v0": "agentgym.envs.sql:SqlEnv",
    "agentgym/Swe-v0": "agentgym.envs.swe.env:SweEnv",
    "agentgym/ToolCall-v0": "agentgym.envs.toolcall:ToolCallEnv",
    "agentgym/Web-v0": "agentgym.envs.web.env:WebEnv",
}


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(f"agentgym.{_EXPORTS[name]}"), name)
    raise AttributeError(f"module 'agentgym' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _register() -> None:
    """Registers the built-in environments and those of installed packages (entry points ``agentgym.envs``).

    Gymnasium 1.x no longer looks for environments in other packages by itself. A plug-in's entry point is named by its
    Gymnasium id and points at its class; it is imported only when it is made.
    """
    plugins = {e.name: e.value.partition("[")[0].strip() for e in entry_points(group="agentgym.envs")}
    for env_id, entry in {**plugins, **BUILT_IN_ENVS}.items():
        if env_id in gymnasium.registry:
            continue
        try:
            gymnasium.register(id=env_id, entry_point=entry)
        except gymnasium.error.Error as error:  # a plug-in's mistake must not break the import of everything else
            warnings.warn(f"agentgym.envs entry point {env_id!r} is not a Gymnasium id: {error}", stacklevel=2)


_register()
