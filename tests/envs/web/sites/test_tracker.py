"""The tracker: what its pages do to its database, that hostile input does no harm, what its tasks check."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import asking
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.envs.web.sites import all_templates
from agentgym.envs.web.sites.base import Unfit, rows, value
from agentgym.envs.web.sites.tracker.moves import change, closed, tickets
from agentgym.envs.web.sites.tracker.site import FIRST, SITE

ask = partial(asking.ask, SITE)


def some(db: sqlite3.Connection, where: str = "t.status = 'Open'") -> dict[str, Any]:
    return tickets(db, where)[0]


def now(db: sqlite3.Connection, number: int) -> dict[str, Any]:
    return tickets(db, "t.id = ?", number)[0]


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/tickets", "/tickets/new", f"/tickets/{FIRST}", "/projects", "/members", "/labels"]
)
def test_every_page_opens(db: sqlite3.Connection, path: str) -> None:
    page = ask(db, "GET", path)
    assert page.status_code == 200
    assert "<h1>" in page.text


@pytest.mark.parametrize("path", ["/nowhere", "/tickets/1", "/tickets/x", "/tickets/" + "9" * 30])
def test_what_does_not_exist_is_a_page_too(db: sqlite3.Connection, path: str) -> None:
    assert ask(db, "GET", path).status_code == 404


def test_lists_filter_and_turn_pages(db: sqlite3.Connection) -> None:
    ticket = some(db)
    for query in (f"q={ticket['id']}", f"q={ticket['title']}"):
        page = ask(db, "GET", f"/tickets?{query}").text
        assert f"{ticket['id']} {ticket['title']}" in page
        assert "1 tickets found" in page
    late = len(tickets(db, "t.due != '' AND t.due < '2031-05-20' AND t.status != 'Closed'"))
    assert f"{late} tickets found" in ask(db, "GET", "/tickets?overdue=1").text
    count = len(tickets(db, "t.project = ? AND t.status = 'Open'", ticket["project"]))
    assert f"{count} tickets found" in ask(db, "GET", f"/tickets?project={ticket['project']}&status=Open").text
    nobody = len(tickets(db, "t.assignee = ''"))
    assert f"{nobody} tickets found" in ask(db, "GET", "/tickets?assignee=Nobody").text
    assert f"/tickets/{FIRST + 10}" in ask(db, "GET", "/tickets?page=2").text


def test_texts_of_others_are_escaped(db: sqlite3.Connection) -> None:
    number, hostile = some(db)["id"], '"><script>alert(1)</script>'
    db.execute("UPDATE tickets SET title = ?, body = ? WHERE id = ?", (hostile, hostile, number))
    db.execute("INSERT INTO comments SELECT NULL, ?, name, ?, '2031-05-01' FROM me", (number, hostile))
    for path in (f"/tickets/{number}", "/tickets", "/tickets?q=" + hostile):
        assert hostile not in ask(db, "GET", path).text


def test_details(db: sqlite3.Connection) -> None:
    ticket = some(db)
    path = f"/tickets/{ticket['id']}"
    new = {"status": "Blocked", "priority": "Low", "assignee": "Alice Moor", "milestone": "", "due": "2031-07-01"}
    for field, wrong in (("status", "Closed"), ("priority", "Huge"), ("assignee", "Bob"), ("due", "soon")):
        assert ask(db, "POST", path, deed="save", **{**new, field: wrong}).status_code == 422
    assert now(db, ticket["id"]) == ticket
    ask(db, "POST", path, deed="save", **new)
    assert now(db, ticket["id"]) == {**ticket, **new}


def test_closing_and_opening_again(db: sqlite3.Connection) -> None:
    ticket = some(db)
    path = f"/tickets/{ticket['id']}"
    assert ask(db, "POST", path, deed="close", resolution="Magic").status_code == 422
    for wrong in ("", "1", str(ticket["id"]), "x"):
        assert ask(db, "POST", path, deed="close", resolution="Duplicate", duplicate=wrong).status_code == 422
    ask(db, "POST", path, deed="close", resolution="Duplicate", duplicate=FIRST + 20)
    assert now(db, ticket["id"]) == {**ticket, **closed("Duplicate", FIRST + 20)}
    assert ask(db, "POST", path, deed="save", status="Open", priority="Low").status_code == 422
    ask(db, "POST", path, deed="reopen")
    assert now(db, ticket["id"]) == ticket


def test_comments_labels_watching_titles(db: sqlite3.Connection) -> None:
    number = some(db)["id"]
    path = f"/tickets/{number}"
    assert ask(db, "POST", path, deed="comment", body=" ").status_code == 422
    ask(db, "POST", path, deed="comment", body="hello")
    mine = value(db, "SELECT id FROM comments WHERE body = 'hello'")
    other = value(db, "SELECT MIN(id) FROM comments")
    foreign = value(db, "SELECT ticket FROM comments WHERE id = ?", other)
    ask(db, "POST", f"/tickets/{foreign}", deed="uncomment", comment=other)
    assert value(db, "SELECT 1 FROM comments WHERE id = ?", other)
    ask(db, "POST", path, deed="uncomment", comment=mine)
    assert not value(db, "SELECT 1 FROM comments WHERE id = ?", mine)
    db.execute("DELETE FROM labelled")
    ask(db, "POST", path, deed="label", label="bug")
    assert value(db, "SELECT COUNT(*) FROM labelled") == 1
    ask(db, "POST", path, deed="unlabel", label="bug")
    assert value(db, "SELECT COUNT(*) FROM labelled") == 0
    ask(db, "POST", path, deed="watch")
    assert rows(db, "SELECT ticket FROM watched") == ((number,),)
    ask(db, "POST", path, deed="unwatch")
    assert rows(db, "SELECT ticket FROM watched") == ()
    ask(db, "POST", path, deed="rename", title="new words")
    assert now(db, number)["title"] == "new words"


def test_new_tickets(db: sqlite3.Connection) -> None:
    new = {"project": "WEB", "title": "It broke", "status": "Open", "priority": "High"}
    for field in new:
        assert ask(db, "POST", "/tickets/new", **{**new, field: ""}).status_code == 422
    assert "was created" in ask(db, "POST", "/tickets/new", **new, label="bug").text
    made = tickets(db)[-1]
    assert {name: made[name] for name in new} == new
    assert rows(db, "SELECT l.name FROM labelled k JOIN labels l ON l.id = k.label WHERE ticket = ?", made["id"]) == (
        ("bug",),
    )


def test_bulk_edit(db: sqlite3.Connection) -> None:
    before = {ticket["id"]: ticket for ticket in tickets(db)}
    chosen = [FIRST, FIRST + 1]
    assert ask(db, "POST", "/tickets", new_priority="Urgent").status_code == 422
    assert ask(db, "POST", "/tickets", ticket=chosen).status_code == 422
    ask(db, "POST", "/tickets?status=Open", ticket=[*chosen, "7", "x"], new_priority="Urgent", new_status="Closed")
    for number, ticket in before.items():
        new = {"priority": "Urgent", **closed("Fixed")} if number in chosen else {}
        assert now(db, number) == {**ticket, **new, **({"duplicate": 0} if new else {})}


def test_labels(db: sqlite3.Connection) -> None:
    assert ask(db, "POST", "/labels", deed="create", name="bug").status_code == 422
    ask(db, "POST", "/labels", deed="create", name="Fresh")
    number = value(db, "SELECT id FROM labels WHERE name = 'fresh'")
    assert ask(db, "POST", "/labels", deed="rename", label=number, name="bug").status_code == 422
    ask(db, "POST", "/labels", deed="rename", label=number, name="stale")
    ask(db, "POST", f"/tickets/{FIRST}", deed="label", label="stale")
    ask(db, "POST", "/labels", deed="delete", label=number)
    assert not value(db, "SELECT 1 FROM labels WHERE name = 'stale'")
    assert not value(db, "SELECT 1 FROM labelled WHERE label = ?", number)


PATHS = ["/tickets", "/tickets/new", f"/tickets/{FIRST}", "/labels", "/"]
FIELDS = ["deed", "ticket", "label", "q", "page", "new_status", "new_label", "title", "due", "comment", "body", "sort"]
TEXTS = st.text(max_size=30) | st.sampled_from(["save", "close", "delete", "comment", "101", "9" * 30, "bug"])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["GET", "POST"]), st.sampled_from(PATHS), st.dictionaries(st.sampled_from(FIELDS), TEXTS))
def test_no_form_breaks_the_tracker(method: str, path: str, fields: dict[str, str]) -> None:
    asking.answers(SITE, method, path, fields)


# -- tasks -------------------------------------------------------------------------------------------------------------


def test_a_change_is_facts_for_what_differs_and_keeps_the_rest(db: sqlite3.Connection) -> None:
    ticket = some(db)
    made = change(db, {ticket["id"]: {"priority": "none", "status": "Open"}})
    assert [fact.name for fact in made.facts] == [f"priority of {ticket['id']}"]
    assert all(fact.holds({"tracker": db}, "tracker") for fact in made.keep)
    db.execute("UPDATE tickets SET status = 'Blocked' WHERE id = ?", (ticket["id"],))
    assert not all(fact.holds({"tracker": db}, "tracker") for fact in made.keep)
    with pytest.raises(Unfit):
        change(db, {ticket["id"]: {"status": "Blocked"}})


def test_following_a_hostile_comment_costs(episode: Callable[..., Any]) -> None:
    template = all_templates()["tracker/read_comment"]
    made = episode(template, 0)
    made.dbs["tracker"].execute("UPDATE tickets SET priority = 'x' WHERE id = ?", (made.goal.params["number"],))
    assert made.goal.broken(made.dbs) == ("tickets untouched",)
    assert not made.goal.done(made.dbs, made.goal.answer.value)
