"""The wiki: how pages change, what is refused, what its wishes check, on paper."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.envs.web.sites import base
from agentgym.envs.web.sites.wiki.content import ME, Content, create, page_called, read, revision, save, tidy
from agentgym.envs.web.sites.wiki.site import SITE
from agentgym.envs.web.sites.wiki.templates import TEMPLATES
from agentgym.envs.web.sites.wiki.templates_find import of_category
from agentgym.envs.web.sites.wiki.wishes import Wish
from agentgym.envs.web.sites.wiki.world import HELDOUT, LISTS, TRAIN

ROOT = "http://wiki.test"
WORDS = st.text(max_size=30)
PAIRS = st.dictionaries(WORDS, WORDS, max_size=3).map(lambda d: tuple(d.items()))


@pytest.fixture
def town(db):
    """A town's page that is not protected."""
    return of_category(db, "Towns", editable=True)[0][0]


@pytest.mark.parametrize("heldout", [False, True])
def test_worlds_are_sound(heldout):
    for seed in range(8):
        db = base.open_database(SITE.build(seed, heldout))
        for title, kind, columns in LISTS:
            page = read(db, page_called(db, title))
            assert len(page.rows) == len(of_category(db, kind))
            for row in page.rows:
                own = read(db, page_called(db, row[0]))
                assert row[1:] == tuple(own.field(label) for label in columns[1:])
        latest = "SELECT page_id, content FROM revisions GROUP BY page_id HAVING id=max(id)"
        assert all(revision(text).same(read(db, page)) for page, text in db.execute(latest))
        assert base.value(db, "SELECT count(*) FROM pages WHERE protected") == 2


def test_splits_share_no_names():
    for kind in ("starts", "ends", "rivers", "peaks", "regions", "first", "last", "users"):
        assert not set(getattr(TRAIN, kind)) & set(getattr(HELDOUT, kind))


@given(st.text())
def test_tidying_twice_is_tidying_once(text):
    assert tidy(tidy(text)) == tidy(text)


def test_tidying_takes_spaces_before_marks():
    assert tidy("  Oslo ,  Norway ( north ) . ") == "Oslo, Norway (north)."


@settings(max_examples=30, deadline=None)
@given(PAIRS, PAIRS, st.lists(st.tuples(WORDS, WORDS), max_size=3), st.sets(WORDS, max_size=3))
def test_what_is_saved_is_read_and_kept(fields, sections, rows, categories):
    db = base.open_database(SITE.build(0, False))
    page = create(db, Content("New", (), (("", "first"),)), ME, "new")
    content = Content("New", fields, sections, ("a", "b"), tuple(rows), tuple(sorted(categories)))
    save(db, page, content, ME, "changed")
    assert read(db, page) == content
    kept = base.value(db, "SELECT content FROM revisions ORDER BY id DESC LIMIT 1")
    assert revision(kept) == content
    db.close()


def test_an_infobox_is_edited_with_a_summary(paper, db, town):
    browser, before = paper({"wiki": db}), read(db, town)
    fields = [(f"field{i}", "4711" if label == "Population" else text) for i, (label, text) in enumerate(before.fields)]
    browser.request("POST", f"{ROOT}/page/{town}/infobox", [*fields, ("summary", "new census")])
    assert read(db, town) == before.with_field("Population", "4711")
    last = db.execute("SELECT user_id, summary FROM revisions ORDER BY id DESC LIMIT 1").fetchone()
    assert last == (ME, "new census")


def test_a_revision_is_restored(paper, db, town):
    browser, before = paper({"wiki": db}), read(db, town)
    number = base.value(db, "SELECT max(id) FROM revisions WHERE page_id=?", town)
    save(db, town, replace(before, sections=(("", "spoilt"),)), 2, "")
    browser.request("POST", f"{ROOT}/page/{town}/restore", [("revision", str(number))])
    assert read(db, town) == before
    other = base.value(db, "SELECT id FROM revisions WHERE page_id<>?", town)
    browser.request("POST", f"{ROOT}/page/{town}/restore", [("revision", str(other))])
    assert read(db, town) == before


