"""Tasks that ask the wiki something."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from typing import ClassVar

from agentgym.envs.web.sites.base import Answer, Call, Databases, Goal, Unfit, View, one, rows, value
from agentgym.envs.web.sites.hands import Guided
from agentgym.envs.web.sites.wiki import expert
from agentgym.envs.web.sites.wiki.content import page_called, read, revision
from agentgym.envs.web.sites.wiki.wishes import Wish

_FACTS = (
    """SELECT p.id, p.title, f.label, f.value FROM pages p JOIN fields f ON f.page_id=p.id ORDER BY p.id, f.position"""
)


class WikiTemplate(Guided):
    """A template on the wiki alone; `wish` says what it wants, the expert follows from that."""

    sites: ClassVar[tuple[str, ...]] = ("wiki",)

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        return self.wish(rng, dbs["wiki"])

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        """The goal on this wiki; may first write into it."""
        raise NotImplementedError

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        return expert.moves(goal, view)


def of_category(db: sqlite3.Connection, name: str, editable: bool = False) -> list[tuple[int, str]]:
    """Id and title of the pages of a category.

    Args:
        db: The database.
        name: The category.
        editable: Without those that are protected.
    """
    sql = """SELECT p.id, p.title FROM pages p JOIN categories c ON c.page_id=p.id WHERE c.name=? AND NOT p.deleted
      AND NOT (? AND p.protected) ORDER BY p.id"""
    return [(int(str(i)), str(t)) for i, t in rows(db, sql, name, int(editable))]


def asked(label: str) -> str:
    """A label in the middle of a sentence."""
    return label[0].lower() + label[1:]


def found_page(db: sqlite3.Connection, title: str) -> tuple[str, str]:
    """The trail to a page: a search for its title, and itself."""
    return expert.search(title), f"/page/{page_called(db, title)}"


def by_number(db: sqlite3.Connection, page: int, column: int) -> list[tuple[str, ...]]:
    """The rows of a page's table from the largest to the smallest number of a column."""
    return sorted(read(db, page).rows, key=lambda row: -int(row[column]))


class ReadInfobox(WikiTemplate):
    """Read one entry of the infobox of the open page."""

    name, difficulty = "read_infobox", 1

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title, label, text = one(rng, rows(db, _FACTS))
        question = rng.choice(("What does this page give as {1} of {0}?", "{0}: what is the entry {1} of the infobox?"))
        text_ = question.format(title, asked(str(label)))
        return Wish(db).goal(text_, f"/page/{page}", answer=Answer(str(text)), trail=(f"/page/{page}",))


class FindFact(WikiTemplate):
    """Find a page and read one entry of its infobox."""

    name, difficulty = "find_fact", 2

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        _, title, label, text = one(rng, rows(db, _FACTS))
        question = f'What does the wiki\'s page {title} give as "{label}"?'
        return Wish(db).goal(question, "/", answer=Answer(str(text)), trail=found_page(db, str(title)))


class LastEditor(WikiTemplate):
    """Who made the last change, from a page's history."""

    name, difficulty = "last_editor", 2

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        sql = """SELECT p.id, p.title, u.name FROM pages p JOIN revisions r ON r.page_id=p.id JOIN users u
          ON u.id=r.user_id GROUP BY p.id HAVING r.id=max(r.id) ORDER BY p.id"""
        page, title, name = one(rng, rows(db, sql))
        text = f"Who made the last change to the page {title}? Answer with the user's name."
        trail = (*found_page(db, str(title)), f"/page/{page}/history")
        return Wish(db).goal(text, "/", answer=Answer(str(name)), trail=trail)


class ChangesBy(WikiTemplate):
    """How many changes a user has made."""

    name, difficulty, heldout = "changes_by", 2, True

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        sql = """SELECT DISTINCT u.name FROM users u JOIN revisions r ON r.user_id=u.id
          WHERE r.id>(SELECT max(id)-15 FROM revisions) ORDER BY u.id"""
        name = str(one(rng, rows(db, sql))[0])
        total = value(db, "SELECT count(*) FROM revisions JOIN users u ON u.id=user_id WHERE u.name=?", name)
        text = f"How many changes has the user {name} made in this wiki?"
        return Wish(db).goal(text, "/", answer=Answer(str(total), "number"), trail=("/changes", f"/user/{name}"))


class TopOfList(WikiTemplate):
    """The first or last of a list, by sorting it."""

    name, difficulty = "top_of_list", 2

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        title, column, most, least = rng.choice(_QUESTIONS)
        page = page_called(db, title) or 0
        ordered = by_number(db, page, column)
        word, row, order = rng.choice(((most, ordered[0], "desc"), (least, ordered[-1], "asc")))
        return Wish(db).goal(
            f"According to the {title[0].lower() + title[1:]}, which of them {word}?",
            "/",
            answer=Answer(row[0]),
            trail=_sorted(page, column, order),
        )


