"""What the shop's templates share: questions to its database, facts about orders, moves of the experts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentgym.envs.web.sites.base import Call, Fact, Row, Scalar, View, money, rows, tables, untouched, value
from agentgym.envs.web.sites.hands import click, filtered, follow, form, open_page, path_of, press_button, select, tick
from agentgym.envs.web.sites.shop.content import SHIPPING
from agentgym.envs.web.sites.shop.site import SITE

START = SITE.origin + "/"
#: Tables that an order changes.
ORDERING = ("cart", "basket", "orders", "lines", "variants")


@dataclass(frozen=True)
class Item:
    """A variant of a product, as pages and goals name it."""

    variant: int
    slug: str
    name: str
    colour: str
    size: str
    price: int
    stock: int

    @property
    def label(self) -> str:
        """What the cart calls it, e.g. ``Alder shirt blue M``."""
        return " ".join(part for part in (self.name, self.colour, self.size) if part)

    @property
    def words(self) -> str:
        """How a goal asks for it, e.g. ``Alder shirt in blue , size M``."""
        return f"{self.name} in {self.colour}" + (f" size {self.size}" if self.size else "")


_ITEM = """SELECT v.id, p.slug, p.name, v.colour, v.size, p.price, v.stock
    FROM variants v JOIN products p ON p.id = v.product WHERE """


def items(db: sqlite3.Connection, where: str = "v.stock > 2", *args: Scalar) -> list[Item]:
    """Variants (alias ``v``, their products ``p``) of which a condition holds."""
    return [Item(*row) for row in db.execute(_ITEM + where + " ORDER BY v.id", args)]


def others(db: sqlite3.Connection, *changed: str) -> tuple[Fact, ...]:
    """The facts that every table but these stays as it is."""
    return untouched(db, *(name for name in tables(db) if name not in changed), site="shop")


def put_in_cart(db: sqlite3.Connection, item: Item, quantity: int) -> None:
    """Lets the episode begin with something in the cart."""
    db.execute("INSERT INTO cart VALUES (?, ?)", (item.variant, quantity))


def cart_facts(wanted: Mapping[Item, int]) -> tuple[Fact, ...]:
    """The cart holds exactly this: a fact for each line, one for the whole."""
    each = [
        Fact(f"{item.label} in cart", "SELECT quantity FROM cart WHERE variant = ?", (item.variant,), ((number,),))
        for item, number in wanted.items()
    ]
    whole: tuple[Row, ...] = tuple(sorted((item.variant, number) for item, number in wanted.items()))
    return (*each, Fact("cart right", "SELECT variant, quantity FROM cart ORDER BY variant", (), whole))


@dataclass(frozen=True)
class Order:
    """The one order that a goal asks for."""

    wanted: Mapping[Item, int]
    address: str
    card: str
    shipping: str = "Standard"
    note: str = ""
    coupon: str = ""

    def facts(self, db: sqlite3.Connection) -> tuple[Fact, ...]:
        """What must come true: things chosen, coupon used, the order as asked for, and only one."""
        last = value(db, "SELECT MAX(id) FROM orders")
        chosen = """SELECT (SELECT quantity FROM cart WHERE variant = ?1) IS ?2 OR EXISTS
            (SELECT 1 FROM lines WHERE parent > ?3 AND variant = ?1 AND quantity = ?2)"""
        found = [
            Fact(f"{item.label} chosen", chosen, (item.variant, number, last)) for item, number in self.wanted.items()
        ]
        if self.coupon:
            used = (
                "SELECT (SELECT coupon FROM basket) = ?1 OR EXISTS (SELECT 1 FROM orders WHERE id > ?2 AND coupon = ?1)"
            )
            found.append(Fact("coupon used", used, (self.coupon, last)))
        placed = "SELECT address, card, shipping, note, coupon, status FROM orders WHERE id > ?"
        asked = (self.address, self.card, self.shipping, self.note, self.coupon, "Placed")
        found.append(Fact("order as asked for", placed, (last,), (asked,)))
        lines: tuple[Row, ...] = tuple(sorted((item.variant, number) for item, number in self.wanted.items()))
        sql = "SELECT variant, quantity FROM lines WHERE parent > ? ORDER BY variant"
        return (*found, Fact("ordered exactly that", sql, (last,), lines))

    def keep(self, db: sqlite3.Connection) -> tuple[Fact, ...]:
        """What must stay: all that an order does not change, and the orders before it."""
        last = value(db, "SELECT MAX(id) FROM orders")
        old = "SELECT id, status FROM orders WHERE id <= ? ORDER BY id"
        return (*others(db, *ORDERING), Fact("earlier orders", old, (last,), rows(db, old, last), "shop"))

    def moves(self, view: View, last: int) -> Iterator[Call | None]:
        """From the start to the placed order.

        Args:
            view: What is open.
            last: The number of the last order before the task's.
        """
        db = view.dbs["shop"]
        if value(db, "SELECT 1 FROM orders WHERE id > ?", last):
            return
        yield from cart_moves(view, self.wanted)
        yield from coupon_moves(view, self.coupon)
        yield open_page(view, SITE.origin, "/checkout", "Checkout") if path_of(view) == "/cart" else None
        yield open_page(view, SITE.origin, "/cart", "Cart") if path_of(view) != "/checkout" else None
        place = db.execute("SELECT street, city FROM addresses WHERE label = ?", (self.address,)).fetchone()
        yield tick(view, "radio", f"{self.address}: {place[0]}, {place[1]}")
        yield tick(view, "radio", f"{self.shipping}, {money(SHIPPING[self.shipping])}")
        yield form(view, {"Card": self.card, "Note for the parcel": self.note}, "Place order")


def last_order(db: sqlite3.Connection) -> int:
    """The number of the newest order."""
    return int(value(db, "SELECT MAX(id) FROM orders"))


def to_product(view: View, slug: str, name: str) -> Iterator[Call | None]:
    """Opens a product's page: by a link that is there, otherwise by the search."""
    if path_of(view) == f"/product/{slug}":
        return
    yield follow(view, name)
    yield form(view, {"Search the shop": name}, "Search")
    yield Call("goto", (START,))