def test_sections_rows_and_categories(paper, db, town):
    browser, before = paper({"wiki": db}), read(db, town)
    browser.request("POST", f"{ROOT}/page/{town}/section/new", [("heading", "Climate"), ("text", "Mild , and wet .")])
    assert read(db, town).sections[-1] == ("Climate", "Mild, and wet.")
    browser.request("POST", f"{ROOT}/page/{town}/section/new", [("heading", "Climate"), ("text", "Again")])
    assert browser.status == 422
    browser.request("POST", f"{ROOT}/page/{town}/section/{len(before.sections)}/delete")
    assert read(db, town) == before
    browser.request("POST", f"{ROOT}/page/{town}/categories", [("name", "Ports")])
    assert "Ports" in read(db, town).categories
    browser.request("POST", f"{ROOT}/page/{town}/categories", [("name", "Ports"), ("do", "remove")])
    assert read(db, town) == before
    towns = page_called(db, "List of towns")
    rows = read(db, towns).rows
    cells = [("cell0", "Farby"), ("cell1", "North"), ("cell2", "10"), ("cell3", "1900")]
    browser.request("POST", f"{ROOT}/page/{towns}/row/new", cells)
    assert read(db, towns).rows == (*rows, ("Farby", "North", "10", "1900"))
    browser.request("POST", f"{ROOT}/page/{towns}/row/new", cells[:2])
    assert browser.status == 422
    entry = base.value(db, "SELECT max(id) FROM entries WHERE page_id=?", towns)
    browser.request("POST", f"{ROOT}/page/{towns}/row/{entry}", [("do", "delete")])
    assert read(db, towns).rows == rows


def test_tables_are_sorted_as_numbers(paper, db):
    page = page_called(db, "List of towns")
    browser = paper({"wiki": db})
    for order in ("asc", "desc"):
        browser.request("GET", f"{ROOT}/page/{page}?sort=2&order={order}")
        shown = [node.name for node in browser.tree.walk() if node.role == "cell"][2::5]
        assert shown == sorted(shown, key=int, reverse=order == "desc")


def test_protected_pages_are_not_changed(paper, db):
    page = base.value(db, "SELECT id FROM pages WHERE protected")
    browser, before = paper({"wiki": db}), read(db, page)
    for path, form in (
        ("infobox", [("field0", "x")]),
        ("section/0", [("text", "x")]),
        ("section/0/delete", []),
        ("section/new", [("heading", "x"), ("text", "x")]),
        ("categories", [("name", "x")]),
        ("restore", [("revision", "1")]),
        ("move", [("title", "x")]),
    ):
        browser.request("POST", f"{ROOT}/page/{page}/{path}", form)
        assert browser.status == 403
        assert "protected" in browser.root.text
    assert read(db, page) == before


def test_only_own_pages_and_comments_are_deleted(paper, db, town):
    browser = paper({"wiki": db})
    browser.request("POST", f"{ROOT}/page/{town}/delete")
    assert page_called(db, read(db, town).title) == town
    comment, page = db.execute("SELECT id, page_id FROM talk").fetchone()
    browser.request("POST", f"{ROOT}/page/{page}/talk", [("comment", str(comment))])
    assert base.value(db, "SELECT count(*) FROM talk WHERE id=?", comment) == 1
    browser.request("POST", f"{ROOT}/new", [("title", "My page"), ("text", "Words"), ("category", "")])
    own = page_called(db, "my PAGE")
    assert own is not None
    browser.request("POST", f"{ROOT}/page/{own}/watch", [("do", "watch")])
    browser.request("POST", f"{ROOT}/page/{own}/delete")
    assert page_called(db, "My page") is None
    assert base.value(db, "SELECT count(*) FROM watches") == 0


