"""The registry of reward functions: what a finished episode of a task is worth, as a whole or turn by turn.

A reward function is ``(task, trajectory, *, parameters) -> float`` (an outcome) or ``-> float64[T]`` (one number a
turn). It is a thin wrapper: what it computes is a public function of plain values beside it, usable without tasks and
trajectories. Nothing here runs an environment or a model, so stored episodes can be scored again at any time.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast, get_type_hints

import numpy as np
from numpy.typing import NDArray

from agentgym.faults import ConfigError
from agentgym.methods import Method, Methods, Status
from agentgym.trajectory import Trajectory

Floats = NDArray[np.float64]
Reward = Callable[..., float | Floats]
R = TypeVar("R", bound=Reward)

REWARDS: Methods[Reward] = Methods("reward", "reward function", "agentgym.rewards")


def reward(
    name: str,
    *,
    source: str,
    status: Status,
    arxiv: str | None = None,
    signals: Callable[[Mapping[str, Any]], Iterable[str]] | None = None,
) -> Callable[[R], R]:
    """Decorator: `REWARDS.register`, with a check that the task has what the function reads.

    What it reads are the properties of the protocol that annotates its first argument; a task without one of them is
    answered with one line instead of an AttributeError in the middle of a run.

    Args:
        name: Name in the configuration.
        source: Title of the paper or project.
        status: What the implementation rests on.
        arxiv: arXiv id, where there is one.
        signals: See `agentgym.methods.Method`: the process parts that the function reads.

    Raises:
        ConfigError: The name is taken. When the function is called: the task lacks a field.
    """

    def put(function: R) -> R:
        fields = _fields(function)

        @functools.wraps(function)
        def checked(task: object, trajectory: Trajectory, **parameters: Any) -> float | Floats:
            for field in fields:
                if not hasattr(task, field):
                    raise ConfigError(f"reward {name!r} reads {field!r} of a task; {type(task).__name__} has none")
            return function(task, trajectory, **parameters)

        REWARDS.register(name, source=source, status=status, arxiv=arxiv, signals=signals)(checked)
        return cast(R, checked)

    return put


def measure(method: str | Method[Reward], task: object, trajectory: Trajectory, /, **parameters: Any) -> float | Floats:
    """What one reward function says of one episode.

    Args:
        method: A name known to `REWARDS`, or one of its methods.
        task: The task that was played.
        trajectory: T turns.
        **parameters: The function's own.

    Returns:
        A float, the outcome; or float64[T], one number a turn.

    Raises:
        ConfigError: An unknown name or parameter, a task without what the function reads, or a result that is neither
            of the two (a plug-in's mistake).
    """
    chosen = REWARDS.get(method) if isinstance(method, str) else method
    bound = chosen.bind(chosen.check(parameters, chosen.name))
    result = np.asarray(bound(task, trajectory), dtype=np.float64)
    if result.ndim and result.shape != (len(trajectory.turns),):
        raise ConfigError(f"reward {chosen.name!r} gave shape {result.shape} for {len(trajectory.turns)} turns")
    if not np.all(np.isfinite(result)):
        raise ConfigError(f"reward {chosen.name!r} gave a number that is not finite")
    return result if result.ndim else float(result)


def _fields(function: Callable[..., Any]) -> tuple[str, ...]:
    first = next(iter(inspect.signature(function).parameters))
    protocol = get_type_hints(function)[first]
    return tuple(
        name
        for base in getattr(protocol, "__mro__", ())
        for name, value in vars(base).items()
        if getattr(protocol, "_is_protocol", False) and isinstance(value, property)
    )
