"""Sessions of people as tasks, in the manner of Shop-R1 (arXiv 2507.17842): what was shown, and what was done.

JSON lines, a session each::

    {"id": "s1", "goal": "buy a kettle", "steps": [
      {"page": "[1] searchbox ...", "action": "fill", "arguments": {"id": "1", "text": "kettle"}},
      {"page": "[4] link ...", "action": "click", "arguments": {"id": "4"}, "rationale": "it is the cheapest"},
      {"page": "...", "action": "stop"}]}

The agent is shown each page in turn and says what the person did next; whatever it says, the session goes on as it
did. A session may be cut into windows, each a task that begins where the one before ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field

from agentgym.envs.files import Row, split_by_hash, typed_rows
from agentgym.envs.web.single import GoldAction, StepTaskSet, _Text
from agentgym.envs.web.sources import WebSource
from agentgym.envs.web.task import WebTask
from agentgym.faults import DataError

#: Goal of a session that names none.
GOAL = "Do what the shopper does next."
#: Difficulty by steps: one level for each of these limits that a task exceeds.
LEVELS = (1, 3, 6, 10)


class BehaviourStep(GoldAction):
    """A step of a person."""

    page: Annotated[_Text, Field(validation_alias=AliasChoices("page", "observation", "context"))]
    rationale: str = ""


class SessionRow(Row):
    """A session."""

    id: Annotated[str | int | None, Field(validation_alias=AliasChoices("id", "session_id"))] = None
    goal: str = ""
    steps: Annotated[tuple[BehaviourStep, ...], Field(min_length=1, validation_alias=AliasChoices("steps", "actions"))]


class BehaviourSource(WebSource):
    """Sessions of people."""

    path: str
    """JSON lines, one JSON array, or Parquet."""
    window: int | None = Field(None, ge=1)
    """Steps of a task; a longer session becomes several. None: a session is a task."""
    rationales: bool = False
    """Show the person's reason of each step before the next page."""
    heldout: float = Field(0.2, ge=0, le=1)
    """Fraction of the sessions that is held out, by a stable hash of the id."""

    def files(self) -> list[Path]:
        return [Path(self.path)]

    def make(self) -> StepTaskSet:
        path, split = Path(self.path), split_by_hash(self.heldout)
        tasks: list[WebTask] = []
        pages: dict[str, tuple[str, ...]] = {}
        seen: set[str] = set()
        for line, row in typed_rows(path, SessionRow):
            session = f"behaviour/{line if row.id is None else row.id}"
            if session in seen:
                raise DataError(path, f"id: {row.id!r} comes twice", line)
            seen.add(session)
            for name, first, steps in self._windows(session, row.steps):
                before = row.steps[first - 1] if first else None
                tasks.append(
                    WebTask(
                        id=name,
                        split=split(session),
                        difficulty=1 + sum(len(steps) > limit for limit in LEVELS),
                        goal=row.goal or GOAL,
                        length=len(steps),
                        steps=tuple(step.step for step in steps),
                    )
                )
                pages[name] = tuple(
                    self._shown(step, last) for step, last in zip(steps, (before, *steps), strict=False)
                )
        if not tasks:
            raise DataError(path, "it has no sessions")
        return StepTaskSet(tasks, pages)

    def _windows(
        self, session: str, steps: tuple[BehaviourStep, ...]
    ) -> Iterator[tuple[str, int, tuple[BehaviourStep, ...]]]:
        if self.window is None or len(steps) <= self.window:
            yield session, 0, steps
            return
        for first in range(0, len(steps), self.window):
            yield f"{session}/{first}", first, steps[first : first + self.window]

    def _shown(self, step: BehaviourStep, before: BehaviourStep | None) -> str:
        if not self.rationales or before is None or not before.rationale:
            return step.page
        return f"Why the last step: {before.rationale}\n{step.page}"
