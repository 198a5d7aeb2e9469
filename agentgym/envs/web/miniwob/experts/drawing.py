"""Experts of pages about shapes and points in a drawing."""

from __future__ import annotations

from collections.abc import Callable
from math import acos, degrees, dist, hypot

from agentgym.actions import Action
from agentgym.envs.web.miniwob.elements import Element
from agentgym.envs.web.miniwob.experts.scene import Scene, expert

Point = tuple[float, float]
#: Side of a shape from which it is large, in pixels.
LARGE = 15
_KINDS = {"rect": "rectangle", "circle": "circle", "polygon": "triangle"}


def describe(shape: Element) -> tuple[str, str, str, str]:
    """Size, colour, type and name of a shape, as the goals call them."""
    if shape.tag == "text":
        size = float(shape.attributes["font-size"].removesuffix("px"))
        kind, name = ("digit" if shape.text.isdigit() else "letter"), shape.text
    else:
        size, kind, name = shape.box[2], "shape", _KINDS[shape.tag]
    return ("large" if size > LARGE else "small"), shape.attributes["fill"], kind, name


def fits(shape: Element, words: list[str]) -> bool:
    """Whether each word of a description is true of a shape."""
    size, colour, kind, name = describe(shape)
    *before, what = words
    return all(word in (size, colour) for word in before) and what in ("item", kind, name)


def _shapes(scene: Scene) -> list[Element]:
    return [e for e in scene.all(inside="area_svg") if e.tag in ("rect", "circle", "polygon", "text")]


@expert("click-shape")
def click_shape(scene: Scene) -> Action:
    """The first shape that fits."""
    words = scene.goal.removeprefix("Click on a ").split()
    return scene.click(next(s for s in _shapes(scene) if fits(s, words)))


@expert("count-shape")
def count_shape(scene: Scene) -> Action:
    """The button with the number of shapes that fit."""
    words = scene.match(r"How many (.*)s are there")[0].split()
    count = sum(fits(s, words) for s in _shapes(scene))
    return scene.click(scene.one("button", inside="count-buttons", text=str(count)))


@expert("identify-shape")
def identify_shape(scene: Scene) -> Action:
    """The button that names the shape."""
    _, _, kind, name = describe(_shapes(scene)[0])
    wanted = name if kind == "shape" else kind
    return scene.click(next(b for b in scene.all("button") if b.attributes["data-type"] == wanted))


@expert("ascending-numbers")
def ascending_numbers(scene: Scene) -> Action:
    """The first number; then the covers that came over the others, in order."""
    numbers = scene.all("text")
    if numbers:
        return scene.click(next(n for n in numbers if n.text == "1"))
    return scene.click(min(scene.all("rect"), key=lambda r: int(r.attributes["data-index"])))


@expert("grid-coordinate")
def grid_coordinate(scene: Scene) -> Action:
    """The five columns and rows of points stand for -2 to 2."""
    x, y = map(int, scene.match(r"\((-?\d),(-?\d)\)"))
    points = scene.all("circle")
    columns, rows = (sorted({round(p.centre[axis]) for p in points}) for axis in (0, 1))
    wanted = columns[x + 2], rows[2 - y]
    return scene.click(min(points, key=lambda p: dist(p.centre, wanted)))


def _place(scene: Scene, target: Point) -> Action:
    """Puts the blue point where it belongs (in the drawing's own pixels), then submits."""
    placed = scene.maybe(id="blue-circle")
    if placed is not None and dist(_at(placed), target) < 1:
        return scene.click(scene.submit())
    # The pages take the place of a click in the window, less the height of the goal, for that in the drawing.
    return scene.point(target[0], target[1] + GOAL_HEIGHT)


def _at(circle: Element) -> Point:
    return float(circle.attributes["cx"]), float(circle.attributes["cy"])


#: Height of the line above a drawing that holds the goal, in pixels.
GOAL_HEIGHT = 50
#: Part of a drawing that takes clicks, in its own pixels.
WIDTH, HEIGHT = 145, 125
#: How far from the vertex a point should lie at least, in pixels: angles to near points are coarse.
FAR = 25


