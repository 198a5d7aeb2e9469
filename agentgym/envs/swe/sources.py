"""The sources of repair tasks, by name; see `agentgym.envs.sourcing`.

A folder of tasks, such as the shipped one (``data/``) or what ``agentgym swe make`` writes, looks like this::

    tasks.jsonl                one task a line, see `agentgym.envs.swe.rows.OwnRow`
    repos/NAME/...             a repository *as it is when mended*, its tests included; or repos/NAME.tar, .tar.gz
    repos/NAME/heldback/...    tests that the agent never sees, in a folder that pytest can collect by itself

A row's ``repo`` is NAME. The agent finds the repository with the row's gold patch undone and without ``heldback/``. The
grader puts back ``heldback/``, every file that the row's test ids name, and all that is a test by its name or folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field

from agentgym.envs.files import split_by_hash, typed_rows
from agentgym.envs.sourcing import Source
from agentgym.envs.swe.folders import EditTaskSet, FolderTaskSet, shown_files
from agentgym.envs.swe.images import ImageTaskSet
from agentgym.envs.swe.patches import PatchError
from agentgym.envs.swe.renaming import RenamedTaskSet
from agentgym.envs.swe.rows import FORMATS, EditRow, ImageRow, OwnRow, detect
from agentgym.envs.swe.task import SweTask, SweTaskSet
from agentgym.envs.swe.tree import Tree, TreeError
from agentgym.faults import ConfigError, DataError, first_line
from agentgym.registry import Registry
from agentgym.task import SPLITS, Split

#: The repositories and tasks that come with the package.
SHIPPED = Path(__file__).parent / "data"
TASKS = "tasks.jsonl"


class SweSource(Source[SweTaskSet]):
    """Base of the sources' options."""


SOURCES: Registry[type[SweSource]] = Registry("repair source", "agentgym.swe_sources")


class _Chosen(SweSource):
    repos: tuple[str, ...] | None = Field(None, min_length=1)
    """Only tasks of these repositories."""
    kinds: tuple[str, ...] | None = Field(None, min_length=1)
    """Only tasks whose fault was made by these kinds of mutation alone."""
    max_difficulty: int | None = Field(None, ge=1)
    """Only tasks of at most this difficulty."""
    heldout: float = Field(0.2, ge=0, le=1)
    """Fraction of the rows that is held out, by a stable hash of the id, where a row does not say its split."""

    def chosen(self, tasks: list[SweTask]) -> list[SweTask]:
        """Those that the options leave.

        Raises:
            ConfigError: They leave none.
        """
        found = [
            task
            for task in tasks
            if (self.repos is None or task.repo in self.repos)
            and (self.kinds is None or (task.kinds and set(task.kinds) <= set(self.kinds)))
            and (self.max_difficulty is None or task.difficulty <= self.max_difficulty)
        ]
        if tasks and not found:
            raise ConfigError("repos, kinds and max_difficulty leave no task of this source")
        return found

    def own(self, file: Path) -> FolderTaskSet:
        """The tasks of a folder, by its file of rows."""
        split = split_by_hash(self.heldout)
        tasks = [row.task(split(row.instance_id)) for _, row in typed_rows(file, OwnRow)]
        return FolderTaskSet(file.parent, self.chosen(tasks))


@SOURCES.register("shipped")
class ShippedSource(_Chosen):
    """The small repositories that come with the package."""

    copies: int | None = Field(None, ge=1)
    """Every training task so many times, each time with other names for functions and variables (`RenamedTaskSet`)."""

    def make(self) -> SweTaskSet:
        found = self.own(SHIPPED / TASKS)
        return found if self.copies is None else RenamedTaskSet(found, self.copies)


