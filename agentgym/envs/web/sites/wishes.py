"""`SiteWish`: a site as it should be in the end, from which a goal follows by comparison with the site as it is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

from agentgym.envs.web.sites.base import Answer, Fact, Goal


def as_json(items: Iterable[Any]) -> str:
    """A sorted list, as a query's ``json_each(?)`` reads it."""
    return json.dumps(sorted(items))


class SiteWish(ABC):
    """How one site should look in the end.

    Attributes:
        site: Its name.
    """

    site: ClassVar[str]

    def goal(
        self,
        text: str,
        start: str,
        *,
        answer: Answer | None = None,
        trail: tuple[str, ...] = (),
        infeasible: bool = False,
        steps: int | None = None,
        site: str = "",
    ) -> Goal:
        """The goal of making the site so.

        Args:
            text: What the agent is asked to do.
            start: Path of the first page.
            answer: What must be said.
            trail: Paths of the pages by which the expert finds out what to say or do.
            infeasible: It cannot be done.
            steps: The expert's calls; None: an estimate.
            site: Names the site in the facts (for goals whose first site is another).
        """
        facts, keep, calls = self.facts(site)
        return Goal(
            text=text,
            start=f"http://{self.site}.test{start}",
            sites=(self.site,),
            facts=facts,
            answer=answer,
            keep=keep,
            infeasible=infeasible,
            steps=steps or calls + self.reading(trail) + 1,
            pages=self.pages_on_the_way(trail),
            params=self.params(trail),
        )

    @abstractmethod
    def facts(self, site: str = "") -> tuple[tuple[Fact, ...], tuple[Fact, ...], int]:
        """What must become true, what must stay as it is, and about how many calls that takes."""

    @abstractmethod
    def reading(self, trail: tuple[str, ...]) -> int:
        """About how many calls it takes to see the pages of a trail."""

    @abstractmethod
    def pages_on_the_way(self, trail: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Paths of the pages that lead to the goal, as patterns of `fnmatch`."""

    @abstractmethod
    def params(self, trail: tuple[str, ...] = ()) -> dict[str, Any]:
        """What the expert needs to know."""
