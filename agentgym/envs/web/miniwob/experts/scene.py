"""`Scene`: what an expert decides on, and the actions it can choose; and the list of experts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from agentgym.actions import Action
from agentgym.envs.web.miniwob.elements import Element
from agentgym.envs.web.miniwob.episode import Asked

#: Finds the id under which an element can be acted on; None: it has none.
Names = Callable[[Element], str | None]


class Scene:
    """The page at one moment.

    Args:
        asked: What is asked.
        elements: Elements in document order.
        names: Ids of elements.
    """

    def __init__(self, asked: Asked, elements: Sequence[Element], names: Names) -> None:
        self.goal, self.asked, self.elements, self._names = asked.goal, asked.fields, elements, names

    # -- looking -----------------------------------------------------------------------------------------------------

    @property
    def quoted(self) -> list[str]:
        """What stands in quotes in the goal."""
        return re.findall(r'"([^"]*)"', self.goal)

    def match(self, pattern: str) -> tuple[str, ...]:
        """Groups of a pattern in the goal.

        Raises:
            LookupError: The goal does not read so.
        """
        found = re.search(pattern, self.goal)
        if found is None:
            raise LookupError(f"the goal {self.goal!r} does not match {pattern!r}")
        return found.groups()

    def all(
        self,
        tag: str | None = None,
        *,
        cls: str | None = None,
        id: str | None = None,
        text: str | None = None,
        inside: str | None = None,
        visible: bool = True,
    ) -> list[Element]:
        """Elements, in document order.

        Args:
            tag: Tag name.
            cls: A class.
            id: The document's id.
            text: Whole text, spaces normalised.
            inside: Id of an element around them.
            visible: Only those that are drawn.
        """
        return [
            e
            for e in self.elements
            if (tag is None or e.tag == tag)
            and (cls is None or cls in e.classes)
            and (id is None or e.id == id)
            and (text is None or e.text == text)
            and (inside is None or e.within(id=inside))
            and (e.visible or not visible)
        ]

    def maybe(self, tag: str | None = None, **wanted: Any) -> Element | None:
        """The first such element, if any."""
        return next(iter(self.all(tag, **wanted)), None)

    def one(self, tag: str | None = None, **wanted: Any) -> Element:
        """The first such element.

        Raises:
            LookupError: There is none.
        """
        found = self.maybe(tag, **wanted)
        if found is None:
            raise LookupError(f"the page shows no {tag or 'element'} with {wanted}")
        return found

    def fields(self) -> list[Element]:
        """The visible fields that take text."""
        kinds = ("text", "input", "password", "date", "time", "number", "")
        boxes = (e for e in self.all("input") if e.attributes.get("type", "") in kinds)
        return [*boxes, *self.all("textarea")]

    # -- acting ------------------------------------------------------------------------------------------------------

    def click(self, element: Element) -> Action:
        """Clicks an element."""
        return Action("click", {"id": self._named(element)})

    def hover(self, element: Element) -> Action:
        """Moves the mouse onto an element."""
        return Action("hover", {"id": self._named(element)})

    def fill(self, element: Element, text: str) -> Action:
        """Replaces a field's text."""
        return Action("fill", {"id": self._named(element), "text": text})

    def press(self, element: Element, key: str) -> Action:
        """Presses a key in an element."""
        return Action("press", {"id": self._named(element), "key": key})

    def select(self, element: Element, *options: str) -> Action:
        """Chooses options of a list."""
        return Action(
            "select_option", {"id": self._named(element), "options": options[0] if len(options) == 1 else list(options)}
        )

    def point(self, x: float, y: float) -> Action:
        """Clicks at a place of the viewport."""
        return Action("mouse_click", {"x": round(x, 1), "y": round(y, 1)})

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> Action:
        """Drags from one place of the viewport to another."""
        names = ("from_x", "from_y", "to_x", "to_y")
        return Action("mouse_drag_and_drop", dict(zip(names, (round(v, 1) for v in (*start, *end)), strict=True)))

    def scroll_in(self, element: Element, delta_y: float) -> Action:
        """Scrolls inside an element."""
        return Action("scroll", {"delta_x": 0, "delta_y": delta_y, "id": self._named(element)})

    def _named(self, element: Element) -> str:
        name = self._names(element)
        if name is None:
            raise LookupError(f"the {element.tag} #{element.id} has no id to act on, or none yet")
        return name

    # -- what many pages have in common ------------------------------------------------------------------------------

    def fill_all(self, wanted: Sequence[tuple[Element, str]], submit: Element) -> Action:
        """Fills the first field whose value is not the one wanted; once all are, clicks."""
        for element, text in wanted:
            if element.value != text:
                return self.fill(element, text)
        return self.click(submit)

    def submit(self) -> Element:
        """The button that hands the answer in."""
        buttons = self.all("button")
        named = [b for b in buttons if b.id == "subbtn" or "secondary-action" in b.classes or b.text == "Submit"]
        if not named:
            raise LookupError("the page shows no button to submit with")
        return named[-1]


Expert = Callable[[Scene], Action]
#: Page -> what to do next on it.
EXPERTS: Final[dict[str, Expert]] = {}


def expert(*pages: str) -> Callable[[Expert], Expert]:
    """Registers an expert for pages."""

    def register(function: Expert) -> Expert:
        for page in pages:
            EXPERTS[page] = function
        return function

    return register