@SOURCES.register("rows")
class RowsSource(_Chosen):
    """A folder of tasks, or rows of SWE-bench, SWE-Gym, SWE-smith or R2E-Gym as JSON lines or Parquet."""

    path: str
    """The folder, or the file."""
    heldout_path: str | None = None
    """File of held-out rows; all rows of `path` are then for training."""
    format: Literal["own", "swe-bench", "swe-gym", "swe-smith", "r2e-gym"] | None = None
    """What the rows are; none: found out by their columns."""
    image: str | None = None
    """Image of a row's repository, e.g. ``"mine/{instance_id}:latest"``; none: by the data set's own rule."""
    python: str | None = None
    """The Python there that runs the tests; none: by the data set's own rule."""
    test_timeout_s: float | None = Field(None, gt=0)
    """Seconds that the tests of a row may take; none: by the data set's own rule."""
    cache: str = "~/.cache/agentgym/swe"
    """Folder where the repositories of images are kept."""

    def files(self) -> list[Path]:
        return [_file(path) for path in (self.path, self.heldout_path) if path is not None]

    def make(self) -> SweTaskSet:
        files = self.files()
        kind = self.format or detect(files[0])
        if kind == "own":
            if self.heldout_path is not None or self.image is not None:
                raise ConfigError("heldout_path and image are not for a folder of tasks: its rows say both")
            return self.own(files[0])
        splits: list[Callable[[str], Split]] = [split_by_hash(self.heldout)]
        if len(files) == 2:
            splits = [_always(split) for split in SPLITS]
        tasks = []
        for file, split in zip(files, splits, strict=True):
            for line, row in typed_rows(file, FORMATS[kind]):
                try:
                    tasks.append(self._changed(row, row.task(split(row.key))))
                except (PatchError, ValueError) as error:
                    raise DataError(file, f"{row.key[:80]}: {first_line(error)}"[:300], line) from None
        return ImageTaskSet(self.chosen(tasks), Path(self.cache).expanduser())

    def _changed(self, row: ImageRow, task: SweTask) -> SweTask:
        changes: dict[str, object] = {}
        if self.image is not None:
            # Only the names that a row has: a format string of a stranger's row is not used.
            changes["image"] = self.image.replace("{instance_id}", task.id).replace("{repo}", task.repo)
        if self.python is not None:
            changes["python"] = self.python
        if self.test_timeout_s is not None:
            changes["test_timeout_s"] = self.test_timeout_s
        return task.model_copy(update=changes)


@SOURCES.register("edits")
class EditsSource(_Chosen):
    """SWE-RL's single turn: the files are given in the prompt and changed by edits; no container is needed."""

    path: str | None = None
    """Rows with their files (`rows.EditRow`), or a folder of tasks; none: the shipped ones."""

    def files(self) -> list[Path]:
        return [SHIPPED / TASKS if self.path is None else _file(self.path)]

    def make(self) -> EditTaskSet:
        file = self.files()[0]
        if (file.parent / "repos").is_dir():
            found = self.own(file)
            made = [found[key] for split in SPLITS for key in found.ids(split)]
            shown = [task.model_copy(update={"files": shown_files(task)}) for task in made]
            return EditTaskSet(shown, {task.id: _only(found.tree(task), task.files) for task in shown})
        split = split_by_hash(self.heldout)
        tasks, trees = [], {}
        for line, row in typed_rows(file, EditRow):
            try:
                tasks.append(row.task(split(row.instance_id)))
                trees[row.instance_id] = Tree({path: text.encode() for path, text in row.files.items()})
            except (PatchError, TreeError, UnicodeEncodeError) as error:
                raise DataError(file, f"{row.instance_id[:80]}: {error}"[:300], line) from None
        return EditTaskSet(self.chosen(tasks), trees)


def _file(path: str) -> Path:
    place = Path(path)
    return place / TASKS if place.is_dir() else place


def _always(split: Split) -> Callable[[str], Split]:
    return lambda key: split


def _only(tree: Tree, paths: tuple[str, ...]) -> Tree:
    return Tree({path: tree[path] for path in paths})
