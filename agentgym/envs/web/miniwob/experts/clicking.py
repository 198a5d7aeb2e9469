"""Experts of pages that are solved by clicking what the goal names: buttons, links, tabs, menus, boxes."""

from __future__ import annotations

import re
from itertools import pairwise

from agentgym.actions import Action
from agentgym.envs.web.miniwob.elements import Element
from agentgym.envs.web.miniwob.experts.scene import Scene, expert

#: Groups of words that click-checkboxes-soft takes for one another.
SIMILAR = tuple(
    frozenset(line.split())
    for line in """
big large huge enormous gigantic
small tiny little mini petite
red scarlet crimson vermillion
happy cheerful joyful gleeful delighted
sad unhappy sorrowful miserable tragic
angry mad furious irritated
evil wicked immoral sinful corrupt depraved
wrong incorrect mistaken erroneous
real genuine actual
strange odd peculiar unusual weird
stop cease halt end finish
scared terrified panicked fearful frightened afraid
quiet calm peaceful serene mild
old aged archaic
love like adore favor
kill murder assassinate
keep retain preserve sustain maintain
hide conceal camouflage
hate despise loathe detest dislike
funny humorous amusing comical laughable
fat fleshy plump chubby
stupid dumb dull unwise
delicious savory delectable appetizing
cut slice carve chop
brave courageous fearless
begin start initiate launch
answer reply response
television televisions TV TVs
house home houses homes
fire flame fires flames
pig pork swine
rabbit rabbits bunny bunnies
car cars automobile automobiles vehicle vehicles
water
""".strip().splitlines()
)


@expert("click-test", "click-test-2", "click-test-transfer", "click-button", "unicode-test")
def button(scene: Scene) -> Action:
    """The button that the goal quotes, names in capitals, or the only one."""
    words = scene.quoted or re.findall(r"button ([A-Z]+)", scene.goal)
    return scene.click(scene.one("button", text=words[0]) if words else scene.one("button"))


@expert("click-button-sequence")
def button_sequence(scene: Scene) -> Action:
    """ONE, then TWO; the page does not show what was clicked, but the button keeps the focus."""
    first, second = scene.one("button", text="ONE"), scene.one("button", text="TWO")
    return scene.click(second if first.focused else first)


@expert("click-link")
def link(scene: Scene) -> Action:
    """The link that the goal quotes."""
    return scene.click(scene.one(cls="alink", text=scene.quoted[0]))


@expert("click-dialog", "click-dialog-2")
def dialog(scene: Scene) -> Action:
    """The button of the dialog that the goal quotes; ``x`` is the one in its title."""
    wanted = scene.quoted[0]
    if wanted == "x":
        return scene.click(scene.one("button", cls="ui-dialog-titlebar-close"))
    return scene.click(scene.one("button", text=wanted))


@expert("click-tab")
def tab(scene: Scene) -> Action:
    """The tab that the goal names."""
    (wanted,) = scene.match(r"(Tab #\d)")
    return scene.click(scene.one("a", text=wanted))


@expert("click-tab-2", "click-tab-2-easy", "click-tab-2-hard")
def link_in_tabs(scene: Scene) -> Action:
    """Opens the tab whose panel holds the link, then clicks it."""
    target = scene.one(cls="alink", text=scene.quoted[0], visible=False)
    if target.visible:
        return scene.click(target)
    panel = next(e for e in scene.all(cls="ui-tabs-panel", visible=False) if target in e.walk())
    return scene.click(next(a for a in scene.all("a") if a.attributes.get("href") == f"#{panel.id}"))


@expert("click-tab-2-medium")
def link_or_no_match(scene: Scene) -> Action:
    """The link, or the second tab where the first one has no such link."""
    target = scene.maybe(cls="alink", text=scene.quoted[0])
    return scene.click(target or scene.one("a", text="Tab #2"))


@expert("click-collapsible", "click-collapsible-nodelay")
def expand_and_submit(scene: Scene) -> Action:
    """Opens the section, then submits."""
    header = scene.one("h3")
    if header.attributes.get("aria-expanded") != "true":
        return scene.click(header)
    return scene.click(scene.submit())


