"""Experts of date pickers, sliders, spinners and flights: widgets that a page draws itself."""

from __future__ import annotations

import re

from agentgym.actions import Action
from agentgym.envs.web.miniwob.elements import Element
from agentgym.envs.web.miniwob.experts.scene import Scene, expert

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def pick_date(scene: Scene, field: Element, month: int, day: int) -> Action | None:
    """Opens the calendar of a field, turns to the month, clicks the day; None once the field has the date."""
    if re.match(rf"{month:02}/{day:02}/", field.value):
        return None
    if scene.maybe(id="ui-datepicker-div") is None:
        return scene.click(field)
    shown = MONTHS.index(scene.one(cls="ui-datepicker-month").text) + 1
    if shown != month:
        return scene.click(scene.one("a", cls="ui-datepicker-prev" if shown > month else "ui-datepicker-next"))
    return scene.click(next(a for a in scene.all("a", cls="ui-state-default") if a.text == str(day)))


@expert("choose-date", "choose-date-easy", "choose-date-medium", "choose-date-nodelay")
def choose_date(scene: Scene) -> Action:
    """The date, then submit."""
    month, day = map(int, scene.match(r"(\d\d)/(\d\d)/\d{4}"))
    return pick_date(scene, scene.one(id="datepicker"), month, day) or scene.click(scene.submit())


@expert("book-flight", "book-flight-nodelay")
def book_flight(scene: Scene) -> Action:
    """Fills the form with the airports from the lists, searches, books the best."""
    wish, start, end, month, day = scene.match(r"Book the (\w+) one-way flight from: (.*) to: (.*) on (\d\d)/(\d\d)/")
    flights = scene.all(cls="flight")
    if flights:
        cls, key = ("flight-price", "data-price") if wish == "cheapest" else ("time-duration", "data-duration")
        best = min(flights, key=lambda f: next(int(e.attributes[key]) for e in f.walk() if cls in e.classes))
        return scene.click(next(e for e in best.walk() if "flight-price" in e.classes))
    for name, place in (("flight-from", start), ("flight-to", end)):
        field = scene.one(id=name)
        if not _is_airport(field.value, place):
            items = [e for e in scene.all(cls="ui-menu-item") if _is_airport(e.text, place)]
            if items:
                return scene.click(items[0])
            return scene.press(field, "ArrowDown") if field.value == place else scene.fill(field, place)
    if (action := pick_date(scene, scene.one(id="datepicker"), int(month), int(day))) is not None:
        return action
    return scene.click(scene.one(id="search"))


def _is_airport(text: str, place: str) -> bool:
    """Whether ``Anvik, AK (ANV)`` is the place called ``Anvik, AK`` or ``ANV``."""
    return text.startswith(f"{place} (") or text.endswith(f"({place})")


def move_slider(scene: Scene, slider: Element, value: int, wanted: int, low: int, high: int) -> Action:
    """Clicks where the value is on the slider; what a pixel is too coarse for, the arrow keys of its handle do."""
    handle = next(e for e in slider.walk() if "ui-slider-handle" in e.classes)
    x, y, width, height = slider.box
    upright = "ui-slider-vertical" in slider.classes
    steps = (high - low) / (height if upright else width)
    if abs(wanted - value) <= max(2.0, 2 * steps):
        return scene.press(handle, "ArrowRight" if wanted > value else "ArrowLeft")
    share = (wanted - low) / (high - low)
    if upright:
        return scene.point(x + width / 2, y + _inside(height * (1 - share), height))
    return scene.point(x + _inside(width * share, width), y + height / 2)


def _inside(place: float, length: float) -> float:
    """Within the slider: its very ends belong to what is beside it."""
    return min(max(place, 1.0), length - 1.0)


#: Of use-slider, which does not show its ends: where its sliders begin, and how far they go.
STARTS, LENGTHS = (-100, 0, 10, 100), (100, 50, 10, 5)


@expert("use-slider")
def use_slider(scene: Scene) -> Action:
    """Where the handle is tells which of the possible sliders it is; one that is not unique is after a move."""
    wanted = int(scene.match(r"Select (-?\d+) with")[0])
    value = int(scene.one(id="val").text)
    if value == wanted:
        return scene.click(scene.submit())
    slider = scene.one(id="slider")
    share = _share(next(e for e in slider.walk() if "ui-slider-handle" in e.classes))
    for length in LENGTHS:
        for start in STARTS:
            if abs(start + share * length - value) < 0.1 and start <= wanted <= start + length:
                return move_slider(scene, slider, value, wanted, start, start + length)
    raise LookupError("no slider of this page has its handle there")


def _share(handle: Element) -> float:
    """Where a handle is, 0 to 1, from its style ``left: 40%``."""
    found = re.search(r"(?:left|bottom):\s*([\d.]+)%", handle.attributes.get("style", ""))
    if found is None:
        raise LookupError("the slider's handle has no place")
    return float(found[1]) / 100


@expert("use-slider-2")
def use_sliders(scene: Scene) -> Action:
    """One slider after the other."""
    values = scene.match(r"\[(-?\d+),(-?\d+),(-?\d+)\]")
    for n, wanted in enumerate(map(int, values), 1):
        value = int(scene.one(id=f"val-{n}").text)
        if value != wanted:
            return move_slider(scene, scene.one(id=f"slider-{n}"), value, wanted, 0, 20)
    return scene.click(scene.submit())


@expert("form-sequence")
def slider_and_checkbox(scene: Scene) -> Action:
    """The slider, then the one checkbox."""
    wanted, rank = scene.match(r"Select (-?\d+) with the slider, click the (\d)")
    value = int(scene.one(id="val").text)
    if value != int(wanted):
        return move_slider(scene, scene.one(id="slider"), value, int(wanted), -10, 10)
    for n in (1, 2, 3):
        box = scene.one(id=f"checkbox-{n}")
        if box.on != (str(n) == rank):
            return scene.click(box)
    return scene.click(scene.submit())


@expert("use-spinner")
def use_spinner(scene: Scene) -> Action:
    """One press of an arrow key a turn: the field cannot be written into."""
    wanted = int(scene.match(r"Select (-?\d+) with")[0])
    field = scene.one(id="spinner")
    value = int(field.value or 0)
    if value == wanted:
        return scene.click(scene.submit())
    return scene.press(field, "ArrowUp" if value < wanted else "ArrowDown")
