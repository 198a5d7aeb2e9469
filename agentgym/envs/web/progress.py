"""What an episode has reached so far, and what a turn is paid for it.

Subgoals are paid as differences of a potential, the share of the goal's facts that hold (Policy invariance under reward
transformations, Ng et al. 1999): undoing one costs what it earned, so that nothing is paid twice.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from agentgym.actions import Action
from agentgym.envs.web.task import View, World


@dataclass(slots=True)
class Progress:
    """State of an episode, apart from the task, its world and the browser.

    Attributes:
        actions: What was done in the browser, in order: played again, it leads to the same state.
        messages: What was said to the user.
        facts: Which of the goal's facts hold.
        broken: How many things are not as they had to stay.
        states: State keys that the episode has been in.
        arrived: Pages on the way to the goal (`World.pages`) that were reached.
        useful: Whether the last action brought the goal nearer; None when there is nothing to judge.
        plain: The active page was just opened, and is the only one.
        turn: Number of the gold step that is next, where there are gold steps.
        over: The episode has ended.
    """

    actions: list[Action] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    facts: tuple[bool, ...] = ()
    broken: int = 0
    states: set[str] = field(default_factory=set)
    arrived: set[str] = field(default_factory=set)
    useful: bool | None = None
    plain: bool = True
    turn: int = 0
    over: bool = False

    @property
    def answer(self) -> str | None:
        """The last message to the user."""
        return self.messages[-1] if self.messages else None

    def begin(self, world: World, view: View) -> None:
        """Takes in the state that the episode begins with, for which nothing is paid."""
        self.facts, self.broken = tuple(world.facts()), world.broken()
        self.arrived = matching(view.url, world.pages())

    def look(self, world: World, view: View, parts: MutableMapping[str, float]) -> None:
        """Pays for what the last action has changed.

        Args:
            world: The episode's world.
            view: What is open now.
            parts: The turn's process parts, to which they are added.
        """
        facts = tuple(world.facts())
        parts["subgoals"] = share(facts) - share(self.facts)
        self.facts = facts
        broken = world.broken()
        parts["violation"] = float(max(broken - self.broken, 0))
        self.broken = max(broken, self.broken)
        pages = world.pages()
        reached = matching(view.url, pages) - self.arrived
        parts["navigation"] = len(reached) / len(set(pages)) if reached else 0.0
        self.arrived |= reached
        self.useful = parts["subgoals"] > 0 or parts["navigation"] > 0


def share(facts: Sequence[bool]) -> float:
    """The potential: which part of the facts holds; 0 where there are none."""
    return sum(facts) / len(facts) if facts else 0.0


def matching(url: str, patterns: Iterable[str]) -> set[str]:
    """The patterns that a URL's path fits."""
    path = urlsplit(url).path or "/"
    return {pattern for pattern in patterns if fnmatchcase(path, pattern)}
