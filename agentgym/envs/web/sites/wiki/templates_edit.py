"""Tasks that change one page of the wiki, or what I watch."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from agentgym.envs.web.sites.base import Goal, Unfit, one, rows, value
from agentgym.envs.web.sites.wiki.content import Content, page_called, read, revision
from agentgym.envs.web.sites.wiki.templates_find import WikiTemplate, found_page, of_category
from agentgym.envs.web.sites.wiki.wishes import Wish

#: What a category, a section or a comment of a task can be.
CATEGORIES = ("Ports", "Holiday places", "Good pages", "Short pages", "Pages with photographs")
_SECTIONS = (
    ("Climate", "Winters are mild and wet"),
    ("Festivals", "The lantern festival is held in June"),
    ("Transport", "A bus runs every two hours"),
    ("Wildlife", "Owls and hares are common"),
)
_COMMENTS = (
    "Please add a map",
    "The picture shows another place",
    "I will check these figures in June",
    "Thank you for this page",
)
_SUMMARIES = ("new census", "corrected", "election result", "better source")


def any_page(rng: random.Random, db: sqlite3.Connection, *categories: str) -> tuple[int, str]:
    """A page of these categories that is not protected."""
    return rng.choice([p for c in categories for p in of_category(db, c, editable=True)])


class Watch(WikiTemplate):
    """One click on the open page."""

    name, difficulty = "watch", 1

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title = any_page(rng, db, "Towns", "Rivers", "Mountains", "People")
        wish = Wish(db)
        wish.watched.add(page)
        return wish.goal(f"Watch this page, {title}.", f"/page/{page}", steps=2)


class SetField(WikiTemplate):
    """Change an entry of the open page's infobox."""

    name, difficulty = "set_field", 2

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title = any_page(rng, db, "Towns")
        text = str(int(read(db, page).field("Population")) + rng.randint(10, 900))
        wish = Wish(db)
        wish.pages[page] = wish.pages[page].with_field("Population", text)
        return wish.goal(f"Set the population in the infobox of {title} to {text}.", f"/page/{page}", steps=4)


class SetFieldSummary(WikiTemplate):
    """Change an entry of an infobox, with a summary."""

    name, difficulty = "set_field_with_summary", 3

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title = any_page(rng, db, "Mountains")
        text, summary = str(int(read(db, page).field("Height in m")) + rng.randint(1, 9)), rng.choice(_SUMMARIES)
        wish = Wish(db)
        wish.pages[page] = wish.pages[page].with_field("Height in m", text)
        wish.summaries[page] = summary
        return wish.goal(f'Set the height of {title} to {text} m, with the summary "{summary}".', "/")


class AddCategory(WikiTemplate):
    """Add a page to a category."""

    name, difficulty = "add_category", 2

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title = any_page(rng, db, "Towns", "Rivers", "Mountains")
        name, wish = rng.choice(CATEGORIES), Wish(db)
        now = wish.pages[page]
        wish.pages[page] = replace(now, categories=tuple(sorted((*now.categories, name))))
        return wish.goal(f"Add the page {title} to the category {name}.", "/")


class RemoveCategory(WikiTemplate):
    """Remove a page from a category."""

    name, difficulty, heldout = "remove_category", 2, True

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title = any_page(rng, db, "Towns", "People")
        wish = Wish(db)
        now = wish.pages[page]
        name = rng.choice(now.categories)
        wish.pages[page] = replace(now, categories=tuple(c for c in now.categories if c != name))
        return wish.goal(f"Remove the page {title} from the category {name}.", "/")


class Comment(WikiTemplate):
    """Post a comment on a talk page."""

    name, difficulty = "comment", 2

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title = rng.choice(of_category(db, rng.choice(("Towns", "Rivers", "Mountains", "People"))))
        text, wish = rng.choice(_COMMENTS), Wish(db)
        wish.comments.append((page, text))
        return wish.goal(f'Write "{text}" on the talk page of {title}.', "/")


class Rename(WikiTemplate):
    """Give a page another title."""

    name, difficulty = "rename", 2

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title = any_page(rng, db, "Towns", "Rivers", "Mountains")
        new = rng.choice(("New {}", "{} Hill", "Old {}", "{} Water")).format(title.removeprefix("River "))
        wish = Wish(db)
        wish.pages[page] = replace(wish.pages[page], title=new)
        return wish.goal(f"Rename the page {title} to {new}.", "/")