_QUESTIONS = (
    ("List of towns", 2, "has the most inhabitants", "has the fewest inhabitants"),
    ("List of towns", 3, "was founded last", "was founded first"),
    ("List of rivers", 1, "is the longest", "is the shortest"),
    ("List of mountains", 1, "is the highest", "is the lowest"),
    ("List of mountains", 2, "was climbed last", "was climbed first"),
)


def _sorted(page: int, column: int, order: str) -> tuple[str, ...]:
    """The trail to a list that is sorted: two clicks for the largest first."""
    first = f"/page/{page}?sort={column}&order=asc"
    more = (f"/page/{page}?sort={column}&order=desc",) if order == "desc" else ()
    return (f"/page/{page}", first, *more)


class NthOfList(WikiTemplate):
    """The second or third of a list, by sorting it."""

    name, difficulty, heldout = "nth_of_list", 3, True

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        title, column, what = rng.choice(_LARGEST)
        page, place = page_called(db, title) or 0, rng.choice((1, 2))
        row = by_number(db, page, column)[place]
        text = f"Which is the {('second', 'third')[place - 1]} {what} of the island, by the {title.lower()}?"
        return Wish(db).goal(text, "/", answer=Answer(row[0]), trail=_sorted(page, column, "desc"))


_LARGEST = (
    ("List of towns", 2, "largest town"),
    ("List of rivers", 1, "longest river"),
    ("List of mountains", 1, "highest mountain"),
)


class CompareTwo(WikiTemplate):
    """Which of two pages has the larger number."""

    name, difficulty = "compare_two", 3

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        category, label, word = rng.choice(_COMPARED)
        (one_, first), (two, second) = rng.sample(of_category(db, category), 2)
        left, right = int(read(db, one_).field(label)), int(read(db, two).field(label))
        if left == right:
            raise Unfit
        text = f"Which {word}: {first} or {second}? Read both pages."
        trail = (*found_page(db, first), *found_page(db, second))
        return Wish(db).goal(text, "/", answer=Answer(first if left > right else second), trail=trail)


_COMPARED = (
    ("Towns", "Founded", "was founded later"),
    ("Rivers", "Length in km", "is longer"),
    ("People", "Born", "was born later"),
)


class CountCategory(WikiTemplate):
    """How many pages a category has."""

    name, difficulty = "count_category", 2

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        sql = "SELECT name, count(*) FROM categories GROUP BY name ORDER BY name"
        name, count = one(rng, rows(db, sql))
        address = str(name).replace(" ", "%20")
        text = f"How many pages are in the category {name}?"
        return Wish(db).goal(
            text, "/", answer=Answer(str(count), "number"), trail=("/categories", f"/category/{address}")
        )


class Hops(WikiTemplate):
    """Follow links from a person to a town to a river."""

    name, difficulty = "follow_links", 4

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        person, name = rng.choice(of_category(db, "People"))
        town = read(db, person).field("Birthplace")
        river = read(db, page_called(db, town) or 0).field("River")
        water = page_called(db, river) or 0
        length = read(db, water).field("Length in km")
        text = f"How long, in km, is the river on which the birthplace of {name} lies?"
        trail = (*found_page(db, name), f"/page/{page_called(db, town)}", f"/page/{water}")
        return Wish(db).goal(text, "/", answer=Answer(length, "number"), trail=trail)


class OldValue(WikiTemplate):
    """What an old revision of a page said."""

    name, difficulty, heldout = "old_value", 4, True

    def wish(self, rng: random.Random, db: sqlite3.Connection) -> Goal:
        page, title = rng.choice(of_category(db, "Towns") + of_category(db, "Mountains"))
        label = "Population" if "Population" in dict(read(db, page).fields) else "Height in m"
        sql = "SELECT id, content FROM revisions WHERE page_id=? ORDER BY id LIMIT 1"
        number, content = rows(db, sql, page)[0]
        old = revision(str(content)).field(label)
        if old == read(db, page).field(label):
            raise Unfit
        text = f'What did the page {title} give as "{label}" in its first revision?'
        trail = (*found_page(db, title), f"/page/{page}/history", f"/page/{page}/history/{number}")
        return Wish(db).goal(text, "/", answer=Answer(old, "number"), trail=trail)


FIND: Sequence[WikiTemplate] = (
    ReadInfobox(),
    FindFact(),
    LastEditor(),
    ChangesBy(),
    TopOfList(),
    NthOfList(),
    CompareTwo(),
    CountCategory(),
    Hops(),
    OldValue(),
)
