"""What every bundled site and every task on it is made of: sites with a database, facts, goals, templates, views.

A *site* is a small real web application over one SQLite database that lives in memory. A *template* turns a seed and
the databases of its sites into a *goal*: a text for the agent, the *facts* that must become true (rows that a query
gives) and those that must stay as they are. So a goal is checked on the databases and the agent's answer, never on
what a page looks like. Each template is also its own expert: `Template.next_action` gives the next call from any
state.

No application reads the clock or draws random numbers: all time comes from the row ``now`` of the table ``meta``.
"""

from __future__ import annotations

import hashlib
import random
import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from agentgym.tools.browser.gateway import ASGIApp
    from agentgym.tools.browser.tree import Tree

Scalar = str | int | float | None
Row = tuple[Any, ...]
#: The open databases of an episode, by the name of their site.
Databases = Mapping[str, sqlite3.Connection]

#: Seed databases of a site that are kept.
MAX_CACHED = 64
#: Draws of a template's task from one database, and databases that are tried, until something fits.
DRAWS, MAX_DATABASES = 20, 10
#: How far the seeds of those databases are apart.
FAR = 1_000_003
#: The schema that every site's database has beside its own.
META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"


class Call(NamedTuple):
    """One action of the expert, in the environment's action language.

    Attributes:
        name: The action, e.g. ``"click"``.
        args: Its arguments in order, e.g. ``("12",)``.
    """

    name: str
    args: tuple[str | float, ...] = ()


class Unfit(Exception):
    """A template's draw found nothing in this database that fits; `instance` draws again."""


def open_database(content: bytes) -> sqlite3.Connection:
    """A database in memory that holds `content` (from `sqlite3.Connection.serialize`), every statement committed."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    if content:
        db.deserialize(content)
    db.execute("PRAGMA foreign_keys = ON")
    return db


def rows(db: sqlite3.Connection, sql: str, *args: Scalar) -> tuple[Row, ...]:
    """All rows of a query, as plain tuples."""
    return tuple(tuple(row) for row in db.execute(sql, args))


def value(db: sqlite3.Connection, sql: str, *args: Scalar) -> Any:
    """The first column of a query's first row; None where there is no row."""
    row = db.execute(sql, args).fetchone()
    return None if row is None else row[0]


def money(cents: int) -> str:
    """An amount as people read it, e.g. ``$24.50``."""
    return f"${cents / 100:,.2f}"


def tables(db: sqlite3.Connection) -> list[str]:
    """The names of a database's own tables, sorted."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    return [str(name) for (name,) in db.execute(sql)]


def digest(db: sqlite3.Connection) -> str:
    """A short hash of all rows of all tables; equal contents have equal digests, whatever led to them."""
    made = hashlib.blake2b(digest_size=12)
    for table in tables(db):
        made.update(table.encode())
        for row in sorted(map(repr, db.execute(f'SELECT * FROM "{table}"'))):  # noqa: S608 - a name from the schema
            made.update(row.encode())
    return made.hexdigest()


class Site(ABC):
    """A web application with a seeded database.

    Attributes:
        name: Also the name of its host: ``http://NAME.test``.
        title: What its pages call it.
        schema: The statements that make its tables, each ended by a semicolon.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    schema: ClassVar[str]

    @property
    def origin(self) -> str:
        """Where the site is served, e.g. ``"http://shop.test"``."""
        return f"http://{self.name}.test"

    @abstractmethod
    def fill(self, db: sqlite3.Connection, rng: random.Random, heldout: bool) -> None:
        """Fills the tables of a new database.

        Args:
            db: Has the tables of `META` and `schema`, empty.
            rng: The only source of variety.
            heldout: Whether names, products, ... come from the held-out lists, which share nothing with the others.
        """

    @abstractmethod
    def application(self) -> Starlette:
        """The application that all episodes share (`serving.application`)."""

    def app(self, db: sqlite3.Connection) -> ASGIApp:
        """The application over an episode's database (cheap: what is shared between episodes is made once)."""
        # Only when pages are served: tasks can be listed and made without a web server's code.
        from agentgym.envs.web.sites.serving import serve

        return serve(_shared(self), db)

    def build(self, seed: int, heldout: bool) -> bytes:
        """The seed database, as `open_database` reads it; equal for equal arguments."""
        return _built(self, seed, heldout)