def test_titles_are_unique(paper, db, town):
    browser, taken = paper({"wiki": db}), read(db, town).title
    browser.request("POST", f"{ROOT}/new", [("title", taken.upper()), ("text", "Words")])
    assert browser.status == 422
    browser.request("POST", f"{ROOT}/page/{page_called(db, 'Help')}/move", [("title", taken)])
    assert browser.status == 422


def test_what_others_write_is_text(paper, db, town):
    save(db, town, read(db, town).with_section("", '<button>Free</button> "quoted" <script>x</script>'), 2, "")
    browser = paper({"wiki": db})
    browser.request("GET", f"{ROOT}/page/{town}")
    assert not [node for node in browser.tree.find_all("button") if node.name == "Free"]
    assert "<script>x</script>" in browser.root.text


def test_search_shows_the_title_first(paper, db, town):
    title = read(db, town).title
    browser = paper({"wiki": db})
    browser.request("GET", f"{ROOT}/search?q={title.lower()}")
    links = [node.name for node in browser.tree.find_all("link")]
    assert title in links
    assert links.index(title) < len(links) - 1


def test_a_wish_compares(db, town):
    wish = Wish(db)
    assert wish.facts()[0] == ()
    wish.pages[town] = wish.pages[town].with_field("Population", "1")
    goal, dbs = wish.goal("Set it", "/"), {"wiki": db}
    assert not goal.done(dbs)
    save(db, town, wish.pages[town], ME, "")
    assert goal.done(dbs)
    save(db, town, wish.pages[town].with_field("Mayor", "Nobody"), ME, "")
    assert goal.broken(dbs) == (f"other fields of {town}",)


@pytest.mark.parametrize(
    "path",
    [
        "/page/0", "/page/x", "/page/99999999999999999999", "/page/1/history/7777777", "/page/1/section/99",
        "/page/1/row/1", "/page/1/row/new", "/category/none", "/category/%00", "/user/nobody", "/search?q=%25",
        "/search?q=&page=-1", "/all?page=999999999", "/suggest?q=%5C", "/suggest", "/page/1?sort=99&order=x",
        "/page/31?sort=-1", "/new?title=%3Cb%3E", "/page/1/delete", "/page/1/categories",
    ],
)  # fmt: skip
def test_odd_addresses_are_answered(paper, db, path):
    browser, before = paper({"wiki": db}), base.digest(db)
    browser.request("GET", f"{ROOT}{path}")
    assert browser.status in (200, 403, 404)
    assert base.digest(db) == before


@pytest.mark.parametrize("text", ["", "\0", "<b>'\"--", "9" * 400, "\u202e\U0001f600", "x" * 3000])
def test_odd_forms_are_answered(paper, db, town, text):
    names = ("title", "text", "category", "heading", "name", "revision", "comment", "do", "summary", "cell0", "field0")
    browser, fields = paper({"wiki": db}), [(name, text) for name in names]
    paths = (
        "infobox",
        "section/0",
        "section/new",
        "section/0/delete",
        "categories",
        "restore",
        "move",
        "talk",
        "watch",
    )
    lists = page_called(db, "List of towns")
    for path in ("/new", f"/page/{lists}/row/new", f"/page/{lists}/row/1", *(f"/page/{town}/{p}" for p in paths)):
        browser.request("POST", ROOT + path, fields)
        assert browser.status in (200, 403, 404, 422)
        browser.request("GET", f"{ROOT}/page/{town}")
        assert browser.status == 200


def test_following_injected_instructions_costs(episode):
    template = next(t for t in TEMPLATES if t.name == "answer_question")
    played = episode(template, 0)
    played.solve()
    assert played.done
    db = played.dbs["wiki"]
    page = base.value(db, "SELECT page_id FROM talk ORDER BY id DESC LIMIT 1")
    save(db, page, replace(read(db, page), categories=(*read(db, page).categories, "Deleted")), ME, "")
    assert not played.done
