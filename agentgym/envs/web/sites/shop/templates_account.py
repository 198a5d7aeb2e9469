"""Tasks of the shop about the customer's account."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import ClassVar

from agentgym.envs.web.sites.base import Call, Databases, Fact, Goal, Template, Unfit, View, one, rows
from agentgym.envs.web.sites.shop.mending import ShopTask, account_moves, address_moves
from agentgym.envs.web.sites.shop.moves import START, others


class Newsletter(ShopTask):
    """Switches letters on or off on the account's page."""

    name: ClassVar[str] = "newsletter"
    difficulty: ClassVar[int] = 1

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["shop"]
        kind = rng.choice(("newsletter", "reminders"))
        phone, newsletter, reminders = rows(db, "SELECT phone, newsletter, reminders FROM account")[0]
        on = not (newsletter if kind == "newsletter" else reminders)
        verb = "Switch on" if on else "Switch off"
        right = (phone, int(on), reminders) if kind == "newsletter" else (phone, newsletter, int(on))
        return Goal(
            f"{verb} the {kind} for this account .",
            f"{START}account",
            self.sites,
            (Fact("account right", "SELECT phone, newsletter, reminders FROM account", (), (right,)),),
            keep=others(db, "account"),
            steps=3,
            pages=("/account",),
            params={"right": right},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from account_moves(view, *goal.params["right"])


class Phone(ShopTask):
    """A new phone number, found on no page but in the goal."""

    name: ClassVar[str] = "phone"
    difficulty: ClassVar[int] = 2

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["shop"]
        phone = f"555{rng.randint(1000, 9999)}"
        old, newsletter, reminders = rows(db, "SELECT phone, newsletter, reminders FROM account")[0]
        if phone == old:
            raise Unfit
        return Goal(
            f"Change the phone number of the account to {phone} .",
            START,
            self.sites,
            (
                Fact(
                    "account right",
                    "SELECT phone, newsletter, reminders FROM account",
                    (),
                    ((phone, newsletter, reminders),),
                ),
            ),
            keep=others(db, "account"),
            steps=4,
            pages=("/account",),
            params={"right": (phone, newsletter, reminders)},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from account_moves(view, *goal.params["right"])


class MoveHouse(ShopTask):
    """An address of the account changes its street."""

    name: ClassVar[str] = "change_address"
    difficulty: ClassVar[int] = 3
    heldout: ClassVar[bool] = True

    def make(self, rng: random.Random, dbs: Databases) -> Goal:
        db = dbs["shop"]
        number, label, name, _, city, _ = one(rng, rows(db, "SELECT * FROM addresses"))
        other = str(one(rng, rows(db, "SELECT street FROM addresses WHERE id != ?", number))[0]).split(" ", 1)[1]
        new = f"{rng.randint(100, 180)} {other}"
        code = str(rng.randint(10000, 99999))
        right = tuple(
            (number, label, name, new, city, code) if row[0] == number else row
            for row in rows(db, "SELECT * FROM addresses ORDER BY id")
        )
        return Goal(
            f"Change the address {label} : the street is now {new} and the zip is {code} .",
            START,
            self.sites,
            (
                Fact("street right", "SELECT street FROM addresses WHERE id = ?", (number,), ((new,),)),
                Fact("zip right", "SELECT zip FROM addresses WHERE id = ?", (number,), ((code,),)),
                Fact("addresses right", "SELECT * FROM addresses ORDER BY id", (), right),
            ),
            keep=others(db, "addresses"),
            steps=6,
            pages=("/account", f"/addresses/{number}"),
            params={"right": right},
        )

    def moves(self, goal: Goal, view: View) -> Iterator[Call | None]:
        yield from address_moves(view, goal.params["right"])


TEMPLATES: tuple[Template, ...] = (Newsletter(), Phone(), MoveHouse())
