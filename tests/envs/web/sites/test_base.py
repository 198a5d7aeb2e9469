"""Facts, goals, answers and seed databases; what all sites have in common."""

from __future__ import annotations

import itertools
import random
import sqlite3
import string
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.envs.web.sites import SITE_NAMES, all_sites, all_templates, base
from agentgym.envs.web.sites.base import Answer, Fact, Goal, Unfit, instance, open_database, rows, unchanged, untouched

NAMES = st.sampled_from(SITE_NAMES)
LINE = st.text(alphabet=string.ascii_letters + " ", min_size=1).filter(str.strip)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    made = open_database(b"")
    made.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)")
    made.execute("INSERT INTO things VALUES (1, 'a'), (2, 'b')")
    yield made
    made.close()


def goal(db: sqlite3.Connection, **fields: object) -> Goal:
    fact = Fact("two", "SELECT name FROM things WHERE id = ?", (2,), (("c",),))
    return Goal("do", "http://x.test/", ("x",), (fact,), keep=untouched(db, "things")[:0], **fields)  # type: ignore[arg-type]


# -- facts and goals ---------------------------------------------------------------------------------------------------


def test_a_goal_is_done_when_its_facts_hold(db: sqlite3.Connection) -> None:
    made = goal(db)
    assert made.progress({"x": db}) == (False,)
    assert not made.done({"x": db})
    db.execute("UPDATE things SET name = 'c' WHERE id = 2")
    assert made.progress({"x": db}) == (True,)
    assert made.done({"x": db})
    assert not made.done({"x": db}, infeasible=True)


def test_what_must_stay_is_named_when_it_does_not(db: sqlite3.Connection) -> None:
    keep = (unchanged(db, "the first", "SELECT * FROM things WHERE id = 1"), *untouched(db, "things"))
    made = Goal("do", "http://x.test/", ("x",), keep=keep)
    assert made.done({"x": db})
    db.execute("UPDATE things SET name = 'z' WHERE id = 1")
    assert made.broken({"x": db}) == ("the first", "things untouched")
    assert not made.done({"x": db})
    db.execute("UPDATE things SET name = 'a' WHERE id = 1")
    assert made.done({"x": db})


def test_an_answer_and_the_report_are_asked_for(db: sqlite3.Connection) -> None:
    asks = Goal("do", "http://x.test/", ("x",), answer=Answer("Anna Berg"))
    assert asks.done({"x": db}, "anna berg .")
    assert not asks.done({"x": db})
    assert not asks.done({"x": db}, "Anna")
    refuses = Goal("do", "http://x.test/", ("x",), infeasible=True)
    assert refuses.done({"x": db}, infeasible=True)
    assert not refuses.done({"x": db}, "no")


def test_a_fact_may_ask_another_site(db: sqlite3.Connection) -> None:
    other = open_database(b"")
    fact = Fact("one", "SELECT 1", site="y")
    assert fact.holds({"y": other}, "x")
    other.close()


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("24.95", True),
        ("$24.95", True),
        ("$ 24 . 95", True),
        ("It costs 24.950 .", True),
        ("24.95 or 25", False),
        ("-24.95", False),
        ("", False),
        ("24", False),
    ],
)
def test_numbers(said: str, right: bool) -> None:
    assert Answer("24.95", "number").right(said) is right


@pytest.mark.parametrize(
    ("said", "right"),
    [("b; A", True), ("a, b", True), ("a\nb", True), ("a", False), ("a; b; b", False), ("a; b; c", False)],
)
def test_sets(said: str, right: bool) -> None:
    assert Answer("a;b", "set").right(said) is right


@given(LINE)
def test_a_text_is_its_own_answer_in_any_case_and_spacing(text: str) -> None:
    answer = Answer(text)
    assert answer.right(text)
    assert answer.right(f"  {text.upper()} .")
    assert answer.right(" ".join(text.split()))
    assert not answer.right(text + "x")


@given(st.text(), st.sampled_from(["text", "number", "set"]))
def test_no_answer_raises(said: str, kind: base.AnswerKind) -> None:
    assert Answer("12", kind).right(said) in (True, False)