def _best(cost: Callable[[Point], float], vertex: Point) -> Point:
    points = ((float(x), float(y)) for x in range(3, WIDTH) for y in range(3, HEIGHT))
    return min((p for p in points if dist(p, vertex) > FAR), key=cost)


def _angle(a: Point, vertex: Point, b: Point) -> float:
    ax, ay, bx, by = a[0] - vertex[0], a[1] - vertex[1], b[0] - vertex[0], b[1] - vertex[1]
    cosine = (ax * bx + ay * by) / (hypot(ax, ay) * hypot(bx, by))
    return degrees(acos(max(-1.0, min(1.0, cosine))))


@expert("circle-center")
def circle_centre(scene: Scene) -> Action:
    """The middle of the circle."""
    x, y = _at(scene.one("circle", cls="black-circle"))
    return _place(scene, (round(x), round(y)))


@expert("find-midpoint")
def midpoint(scene: Scene) -> Action:
    """The middle between the points."""
    (ax, ay), (bx, by) = (_at(c) for c in scene.all("circle", cls="black-circle"))
    return _place(scene, (round((ax + bx) / 2), round((ay + by) / 2)))


@expert("right-angle")
def right_angle(scene: Scene) -> Action:
    """The point that makes the angle nearest to 90 degrees."""
    black, vertex = _at(scene.one(id="init-black")), _at(scene.one(id="init-blue"))
    return _place(scene, _best(lambda p: abs(_angle(black, vertex, p) - 90), vertex))


@expert("bisect-angle")
def bisect_angle(scene: Scene) -> Action:
    """The point that halves the angle best."""
    vertex = _at(scene.one(cls="init-blue"))
    a, b = (_at(c) for c in scene.all(cls="init-black"))
    half = _angle(a, vertex, b) / 2
    return _place(scene, _best(lambda p: max(abs(_angle(e, vertex, p) - half) for e in (a, b)), vertex))


@expert("draw-line")
def draw_line(scene: Scene) -> Action:
    """One stroke across the drawing, through the dot."""
    button = next(e for e in scene.all("button") if e.text == "Submit")
    if scene.all("path", visible=False):  # a straight stroke has a box without width or height
        return scene.click(button)
    x, y = scene.one(id="circ").centre
    left, top, width, height = scene.one("svg").box
    if "horizontal" in scene.goal:
        return scene.drag((left + 10, y), (left + width - 10, y))
    return scene.drag((x, top + 5), (x, top + height - 5))


#: Of number-checkboxes: the digits 0 to 9, each in seven rows of four boxes.
DIGITS = (
    "0110 1001 1001 1001 1001 1001 0110",
    "0010 0110 0010 0010 0010 0010 0010",
    "0110 1001 1001 0010 0100 1000 1111",
    "0110 1001 0001 0110 0001 1001 0110",
    "1000 1010 1010 1111 0010 0010 0010",
    "1111 1000 1000 1110 0001 1001 0110",
    "0110 1001 1000 1110 1001 1001 0110",
    "1111 1001 0001 0010 0010 0100 0100",
    "0110 1001 1001 0110 1001 1001 0110",
    "0110 1001 1001 0111 0001 1001 0110",
)


@expert("number-checkboxes")
def number_checkboxes(scene: Scene) -> Action:
    """Ticks the boxes that make the digit, and no others."""
    pattern = DIGITS[int(scene.quoted[0])].replace(" ", "")
    for box, wanted in zip(scene.all("input"), pattern, strict=True):
        if box.on != (wanted == "1"):
            return scene.click(box)
    return scene.click(scene.submit())


@expert("visual-addition")
def visual_addition(scene: Scene) -> Action:
    """The number of blocks."""
    return scene.fill_all([(scene.one(id="math-answer"), str(len(scene.all(cls="addition-block"))))], scene.submit())
