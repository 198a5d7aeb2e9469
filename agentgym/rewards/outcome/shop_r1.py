"""Shop-R1: simulated shoppers, paid for a sure rationale and for the action that the person took.

Only the paper's abstract is known here: a format reward, the self-certainty of the rationale, and a hierarchical action
reward (type, then sub-actions, then long text) scaled by difficulty. The weights and the measure of difficulty are free
choices.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from agentgym.actions import Action
from agentgym.rewards.outcome.answer import f1_score
from agentgym.rewards.outcome.episode import actions, formatted, part
from agentgym.rewards.outcome.gui import HasSteps
from agentgym.rewards.outcome.registry import Floats, reward
from agentgym.rewards.outcome.tool_rl import gold_call, same_value
from agentgym.trajectory import Trajectory

#: Arguments that hold long text, compared by their words.
LONG = ("text",)
Weight = Annotated[float, Field(ge=0)]


def self_certainty(logprobs: ArrayLike) -> float:
    """How far a model's next-token distributions are from uniform, 0..1.

    Formula: mean over tokens of KL(p || uniform) / log V = 1 + sum of p log p / log V.

    Args:
        logprobs: [n, V], log-probabilities of the whole vocabulary at each token of the rationale.
    """
    logs = np.asarray(logprobs, dtype=np.float64)
    if not logs.size or logs.shape[1] < 2:
        return 0.0
    finite = np.where(np.isfinite(logs), logs, 0.0)
    entropy = -(np.where(np.isfinite(logs), np.exp(logs), 0.0) * finite).sum(axis=1)
    return float(np.clip(1.0 - entropy.mean() / np.log(logs.shape[1]), 0.0, 1.0))


def action_reward(
    said: Action | None,
    gold: Action,
    *,
    type_weight: float = 0.3,
    part_weight: float = 0.3,
    text_weight: float = 0.4,
    similar: float = 0.5,
    hardness: float = 0.5,
    long: Collection[str] = LONG,
) -> float:
    """The hierarchical reward of one action: nothing below a level counts unless the level is right.

    Formula: (1 + hardness * arguments of the gold action) * (type_weight + part_weight * share of its short arguments
    that are equal + text_weight * mean token F1 of its long ones); 0 for a wrong type. A level that the gold action
    does not have pays nothing, so that easy actions are not the best paid.

    Args:
        said: The action; None for none.
        gold: What the person did.
        type_weight: Of the type (FREE).
        part_weight: Of the short arguments, which must be equal (FREE).
        text_weight: Of the long ones; counts only where all short ones are equal (FREE).
        similar: A lower token F1 counts as 0 (FREE).
        hardness: What each argument adds to the scale (FREE).
        long: Names of long arguments.
    """
    if said is None or said.name != gold.name:
        return 0.0
    short = [name in said.args and same_value(said.args[name], v) for name, v in gold.args.items() if name not in long]
    texts = [_likeness(said.args.get(name), v, similar) for name, v in gold.args.items() if name in long]
    earned = type_weight + part_weight * (sum(short) / len(short) if short else 0.0)
    if texts and all(short):
        earned += text_weight * sum(texts) / len(texts)
    return (1.0 + hardness * len(gold.args)) * earned


def _likeness(said: object, gold: object, similar: float) -> float:
    score = f1_score(said, [gold]) if isinstance(said, str) and isinstance(gold, str) else 0.0
    return score if score >= similar else 0.0


@reward(
    "shop_r1",
    source="Shop-R1: Rewarding LLMs to Simulate Human Behavior in Online Shopping via Reinforcement Learning",
    arxiv="2507.17842",
    status="abstract",
    signals=lambda p: [p["certainty"]] if p["certainty_weight"] else [],
)
def score_shop_r1(
    task: HasSteps,
    trajectory: Trajectory,
    *,
    format_weight: Weight = 0.5,
    certainty_weight: Weight = 0.0,
    type_weight: Weight = 0.3,
    part_weight: Weight = 0.3,
    text_weight: Weight = 0.4,
    similar: Annotated[float, Field(ge=0, le=1)] = 0.5,
    hardness: Weight = 0.5,
    certainty: str = "certainty",
) -> Floats:
    """Shop-R1: format, certainty of the rationale, and the action held against what the person did at that step.

    Formula: r_t = format_weight * format + certainty_weight * certainty_t + action, see `action_reward`. Steps beyond
    the person's earn nothing.

    Args:
        task: With `steps`, what the person did.
        trajectory: The episode; the last action of a turn counts.
        format_weight: Of a well-formed turn (FREE).
        certainty_weight: Of the rationale's self-certainty, where something measures it (FREE).
        type_weight: Of the action's type (FREE).
        part_weight: Of its short arguments, which must be equal (FREE).
        text_weight: Of its long ones, by token F1; counts only where all short ones are equal (FREE).
        similar: A lower token F1 counts as 0 (FREE).
        hardness: What each argument of the gold action adds to the scale of the action's reward (FREE).
        certainty: Process part that holds the self-certainty (`self_certainty`).

    Returns:
        float64[T].
    """
    earned = np.zeros(len(trajectory.turns))
    turns = zip(actions(trajectory), formatted(trajectory), part(trajectory, certainty), task.steps, strict=False)
    for index, (said, valid, sure, step) in enumerate(turns):
        paid = action_reward(
            said[-1] if said else None,
            gold_call(step),
            type_weight=type_weight,
            part_weight=part_weight,
            text_weight=text_weight,
            similar=similar,
            hardness=hardness,
        )
        earned[index] = format_weight * valid + certainty_weight * sure + paid
    return earned