# -- databases ---------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(NAMES, st.integers(0, 1000), st.booleans())
def test_seed_databases_are_deterministic(name: str, seed: int, heldout: bool) -> None:
    site = all_sites()[name]
    first = open_database(site.build(seed, heldout))
    base._built.cache_clear()
    second = open_database(site.build(seed, heldout))
    assert base.digest(first) == base.digest(second)
    assert not first.execute("PRAGMA foreign_key_check").fetchall()
    first.close()
    second.close()


def test_the_digest_follows_the_contents(db: sqlite3.Connection) -> None:
    before = base.digest(db)
    db.execute("INSERT INTO things VALUES (3, 'x')")
    assert base.digest(db) != before
    db.execute("DELETE FROM things WHERE id = 3")
    assert base.digest(db) == before
    assert base.digest(open_database(db.serialize())) == before


@pytest.mark.parametrize(
    ("site", "sql"),
    [
        ("shop", "SELECT name FROM products UNION SELECT name FROM categories UNION SELECT author FROM reviews"),
        ("shop", "SELECT colour FROM variants UNION SELECT code FROM coupons UNION SELECT body FROM reviews"),
        ("tracker", "SELECT title FROM tickets UNION SELECT name FROM members UNION SELECT name FROM labels"),
        ("tracker", "SELECT body FROM tickets UNION SELECT body FROM comments UNION SELECT name FROM projects"),
    ],
)
def test_heldout_contents_are_other_contents(site: str, sql: str) -> None:
    seen: dict[bool, set[object]] = {False: set(), True: set()}
    for seed, heldout in itertools.product(range(8), (False, True)):
        db = open_database(all_sites()[site].build(seed, heldout))
        seen[heldout] |= {row[0] for row in rows(db, sql)}
        db.close()
    assert seen[False]
    assert seen[True]
    assert not seen[False] & seen[True]


def test_draws_that_find_nothing_go_on_to_other_databases() -> None:
    class Picky(base.Template):
        name, sites, difficulty = "picky", ("shop",), 1
        asked: list[str] = []  # noqa: RUF012

        def make(self, rng: random.Random, dbs: base.Databases) -> Goal:
            self.asked.append(base.digest(dbs["shop"]))
            raise Unfit

        def next_action(self, goal: Goal, view: base.View) -> base.Call:
            raise AssertionError

    with pytest.raises(Unfit, match="shop/picky finds nothing that fits seed 3"):
        instance(Picky(), 3, False, all_sites())
    assert len(Picky.asked) == base.DRAWS * base.MAX_DATABASES
    assert len(set(Picky.asked)) == base.MAX_DATABASES


# -- all templates -----------------------------------------------------------------------------------------------------


def test_enough_templates_of_all_difficulties() -> None:
    templates = all_templates()
    assert len(templates) >= 60
    for name in SITE_NAMES:
        mine = [template for template in templates.values() if template.sites[0] == name]
        assert len(mine) >= 16
        assert {template.difficulty for template in mine} >= {1, 2, 3, 4, 5}
        assert 0.2 <= sum(template.heldout for template in mine) / len(mine) <= 0.35


@pytest.mark.parametrize(
    ("done", "absent"),
    [
        ("sites.SITE_NAMES", {"starlette", "playwright", "torch"}),
        ("sites.all_templates()", {"playwright", "torch", "ray"}),
    ],
)
def test_imports_stay_light(done: str, absent: set[str]) -> None:
    code = f"import sys; from agentgym.envs.web import sites; {done}; print(sorted({absent} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_missing_library_is_said_with_its_extra() -> None:
    code = (
        "import sys; sys.modules['starlette'] = None; from agentgym.envs.web import sites\n"
        "try: sites.all_sites()['shop'].app(None)\n"
        "except ImportError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'agentgym[web]'" in ran.stdout


def test_the_pages_are_part_of_the_package() -> None:
    here = files("agentgym.envs.web.sites")
    for path in ("pages/layout.html", "assets/site.css", "assets/site.js", "shop/pages/cart.html"):
        assert here.joinpath(path).is_file(), path
