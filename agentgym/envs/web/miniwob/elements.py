"""What an expert sees of a MiniWoB++ page: its visible elements with text, values and boxes.

The accessibility tree leaves out what many of these pages turn on (shapes, colours, where a span was drawn), so the
experts read the document instead; what they write are actions on the same page as everyone's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

#: Upper bound of the elements read; the largest page has about 900.
MAX_ELEMENTS: Final = 2000

ELEMENTS_JS = f"""() => {{
  const skip = new Set(['query', 'reward-display', 'sync-task-cover', 'click-canvas']);
  const rows = [];
  const chosen = getSelection().toString().replace(/\\s/g, '');
  const visit = (element, parent) => {{
    if (skip.has(element.id) || rows.length >= {MAX_ELEMENTS} ||
        ['SCRIPT', 'STYLE'].includes(element.tagName)) return;
    const rect = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const attributes = {{}};
    for (const a of element.attributes) if (a.name !== 'class' && a.name !== 'id') attributes[a.name] = a.value;
    const own = [...element.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join('');
    const index = rows.length;
    rows.push([
      parent, element.tagName.toLowerCase(), element.id || '', element.getAttribute('class') || '', own,
      'value' in element ? String(element.value) : '', element.checked === true || element.selected === true,
      [rect.x, rect.y, rect.width, rect.height],
      style.visibility !== 'hidden' && rect.width > 0 && rect.height > 0,
      document.activeElement === element,
      chosen !== '' && element.textContent.replace(/\\s/g, '') === chosen,
      [element.scrollTop, element.scrollHeight - element.clientHeight], attributes,
    ]);
    for (const child of element.children) visit(child, index);
  }};
  visit(document.body, -1);
  return rows;
}}"""


@dataclass(slots=True, eq=False)
class Element:
    """One element of the page.

    Attributes:
        tag, id, classes: As in the document.
        own: Its own text, not that of its children.
        value: A field's value.
        on: Checked or selected.
        box: x, y, width, height in CSS pixels of the viewport.
        visible: Drawn (perhaps outside the viewport).
        focused: Has the focus.
        selected: Its text is what is selected in the page.
        scroll: How far it is scrolled down and how far it can be, in pixels.
        attributes: The other attributes.
    """

    tag: str
    id: str
    classes: frozenset[str]
    own: str
    value: str
    on: bool
    box: tuple[float, float, float, float]
    visible: bool
    focused: bool
    selected: bool
    scroll: tuple[float, float]
    attributes: Mapping[str, str]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its text with that of its children, spaces normalised."""
        return " ".join(" ".join(e.own for e in self.walk()).split())

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of its box."""
        x, y, width, height = self.box
        return x + width / 2, y + height / 2

    def walk(self) -> Iterator[Element]:
        """It and everything below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def within(self, **wanted: str) -> bool:
        """Whether it is inside an element (or is one) with that ``id`` or ``cls``."""
        element: Element | None = self
        while element is not None:
            if element.id == wanted.get("id", element.id) and ("cls" not in wanted or wanted["cls"] in element.classes):
                return True
            element = element.parent
        return False


def read_elements(rows: Sequence[Sequence[Any]]) -> list[Element]:
    """Elements from what the page answered."""
    elements: list[Element] = []
    for (
        parent,
        tag,
        name,
        classes,
        own,
        value,
        on,
        box,
        visible,
        focused,
        selected,
        scroll,
        attributes,
    ) in rows:
        above = elements[parent] if parent >= 0 else None
        element = Element(
            tag=tag,
            id=name,
            classes=frozenset(classes.split()),
            own=own,
            value=value,
            on=on,
            box=(box[0], box[1], box[2], box[3]),
            visible=visible,
            focused=focused,
            selected=selected,
            scroll=(scroll[0], scroll[1]),
            attributes=attributes,
            parent=above,
        )
        elements.append(element)
        if above is not None:
            above.children.append(element)
    return elements
