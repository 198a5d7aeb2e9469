"""Tasks are frozen, typed data; a `TaskSet` lists them by split. Behaviour lives in environments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from agentgym.faults import ConfigError, did_you_mean

Split = Literal["train", "heldout"]
SPLITS: tuple[Split, ...] = ("train", "heldout")
#: How many ids of a split an unknown one is compared with.
MAX_COMPARED = 1000


class Task(BaseModel):
    """One thing to solve. Families subclass this with their own fields.

    Attributes:
        id: Unique within its task set, stable between runs.
        split: ``"train"`` or ``"heldout"``.
        difficulty: Small integer, 1 = easiest; samplers and reports group by it (for search: the number of hops).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    split: Split
    difficulty: int = 1


T = TypeVar("T", bound=Task)


class TaskSet(ABC, Generic[T]):
    """Lists tasks by split and makes each by its id. May be lazy: `ids` is cheap, `__getitem__` may build."""

    @abstractmethod
    def ids(self, split: Split) -> Sequence[str]:
        """All task ids of a split, in a stable order."""

    @abstractmethod
    def __getitem__(self, task_id: str) -> T:
        """The task.

        Raises:
            ConfigError: No such id.
        """

    def difficulty(self, task_id: str) -> int:
        """A task's difficulty; override where it is known without building the task."""
        return self[task_id].difficulty

    def unknown(self, task_id: str) -> ConfigError:
        """The error `__getitem__` raises, naming the nearest known id."""
        known = [i for split in SPLITS for i in self.ids(split)[:MAX_COMPARED]]
        return ConfigError(f"no task {task_id!r}; {did_you_mean(task_id, known)}")


class ListedTasks(TaskSet[T]):
    """Tasks that are all known at once; a family's own set is this and the family's kind of `TaskSet`.

    Args:
        tasks: In the order in which they are listed.

    Raises:
        ConfigError: Two tasks of one id.
    """

    def __init__(self, tasks: Iterable[T]) -> None:
        self._tasks: dict[str, T] = {}
        self._ids: dict[Split, list[str]] = {split: [] for split in SPLITS}
        for task in tasks:
            if task.id in self._tasks:
                raise ConfigError(f"two tasks have the id {task.id!r}")
            self._tasks[task.id] = task
            self._ids[task.split].append(task.id)

    def ids(self, split: Split) -> Sequence[str]:
        return self._ids[split]

    def __getitem__(self, task_id: str) -> T:
        try:
            return self._tasks[task_id]
        except KeyError:
            raise self.unknown(task_id) from None