@cache
def _shared(site: Site) -> Starlette:
    return site.application()


@lru_cache(maxsize=MAX_CACHED)
def _built(site: Site, seed: int, heldout: bool) -> bytes:
    db = open_database(b"")
    try:
        db.execute("BEGIN")
        # One by one: `executescript` would end the transaction.
        for statement in (META + site.schema).split(";"):
            db.execute(statement)
        site.fill(db, random.Random(f"{site.name}/{seed}/{'heldout' if heldout else 'train'}"), heldout)
        db.execute("COMMIT")
        return db.serialize()
    finally:
        db.close()


@dataclass(frozen=True)
class Fact:
    """Something a database can be asked: what rows a query must give.

    Attributes:
        name: A few words, for reports.
        sql: A query without side effects.
        args: Its parameters.
        expected: The rows it must give, in order.
        site: Whose database; empty: the first site of the goal.
    """

    name: str
    sql: str
    args: tuple[Scalar, ...] = ()
    expected: tuple[Row, ...] = ((1,),)
    site: str = ""

    def holds(self, dbs: Databases, site: str = "") -> bool:
        """Whether it is true now.

        Args:
            dbs: The episode's databases.
            site: Whose database is asked where the fact names none.
        """
        return rows(dbs[self.site or site], self.sql, *self.args) == self.expected


def unchanged(db: sqlite3.Connection, name: str, sql: str, *args: Scalar, site: str = "") -> Fact:
    """The fact that a query gives what it gives now (for `Goal.keep`)."""
    return Fact(name, sql, args, rows(db, sql, *args), site)


def untouched(db: sqlite3.Connection, *names: str, site: str = "") -> tuple[Fact, ...]:
    """The facts that the named tables hold what they hold now (for `Goal.keep`)."""
    found = []
    for name in names:
        columns = len(db.execute(f'PRAGMA table_info("{name}")').fetchall())
        order = ", ".join(str(number + 1) for number in range(columns))
        found.append(unchanged(db, f"{name} untouched", f'SELECT * FROM "{name}" ORDER BY {order}', site=site))  # noqa: S608
    return tuple(found)


AnswerKind = Literal["text", "number", "set"]
_NUMBER = re.compile(r"(?:(?<![\w.])-)?\d[\d,]*(?:\.\d+)?")
_SPACES_AROUND_MARKS = re.compile(r"\s*([.,;:!?()\[\]{}\"'$%#/-])\s*")
#: Answers longer than this (characters) are cut before they are compared.
MAX_ANSWER = 2_000


def plain(text: str) -> str:
    """A text without case, surplus spaces, spaces around marks and a final full stop: what answers are compared by."""
    return _SPACES_AROUND_MARKS.sub(r"\1", " ".join(text[:MAX_ANSWER].casefold().split())).strip(" .\"'")


@dataclass(frozen=True)
class Answer:
    """What the agent must say.

    Attributes:
        value: The right answer; the items of a set are separated by ``;``.
        kind: ``text``: equal but for case and spaces. ``number``: the answer's only number is this one. ``set``: the
            same items in any order (separated by ``;``, ``,`` or new lines), none twice.
    """

    value: str
    kind: AnswerKind = "text"

    def right(self, said: str) -> bool:
        """Whether `said` is the answer."""
        if self.kind == "number":
            numbers = _NUMBER.findall(plain(said))
            return len(numbers) == 1 and abs(_number(numbers[0]) - _number(self.value)) < 1e-9
        if self.kind == "set":
            items = [plain(item) for item in re.split(r"[;,\n]", said[:MAX_ANSWER])]
            return sorted(item for item in items if item) == sorted(plain(item) for item in self.value.split(";"))
        return plain(said) == plain(self.value)


def _number(text: str) -> float:
    return float(text.replace(",", ""))


