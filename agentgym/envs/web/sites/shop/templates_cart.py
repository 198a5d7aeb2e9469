"""Tasks of the shop around cart, offers and account: no order is placed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from agentgym.envs.web.sites.base import Call, Databases, Fact, Goal, Row, Template, Unfit, View, one, rows, value
from agentgym.envs.web.sites.hands import open_page, path_of, press_button, tick
from agentgym.envs.web.sites.shop.mending import ShopTask
from agentgym.envs.web.sites.shop.moves import (
    START,
    Item,
    cart_facts,
    cart_moves,
    coupon_moves,
    items,
    others,
    put_in_cart,
    to_product,
)
from agentgym.envs.web.sites.shop.site import NOW, SITE


def several(rng: random.Random, number: int, found: list[Item]) -> list[Item]:
    """Variants of different products."""
    chosen: dict[str, Item] = {}
    for item in rng.sample(found, len(found)):
        chosen.setdefault(item.slug, item)
        if len(chosen) == number:
            return list(chosen.values())
    raise Unfit


class EmptyCart(ShopTask):
    """Two clicks, the second in a dialog."""

    name: ClassVar[str] = "empty_cart"
    difficulty: ClassVar[int] = 1

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["shop"]
        for item in several(rng, rng.randint(1, 3), items(db)):
            put_in_cart(db, item, rng.randint(1, 2))
        return Goal(
            "Empty the cart .",
            f"{START}cart",
            self.sites,
            (Fact("cart empty", "SELECT COUNT(*) FROM cart", (), ((0,),)),),
            keep=others(db, "cart", "basket"),
            steps=3,
            pages=("/cart",),
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        if value(view.dbs["shop"], "SELECT COUNT(*) FROM cart"):
            yield press_button(view, "Yes, empty it")
            yield press_button(view, "Empty cart")
            yield open_page(view, SITE.origin, "/cart", "Cart")


class AddVariant(ShopTask):
    """A colour, a size and a number of one product into the cart."""

    name: ClassVar[str] = "add_variant"
    difficulty: ClassVar[int] = 2

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["shop"]
        item, number = rng.choice(items(db)), rng.randint(1, 2)
        return Goal(
            f"Add {number} of {item.words} to the cart .",
            START,
            self.sites,
            cart_facts({item: number}),
            keep=others(db, "cart"),
            steps=8,
            pages=("/search", f"/product/{item.slug}"),
            params={"wanted": {item: number}},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from cart_moves(view, goal.params["wanted"])


class RemoveItem(ShopTask):
    """One thing out of a cart that holds several."""

    name: ClassVar[str] = "remove_item"
    difficulty: ClassVar[int] = 1

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["shop"]
        chosen = several(rng, 3, items(db))
        wanted = {item: rng.randint(1, 2) for item in chosen[1:]}
        for item in chosen:
            put_in_cart(db, item, wanted.get(item, 1))
        gone = Fact("removed", "SELECT COUNT(*) FROM cart WHERE variant = ?", (chosen[0].variant,), ((0,),))
        return Goal(
            f"Remove the {chosen[0].name} from the cart .",
            f"{START}cart",
            self.sites,
            (gone, cart_facts(wanted)[-1]),
            keep=others(db, "cart"),
            steps=2,
            pages=("/cart",),
            params={"wanted": wanted},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from cart_moves(view, goal.params["wanted"])


class ChangeQuantity(ShopTask):
    """A number in the cart."""

    name: ClassVar[str] = "change_quantity"
    difficulty: ClassVar[int] = 2
    heldout: ClassVar[bool] = True

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["shop"]
        chosen = several(rng, 2, items(db, "v.stock > 5"))
        for item in chosen:
            put_in_cart(db, item, 1)
        number = rng.randint(2, 5)
        wanted = {chosen[0]: number, chosen[1]: 1}
        return Goal(
            f"There should be {number} of {chosen[0].name} in the cart , not 1 .",
            START,
            self.sites,
            (cart_facts(wanted)[0], cart_facts(wanted)[-1]),
            keep=others(db, "cart"),
            steps=4,
            pages=("/cart",),
            params={"wanted": wanted},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from cart_moves(view, goal.params["wanted"])


def best_coupon(wanted: Mapping[Item, int], coupons: Sequence[Row], shelf: Mapping[str, str]) -> str:
    """The code that takes most off; raises `Unfit` where two do or none does.

    Args:
        wanted: What is in the cart.
        coupons: Rows of code, percent, minimum, category, expires.
        shelf: The category of each product, by its slug.
    """
    total = sum(item.price * number for item, number in wanted.items())
    saved: dict[str, int] = {}
    for code, percent, minimum, category, expires in coupons:
        fitting = sum(item.price * number for item, number in wanted.items() if category in ("", shelf[item.slug]))
        if expires >= NOW.isoformat() and total >= minimum and fitting:
            saved[code] = fitting * percent // 100
    best = sorted(saved, key=lambda code: -saved[code])
    if not best or (len(best) > 1 and saved[best[0]] == saved[best[1]]):
        raise Unfit
    return best[0]


class BestCoupon(ShopTask):
    """Of all coupons the one that takes most off this cart; some have expired or do not fit."""

    name: ClassVar[str] = "best_coupon"
    difficulty: ClassVar[int] = 4

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["shop"]
        wanted = {item: rng.randint(1, 2) for item in several(rng, 2, items(db))}
        shelf: dict[str, str] = dict(rows(db, "SELECT slug, category FROM products"))
        code = best_coupon(wanted, rows(db, "SELECT * FROM coupons"), shelf)
        for item, number in wanted.items():
            put_in_cart(db, item, number)
        return Goal(
            "Look at the offers and apply the coupon that saves most on what is in the cart .",
            START,
            self.sites,
            (Fact("best coupon", "SELECT coupon FROM basket", (), ((code,),)),),
            keep=others(db, "basket"),
            steps=6,
            pages=("/offers", "/cart"),
            params={"wanted": wanted, "code": code},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from cart_moves(view, goal.params["wanted"])
        code = goal.params["code"]
        if value(view.dbs["shop"], "SELECT coupon FROM basket") != code:
            yield None if path_of(view) in ("/cart", "/offers") else open_page(view, SITE.origin, "/offers", "Offers")
        yield from coupon_moves(view, code)


class ApplyCoupon(ShopTask):
    """A coupon whose code is known."""

    name: ClassVar[str] = "apply_coupon"
    difficulty: ClassVar[int] = 2

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["shop"]
        (code,) = one(rng, rows(db, "SELECT code FROM coupons WHERE expires > ? AND category = ''", NOW.isoformat()))
        needed = int(value(db, "SELECT minimum FROM coupons WHERE code = ?", code))
        item = rng.choice(items(db))
        if item.price * 2 < needed:
            raise Unfit
        put_in_cart(db, item, 2)
        return Goal(
            f"Use the coupon {code} for the cart .",
            START,
            self.sites,
            (Fact("coupon used", "SELECT coupon FROM basket", (), ((code,),)),),
            keep=others(db, "basket"),
            steps=4,
            pages=("/cart",),
            params={"wanted": {item: 2}, "code": code},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from cart_moves(view, goal.params["wanted"])
        yield from coupon_moves(view, goal.params["code"])


class IfOffered(ShopTask):
    """A variant that may not exist or may be sold out: then the right end is to say so."""

    name: ClassVar[str] = "if_offered"
    difficulty: ClassVar[int] = 3

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["shop"]
        feasible = rng.random() < 0.5
        item = rng.choice(items(db, "v.stock > 2" if feasible else "v.stock = 0"))
        return Goal(
            f"Add 1 of {item.words} to the cart . If that is sold out , report that the task is infeasible .",
            START,
            self.sites,
            cart_facts({item: 1}) if feasible else (),
            keep=others(db, "cart") if feasible else others(db),
            infeasible=not feasible,
            steps=8,
            pages=("/search", f"/product/{item.slug}"),
            params={"item": item},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        item: Item = goal.params["item"]
        if not goal.infeasible:
            yield from cart_moves(view, {item: 1})
            return
        yield from cart_moves(view, {})
        yield from to_product(view, item.slug, item.name)
        yield tick(view, "radio", item.colour)


class WishesToCart(ShopTask):
    """Everything on the wish list that is cheap enough, one of each in the colour asked for."""

    name: ClassVar[str] = "wishes_to_cart"
    difficulty: ClassVar[int] = 4

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["shop"]
        chosen = sorted(several(rng, 3, items(db, "v.stock > 2 AND v.size = ''")), key=lambda item: item.price)
        if chosen[1].price + 100 >= chosen[2].price:
            raise Unfit
        bound = chosen[2].price // 100
        for item in chosen:
            db.execute("INSERT INTO wishes SELECT id FROM products WHERE slug = ?", (item.slug,))
        cheap = chosen[:2]
        listed = " , ".join(f"the {item.name} in {item.colour}" for item in rng.sample(chosen, 3))
        return Goal(
            f"The wish list holds {listed} . Add 1 of each that costs less than {bound} dollars to the cart .",
            START,
            self.sites,
            cart_facts(dict.fromkeys(cheap, 1)),
            keep=others(db, "cart"),
            steps=10,
            pages=("/wishes", *(f"/product/{item.slug}" for item in cheap)),
            params={"wanted": dict.fromkeys(cheap, 1)},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        wanted: dict[Item, int] = goal.params["wanted"]
        held = {row[0] for row in rows(view.dbs["shop"], "SELECT variant FROM cart")}
        missing = [item for item in wanted if item.variant not in held]
        wrong = held - {item.variant for item in wanted}
        if (
            missing
            and not wrong
            and not any(view.url.startswith(f"{SITE.origin}/product/{item.slug}") for item in missing)
        ):
            yield open_page(view, SITE.origin, "/wishes", "Wish list")
        yield from cart_moves(view, wanted)


TEMPLATES: tuple[Template, ...] = (
    EmptyCart(),
    RemoveItem(),
    AddVariant(),
    ChangeQuantity(),
    ApplyCoupon(),
    IfOffered(),
    WishesToCart(),
    BestCoupon(),
)
