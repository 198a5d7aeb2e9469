"""The shop: search, filters, variants, cart, coupons, checkout, orders, returns, reviews, wish list, account."""

from __future__ import annotations

import random
import sqlite3
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from agentgym.envs.web.sites.base import Site
from agentgym.envs.web.sites.shop.content import (
    HELDOUT,
    ONE_SIZE,
    SHIPPING,
    SIZES,
    SUMMARIES,
    TRAIN,
    Category,
    Content,
)

if TYPE_CHECKING:
    from starlette.applications import Starlette

#: The shop's present.
NOW = date(2031, 5, 20)
#: Products of each category.
PER_CATEGORY = 14
#: Ages of the customer's past orders in days, from the oldest: at least one of each state that an order can have.
AGES = ((76, 89), (60, 75), (44, 58), (24, 33), (12, 20), (5, 9), (1, 4))

SCHEMA = """
CREATE TABLE account (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, phone TEXT NOT NULL,
    newsletter INTEGER NOT NULL, reminders INTEGER NOT NULL);
CREATE TABLE addresses (id INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE, name TEXT NOT NULL, street TEXT NOT NULL,
    city TEXT NOT NULL, zip TEXT NOT NULL);
CREATE TABLE cards (id INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE);
CREATE TABLE categories (name TEXT PRIMARY KEY, worn INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE products (id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL, brand TEXT NOT NULL, category TEXT NOT NULL REFERENCES categories, blurb TEXT NOT NULL,
    price INTEGER NOT NULL, rating REAL NOT NULL);
CREATE TABLE variants (id INTEGER PRIMARY KEY, product INTEGER NOT NULL REFERENCES products, colour TEXT NOT NULL,
    size TEXT NOT NULL, stock INTEGER NOT NULL, UNIQUE (product, colour, size));
CREATE TABLE reviews (id INTEGER PRIMARY KEY, product INTEGER NOT NULL REFERENCES products, author TEXT NOT NULL,
    stars INTEGER NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, day TEXT NOT NULL);
CREATE TABLE coupons (code TEXT PRIMARY KEY, percent INTEGER NOT NULL, minimum INTEGER NOT NULL,
    category TEXT NOT NULL, expires TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cart (variant INTEGER PRIMARY KEY REFERENCES variants, quantity INTEGER NOT NULL);
CREATE TABLE basket (id INTEGER PRIMARY KEY CHECK (id = 1), coupon TEXT NOT NULL);
CREATE TABLE wishes (product INTEGER PRIMARY KEY REFERENCES products);
CREATE TABLE orders (id INTEGER PRIMARY KEY, day TEXT NOT NULL, status TEXT NOT NULL, delivered TEXT NOT NULL,
    address TEXT NOT NULL, card TEXT NOT NULL, shipping TEXT NOT NULL, note TEXT NOT NULL, coupon TEXT NOT NULL,
    total INTEGER NOT NULL);
CREATE TABLE lines (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES orders,
    variant INTEGER NOT NULL REFERENCES variants, quantity INTEGER NOT NULL, price INTEGER NOT NULL);
CREATE TABLE returns (id INTEGER PRIMARY KEY, line INTEGER NOT NULL UNIQUE REFERENCES lines, reason TEXT NOT NULL,
    resolution TEXT NOT NULL, day TEXT NOT NULL);
"""


def _products(db: sqlite3.Connection, rng: random.Random, content: Content, category: Category) -> None:
    pairs = [(brand, kind) for kind in category.kinds for brand in content.brands]
    # Prices differ within a category, so that "the cheapest" is one.
    prices = rng.sample(range(category.low * 2, category.high * 2), PER_CATEGORY)
    for (brand, kind), price in zip(rng.sample(pairs, PER_CATEGORY), prices, strict=True):
        name = f"{brand} {kind}"
        reviews = [min(5, max(1, round(rng.gauss(3.7, 1.2)))) for _ in range(rng.randint(2, 5))]
        product = db.execute(
            "INSERT INTO products VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                name.lower().replace(" ", "-"),
                name,
                kind,
                brand,
                category.name,
                f"A {kind} by {brand} for every day of the year.",
                price * 50 + 45,
                round(sum(reviews) / len(reviews), 1),
            ),
        ).lastrowid
        for colour in sorted(rng.sample(content.colours, rng.randint(2, 4))):
            for size in SIZES if category.worn else (ONE_SIZE,):
                stock = 0 if rng.random() < 0.2 else rng.randint(2, 9)
                db.execute("INSERT INTO variants VALUES (NULL, ?, ?, ?, ?)", (product, colour, size, stock))
        for author, stars in zip(rng.sample(content.people[1:], len(reviews)), reviews, strict=True):
            body = rng.choice(content.praise if stars >= 4 else content.blame)
            written = (NOW - timedelta(days=rng.randint(20, 400))).isoformat()
            db.execute(
                "INSERT INTO reviews VALUES (NULL, ?, ?, ?, ?, ?, ?)",
                (product, author, stars, SUMMARIES[stars], body, written),
            )


