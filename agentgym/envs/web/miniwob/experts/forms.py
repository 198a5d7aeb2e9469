"""Experts of pages that are solved by writing into fields."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentgym.actions import Action
from agentgym.envs.web.miniwob.elements import Element
from agentgym.envs.web.miniwob.experts.scene import Scene, expert

#: Farther than any of the texts scrolls, in pixels.
FAR = 5_000
_LETTERS = re.compile(r"[^a-zA-Z]+")


def _ordinal(text: str) -> int:
    """0 for ``1st``, and so on."""
    return int(re.sub(r"\D", "", text)) - 1


@expert("enter-text", "enter-text-dynamic", "enter-password")
def quoted_text(scene: Scene) -> Action:
    """What the goal quotes, into every field."""
    return scene.fill_all([(field, scene.quoted[0]) for field in scene.fields()], scene.submit())


@expert("enter-text-2")
def changed_case(scene: Scene) -> Action:
    """What the goal quotes, in the other case."""
    text = scene.quoted[0].upper() if "upper" in scene.goal else scene.quoted[0].lower()
    return scene.fill_all([(scene.fields()[0], text)], scene.submit())


@expert("enter-date")
def enter_date(scene: Scene) -> Action:
    """The date as date fields take it."""
    month, day, year = scene.match(r"(\d\d)/(\d\d)/(\d{4})")
    return scene.fill_all([(scene.one(id="tt"), f"{year}-{month}-{day}")], scene.submit())


@expert("enter-time")
def enter_time(scene: Scene) -> Action:
    """The time as time fields take it."""
    hour, minute, half = scene.match(r"(\d+):(\d\d)\s*([AP])M")
    text = f"{int(hour) % 12 + (12 if half == 'P' else 0):02}:{minute}"
    return scene.fill_all([(scene.one(id="tt"), text)], scene.submit())


@expert("login-user", "login-user-popup")
def login(scene: Scene) -> Action:
    """Both fields; a popup on the way is sent off."""
    popup = scene.maybe(id="popup-cancel")
    if popup is not None:
        return scene.click(popup)
    user, password = scene.quoted
    return scene.fill_all([(scene.one(id="username"), user), (scene.one(id="password"), password)], scene.submit())


@expert("focus-text", "focus-text-2")
def focus_text(scene: Scene) -> Action:
    """Clicks the field."""
    ranks = re.findall(r"(\d)(?:st|nd|rd)", scene.goal)
    return scene.click(scene.all("input")[_ordinal(ranks[0]) if ranks else 0])


@expert("copy-paste", "copy-paste-2")
def copy_paste(scene: Scene) -> Action:
    """The text of the area, exactly."""
    ranks = re.findall(r"(\d)(?:st|nd|rd)", scene.goal)
    source = scene.all("textarea")[_ordinal(ranks[0]) if ranks else 0]
    return scene.fill_all([(scene.one(id="answer-input"), source.value)], scene.submit())


@expert("find-word")
def find_word(scene: Scene) -> Action:
    """The word of that rank, letters only."""
    rank = _ordinal(scene.match(r"the (\d+(?:st|nd|rd|th)) word")[0])
    word = _LETTERS.sub("", scene.one("p").text.split()[rank])
    return scene.fill_all([(scene.one(id="answer-input"), word)], scene.submit())


@expert("scroll-text")
def last_word(scene: Scene) -> Action:
    """The last word, letters only."""
    word = _LETTERS.sub("", scene.one(id="text-area").value.split()[-1])
    return scene.fill_all([(scene.one(id="answer-input"), word)], scene.submit())


def _table(scene: Scene) -> dict[str, str]:
    rows = ([c.text for c in row.children] for row in scene.all("tr"))
    return {row[0]: row[1] for row in rows}


@expert("read-table")
def read_table(scene: Scene) -> Action:
    """The value beside the key."""
    (key,) = scene.match(r"the value of (.*) into")
    return scene.fill_all([(scene.one(id="tt"), _table(scene)[key])], scene.submit())


@expert("read-table-2")
def read_table_twice(scene: Scene) -> Action:
    """The values beside both keys."""
    table = _table(scene)
    wanted = [(scene.one(id=f"tt{n}"), table[scene.one(id=f"ll{n}").text.rstrip(":")]) for n in (1, 2)]
    return scene.fill_all(wanted, scene.submit())


@expert("text-transform")
def captcha(scene: Scene) -> Action:
    """The letters, however they are turned."""
    text = "".join(e.text for e in scene.all("span", inside="captcha"))
    return scene.fill_all([(scene.one(id="tt"), text)], scene.submit())


@expert("simple-arithmetic", "simple-algebra")
def arithmetic(scene: Scene) -> Action:
    """``a op b =``, ``x op b = c`` or ``a op x = c``."""
    left, operator, right, *rest = scene.one(id="math-problem").text.replace("=", " ").split()
    if scene.goal.startswith("Solve for x"):
        value = _solve(left, operator, right, int(rest[0]))
    else:
        a, b = int(left), int(right)
        value = a + b if operator == "+" else a - b if operator == "-" else a * b
    return scene.fill_all([(scene.one(id="math-answer"), str(value))], scene.submit())


def _solve(left: str, operator: str, right: str, result: int) -> int:
    if left == "x":
        return result - int(right) if operator == "+" else result + int(right)
    return result - int(left) if operator == "+" else int(left) - result


@expert("sign-agreement")
def sign_agreement(scene: Scene) -> Action:
    """Down to the end of the text, which unlocks the rest."""
    if scene.goal.startswith("Click"):
        return scene.click(scene.one(id="cancel"))
    name, choice = scene.quoted
    box = scene.one(id="name")
    if "disabled" in box.attributes:
        return scene.scroll_in(scene.one(id="text-area"), FAR)
    return scene.fill_all([(box, name)], scene.one("button", text=choice))


@expert("multi-layouts", "multi-orderings")
def movie_search(scene: Scene) -> Action:
    """Finds each field by the label nearest to it."""
    genre, director, year = scene.match(r"Search for (.*) movies directed by (.*) from year (\d+)")
    fields = scene.fields()
    labels = {"Genre": genre, "Director": director, "Year|Date": year}
    wanted = [(_labelled(fields, label), text) for label, text in labels.items()]
    ends = [e for e in scene.elements if e.visible and not e.children and e.text in ("Submit", "Search", "Go!")]
    button = ends[-1]
    return scene.fill_all(wanted, button)


def _labelled(fields: Sequence[Element], pattern: str) -> Element:
    for field in fields:
        around = field.parent
        while around is not None and not around.text:
            around = around.parent
        if around is not None and re.search(pattern, around.text):
            return field
    raise LookupError(f"no field is labelled {pattern}")


@expert("form-sequence-2")
def radio_and_number(scene: Scene) -> Action:
    """The radio button, and the number in one field alone."""
    radio, number, box = scene.match(r'the (\d)\w\w radio button and enter the number "(-?\d+)" into the (\d)')
    chosen = scene.all("input")[int(radio) - 1]
    if not chosen.on:
        return scene.click(chosen)
    wanted = [(scene.one(id=f"input-{n}"), number if str(n) == box else "") for n in (1, 2, 3)]
    return scene.fill_all(wanted, scene.submit())


@expert("form-sequence-3")
def dropdown_and_button(scene: Scene) -> Action:
    """The list is drawn by the page itself: open it, click the line, then the button."""
    (height,) = scene.match(r"Choose (.*) from the dropdown")
    if scene.one("select", visible=False).value != height:
        line = next((e for e in scene.all("li") if e.text == height), None)
        return scene.click(line if line is not None else scene.one(cls="selectric"))
    return scene.click(scene.one("button", text=scene.quoted[0]))


@expert("guess-number")
def guess_number(scene: Scene) -> Action:
    """Walks on from the last guess in the direction that the page gave."""
    guess = 5
    for name, step in (("lower", -1), ("higher", 1)):
        said = scene.maybe(id=name)
        if said is not None:
            guess = int(re.sub(r"\D", "", said.text)) + step
    return scene.fill_all([(scene.one(id="tt"), str(guess))], scene.submit())


@expert("scroll-text-2")
def scroll_text(scene: Scene) -> Action:
    """To the top or the bottom of the text."""
    area = scene.one(id="text-area")
    at, end = area.scroll
    if "bottom" in scene.goal:
        return scene.click(scene.submit()) if end - at < 1 else scene.scroll_in(area, FAR)
    return scene.click(scene.submit()) if at < 1 else scene.scroll_in(area, -FAR)


@expert("use-autocomplete", "use-autocomplete-nodelay")
def autocomplete(scene: Scene) -> Action:
    """Writes the beginning, opens the list, takes the item that ends right."""
    begin, *rest = scene.quoted
    end = rest[0] if rest else ""
    box = scene.one(id="tags")
    if box.value.startswith(begin) and box.value.endswith(end):
        # An open list would lie over the button.
        return scene.press(box, "Escape") if scene.all(cls="ui-menu-item") else scene.click(scene.submit())
    if box.value != begin:
        return scene.fill(box, begin)
    for item in scene.all(cls="ui-menu-item"):
        if item.text.startswith(begin) and item.text.endswith(end):
            return scene.click(item)
    return scene.press(box, "ArrowDown")