class AddSection(WikiTemplate):
    """Add a section to a page."""

    name, difficulty = "add_section", 3

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title = any_page(rng, db, "Towns", "Rivers", "Mountains")
        (heading, text), wish = rng.choice(_SECTIONS), Wish(db)
        wish.pages[page] = wish.pages[page].with_section(heading, text)
        return wish.goal(f'Add a section {heading} to the page {title}, with the text "{text}".', "/")


class AddRow(WikiTemplate):
    """Add a row to a list."""

    name, difficulty = "add_row", 3

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page = page_called(db, "List of towns") or 0
        region = read(db, page).rows[0][1]
        name = f"{rng.choice(('Upper', 'Lower', 'Little', 'Great'))} {rng.choice(read(db, page).rows)[0]}"
        row = (name, region, str(rng.randint(100, 800)), str(rng.randint(1900, 1990)))
        wish = Wish(db)
        wish.pages[page] = replace(wish.pages[page], rows=(*wish.pages[page].rows, row))
        text = f"Add a row to the list of towns: {name} in {region}, population {row[2]}, founded {row[3]}."
        return wish.goal(text, "/", steps=12)


class RemoveRow(WikiTemplate):
    """Delete a row from a list."""

    name, difficulty, heldout = "remove_row", 3, True

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title = rng.choice([p for p in of_category(db, "Lists") if read(db, p[0]).rows])
        row, wish = rng.choice(read(db, page).rows), Wish(db)
        wish.pages[page] = replace(wish.pages[page], rows=tuple(r for r in wish.pages[page].rows if r != row))
        return wish.goal(f"Delete the row of {row[0]} from the {title[0].lower() + title[1:]}.", "/")


class RevertLast(WikiTemplate):
    """Restore what a page said before it was spoilt."""

    name, difficulty = "revert_last", 3

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title = one(rng, rows(db, SPOILT))
        wish = Wish(db)
        wish.pages[int(str(page))] = before_last(db, int(str(page)))
        text = f"Somebody has spoilt the page {title} with the last change. Restore the revision before it."
        return wish.goal(text, "/", steps=7)


SPOILT = """SELECT p.id, p.title FROM pages p JOIN revisions r ON r.page_id=p.id JOIN users u ON u.id=r.user_id
  WHERE u.name LIKE 'guest%' ORDER BY p.id"""


def before_last(db: sqlite3.Connection, page: int) -> Content:
    """What a page said before its last change."""
    found = rows(db, "SELECT content FROM revisions WHERE page_id=? ORDER BY id DESC LIMIT 2", page)
    return replace(revision(str(found[1][0])), title=read(db, page).title)


class Protected(WikiTemplate):
    """A page that cannot be changed: the right end is to report that."""

    name, difficulty = "protected", 3

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        title = str(one(rng, rows(db, _PROTECTED))[0])
        text = f"Set the population of {title} to {rng.randint(1000, 9000)}. If that cannot be done, report it."
        trail = found_page(db, title)
        return Wish(db).goal(text, "/", trail=trail, infeasible=True)


_PROTECTED = "SELECT title FROM pages WHERE protected ORDER BY id"


class ProtectedOrNot(WikiTemplate):
    """Change a page, or ask for the change where it is protected."""

    name, difficulty, heldout = "ask_if_protected", 4, True

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        towns = of_category(db, "Towns")
        page, title = rng.choice(towns)
        locked = value(db, "SELECT protected FROM pages WHERE id=?", page)
        if not locked and rng.random() < 0.5:
            raise Unfit
        number = str(rng.randint(1000, 9000))
        wish, comment = Wish(db), f"Please set the population to {number}"
        if locked:
            wish.comments.append((page, comment))
        else:
            wish.pages[page] = wish.pages[page].with_field("Population", number)
        text = (
            f"Set the population of {title} to {number}. If its page is protected, write"
            f' "{comment}" on its talk page instead.'
        )
        return wish.goal(text, "/", steps=9)


EDIT: Sequence[WikiTemplate] = (
    Watch(),
    SetField(),
    SetFieldSummary(),
    AddCategory(),
    RemoveCategory(),
    Comment(),
    Rename(),
    AddSection(),
    AddRow(),
    RemoveRow(),
    RevertLast(),
    Protected(),
    ProtectedOrNot(),
)
