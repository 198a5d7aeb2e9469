"""The mailbox between a run and its ranks: commands one way, answers the other.

Ranks come and ask; nobody calls into a process that is busy training. Large things (batches, weights) go through Ray's
object store, and only their references through the mailbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentgym.faults import AgentGymError, typed_line

# How long the other ranks' answers are waited for once one has failed: long enough where all fail alike.
_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Command:
    """A call of every rank's learner.

    Attributes:
        number: Counts commands from 0.
        name: Of the method; empty: the ranks are to leave.
        arguments: Reference to what it is called with.
    """

    number: int
    name: str
    arguments: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command in one rank.

    Attributes:
        number: Of the command.
        rank: Whose it is.
        value: Reference to what was returned, from one of the ranks.
        error: What was raised, or None.
        sound: False: the rank must not go on after it.
    """

    number: int
    rank: int
    value: Any = None
    error: Exception | None = None
    sound: bool = True

    @classmethod
    def failed(cls, number: int, rank: int, error: Exception) -> Answer:
        """The answer of a rank that raised.

        Typed errors, and those of arguments and files, are raised before anything is changed, and travel as they are;
        after any other a rank may be in the middle of something.
        """
        if isinstance(error, AgentGymError | ValueError | OSError) and _travels(error):
            return cls(number, rank, error=error)
        return cls(number, rank, error=RuntimeError(typed_line(error)), sound=False)


def _travels(error: Exception) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)  # noqa: S301 - what was written the line before
    except Exception:
        return False


@dataclass
class Mailbox:
    """A Ray actor that serves one group.

    Attributes:
        ranks: How many ranks there are.
    """

    ranks: int
    members: dict[int, Any] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    command: Command | None = None

    def __post_init__(self) -> None:
        self._changed = asyncio.Condition()

    async def join(self, rank: int, actor: Any) -> None:
        """A rank is there.

        Args:
            rank: Which.
            actor: Handle of its process.
        """
        async with self._changed:
            self.members[rank] = actor
            self._changed.notify_all()

    async def joined(self) -> list[Any]:
        """Handles of all ranks' processes, once all are there."""
        await self._until(lambda: len(self.members) == self.ranks)
        return [self.members[rank] for rank in range(self.ranks)]

    async def run(self, command: Command) -> list[Answer]:
        """Hands a command to every rank.

        Returns:
            All answers; or those there are, a while after the first that tells of an error.
        """
        async with self._changed:
            self.command, self.answers = command, []
            self._changed.notify_all()
        await self._until(lambda: len(self.answers) == self.ranks or any(a.error is not None for a in self.answers))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._until(lambda: len(self.answers) == self.ranks), _GRACE_S)
        answers, self.answers = self.answers, []
        self.command = Command(command.number, command.name)  # the references go, and with them what they stand for
        return sorted(answers, key=lambda answer: answer.rank)

    async def next(self, number: int) -> Command:
        """The command of this number, once it is given."""
        await self._until(lambda: self.command is not None and self.command.number >= number)
        assert self.command is not None  # noqa: S101 - waited for
        return self.command

    async def answer(self, answer: Answer) -> None:
        """A rank has done what a command said; one that nobody waits for any more is dropped."""
        async with self._changed:
            if self.command is not None and answer.number == self.command.number:
                self.answers.append(answer)
            self._changed.notify_all()

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)
