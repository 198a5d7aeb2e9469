"""Tasks whose right actions are known: rows of one step (UI-R1) and sessions of people (Shop-R1), without a browser.

The rewards are those of `agentgym.rewards.outcome`: UI-R1 (arXiv 2503.21620), CRAFT-GUI (arXiv 2508.11360), Shop-R1
(arXiv 2507.17842). Each action is held against the gold action of the same number; whatever was said, what comes next
is what the person saw next.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from agentgym.actions import Action
from agentgym.envs.web.task import View, WebTask, World
from agentgym.rewards.outcome.gui import BOX, craft_gui, distance, point_of, ui_r1
from agentgym.rewards.outcome.shop_r1 import action_reward
from agentgym.rewards.outcome.tool_rl import gold_call, same_value

#: The process parts of a gold step, with their meanings.
SIGNALS: Mapping[str, str] = {
    "exact": "where the right action is known: 1 for it, in all its details",
    "ui_r1": "where the right action is known: UI-R1's type (0 or 1) + point inside the box (0 or 1), without format",
    "craft_gui": "where the right action is known: how right the details are, 0..1; 0 for another type",
    "shop_r1": "where the right action is known: Shop-R1's hierarchical action reward",
}


class GoldWorld(World):
    """What a person saw step by step, and did.

    Args:
        task: With `steps`.
        shown: What is to be seen before each of them, as text.
    """

    def __init__(self, task: WebTask, shown: Sequence[str]) -> None:
        if len(shown) != len(task.steps):
            raise ValueError(f"task {task.id!r} has {len(task.steps)} steps, and shows {len(shown)}")
        self.steps = tuple(gold_call(step) for step in task.steps)
        self.shown, self.turn, self.right = tuple(shown), 0, 0

    def sites(self) -> Mapping[str, Any]:
        return {}

    @property
    def page(self) -> str:
        """What is shown now; nothing after the last step."""
        return self.shown[self.turn] if self.turn < len(self.shown) else ""

    @property
    def over(self) -> bool:
        """Whether all steps have been taken."""
        return self.turn >= len(self.steps)

    def take(self, said: Action, parts: MutableMapping[str, float]) -> None:
        """Holds an action against the step that is next, and goes on."""
        gold = self.steps[self.turn]
        box = gold.args.get(BOX)
        parts["exact"] = float(exact(said, gold))
        parts["ui_r1"] = ui_r1(said, gold.name, box, valid=False)
        parts["craft_gui"] = craft_gui(said, gold)
        parts["shop_r1"] = action_reward(said, gold)
        self.turn += 1
        self.right += int(parts["exact"])

    def outcome(self, answer: str | None, infeasible: bool) -> float:
        return self.right / len(self.steps)

    def next_action(self, view: View) -> Action:
        return written(self.steps[min(self.turn, len(self.steps) - 1)])

    def digest(self) -> str:
        return f"{self.turn}.{self.right}"

    def save(self) -> tuple[int, int]:
        return self.turn, self.right

    def load(self, state: tuple[int, int]) -> None:
        self.turn, self.right = state


def exact(said: Action, gold: Action) -> bool:
    """Whether an action is the gold one: its type, a point inside the box, every other argument equal."""
    if said.name != gold.name:
        return False
    for name, value in gold.args.items():
        if name == BOX:
            if distance(point_of(said), value) > 0.0:
                return False
        elif not (name in said.args and same_value(said.args[name], value)):
            return False
    return True


def written(gold: Action) -> Action:
    """The gold action as one writes it: the middle of its box in place of the box."""
    args = {name: value for name, value in gold.args.items() if name != BOX}
    if BOX in gold.args:
        x1, y1, x2, y2 = gold.args[BOX]
        args |= {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2}
    return Action(gold.name, args)
