"""Experts of pages that are solved by dragging something somewhere."""

from __future__ import annotations

import re

from agentgym.actions import Action
from agentgym.envs.web.miniwob.elements import Element
from agentgym.envs.web.miniwob.experts.scene import Scene, expert

Point = tuple[float, float]
#: How far something is moved where only the direction counts, in pixels.
SOME_WAY = 15
#: How exact a size must be, in pixels.
TOLERANCE = 6
_DIRECTIONS = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}


@expert("drag-box")
def drag_box(scene: Scene) -> Action:
    """The small box into the middle of the large one."""
    small, large = scene.one(id="draggableSmall"), scene.one(id="draggableLarge")
    if _inside(small.box, large.box, margin=2):
        return scene.click(scene.submit())
    return scene.drag(small.centre, large.centre)


def _inside(inner: tuple[float, ...], outer: tuple[float, ...], margin: float) -> bool:
    x, y, width, height = inner
    left, top, wide, high = outer
    return left + margin < x < x + width < left + wide - margin and top + margin < y < y + height < top + high - margin


@expert("drag-circle", "drag-single-shape")
def drag_some_way(scene: Scene) -> Action:
    """Any way in that direction; a moved shape carries a transform."""
    dx, dy = _DIRECTIONS[scene.match(r"(up|down|left|right) then press")[0]]
    shape = next(e for e in scene.all() if e.tag in ("circle", "rect", "polygon"))
    moved = _moved(shape)
    if moved[0] * dx + moved[1] * dy > 1:
        return scene.click(scene.submit())
    x, y = shape.centre
    return scene.drag((x, y), (x + dx * SOME_WAY, y + dy * SOME_WAY))


def _moved(shape: Element) -> Point:
    numbers = re.findall(r"-?[\d.]+", shape.attributes.get("transform", ""))
    return (float(numbers[0]), float(numbers[1])) if len(numbers) == 2 else (0.0, 0.0)


def _ahead(start: Element, end: Element) -> Point:
    """A little farther than the middle of the target, so that the list makes room before the drop."""
    (ax, ay), (bx, by) = start.centre, end.centre
    return bx + 4 * ((bx > ax) - (bx < ax)), by + 4 * ((by > ay) - (by < ay))


@expert("drag-items", "drag-items-grid")
def drag_item(scene: Scene) -> Action:
    """One drag: the page ends with it."""
    items = scene.all("li")
    name, place = scene.match(r"Drag (.*?) ((?:to the|up by|down by|left by|right by) .*)\.")
    index = next(i for i, item in enumerate(items) if item.text == name)
    across = 3 if len(items) == 9 else 1
    target = _target(place, index, len(items), across)
    return scene.drag(items[index].centre, _ahead(items[index], items[target]))


def _target(place: str, index: int, count: int, across: int) -> int:
    rank = re.search(r"(\d)(?:st|nd|rd|th)", place)
    if rank is not None:
        return int(rank[1]) - 1
    by = {"up by": -across, "down by": across, "left by": -1, "right by": 1}
    step = next((step for words, step in by.items() if place.startswith(words)), 0)
    if step:
        return index + step
    if across == 1:
        return 0 if "top" in place else count - 1
    row = 0 if "top" in place else 2 if "bottom" in place else 1
    return 3 * row + (0 if "left" in place else 2 if "right" in place else 1)


@expert("drag-sort-numbers")
def sort_numbers(scene: Scene) -> Action:
    """Drags the number that belongs first among those not yet in place."""
    items = scene.all("li")
    numbers = [int(e.text) for e in items]
    for place, number in enumerate(sorted(numbers)):
        if numbers[place] != number:
            source = items[numbers.index(number, place)]
            return scene.drag(source.centre, _ahead(source, items[place]))
    return scene.click(scene.submit())


_TAGS = {"rectangles": "rect", "circles": "circle", "triangles": "polygon"}


def _drawn(scene: Scene) -> list[Element]:
    return [e for e in scene.all() if e.tag in _TAGS.values() and e.id != "shape-container"]


def _spot(box: Element, number: int) -> Point:
    """The places in a box, three a row, so that what was dropped does not lie under what comes next."""
    x, y, width, height = box.box
    return x + width * (0.25 + 0.25 * (number % 3)), y + height * (0.35 + 0.4 * (number // 3 % 2))


def _holds(box: Element, shape: Element) -> bool:
    return _inside((*shape.box[:2], 0.5, 0.5), box.box, margin=2)


@expert("drag-shapes")
def drag_shapes(scene: Scene) -> Action:
    """All shapes of a kind, each to a place of its own."""
    kind = scene.match(r"Drag all (\w+) into")[0]
    box = scene.one(id="shape-container")
    shapes = [e for e in _drawn(scene) if e.tag == _TAGS[kind]]
    for number, shape in enumerate(shapes):
        if not _holds(box, shape):
            return scene.drag(shape.centre, _spot(box, number))
    return scene.click(scene.submit())


@expert("drag-shapes-2")
def drag_shapes_apart(scene: Scene) -> Action:
    """Those of a kind or colour to the left, the others to the right."""
    (what,) = scene.match(r"Drag all (.*) into the left box")
    left, right = scene.all(id="shape-container")
    for number, shape in enumerate(_drawn(scene)):
        chosen = shape.tag == _TAGS[what] if what in _TAGS else shape.attributes["fill"] == what.split()[0]
        box = left if chosen else right
        if not _holds(box, shape):
            return scene.drag(shape.centre, _spot(box, number))
    return scene.click(scene.submit())


#: Of resize-textarea: below and above all sizes that its text area begins with, in pixels.
SMALL, LARGE = 40, {"height": 85, "width": 110}


@expert("resize-textarea")
def resize_textarea(scene: Scene) -> Action:
    """By the handle in its corner, to a size that is smaller or larger than whatever it was first."""
    side, change = scene.match(r"so that the (height|width) is (smaller|larger) than")
    _, _, width, height = scene.one("textarea").box
    now, wanted = (height if side == "height" else width), (SMALL if change == "smaller" else LARGE[side])
    if abs(now - wanted) < TOLERANCE:
        return scene.click(scene.one(id="submit"))
    x, y = scene.one(cls="ui-resizable-se").centre
    return scene.drag((x, y), (x, y + wanted - now) if side == "height" else (x + wanted - now, y))


@expert("highlight-text")
def highlight(scene: Scene) -> Action:
    """The whole text."""
    return _select(scene, scene.one(id="randomText"))


@expert("highlight-text-2")
def highlight_paragraph(scene: Scene) -> Action:
    """One paragraph."""
    rank = int(scene.match(r"the (\d)")[0]) - 1
    return _select(scene, scene.all("p")[rank])


def _select(scene: Scene, text: Element) -> Action:
    """From before the first letter to behind the last; the mouse stays where it let go."""
    x, y, width, height = text.box
    if text.selected:
        return scene.click(scene.submit())
    return scene.drag((x + 0.5, y + 3), (x + width - 1, y + height - 3))
