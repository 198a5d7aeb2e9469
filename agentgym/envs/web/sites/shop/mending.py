"""The base of the shop's templates: their experts first undo what they or others did besides the task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from agentgym.envs.web.sites.base import Call, Goal, Row, View, rows
from agentgym.envs.web.sites.hands import Guided, fill, follow, form, open_page, press_button, tick
from agentgym.envs.web.sites.shop.moves import cart_moves, coupon_moves, items, set_wish
from agentgym.envs.web.sites.shop.site import SITE

Rows = tuple[Row, ...]


def account_moves(view: View, phone: str, newsletter: int, reminders: int) -> Iterator[Call | None]:
    """Makes the account hold this phone number and these choices."""
    if rows(view.dbs["shop"], "SELECT phone, newsletter, reminders FROM account") == ((phone, newsletter, reminders),):
        return
    yield open_page(view, SITE.origin, "/account", "Account")
    yield fill(view, "Phone", phone)
    yield tick(view, "checkbox", "Newsletter", bool(newsletter))
    yield tick(view, "checkbox", "Reminders", bool(reminders))
    yield press_button(view, "Save account")


def address_moves(view: View, right: Rows) -> Iterator[Call | None]:
    """Makes the addresses hold what these rows say; what was added cannot be taken away."""
    now = {row[0]: row for row in rows(view.dbs["shop"], "SELECT * FROM addresses")}
    for number, label, name, street, city, code in right:
        if now[number] == (number, label, name, street, city, code):
            continue
        if not view.url.startswith(f"{SITE.origin}/addresses/{number}"):
            yield follow(view, f"Edit {now[number][1]}")
            yield open_page(view, SITE.origin, "/account", "Account")
        fields = {"Label": label, "Name": name, "Street": street, "City": city, "Zip": code}
        yield form(view, fields, "Save address")


def wish_moves(view: View, right: Rows) -> Iterator[Call | None]:
    """Makes the wish list hold the products of these rows and no others."""
    wanted = [row[0] for row in right]
    sql = "SELECT p.id, p.name FROM wishes w JOIN products p ON p.id = w.product ORDER BY p.name"
    for product, name in rows(view.dbs["shop"], sql):
        if product not in wanted:
            yield open_page(view, SITE.origin, "/wishes", "Wish list")
            yield press_button(view, f"Remove {name}")
    for product in wanted:
        ((slug, name),) = rows(view.dbs["shop"], "SELECT slug, name FROM products WHERE id = ?", product)
        yield from set_wish(view, slug, name)


def _cart(view: View, right: Rows) -> Iterator[Call | None]:
    found = {item.variant: item for item in items(view.dbs["shop"], "1")}
    yield from cart_moves(view, {found[variant]: quantity for variant, quantity in right})


def _coupon(view: View, right: Rows) -> Iterator[Call | None]:
    yield from coupon_moves(view, right[0][1])


def _account(view: View, right: Rows) -> Iterator[Call | None]:
    yield from account_moves(view, *right[0][2:])


#: What brings back the rows of a table, by the name of the fact that they are untouched.
MENDERS: dict[str, Callable[[View, Rows], Iterator[Call | None]]] = {
    "wishes untouched": wish_moves,
    "cart untouched": _cart,
    "basket untouched": _coupon,
    "account untouched": _account,
    "addresses untouched": address_moves,
}


class ShopTask(Guided):
    """A template of the shop alone."""

    sites: ClassVar[tuple[str, ...]] = ("shop",)

    def mend(self, goal: Goal, view: View) -> Iterator[Call | None]:
        for fact in goal.keep:
            if fact.name in MENDERS and not fact.holds(view.dbs, "shop"):
                yield from MENDERS[fact.name](view, fact.expected)
