"""What a routing task is, and what a set of them answers besides the tasks: whom to ask, and what was measured."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from agentgym.envs.routing.candidates import Candidate
from agentgym.task import ListedTasks, Task, TaskSet

#: A score from which a reply counts as right.
RIGHT_AT = 0.5


class Recorded(BaseModel):
    """One candidate's measured answer to one question.

    Attributes:
        score: How good it is, 0..1.
        text: The answer, where it was kept.
        prompt_tokens, completion_tokens: As counted, where they were.
        usd: What it cost, where that is known; otherwise prices and tokens say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: float = Field(ge=0, le=1, allow_inf_nan=False)
    text: str | None = None
    prompt_tokens: int | None = Field(None, ge=0)
    completion_tokens: int | None = Field(None, ge=0)
    usd: float | None = Field(None, ge=0, allow_inf_nan=False)


class Fact(BaseModel):
    """One of the facts that an answer is joined from.

    Attributes:
        question: The sub-question that asks for it.
        answer: The right answer.
        topic: What it is about; candidates are stronger in some topics than in others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    answer: str
    topic: str


class RoutingTask(Task):
    """A question that is answered by asking other models.

    Attributes:
        question: What is asked.
        answers: Accepted answers; empty where a data set has only scores.
        candidates: Names of the candidates that are offered; empty: all of the backend's.
        recorded: Candidate -> its measured answer to the whole question; empty where nothing was recorded.
        facts: The facts to be asked for, in order, where the question has parts.
        view: Which part of the training questions its records are drawn from (`records.Neighbours`); 0: all of them.
    """

    question: str
    answers: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    recorded: Mapping[str, Recorded] = Field(default_factory=dict)
    facts: tuple[Fact, ...] = ()
    view: int = 0

    @property
    def answerable(self) -> bool:
        """Whether a candidate on offer is known to be right about it; true where nothing is known."""
        return not self.recorded or any(self.recorded[name].score >= RIGHT_AT for name in self.candidates)

    @property
    def one_shot(self) -> bool:
        """Scores were recorded, but nothing to read or to check an answer against: the first route decides."""
        return bool(self.recorded) and (not self.answers or all(r.text is None for r in self.recorded.values()))

    def facts_asked(self, question: str) -> set[int]:
        """Numbers of the facts that a question asks for; where the task has no parts, the whole question is fact 0."""
        wanted = normal(question)
        if len(self.facts) <= 1 and wanted == normal(self.question):
            return {0}
        return {i for i, fact in enumerate(self.facts) if normal(fact.question) == wanted}


def normal(question: str) -> str:
    """A question without what makes no difference: case, and blanks."""
    return " ".join(question.lower().split())


class RoutingTaskSet(TaskSet[RoutingTask]):
    """A `TaskSet` that knows its candidates.

    Attributes:
        backend: Name of the backend that asks them, where none is given.
    """

    backend: str

    @property
    @abstractmethod
    def candidates(self) -> Sequence[Candidate]:
        """All candidates of the source, held-out ones included; empty where the backend brings its own."""

    @abstractmethod
    def texts(self) -> Iterable[str]:
        """Texts that hold every word an agent can meet or write, for tokenizers that are made for a task set."""


class ListedTaskSet(ListedTasks[RoutingTask], RoutingTaskSet):
    """Tasks that were read from a file.

    Args:
        tasks: In the file's order.
        candidates: Whom they may ask.
        backend: Name of the backend where none is given.

    Raises:
        ConfigError: Two tasks of one id.
    """

    def __init__(self, tasks: Iterable[RoutingTask], candidates: Sequence[Candidate], backend: str) -> None:
        self.backend = backend
        self._candidates = tuple(candidates)
        super().__init__(tasks)

    @property
    def candidates(self) -> Sequence[Candidate]:
        return self._candidates

    def texts(self) -> Iterable[str]:
        for task in self._tasks.values():
            yield from (task.question, *task.answers)
            yield from (r.text for r in task.recorded.values() if r.text is not None)
