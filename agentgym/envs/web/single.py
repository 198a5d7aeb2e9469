"""Single steps as tasks, in the manner of UI-R1 (arXiv 2503.21620): an instruction, a screen, the right action.

JSON lines, a row each::

    {"id": "7", "instruction": "open the cart", "screenshot": "shots/7.png", "action": "click", "box": [10, 4, 60, 30]}
    {"id": "8", "instruction": "search for tea", "tree": "[3] searchbox ...", "action": "fill", "arguments": {"id": "3",
     "text": "tea"}}

The screen is a picture (its path is shown; an engine that sees reads the file) or a tree as text. The action's name is
one of the environment's, or one that UI-R1's data has; a right place is a box in pixels (x1, y1, x2, y2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import AliasChoices, Field, StringConstraints, model_validator

from agentgym.envs.files import Row, split_by_hash, typed_rows
from agentgym.envs.web.actions import ACTIONS
from agentgym.envs.web.gold import GoldWorld
from agentgym.envs.web.sources import WebSource
from agentgym.envs.web.task import ListedTaskSet, WebTask
from agentgym.faults import DataError

#: Names of actions in public data -> the environment's; with a box, the action of pointing.
ALIASES: Final[Mapping[str, str]] = {
    "click": "click",
    "tap": "click",
    "long_press": "click",
    "type": "fill",
    "type_text": "fill",
    "input_text": "fill",
    "input": "fill",
    "select": "select_option",
    "open_app": "goto",
    "navigate_back": "go_back",
    "navigate_home": "goto",
    "back": "go_back",
    "press_back": "go_back",
    "wait": "noop",
    "answer": "stop",
    "finish": "stop",
    "complete": "stop",
    "impossible": "report_infeasible",
}
#: With a box, an action points at it.
POINTED: Final[Mapping[str, str]] = {"click": "mouse_click", "dblclick": "mouse_dblclick", "hover": "mouse_move"}
KNOWN: Final = frozenset(spec.name for spec in ACTIONS)
_Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000_000)]
#: Largest coordinate that a box may have, in pixels.
MAX_PIXELS: Final = 100_000


class GoldAction(Row):
    """A right action, as the files of this module and `behaviour` have it."""

    action: Annotated[str, Field(validation_alias=AliasChoices("action", "action_type", "gt_action", "type"))]
    arguments: Mapping[str, Any] = {}
    box: Annotated[
        tuple[float, float, float, float] | None, Field(validation_alias=AliasChoices("box", "bbox", "gt_bbox"))
    ] = None

    @model_validator(mode="after")
    def _usable(self) -> GoldAction:
        if self.name not in KNOWN:
            raise ValueError(f"action {self.action[:40]!r} is not known")
        if self.box is not None:
            x1, y1, x2, y2 = self.box
            if not 0 <= x1 <= x2 <= MAX_PIXELS or not 0 <= y1 <= y2 <= MAX_PIXELS:
                raise ValueError(f"box {list(self.box)} must be x1 <= x2, y1 <= y2, from 0 to {MAX_PIXELS}")
        return self

    @property
    def name(self) -> str:
        """The environment's name of it."""
        plain = self.action.strip().lower()
        name = ALIASES.get(plain, plain)
        return POINTED.get(name, name) if self.box is not None else name

    @property
    def step(self) -> dict[str, Any]:
        """As `WebTask.steps` holds it."""
        box = {} if self.box is None else {"box": list(self.box)}
        return {"name": self.name, "arguments": {**self.arguments, **box}}


class StepRow(GoldAction):
    """A row of one step."""

    id: str | int | None = None
    instruction: Annotated[_Text, Field(validation_alias=AliasChoices("instruction", "task", "goal", "problem"))]
    screenshot: Annotated[str | None, Field(validation_alias=AliasChoices("screenshot", "image", "img_filename"))] = (
        None
    )
    tree: Annotated[_Text | None, Field(validation_alias=AliasChoices("tree", "axtree", "accessibility_tree"))] = None
    difficulty: Annotated[int, Field(ge=1, le=5)] = 1

    @model_validator(mode="after")
    def _seen(self) -> StepRow:
        if (self.screenshot is None) == (self.tree is None):
            raise ValueError("a row has a screenshot or a tree")
        return self


def picture(file: Path, root: Path, line: int) -> str:
    """What is shown for a picture: where it lies, which must be within the folder of the data.

    Raises:
        DataError: It lies elsewhere.
    """
    path = (root / file).resolve()
    if not path.is_relative_to(root.resolve()):
        raise DataError(root, f"picture {str(file)[:80]!r} lies outside of the data's folder", line)
    return f"[picture {path}]"


class StepTaskSet(ListedTaskSet):
    """Tasks of one step each.

    Args:
        tasks: The tasks.
        pages: What each shows, by its id.
    """

    forkable: ClassVar[bool] = True

    def __init__(self, tasks: Iterable[WebTask], pages: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(tasks)
        self._pages = dict(pages)

    def world(self, task: WebTask) -> GoldWorld:
        return GoldWorld(task, self._pages[task.id])

    def texts(self) -> Iterable[str]:
        for task in self._tasks.values():
            yield task.goal
            yield from self._pages[task.id]
            for step in task.steps:
                yield from (str(value) for value in step["arguments"].values())


class RowsSource(WebSource):
    """Rows of single steps."""

    path: str
    """JSON lines, one JSON array, or Parquet."""
    heldout: float = Field(0.2, ge=0, le=1)
    """Fraction of the rows that is held out, by a stable hash of the id."""

    def files(self) -> list[Path]:
        return [Path(self.path)]

    def make(self) -> StepTaskSet:
        path, split = Path(self.path), split_by_hash(self.heldout)
        tasks: dict[str, WebTask] = {}
        pages: dict[str, tuple[str, ...]] = {}
        for line, row in typed_rows(path, StepRow):
            name = f"rows/{line if row.id is None else row.id}"
            if name in tasks:
                raise DataError(path, f"id: {row.id!r} comes twice", line)
            page = row.tree or picture(Path(row.screenshot or ""), path.parent, line)
            tasks[name] = WebTask(
                id=name, split=split(name), goal=row.instruction, difficulty=row.difficulty, steps=(row.step,)
            )
            pages[name] = (page,)
        if not tasks:
            raise DataError(path, "it has no rows")
        return StepTaskSet(tasks.values(), pages)
