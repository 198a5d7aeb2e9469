"""Clicks and other screen actions: UI-R1's reward of one action, CRAFT-GUI's of each step.

UI-R1 (arXiv 2503.21620) follows the authors' public code. Of CRAFT-GUI only the abstract is known here (a curriculum by
trajectory length, fine-grained action rewards): the grades of an almost right action and the way to cut the curriculum
are free choices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from agentgym.actions import Action
from agentgym.rewards.outcome.answer import f1_score
from agentgym.rewards.outcome.episode import actions, formatted
from agentgym.rewards.outcome.registry import Floats, reward
from agentgym.rewards.outcome.tool_rl import gold_call, same_value
from agentgym.trajectory import Trajectory

Point = tuple[float, float]
Box = Sequence[float]
#: The argument of a gold action that says where to point.
BOX = "box"
#: A coordinate beyond this (or one that is no number) points nowhere.
FAR = 1e9
Weight = Annotated[float, Field(ge=0)]


def point_of(action: Action) -> Point | None:
    """Where an action points: its ``coordinate`` or ``point`` [x, y], or its ``x`` and ``y``; None for nowhere."""
    args = action.args
    pair: Any = next((args[k] for k in ("coordinate", "point") if k in args), [args.get("x"), args.get("y")])
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(map(_is_number, pair)):
        return None
    return float(pair[0]), float(pair[1])


def distance(point: Point | None, box: Box) -> float:
    """How far a point is from a box (x1, y1, x2, y2), edges inclusive: 0 inside, infinite for no point."""
    if point is None:
        return math.inf
    (x, y), (x1, y1, x2, y2) = point, box
    return math.hypot(max(x1 - x, x - x2, 0.0), max(y1 - y, y - y2, 0.0))


def ui_r1(said: Action | None, gold: str, box: Box | None = None, valid: bool = True) -> float:
    """Format (0 or 1) + right action type (0 or 1) + point inside the gold box (0 or 1), 0..3.

    The point counts only with the right type; an action without a gold box points right when its type is.

    Args:
        said: The action; None for none.
        gold: The right action's type.
        box: Where it must point, (x1, y1, x2, y2); None for an action that points nowhere.
        valid: The turn is well-formed.
    """
    if said is None or said.name != gold:
        return float(valid)
    return float(valid) + 1.0 + float(box is None or distance(point_of(said), box) == 0.0)


def craft_gui(said: Action | None, gold: Action, reach: float = 100.0) -> float:
    """How right the details of one action are, 0..1: the mean over the gold action's arguments; 0 for a wrong type.

    Formula: a box scores max(0, 1 - distance / reach); a text its token F1; anything else 1 where equal. An action
    without arguments is right by its type.

    Args:
        said: The action; None for none.
        gold: The right action; its argument ``box`` is where it must point.
        reach: Distance from the box at which a miss is worth nothing, in pixels (FREE).
    """
    if said is None or said.name != gold.name:
        return 0.0
    scores = [_detail(said, name, value, reach) for name, value in gold.args.items()]
    return sum(scores) / len(scores) if scores else 1.0


def curriculum(lengths: ArrayLike, progress: float, stages: int = 3) -> NDArray[np.bool_]:
    """bool[n], which tasks are in play: short trajectories first, all of them in the last of the stages.

    Args:
        lengths: [n], steps that each task takes.
        progress: How far training is, 0..1.
        stages: How many times the tasks in play grow, by equal shares (FREE).
    """
    steps = np.asarray(lengths, dtype=np.float64)
    if not steps.size:
        return np.zeros(0, dtype=np.bool_)
    stage = min(int(max(progress, 0.0) * stages) + 1, stages)
    return np.asarray(steps <= np.quantile(steps, stage / stages, method="inverted_cdf"))


def _detail(said: Action, name: str, value: Any, reach: float) -> float:
    if name == BOX:
        return max(0.0, 1.0 - distance(point_of(said), value) / reach)
    if isinstance(value, str):
        answer = said.args.get(name)
        return f1_score(answer, [value]) if isinstance(answer, str) else 0.0
    return float(name in said.args and same_value(said.args[name], value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FAR


class HasTarget(Protocol):
    """A task of one right action: its type, and the box (x1, y1, x2, y2) to point at, if any."""

    @property
    def action(self) -> str: ...

    @property
    def box(self) -> Sequence[float] | None: ...


class HasSteps(Protocol):
    """A task whose right actions are known step by step, ``{"name": ..., "arguments": {...}}`` each (or `Action`)."""

    @property
    def steps(self) -> Sequence[Mapping[str, Any] | Action]: ...


@reward(
    "ui_r1",
    source="UI-R1: Enhancing Efficient Action Prediction of GUI Agents by Reinforcement Learning",
    arxiv="2503.21620",
    status="code",
)
def score_ui_r1(task: HasTarget, trajectory: Trajectory) -> float:
    """UI-R1: format, action type and point of the episode's last action, each 0 or 1.

    Formula: format + [type is right] + [point inside the gold box], the last 0 where the type is wrong.

    Args:
        task: With `action`, the right type, and `box`, where to point.
        trajectory: The episode; the last action of its last turn counts.
    """
    if not trajectory.turns:
        return 0.0
    last = actions(trajectory)[-1]
    return ui_r1(last[-1] if last else None, task.action, task.box, formatted(trajectory)[-1])


@reward(
    "craft_gui", source="CRAFT-GUI: Curriculum-Reinforced Agent For GUI Tasks", arxiv="2508.11360", status="abstract"
)
def score_craft_gui(
    task: HasSteps,
    trajectory: Trajectory,
    *,
    format_weight: Weight = 0.1,
    type_weight: Weight = 0.4,
    detail_weight: Weight = 0.5,
    reach: Annotated[float, Field(gt=0)] = 100.0,
) -> Floats:
    """CRAFT-GUI: format, type and details of each step's action, held against the gold step of the same number.

    Formula: r_t = format_weight * format + type_weight * [type is right] + detail_weight * details, see `craft_gui`.
    Steps beyond the gold ones earn nothing.

    Args:
        task: With `steps`, the gold actions.
        trajectory: The episode; the last action of a turn counts.
        format_weight: Of a well-formed turn (FREE).
        type_weight: Of the right action type (FREE).
        detail_weight: Of its details (FREE).
        reach: Distance from the box at which a miss is worth nothing, in pixels (FREE).

    Returns:
        float64[T].
    """
    earned = np.zeros(len(trajectory.turns))
    turns = zip(actions(trajectory), formatted(trajectory), task.steps, strict=False)
    for index, (said, valid, step) in enumerate(turns):
        gold, last = gold_call(step), said[-1] if said else None
        right = last is not None and last.name == gold.name
        earned[index] = format_weight * valid + type_weight * right + detail_weight * craft_gui(last, gold, reach)
    return earned
