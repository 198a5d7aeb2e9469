"""Questions about databases, and the databases they are about."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentgym.faults import ConfigError
from agentgym.task import ListedTasks, Task, TaskSet

#: Every query is tried on two contents of its database, so that a right answer by luck is caught.
VARIANTS = (0, 1)

Cell = str | int | float | bytes | None
#: (table, column) and the (table, column) that it refers to.
ForeignKeys = tuple[tuple[tuple[str, str], tuple[str, str]], ...]


@dataclass(frozen=True)
class Content:
    """A database to build.

    Attributes:
        statements: ``CREATE TABLE`` and ``CREATE INDEX`` statements of this package's own making.
        rows: Table -> its rows, in the order of the columns.
    """

    statements: tuple[str, ...]
    rows: Mapping[str, Sequence[tuple[Cell, ...]]]


class SqlTask(Task):
    """A question that a query answers.

    Attributes:
        question: What is asked.
        database: Key of the database, for `SqlTaskSet.database`.
        gold: The query that answers it, in SQLite's dialect.
        ordered: The question asks for an order, so that the order of rows counts.
        evidence: A hint that belongs to the question (BIRD); empty where there is none.
        probes: Queries that show how the values that the question names are stored; the expert runs them first.
    """

    question: str
    database: str
    gold: str
    ordered: bool = False
    evidence: str = ""
    probes: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        """`gold`, by the name under which the outcome rewards for SQL read it."""
        return self.gold


class SqlTaskSet(TaskSet[SqlTask]):
    """Tasks and their databases."""

    @abstractmethod
    def database(self, key: str, variant: int) -> Content | Path | None:
        """A database: what to build, or a SQLite file.

        Args:
            key: `SqlTask.database`.
            variant: One of `VARIANTS`: the same schema with other rows; 0 is the one that the agent sees.

        Returns:
            None for variant 1 where only one content is known: another is then derived from the file
            (`agentgym.envs.sql.shuffle`).
        """

    def foreign_keys(self, key: str) -> ForeignKeys:
        """Foreign keys of a database that it does not declare itself."""
        return ()

    @abstractmethod
    def texts(self) -> Iterable[str]:
        """Texts that hold every word of the questions, schemas and contents.

        Raises:
            ConfigError: They cannot be listed.
        """


class ListedTaskSet(ListedTasks[SqlTask], SqlTaskSet):
    """Tasks that are all in memory, over database files.

    Args:
        tasks: With different ids.
        files: Key -> SQLite file.
        keys: Key -> foreign keys that the file does not declare.

    Raises:
        ConfigError: Two tasks of one id.
    """

    def __init__(
        self, tasks: Iterable[SqlTask], files: Mapping[str, Path], keys: Mapping[str, ForeignKeys] | None = None
    ) -> None:
        super().__init__(tasks)
        self._files, self._keys = dict(files), dict(keys or {})

    def database(self, key: str, variant: int) -> Path | None:
        return self._files[key] if variant == 0 else None

    def foreign_keys(self, key: str) -> ForeignKeys:
        return self._keys.get(key, ())

    def texts(self) -> Iterable[str]:
        raise ConfigError("the words of database files are not listed, so model: tiny cannot be made for them")
