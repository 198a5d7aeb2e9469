"""What a search task is, and what a set of them answers besides the tasks: the corpus to search, plausible mistakes."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterable

from agentgym.envs.search.corpus import Corpus
from agentgym.rewards.outcome.answer import exact_match
from agentgym.task import ListedTasks, Task, TaskSet

# Draws before a mistake gives up on being wrong (a corpus all of whose titles are right answers).
_TRIES = 20


class SearchTask(Task):
    """A question whose evidence must be searched for.

    Attributes:
        question: What is asked.
        answers: Accepted answers; any of them counts. Empty where a data set has none (retrieval benchmarks): the
            outcome is then the share of gold documents found.
        corpus: Key of the collection to search (`SearchTaskSet.corpus`).
        gold: Ids of the documents that hold the evidence, in the order of the chain.
        queries: What the expert searches for, one a gold document.
        names: What is known before each of those searches: the plausible wrong answer of one who stops there.
    """

    question: str
    answers: tuple[str, ...] = ()
    corpus: str = ""
    gold: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class SearchTaskSet(TaskSet[SearchTask]):
    """A `TaskSet` that knows what its tasks search."""

    @abstractmethod
    def corpus(self, task: SearchTask) -> Corpus:
        """The collection that a task's queries search; the same object as long as it is in use."""

    @abstractmethod
    def texts(self) -> Iterable[str]:
        """Texts that hold every word an agent can meet, for tokenizers that are made for a task set."""

    def wrong_query(self, task: SearchTask, step: int, rng: random.Random) -> str:
        """A plausible query that misses gold document `step`: by default some other document's title."""
        documents = self.corpus(task).documents
        for _ in range(_TRIES):
            document = rng.choice(documents) if documents else None
            if document is not None and document.title and document.id not in task.gold:
                return document.title
        return task.question

    def wrong_answer(self, task: SearchTask, step: int, rng: random.Random) -> str:
        """A plausible wrong answer of one who stops before search `step`: by default what is known by then."""
        if step < len(task.names) and not exact_match(task.names[step], task.answers):
            return task.names[step]
        documents = self.corpus(task).documents
        for _ in range(_TRIES):
            name = rng.choice(documents).title if documents else ""
            if name and not exact_match(name, task.answers):
                return name
        return "unknown"


class FileTaskSet(ListedTasks[SearchTask], SearchTaskSet):
    """Tasks that were read from files, with the collections they search.

    Args:
        tasks: In the files' order.
        corpora: Key -> collection.

    Raises:
        ConfigError: Two tasks of one id.
    """

    def __init__(self, tasks: Iterable[SearchTask], corpora: dict[str, Corpus]) -> None:
        super().__init__(tasks)
        self._corpora = corpora

    def corpus(self, task: SearchTask) -> Corpus:
        return self._corpora[task.corpus]

    def texts(self) -> Iterable[str]:
        for task in self._tasks.values():
            yield from (task.question, *task.answers)
        for corpus in self._corpora.values():
            for document in corpus.documents:
                yield from (document.title, document.text)
