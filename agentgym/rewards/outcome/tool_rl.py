"""ToolRL: how much of the gold tool calls was called, by name, by parameters, by values (arXiv 2504.13958).

After the authors' public code, with its ranges: format 0 or 1, correctness -3..3.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from agentgym.actions import JUDGE, Action
from agentgym.faults import ConfigError
from agentgym.rewards.outcome.episode import actions, well_formed
from agentgym.rewards.outcome.registry import reward
from agentgym.trajectory import Trajectory

#: Correctness runs from -SCALE to SCALE.
SCALE = 3.0


def multiset_jaccard(a: Iterable[Hashable], b: Iterable[Hashable]) -> float:
    """Size of the multiset intersection over that of the union, 0..1; 1 for two empty ones."""
    left, right = Counter(iter(a)), Counter(iter(b))  # a mapping counts its keys
    union = (left | right).total()
    return (left & right).total() / union if union else 1.0


def same_value(a: object, b: object) -> bool:
    """Equal as JSON: numbers by value, but no number equals a truth value."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    try:
        return bool(a == b)
    except RecursionError:  # nested deeper than anything that means something
        return False


def match_call(said: Action, gold: Action) -> float:
    """``J(parameter names) + number of gold parameters with an equal value``, 0..1 + parameters."""
    equal = sum(name in said.args and same_value(said.args[name], value) for name, value in gold.args.items())
    return multiset_jaccard(said.args, gold.args) + equal


def tool_rl(calls: Sequence[Action], gold: Sequence[Action]) -> float:
    """Correctness of tool calls, -3..3: ``6 * S / Smax - 3``.

    Formula: S = J(names) + sum over gold calls of the best match (`match_call`) with a call of the same name that no
    earlier gold call took; Smax = 1 + sum over gold calls of (1 + number of parameters). J is the multiset Jaccard
    similarity. No gold calls and none made: 3.

    Args:
        calls: What was called, in any order.
        gold: What should have been.
    """
    score = multiset_jaccard((c.name for c in calls), (g.name for g in gold))
    free: dict[str, list[Action]] = defaultdict(list)
    for call in calls:
        free[call.name].append(call)
    for wanted in gold:
        matches = [match_call(call, wanted) for call in free[wanted.name]]
        if matches and (best := max(matches)) > 0.0:
            score += best
            del free[wanted.name][matches.index(best)]
    return 2 * SCALE * score / (1.0 + sum(1.0 + len(g.args) for g in gold)) - SCALE


class HasCalls(Protocol):
    """A task with gold tool calls, ``{"name": ..., "arguments": {...}}`` each (or `Action`)."""

    @property
    def calls(self) -> Sequence[Mapping[str, Any] | Action]: ...


def gold_call(call: Mapping[str, Any] | Action) -> Action:
    """A gold call as an action.

    Raises:
        ConfigError: Not ``{"name": text, "arguments": mapping}``.
    """
    if isinstance(call, Action):
        return call
    name, arguments = call.get("name"), call.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, Mapping):
        raise ConfigError('a gold call must look like {"name": ..., "arguments": {...}}')
    return Action(name, arguments)


@reward("tool_rl", source="ToolRL: Reward is All Tool Learning Needs", arxiv="2504.13958", status="code")
def score_tool_rl(
    task: HasCalls, trajectory: Trajectory, *, ignore: tuple[str, ...] = ("answer", JUDGE), format_weight: float = 1.0
) -> float:
    """ToolRL: format (0 or 1) plus the correctness of the episode's tool calls (-3..3).

    Formula: format + 6 * S / Smax - 3, see `tool_rl`.

    Args:
        task: With `calls`, the gold ones.
        trajectory: The episode; all its calls count, those after the gold ones too.
        ignore: Actions that are no tool calls.
        format_weight: What an episode whose every turn is well-formed earns.
    """
    made = [action for turn in actions(trajectory) for action in turn if action.name not in ignore]
    return format_weight * well_formed(trajectory) + tool_rl(made, [gold_call(call) for call in task.calls])
