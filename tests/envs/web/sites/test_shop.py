"""The shop: what its pages do to its database, that hostile input does no harm, what its tasks check."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import asking
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.envs.web.sites import all_templates
from agentgym.envs.web.sites.base import rows, value
from agentgym.envs.web.sites.shop.moves import Item
from agentgym.envs.web.sites.shop.site import SITE
from agentgym.envs.web.sites.shop.templates_cart import best_coupon

ask = partial(asking.ask, SITE)


def some(db: sqlite3.Connection, where: str = "v.stock > 3") -> dict[str, Any]:
    """A variant of which a condition holds."""
    sql = f"""SELECT v.id, p.id, p.slug, p.name, v.colour, v.size, v.stock, p.price, p.category
        FROM variants v JOIN products p ON p.id = v.product WHERE {where} ORDER BY v.id"""  # noqa: S608
    names = ("id", "product", "slug", "name", "colour", "size", "stock", "price", "category")
    return dict(zip(names, rows(db, sql)[0], strict=True))


def add(db: sqlite3.Connection, item: dict[str, Any], quantity: int | str = 1) -> httpx.Response:
    path = f"/product/{item['slug']}"
    return ask(db, "POST", path, colour=item["colour"], size=item["size"], quantity=quantity)


PLACE = {"shipping": "Express", "note": "ring twice"}


def order(db: sqlite3.Connection, **changes: str) -> httpx.Response:
    address, card = value(db, "SELECT label FROM addresses"), value(db, "SELECT label FROM cards")
    return ask(db, "POST", "/checkout", **{**PLACE, "address": address, "card": card, **changes})


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/search", "/wishes", "/cart", "/offers", "/checkout", "/orders", "/account", "/addresses/new"]
)
def test_every_page_opens(db: sqlite3.Connection, path: str) -> None:
    page = ask(db, "GET", path)
    assert page.status_code == 200
    assert "<h1>" in page.text


@pytest.mark.parametrize(
    "path", ["/nowhere", "/product/none", "/orders/1", "/orders/x", "/addresses/99", "/orders/" + "9" * 30]
)
def test_what_does_not_exist_is_a_page_too(db: sqlite3.Connection, path: str) -> None:
    page = ask(db, "GET", path)
    assert page.status_code == 404
    assert "Page not found" in page.text


def test_search_filters_and_pages(db: sqlite3.Connection) -> None:
    item = some(db)
    assert item["name"] in ask(db, "GET", f"/search?q={item['name']}").text
    count = value(db, "SELECT COUNT(*) FROM products WHERE category = ? AND rating >= 4", item["category"])
    assert f"{count} products found" in ask(db, "GET", f"/search?category={item['category']}&stars=4").text
    first, second = (ask(db, "GET", f"/search?sort=cheap&page={page}").text for page in (1, 2))
    cheap = [name for (name,) in rows(db, "SELECT name FROM products ORDER BY price, name LIMIT 16")]
    assert all(name in first for name in cheap[:8])
    assert all(name in second for name in cheap[8:])
    assert ask(db, "GET", "/suggest?q=" + item["name"]).json() == [item["name"]]
    assert "0 products found" in ask(db, "GET", "/search?q=%25_").text


def test_texts_of_others_are_escaped(db: sqlite3.Connection) -> None:
    item = some(db)
    hostile = "<script>alert(1)</script>"
    sql = "INSERT INTO reviews VALUES (NULL, ?, ?, 5, ?, ?, '2031-01-01')"
    db.execute(sql, (item["product"], hostile, hostile, hostile))
    page = ask(db, "GET", f"/product/{item['slug']}?q={hostile}&colour={hostile}").text
    assert hostile not in page
    assert "&lt;script&gt;" in page


def test_cart_adds_changes_removes(db: sqlite3.Connection) -> None:
    item = some(db)
    assert "Added to your cart" in add(db, item, 2).text
    add(db, item, 1)
    assert rows(db, "SELECT * FROM cart") == ((item["id"], 3),)
    ask(db, "POST", "/cart", deed="update", variant=item["id"], quantity=1)
    assert rows(db, "SELECT * FROM cart") == ((item["id"], 1),)
    ask(db, "POST", "/cart", deed="remove", variant=item["id"])
    assert not rows(db, "SELECT * FROM cart")


@pytest.mark.parametrize("quantity", ["0", "-1", "100", "two", "", "1.5", "9" * 40])
def test_the_cart_takes_only_what_is_there(db: sqlite3.Connection, quantity: str) -> None:
    assert add(db, some(db), quantity).status_code == 422
    assert add(db, some(db, "v.stock = 0")).status_code == 422
    assert not rows(db, "SELECT * FROM cart")


def test_coupons(db: sqlite3.Connection) -> None:
    item = some(db)
    add(db, item, 2)
    db.execute("DELETE FROM coupons")
    db.execute("INSERT INTO coupons VALUES ('TEN', 10, 0, '', '2031-06-01'), ('OLD', 50, 0, '', '2031-05-19')")
    db.execute("INSERT INTO coupons VALUES ('BIG', 50, 9000000, '', '2031-06-01')")
    for code, said in (("OLD", "has expired"), ("BIG", "at least"), ("NONE", "no such coupon")):
        page = ask(db, "POST", "/cart", deed="coupon", code=code)
        assert page.status_code == 422
        assert said in page.text
    ask(db, "POST", "/cart", deed="coupon", code="ten")
    assert value(db, "SELECT coupon FROM basket") == "TEN"
    order(db)
    paid = 2 * item["price"] - 2 * item["price"] * 10 // 100 + 1200
    assert rows(db, "SELECT coupon, total FROM orders ORDER BY id DESC LIMIT 1") == (("TEN", paid),)


def test_an_order_takes_from_the_stock_and_cancelling_gives_back(db: sqlite3.Connection) -> None:
    item = some(db)
    assert "Your cart is empty" in order(db).text
    add(db, item, 2)
    assert order(db, card="stolen").status_code == 422
    assert "Thank you" in order(db).text
    number = value(db, "SELECT MAX(id) FROM orders")
    assert rows(db, "SELECT variant, quantity FROM lines WHERE parent = ?", number) == ((item["id"], 2),)
    assert value(db, "SELECT stock FROM variants WHERE id = ?", item["id"]) == item["stock"] - 2
    assert not rows(db, "SELECT * FROM cart")
    assert "was cancelled" in ask(db, "POST", f"/orders/{number}", deed="cancel").text
    assert value(db, "SELECT stock FROM variants WHERE id = ?", item["id"]) == item["stock"]
    assert ask(db, "POST", f"/orders/{number}", deed="cancel").status_code == 422


def test_returns_keep_to_the_time(db: sqlite3.Connection) -> None:
    late = value(db, "SELECT id FROM orders WHERE status = 'Delivered' AND delivered < '2031-04-20'")
    if late is not None:
        assert "Nothing of this order" in ask(db, "GET", f"/orders/{late}/return").text
    number, line = rows(
        db, "SELECT o.id, l.id FROM orders o JOIN lines l ON l.parent = o.id WHERE o.delivered >= '2031-04-20'"
    )[0]
    path = f"/orders/{number}/return"
    assert ask(db, "POST", path, line=line, reason="Damaged").status_code == 422
    assert ask(db, "POST", path, reason="Damaged", resolution="Refund").status_code == 422
    ask(db, "POST", path, line=line, reason="Damaged", resolution="Refund")
    assert rows(db, "SELECT line, reason, resolution FROM returns") == ((line, "Damaged", "Refund"),)


def test_account_and_addresses(db: sqlite3.Connection) -> None:
    assert ask(db, "POST", "/account", phone="call me").status_code == 422
    ask(db, "POST", "/account", phone="5550000", newsletter="1")
    assert rows(db, "SELECT phone, newsletter, reminders FROM account") == (("5550000", 1, 0),)
    new = {"label": "Boat", "name": "A", "street": "1 Quay", "city": "Oslo", "zip": "12345"}
    assert ask(db, "POST", "/addresses/new", **{**new, "zip": "12"}).status_code == 422
    ask(db, "POST", "/addresses/new", **new)
    assert ask(db, "POST", "/addresses/new", **new).status_code == 422
    assert value(db, "SELECT COUNT(*) FROM addresses") == 4
    ask(db, "POST", "/addresses/1", **{**new, "label": "Old"})
    assert value(db, "SELECT label FROM addresses WHERE id = 1") == "Old"


PATHS = ["/cart", "/checkout", "/account", "/addresses/1", "/search", "/orders/1047", "/orders/1045/return", "/offers"]
FIELDS = ["deed", "variant", "quantity", "code", "phone", "zip", "label", "line", "q", "page", "to", "stars", "address"]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(PATHS),
    st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=30) | st.sampled_from(["1", "update", "9" * 30])),
)
def test_no_form_breaks_the_shop(method: str, path: str, fields: dict[str, str]) -> None:
    asking.answers(SITE, method, path, fields)


def test_a_form_without_end_is_refused(db: sqlite3.Connection) -> None:
    assert ask(db, "POST", "/account", phone="1" * 100_000).status_code == 413


# -- tasks -------------------------------------------------------------------------------------------------------------


def test_the_best_coupon_is_what_the_cart_would_take_off() -> None:
    tent, pot = Item(1, "tent", "tent", "red", "", 10_000, 5), Item(2, "pot", "pot", "red", "", 2_000, 5)
    coupons = (("A", 10, 0, "", "2031-06-01"), ("B", 50, 0, "Kitchen", "2031-06-01"), ("C", 90, 0, "", "2031-01-01"))
    shelf = {"tent": "Outdoor", "pot": "Kitchen"}
    assert best_coupon({tent: 1, pot: 1}, coupons, shelf) == "A"
    assert best_coupon({pot: 1}, coupons, shelf) == "B"


def test_following_a_hostile_review_costs(episode: Callable[..., Any]) -> None:
    template = all_templates()["shop/stars_of_reviewer"]
    made = episode(template, 0)
    made.dbs["shop"].execute("INSERT INTO wishes SELECT id FROM products LIMIT 1")
    assert made.goal.broken(made.dbs) == ("wishes untouched",)
    assert not made.goal.done(made.dbs, made.goal.answer.value)
