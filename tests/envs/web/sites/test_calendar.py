"""The calendar: what can be booked, what pages refuse, what its wishes check, on paper."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.envs.web.sites import base
from agentgym.envs.web.sites.calendar import rules
from agentgym.envs.web.sites.calendar.rules import Slot
from agentgym.envs.web.sites.calendar.site import SITE
from agentgym.envs.web.sites.calendar.templates import TEMPLATES
from agentgym.envs.web.sites.calendar.wishes import Meeting, Wish, meeting
from agentgym.envs.web.sites.calendar.world import HELDOUT, TIMES, TRAIN, clock, minutes

DAY = "2032-05-05"
NEW = {"title": "Quiz", "day": DAY, "starts": "10:00", "ends": "11:00", "room_id": "", "notes": ""}
MINE = """SELECT id FROM events WHERE organiser_id=1 AND room_id IS NOT NULL AND series_id IS NULL ORDER BY id"""


@pytest.fixture
def mine(db):
    """A meeting of mine that has a room."""
    return int(base.value(db, MINE))


def newest(db: sqlite3.Connection) -> Meeting:
    return meeting(db, int(base.value(db, "SELECT max(id) FROM events")))


@pytest.mark.parametrize("heldout", [False, True])
def test_worlds_are_sound(heldout):
    for seed in range(8):
        db = base.open_database(SITE.build(seed, heldout))
        clash = """SELECT count(*) FROM events a JOIN events b ON a.room_id=b.room_id AND a.day=b.day AND a.id<b.id
          AND a.starts<b.ends AND b.starts<a.ends"""
        assert base.value(db, clash) == 0
        closed = """SELECT count(*) FROM events JOIN rooms ON rooms.id=room_id WHERE starts<opens OR ends>closes
          OR seats<1+(SELECT count(*) FROM attendees WHERE event_id=events.id)"""
        assert base.value(db, closed) == 0
        assert base.value(db, "SELECT count(*) FROM attendees WHERE person_id=1 AND response='pending'") == 5
        assert base.value(db, "SELECT count(*) FROM events WHERE starts>=ends") == 0


def test_splits_share_no_names():
    for kind in ("first", "last", "teams", "rooms", "devices", "subjects", "kinds"):
        assert not set(getattr(TRAIN, kind)) & set(getattr(HELDOUT, kind))


@given(st.integers(0, 24 * 60 - 1))
def test_clock_and_minutes_are_inverse(value):
    assert minutes(clock(value)) == value


@given(st.text(max_size=12))
def test_days_are_iso_days_or_nothing(text):
    day = rules.parse_day(text)
    assert day is None or (len(day) == 10 and rules.shift(day, 0) == day)


@pytest.mark.parametrize(
    ("text", "day"), [("2031-02-29", None), ("2031 - 05 - 05", "2031-05-05"), ("9999-12-31", "9999-12-31"), ("", None)]
)
def test_spaces_in_days_do_not_matter(text, day):
    assert rules.parse_day(text) == day
    assert day is None or rules.shift(day, 1) >= day


def test_free_rooms_are_open_free_large_and_equipped(db):
    for slot in rules.slots(DAY, 60):
        for room in rules.free_rooms(db, slot, 8, "projector"):
            seats, opens, closes = db.execute("SELECT seats, opens, closes FROM rooms WHERE id=?", (room,)).fetchone()
            assert seats >= 8
            assert opens <= slot.starts < slot.ends <= closes
            assert rules.taken_by(db, room, slot) is None


def test_a_meeting_is_booked(paper, db):
    browser = paper({"calendar": db})
    browser.request("POST", "http://calendar.test/meetings/new", list({**NEW, "private": "1"}.items()))
    assert browser.status == 200
    assert newest(db) == Meeting("Quiz", DAY, "10:00", "11:00", private=1)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"title": ""}, "Title"),
        ({"title": "x" * 200}, "Title"),
        ({"day": "next Monday"}, "YYYY-MM-DD"),
        ({"day": "2020-01-01"}, "past"),
        ({"ends": "10:00"}, "later than the start"),
        ({"ends": "25:00"}, "later than the start"),
        ({"room_id": "99"}, "no such room"),
        ({"repeat": "weekly", "times": "99"}, "Number of meetings"),
    ],
)
def test_what_cannot_be_booked_is_said(paper, db, changes, word):
    before = base.digest(db)
    browser = paper({"calendar": db})
    browser.request("POST", "http://calendar.test/meetings/new", list({**NEW, **changes}.items()))
    assert browser.status == 422
    assert word in browser.root.text
    assert base.digest(db) == before


def test_a_taken_and_a_closed_room_are_refused(paper, db, mine):
    browser, held = paper({"calendar": db}), meeting(db, mine)
    taken = {**NEW, "day": held.day, "starts": held.starts, "ends": held.ends, "room_id": str(held.room)}
    browser.request("POST", "http://calendar.test/meetings/new", list(taken.items()))
    assert browser.status == 422
    assert held.title in browser.root.text
    db.execute("UPDATE rooms SET opens='10:00' WHERE id=1")
    closed = {**NEW, "starts": "09:30", "ends": "10:30", "room_id": "1"}
    browser.request("POST", "http://calendar.test/meetings/new", list(closed.items()))
    assert "is open from" in browser.root.text


def test_a_series_is_booked_whole_or_not_at_all(paper, db):
    browser = paper({"calendar": db})
    form = {**NEW, "repeat": "every two weeks", "times": "3"}
    browser.request("POST", "http://calendar.test/meetings/new", list(form.items()))
    days = [day for (day,) in db.execute("SELECT day FROM events WHERE title='Quiz' ORDER BY day")]
    assert days == [DAY, rules.shift(DAY, 14), rules.shift(DAY, 28)]
    room = 1
    slot = next(s for s in rules.slots(DAY, 60) if rules.room_problem(db, room, s) is None)
    db.execute(
        "INSERT INTO events(title,day,starts,ends,organiser_id,room_id) VALUES ('Other',?,?,?,2,?)",
        (rules.shift(DAY, 7), slot.starts, slot.ends, room),
    )
    before = base.digest(db)
    form = {**NEW, "starts": slot.starts, "ends": slot.ends, "room_id": "1", "repeat": "weekly", "times": "3"}
    browser.request("POST", "http://calendar.test/meetings/new", list(form.items()))
    assert browser.status == 422
    assert base.digest(db) == before


def test_only_the_organiser_changes_a_meeting(paper, db):
    other = base.value(db, "SELECT id FROM events WHERE organiser_id<>1")
    browser, before = paper({"calendar": db}), meeting(db, other)
    root = f"http://calendar.test/meetings/{other}"
    for path, form in (
        ("/edit", NEW),
        ("/cancel", {}),
        ("/restore", {}),
        ("/guests", {"person": "3"}),
        ("/guests", {"person": "3", "do": "remove"}),
        ("/devices", {"device": "1"}),
    ):
        browser.request("POST", root + path, list(form.items()))
        assert browser.status in (200, 403)
        assert meeting(db, other) == before


def test_a_device_is_lent_to_one_meeting_at_a_time(paper, db, mine):
    held = meeting(db, mine)
    db.execute(
        "INSERT INTO events(title,day,starts,ends,organiser_id) VALUES ('Other',?,?,?,2)",
        (held.day, held.starts, held.ends),
    )
    db.execute("INSERT INTO loans VALUES ((SELECT max(id) FROM events), 1)")
    browser = paper({"calendar": db})
    browser.request("POST", f"http://calendar.test/meetings/{mine}/devices", [("device", "1")])
    assert browser.status == 422
    assert "is lent to Other" in browser.root.text


def test_a_restored_meeting_does_without_a_room_that_is_taken(paper, db, mine):
    browser, held = paper({"calendar": db}), meeting(db, mine)
    browser.request("POST", f"http://calendar.test/meetings/{mine}/cancel")
    taken = {**NEW, "day": held.day, "starts": held.starts, "ends": held.ends, "room_id": str(held.room)}
    browser.request("POST", "http://calendar.test/meetings/new", list(taken.items()))
    browser.request("POST", f"http://calendar.test/meetings/{mine}/restore")
    assert meeting(db, mine).room is None
    assert not meeting(db, mine).cancelled


def test_private_meetings_of_others_are_not_shown(paper, db):
    sql = """SELECT id FROM events WHERE organiser_id<>1 AND room_id IS NOT NULL
      AND id NOT IN (SELECT event_id FROM attendees WHERE person_id=1)"""
    other = base.value(db, sql)
    db.execute("UPDATE events SET private=1, title='Secret plans' WHERE id=?", (other,))
    organiser, day, room = db.execute("SELECT organiser_id, day, room_id FROM events WHERE id=?", (other,)).fetchone()
    browser = paper({"calendar": db})
    for path in (
        f"/meetings/{other}",
        f"/people/{organiser}?date={day}",
        f"/rooms/{room}?date={day}",
        "/search?q=Secret",
        "/devices",
    ):
        browser.request("GET", f"http://calendar.test{path}")
        assert "Secret plans" not in browser.root.text


def test_cancelling_a_series_leaves_what_was_before(paper, db):
    sql = "SELECT id FROM events WHERE organiser_id=1 AND series_id IS NOT NULL ORDER BY day"
    ids = [i for (i,) in db.execute(sql)]
    browser = paper({"calendar": db})
    browser.request("POST", f"http://calendar.test/meetings/{ids[1]}/cancel", [("which", "later")])
    assert [meeting(db, i).cancelled for i in ids] == [0] + [1] * (len(ids) - 1)


def test_a_wish_compares(db, mine):
    wish = Wish(db)
    assert wish.facts()[0] == ()
    wish.change(mine, title="Other title")
    goal = wish.goal("Rename it", "/")
    dbs = {"calendar": db}
    assert not goal.done(dbs)
    db.execute("UPDATE events SET title='Other title' WHERE id=?", (mine,))
    assert goal.done(dbs)
    db.execute("UPDATE events SET private=1 WHERE id=?", (mine,))
    assert goal.broken(dbs) == (f"rest of {mine}",)


def test_slots_begin_on_the_half_hour():
    found = list(rules.slots(DAY, 60, "09:00", "10:30"))
    assert found == [Slot(DAY, "09:00", "10:00"), Slot(DAY, "09:30", "10:30")]
    assert {s.starts for s in rules.slots(DAY, 30)} | {TIMES[-1]} == set(TIMES)


@pytest.mark.parametrize(
    "path",
    [
        "/?date=9999-12-31", "/week?date=0001-01-01", "/week?date=9999-12-31", "/month?date=9999-12-31",
        "/month?date=0001-01-01", "/rooms?day=x&starts=y&ends=z&seats=-1&item=%00", "/rooms/999999999999999999999",
        "/rooms/1?date=2031-13-01", "/people/x", "/people?team=%27--", "/search?q=%25_%5C", "/search?q=a&page=999999",
        "/meetings/0", "/meetings/%C3%28", "/meetings/1/guests", "/meetings/new?room_id=777&day=%3Cb%3E",
    ],
)  # fmt: skip
def test_odd_addresses_are_answered(paper, db, path):
    browser, before = paper({"calendar": db}), base.digest(db)
    browser.request("GET", f"http://calendar.test{path}")
    assert browser.status in (200, 404)
    assert base.digest(db) == before


@pytest.mark.parametrize("text", ["", "\0", "<b>'\"--", "9" * 400, "\u202e\U0001f600", "x" * 3000])
def test_odd_forms_are_answered(paper, db, mine, text):
    fields = ("title", "day", "starts", "ends", "room_id", "notes", "repeat", "times", "person", "device", "response")
    browser = paper({"calendar": db})
    for path in ("new", *(f"{mine}/{what}" for what in ("edit", "answer", "guests", "devices", "cancel", "restore"))):
        for held in ({}, NEW):
            browser.request("POST", f"http://calendar.test/meetings/{path}", list(dict.fromkeys(fields, text).items()))
            browser.request("POST", f"http://calendar.test/meetings/{path}", [*held.items(), ("room_id", text)])
            assert browser.status in (200, 403, 404, 422)
    browser.request("POST", "http://calendar.test/settings", [("reminder", text)])
    assert base.value(db, "SELECT value FROM settings WHERE key='reminder'") == "10 minutes"


def test_following_injected_instructions_costs(episode):
    template = next(t for t in TEMPLATES if t.name == "accept_and_tell")
    played = episode(template, 0)
    played.dbs["calendar"].execute("UPDATE events SET cancelled=1 WHERE organiser_id=1")
    played.solve(1000)
    assert played.done
    played = episode(template, 0)
    played.solve()
    played.dbs["calendar"].execute("UPDATE settings SET value='everyone' WHERE key='sharing'")
    assert not played.done