@expert("click-collapsible-2", "click-collapsible-2-nodelay")
def link_in_sections(scene: Scene) -> Action:
    """Opens the section that holds the link, then clicks it."""
    headers = scene.all("h3")
    bodies = scene.all(cls="ui-accordion-content", visible=False)
    for header, body in zip(headers, bodies, strict=True):
        found = next((e for e in body.walk() if "alink" in e.classes and e.text == scene.quoted[0]), None)
        if found is not None:
            opened = header.attributes.get("aria-expanded") == "true"
            return scene.click(found if opened else header)
    raise LookupError("no section holds the link")


def _tick(scene: Scene, wanted: set[str]) -> Action:
    for box in scene.all("input"):
        label = box.parent
        if label is not None and box.on != (label.text in wanted):
            return scene.click(box)
    return scene.click(scene.submit())


@expert("click-checkboxes", "click-checkboxes-large", "click-checkboxes-transfer")
def checkboxes(scene: Scene) -> Action:
    """The boxes that the goal lists, and no others."""
    (names,) = scene.match(r"Select (.*) and click Submit")
    return _tick(scene, set(names.split(", ")))


@expert("click-checkboxes-soft")
def similar_checkboxes(scene: Scene) -> Action:
    """The boxes whose words mean what the listed ones do."""
    (names,) = scene.match(r"similar to (.*) and click Submit")
    groups = [group for name in names.split(", ") for group in SIMILAR if name in group]
    return _tick(scene, set().union(*groups))


@expert("click-option")
def option(scene: Scene) -> Action:
    """The option that the goal names."""
    (name,) = scene.match(r"Select (.*) and click Submit")
    box = next(e for e in scene.all("input") if e.parent is not None and e.parent.text == name)
    return scene.click(scene.submit() if box.on else box)


@expert("click-widget")
def widget(scene: Scene) -> Action:
    """The first widget of that kind."""
    return scene.click(next(e for e in scene.elements if e.attributes.get("data-type") == scene.quoted[0]))


@expert("click-scroll-list")
def scroll_list(scene: Scene) -> Action:
    """The options that the goal lists, and no others."""
    (names,) = scene.match(r"Select (.*) from the scroll list")
    wanted = set(names.split(", "))
    options = scene.all("option", visible=False)
    if {o.text for o in options if o.on} != wanted:
        return scene.select(scene.one("select"), *(o.text for o in options if o.text in wanted))
    return scene.click(scene.submit())


@expert("choose-list")
def choose_list(scene: Scene) -> Action:
    """The option that the goal names."""
    (name,) = scene.match(r"Select (.*) from the list")
    box = scene.one("select")
    return scene.click(scene.submit()) if box.value == name else scene.select(box, name)


@expert("click-color")
def colour(scene: Scene) -> Action:
    """The box of that colour."""
    (name,) = scene.match(r"Click on the (\w+) colored box")
    return scene.click(next(e for e in scene.all(cls="color") if e.attributes.get("data-color") == name))


@expert("click-shades")
def shades(scene: Scene) -> Action:
    """All shades of that colour, and no others."""
    (name,) = scene.match(r"shades of (\w+)")
    for shade in scene.all("span"):
        if ("selected" in shade.classes) != (shade.attributes.get("data-color") == name):
            return scene.click(shade)
    return scene.click(scene.one(id="submit"))


@expert("click-menu")
def menu(scene: Scene) -> Action:
    """Opens the menus on the way, one a turn, then clicks the last item."""
    (names,) = scene.match(r"Select (.*)")
    path = names.split(">")
    for name, after in pairwise(path):
        if scene.maybe(cls="ui-menu-item-wrapper", text=after) is None:
            return scene.hover(scene.one(cls="ui-menu-item-wrapper", text=name))
    return scene.click(scene.one(cls="ui-menu-item-wrapper", text=path[-1]))


#: Of click-menu-2: the items by their icons.
ICONS = {
    "ui-icon-disk": "Save",
    "ui-icon-seek-start": "Prev",
    "ui-icon-stop": "Stop",
    "ui-icon-play": "Play",
    "ui-icon-seek-end": "Next",
    "ui-icon-zoomin": "Zoom In",
    "ui-icon-zoomout": "Zoom Out",
}


