"""Replies of live candidates, kept in a file so that a session can be played again, or become recorded data.

One JSON line a reply, in the columns of the `recorded` schema. One thing differs: a reply to a question whose answer
nobody knows (a sub-question that an agent made up) has the score null. `recorded_rows` gathers the others into rows
that `recorded` reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentgym.clients import encodable
from agentgym.envs.routing.candidates import Reply
from agentgym.envs.routing.recorded import RecordedReply, RecordedRow
from agentgym.envs.routing.task import RoutingTask
from agentgym.faults import ConfigError, DataError
from agentgym.task import Split

#: What is said to an agent that asks what was not asked when the replies were kept.
NOT_KEPT = "no reply to this question was kept"
_Count = Annotated[int, Field(ge=0)]


class KeptReply(BaseModel):
    """One of the `replies` of a line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    text: str
    score: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    prompt_tokens: _Count
    completion_tokens: _Count
    usd: float = Field(ge=0, allow_inf_nan=False)


class KeptLine(BaseModel):
    """A line of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    answers: tuple[str, ...] = ()
    split: Split
    replies: tuple[KeptReply, ...] = Field(min_length=1)


def accepted(task: RoutingTask, question: str) -> Sequence[str]:
    """Accepted answers to a question of a task: the task's own, or those of one of its facts; empty for any other."""
    if question == task.question:
        return task.answers
    return next(((fact.answer,) for fact in task.facts if fact.question == question), ())


class Record:
    """Appends replies to a file; several processes may share it.

    Args:
        path: The file; made where it is not there.

    Raises:
        ConfigError: It cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"record {path}: {error.strerror}") from None
        self._append(b"")

    def keep(self, task: RoutingTask, candidate: str, question: str, reply: Reply) -> None:
        """Appends a reply; one without an answer is not kept."""
        if reply.error is not None:
            return
        kept = KeptReply(
            candidate=candidate,
            text=reply.text,
            score=reply.score,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            usd=reply.usd,
        )
        answers = tuple(accepted(task, question))
        line = KeptLine(question=encodable(question), answers=answers, split=task.split, replies=(kept,))
        self._append((json.dumps(line.model_dump(mode="json")) + "\n").encode())

    def _append(self, data: bytes) -> None:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(f"record {self._path}: {error.strerror}") from None
        try:
            if data:
                os.write(file, data)  # at once, so that lines of several processes do not mix
        finally:
            os.close(file)


class Replayed:
    """What was kept, by candidate and question; of several replies to one question the first.

    Args:
        path: The file.

    Raises:
        DataError: It is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._replies: dict[tuple[str, str], KeptReply] = {}
        for line in read_kept(path):
            for kept in line.replies:
                self._replies.setdefault((kept.candidate, line.question), kept)

    def find(self, candidate: str, question: str) -> Reply:
        """The reply that was kept; an error where there is none."""
        kept = self._replies.get((candidate, encodable(question)))
        if kept is None:
            return Reply("", error=NOT_KEPT)
        return Reply(kept.text, kept.score, kept.prompt_tokens, kept.completion_tokens, kept.usd)


def read_kept(path: Path) -> list[KeptLine]:
    """Reads a file of kept replies.

    Raises:
        DataError: It is damaged; names file, line and key.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DataError(path, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise DataError(path, f"not UTF-8 text (byte {error.start})") from None
    found: list[KeptLine] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(KeptLine.model_validate_json(line))
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                key = ".".join(str(part) for part in first["loc"])
                raise DataError(path, f"{key + ': ' if key else ''}{first['msg']}"[:300], number) from None
    return found


def recorded_rows(path: Path) -> list[RecordedRow]:
    """The kept replies that have a score, as rows of the `recorded` schema (`recorded.write_recorded` writes them).

    Raises:
        DataError: The file is damaged.
    """
    rows: dict[str, tuple[KeptLine, dict[str, RecordedReply]]] = {}
    for line in read_kept(path):
        for kept in line.replies:
            if kept.score is not None:
                _, replies = rows.setdefault(line.question, (line, {}))
                replies.setdefault(kept.candidate, RecordedReply(**kept.model_dump()))
    return [
        RecordedRow(question=line.question, answers=line.answers, split=line.split, replies=tuple(replies.values()))
        for line, replies in rows.values()
    ]