def listing(view: View, query: Mapping[str, str], fields: Mapping[str, str | bool]) -> Iterator[Call | None]:
    """Opens the list of products with these filters and no others, by URL and by the form."""
    yield from filtered(view, START + "search", query, fields, "Apply filters", "All products")


def choose(view: View, item: Item, quantity: int) -> Iterator[Call | None]:
    """Puts a variant into the cart from its product's page."""
    yield from to_product(view, item.slug, item.name)
    yield tick(view, "radio", item.colour)
    yield select(view, "Size", item.size) if item.size else None
    yield form(view, {"Quantity": str(quantity)}, "Add to cart")


def cart_moves(view: View, wanted: Mapping[Item, int]) -> Iterator[Call | None]:
    """Makes the cart hold exactly this."""
    db = view.dbs["shop"]
    held = dict(db.execute("SELECT variant, quantity FROM cart"))
    right = {item.variant: number for item, number in wanted.items()}
    for item in items(db, "v.id IN (SELECT variant FROM cart)"):
        if held[item.variant] == right.get(item.variant):
            continue
        yield open_page(view, SITE.origin, "/cart", "Cart")
        if item.variant in right:
            fields: dict[str, str | bool] = {f"Quantity of {item.label}": str(right[item.variant])}
            yield form(view, fields, f"Update {item.label}")
        yield press_button(view, f"Remove {item.label}")
    for item, number in wanted.items():
        if item.variant not in held:
            yield from choose(view, item, number)


def coupon_moves(view: View, code: str) -> Iterator[Call | None]:
    """Makes the cart use this coupon (none: the empty text)."""
    used = value(view.dbs["shop"], "SELECT coupon FROM basket")
    if used == code:
        return
    yield open_page(view, SITE.origin, "/cart", "Cart")
    yield form(view, {"Coupon": code}, "Apply coupon") if code else press_button(view, "Remove coupon")


def to_order(view: View, number: int) -> Iterator[Call | None]:
    """Opens an order from the list of orders."""
    if path_of(view) == f"/orders/{number}":
        return
    yield follow(view, f"Order {number}")
    if path_of(view) == "/orders":
        yield follow(view, "Next page")
        yield follow(view, "Previous page")
    yield open_page(view, SITE.origin, "/orders", "Orders")


def set_wish(view: View, slug: str, name: str) -> Iterator[Call | None]:
    """Puts a product on the wish list."""
    sql = "SELECT 1 FROM wishes w JOIN products p ON p.id = w.product WHERE p.slug = ?"
    if not value(view.dbs["shop"], sql, slug):
        yield from to_product(view, slug, name)
        yield press_button(view, "Save to wish list")


def open_reviews(view: View) -> Call | None:
    """Shows the reviews on a product's page; None where they are shown."""
    tab = next((node for node in view.tree.find_all("tab") if node.name.startswith("Reviews")), None)
    return None if tab is None or "selected" in tab.states else click(view, "tab", tab.name)