def _customer(db: sqlite3.Connection, rng: random.Random, content: Content) -> None:
    name = content.people[0]
    phone = f"555{rng.randint(1000, 9999)}"
    db.execute("INSERT INTO account VALUES (1, ?, ?, ?, ?)", (name, phone, rng.randint(0, 1), rng.randint(0, 1)))
    for label in content.labels[:3]:
        street = f"{rng.randint(2, 90)} {rng.choice(content.streets)}"
        place = (label, name, street, rng.choice(content.cities), str(rng.randint(10000, 99999)))
        db.execute("INSERT INTO addresses VALUES (NULL, ?, ?, ?, ?, ?)", place)
    for kind in ("Visa", "Mastercard"):
        db.execute("INSERT INTO cards VALUES (NULL, ?)", (f"{kind} ending {rng.randint(1000, 9999)}",))
    db.execute("INSERT INTO basket VALUES (1, '')")


def _coupons(db: sqlite3.Connection, rng: random.Random, content: Content) -> None:
    percents = rng.sample((5, 10, 15, 20, 25, 30), len(content.coupons))
    for code, percent in zip(content.coupons, percents, strict=True):
        category = rng.choice(content.categories).name if rng.random() < 0.4 else ""
        expires = NOW + timedelta(days=rng.choice((-40, -9, 12, 30, 60)))
        minimum = rng.choice((0, 3000, 6000, 12000))
        db.execute(
            "INSERT INTO coupons VALUES (?, ?, ?, ?, ?)", (code, percent, minimum, category, expires.isoformat())
        )


def _orders(db: sqlite3.Connection, rng: random.Random) -> None:
    stocked = db.execute(
        "SELECT v.id, p.price, p.id FROM variants v JOIN products p ON p.id = v.product WHERE v.stock > 0"
    ).fetchall()
    addresses = [label for (label,) in db.execute("SELECT label FROM addresses")]
    cards = [label for (label,) in db.execute("SELECT label FROM cards")]
    ages = [rng.randint(low, high) for low, high in AGES]
    bought: set[int] = set()
    for number, age in enumerate(ages, start=1041):
        # From delivered, old and young, to not yet sent.
        status = "Delivered" if age > 9 else "Shipped" if age > 4 else "Placed"
        if status == "Delivered" and rng.random() < 0.12:
            status = "Cancelled"
        delivered = (NOW - timedelta(days=max(1, age - 5))).isoformat() if status == "Delivered" else ""
        chosen: list[tuple[int, int, int]] = []
        for variant, price, product in rng.sample(stocked, rng.randint(4, 6)):
            if product not in bought and len(chosen) < 3:
                chosen.append((variant, price, rng.choice((1, 1, 2))))
                bought.add(product)
        shipping = rng.choice(("Standard", "Express"))
        total = sum(price * quantity for _, price, quantity in chosen) + SHIPPING[shipping]
        placed = (NOW - timedelta(days=age)).isoformat()
        db.execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, '', '', ?)",
            (number, placed, status, delivered, rng.choice(addresses), rng.choice(cards), shipping, total),
        )
        for variant, price, quantity in chosen:
            db.execute("INSERT INTO lines VALUES (NULL, ?, ?, ?, ?)", (number, variant, quantity, price))


class Shop(Site):
    """A general store in which one customer is signed in."""

    name: ClassVar[str] = "shop"
    title: ClassVar[str] = "Cornershop"
    schema: ClassVar[str] = SCHEMA

    def fill(self, db: sqlite3.Connection, rng: random.Random, heldout: bool) -> None:
        content = HELDOUT if heldout else TRAIN
        db.execute("INSERT INTO meta VALUES ('now', ?)", (NOW.isoformat(),))
        for category in content.categories:
            db.execute("INSERT INTO categories VALUES (?, ?)", (category.name, int(category.worn)))
            _products(db, rng, content, category)
        _customer(db, rng, content)
        _coupons(db, rng, content)
        _orders(db, rng)

    def application(self) -> Starlette:
        from agentgym.envs.web.sites.serving import application
        from agentgym.envs.web.sites.shop.handlers import HANDLERS, NOTICES

        return application(self.title, Path(__file__).parent / "pages", HANDLERS, NOTICES)


SITE = Shop()