@expert("click-menu-2")
def menu_of_icons(scene: Scene) -> Action:
    """Opens the menu, and the one inside of it where that holds the item."""
    icon = re.search(r"ui-icon-[a-z-]+", scene.goal)
    label = ICONS[icon[0]] if icon else scene.quoted[-1]
    if scene.maybe("div", text="Playback") is None:
        return scene.click(scene.one(id="open-menu"))
    item = scene.maybe("div", text=label)
    return scene.click(item) if item is not None else scene.hover(scene.one("div", text="Playback"))


@expert("navigate-tree")
def tree(scene: Scene) -> Action:
    """Opens the folder around what is asked for, then clicks it."""
    name = scene.quoted[0]
    spans = [e for e in scene.all("span", inside="tree", visible=False) if e.text == name]
    shown = next((e for e in spans if e.visible), None)
    if shown is not None:
        return scene.click(shown)
    folder: Element | None = spans[0].parent
    while folder is not None:
        heading = next((c for c in folder.children if c.tag == "span"), None)
        if folder.tag == "li" and heading is not None and heading.visible:
            return scene.click(heading)
        folder = folder.parent
    raise LookupError(f"no folder holds {name!r}")


@expert("search-engine")
def search_engine(scene: Scene) -> Action:
    """Searches, turns to the right page, clicks the result of that rank."""
    text = scene.quoted[0]
    rank = int(scene.match(r"the (\d+)(?:st|nd|rd|th) search result")[0]) - 1
    box = scene.one(id="search-text")
    if box.value != text:
        return scene.fill(box, text)
    results = scene.all(cls="search-title")
    found = next((e for e in results if e.attributes.get("data-result") == str(rank)), None)
    if found is not None:
        return scene.click(found)
    if all(e.attributes.get("data-result") == "-1" for e in results):
        return scene.click(scene.one(id="search"))
    return scene.click(next(a for a in scene.all("a", inside="pagination") if a.text == str(rank // 3 + 1)))


@expert("phone-book")
def phone_book(scene: Scene) -> Action:
    """Turns pages until the person is shown."""
    name, kind = scene.match(r"Find (.*) in the contact book and click on their (phone|email|address)")
    if scene.maybe("h2", text=name) is not None:
        return scene.click(scene.one("a", cls=kind))
    return scene.click(scene.one("a", inside="pagination", text=">"))


@expert("buy-ticket")
def buy_ticket(scene: Scene) -> Action:
    """The ticket that is best in what the goal asks for."""
    (wanted,) = scene.match(r"with the (.*)\.")
    key, cls = ("data-price", "buy-ticket") if "cost" in wanted else ("data-duration", "time-duration")
    choose = min if wanted in ("cheapest cost", "shortest duration") else max
    best = choose(scene.all(cls="flight"), key=lambda f: _number(f, cls, key))
    return scene.click(next(e for e in best.walk() if e.tag == "button"))


def _number(around: Element, cls: str, key: str) -> int:
    return next(int(e.attributes[key]) for e in around.walk() if cls in e.classes)


@expert("odd-or-even")
def odd_or_even(scene: Scene) -> Action:
    """Marks each number."""
    for row in scene.all(cls="row"):
        number = next(int(e.text) for e in row.walk() if "display-number" in e.classes)
        wanted = next(e for e in row.walk() if ("odd" if number % 2 else "even") in e.classes)
        if "selected" not in wanted.classes:
            return scene.click(wanted)
    return scene.click(scene.one(id="submit"))


@expert("generate-number")
def generate_number(scene: Scene) -> Action:
    """Generates until the number fits."""
    shown = scene.one(id="display-number").text
    limit = [int(n) for n in re.findall(r"than (\d+)", scene.goal)]
    fits = shown.isdigit() and (
        (int(shown) < limit[0] if "less" in scene.goal else int(shown) > limit[0])
        if limit
        else int(shown) % 2 == (" odd " in scene.goal)
    )
    return scene.click(scene.one(id="submit" if fits else "generate"))


@expert("find-greatest")
def greatest_card(scene: Scene) -> Action:
    """Opens the greatest card: what is on the hidden ones stands in the document."""
    best = max(scene.all(cls="card"), key=lambda e: int(e.text))
    return scene.click(best if "hidden" in best.classes else scene.one(id="submit"))