@dataclass(frozen=True)
class Goal:
    """What an episode is about.

    Attributes:
        text: What the agent is asked to do.
        start: The URL that is open at the start.
        sites: Names of the sites that can be reached; facts that name none are asked of the first.
        facts: The subgoals: all must be true at the end.
        answer: What must be said at the end, where something must.
        keep: What must not have changed: side effects, policy, privacy.
        infeasible: The goal cannot be reached: the right end is to report that.
        steps: How many calls the expert needs, about.
        pages: Paths that are on the way (patterns of `fnmatch`, e.g. ``"/product/*"``): for rewards of navigation.
        params: What the expert needs to know, by the template's own names.
    """

    text: str
    start: str
    sites: tuple[str, ...]
    facts: tuple[Fact, ...] = ()
    answer: Answer | None = None
    keep: tuple[Fact, ...] = ()
    infeasible: bool = False
    steps: int = 1
    pages: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    def also(self, **params: Any) -> Goal:
        """The same goal, and the expert knows more."""
        return replace(self, params={**self.params, **params})

    def progress(self, dbs: Databases) -> tuple[bool, ...]:
        """Which facts are true now, in order."""
        return tuple(fact.holds(dbs, self.sites[0]) for fact in self.facts)

    def broken(self, dbs: Databases) -> tuple[str, ...]:
        """The names of what must not have changed but did."""
        return tuple(fact.name for fact in self.keep if not fact.holds(dbs, self.sites[0]))

    def done(self, dbs: Databases, answer: str | None = None, infeasible: bool = False) -> bool:
        """Whether the goal is reached.

        Args:
            dbs: The episode's databases.
            answer: What the agent said last; None where it said nothing.
            infeasible: Whether the agent reported that it cannot be done.
        """
        if infeasible != self.infeasible:
            return False
        if self.answer is not None and (answer is None or not self.answer.right(answer)):
            return False
        return all(self.progress(dbs)) and not self.broken(dbs)


@dataclass(frozen=True)
class View:
    """What the expert sees.

    Attributes:
        tree: The accessibility tree of the active tab.
        url: Its address.
        dbs: The databases, to be read only.
        tabs: The addresses of all tabs, in order.
        answered: What has been said so far, None where nothing.
    """

    tree: Tree
    url: str
    dbs: Databases
    tabs: tuple[str, ...] = ()
    answered: str | None = None


class Template(ABC):
    """A kind of task, many by its seeds.

    Attributes:
        name: Unique within its site.
        sites: What it needs; the first is the site it is listed under.
        difficulty: 1 (one or two clicks) to 5 (eight or more over several pages, with conditions).
        heldout: Whether it is never trained on.
    """

    name: ClassVar[str]
    sites: ClassVar[tuple[str, ...]]
    difficulty: ClassVar[int]
    heldout: ClassVar[bool] = False

    @property
    def id(self) -> str:
        """``site/name``."""
        return f"{self.sites[0]}/{self.name}"

    @abstractmethod
    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        """A goal on these databases; may first write what it needs into them (a review, an order).

        Raises:
            Unfit: This draw found nothing that fits; another may.
        """

    @abstractmethod
    def next_action(self, goal: Goal, view: View) -> Call:
        """The expert's next call, from any state that can still be mended."""


def instance(template: Template, seed: int, heldout: bool, sites: Mapping[str, Site]) -> tuple[dict[str, bytes], Goal]:
    """The seed databases of a task and its goal: equal for equal arguments.

    Args:
        template: The kind of task.
        seed: Which one of them.
        heldout: Whether the contents are of the held-out lists.
        sites: The sites by name (`agentgym.envs.web.sites.SITES`).

    Raises:
        Unfit: No draw found anything (a defect of the template).
    """
    for draw in range(DRAWS * MAX_DATABASES):
        rng = random.Random(f"{template.id}/{seed}/{draw}")
        dbs = {name: open_database(sites[name].build(seed + FAR * (draw // DRAWS), heldout)) for name in template.sites}
        try:
            goal = template.make(rng, dbs)
            return {name: db.serialize() for name, db in dbs.items()}, goal
        except Unfit:
            continue
        finally:
            for db in dbs.values():
                db.close()
    raise Unfit(f"{template.id} finds nothing that fits seed {seed}")


def by_id(templates: Iterable[Template]) -> dict[str, Template]:
    """Templates by their id, in order; two of one id are a defect and raise ValueError."""
    made: dict[str, Template] = {}
    for template in templates:
        if template.id in made:
            raise ValueError(f"two templates are called {template.id}")
        made[template.id] = template
    return made


def one(rng: random.Random, choices: Sequence[Row]) -> Row:
    """One of the rows; raises `Unfit` where there are none."""
    if not choices:
        raise Unfit
    return rng.choice(choices)
