"""Pages of the shop for what was bought and who bought it: orders, returns, account, addresses."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from starlette.responses import Response

from agentgym.envs.web.sites.serving import Visit
from agentgym.envs.web.sites.shop.content import REASONS, RESOLUTIONS, RETURN_DAYS

#: Orders on a page.
PER_PAGE = 5
#: Characters of an address's field.
MAX_PART = 80


def orders(visit: Visit) -> Response:
    """The customer's orders, newest first."""
    count = visit.value("SELECT COUNT(*) FROM orders")
    pages = max(1, -(-count // PER_PAGE))
    page = min(visit.number("page", 1) or 1, pages)
    sql = "SELECT * FROM orders ORDER BY id DESC LIMIT ? OFFSET ?"
    found = visit.rows(sql, PER_PAGE, (page - 1) * PER_PAGE)
    return visit.page("orders.html", found=found, page=page, pages=pages)


def _order(visit: Visit) -> dict[str, Any]:
    return visit.row("SELECT * FROM orders WHERE id = ?", visit.number("number") or 0)


def _lines(visit: Visit, number: int) -> list[dict[str, Any]]:
    return visit.rows(
        """SELECT l.id, p.slug, p.name, v.id AS variant, v.colour, v.size, l.quantity, l.price,
        r.reason, r.resolution, r.day AS returned
        FROM lines l JOIN variants v ON v.id = l.variant JOIN products p ON p.id = v.product
        LEFT JOIN returns r ON r.line = l.id WHERE l.parent = ? ORDER BY l.id""",
        number,
    )


def _returnable(visit: Visit, order: dict[str, Any]) -> bool:
    last = date.fromisoformat(visit.now) - timedelta(days=RETURN_DAYS)
    return bool(order["status"] == "Delivered" and order["delivered"] >= last.isoformat())


def order(visit: Visit) -> Response:
    """An order; a post cancels it while it is not yet sent, or puts its things into the cart again."""
    found = _order(visit)
    lines = _lines(visit, found["id"])
    errors: list[str] = []
    if visit.posted and visit.text("deed") == "cancel":
        if found["status"] == "Placed":
            visit.write("UPDATE orders SET status = 'Cancelled' WHERE id = ?", found["id"])
            for line in lines:
                visit.write("UPDATE variants SET stock = stock + ? WHERE id = ?", line["quantity"], line["variant"])
            return visit.go(f"/orders/{found['id']}", notice="cancelled")
        errors.append("This order can no longer be cancelled.")
    elif visit.posted and visit.text("deed") == "again":
        for line in lines:
            visit.write(
                """INSERT INTO cart SELECT id, MIN(?, stock) FROM variants WHERE id = ? AND stock > 0
                ON CONFLICT DO NOTHING""",
                line["quantity"],
                line["variant"],
            )
        return visit.go("/cart", notice="again")
    return visit.checked(
        "order.html",
        errors=errors,
        order=found,
        lines=lines,
        returnable=_returnable(visit, found) and any(line["reason"] is None for line in lines),
        days=RETURN_DAYS,
    )


def give_back(visit: Visit) -> Response:
    """The form for returning things of an order."""
    found = _order(visit)
    if not _returnable(visit, found):
        return visit.go(f"/orders/{found['id']}", notice="late")
    lines = [line for line in _lines(visit, found["id"]) if line["reason"] is None]
    errors: list[str] = []
    if visit.posted:
        chosen = [line["id"] for line in lines if str(line["id"]) in visit.several("line")]
        if not chosen:
            errors.append("Choose what you want to return.")
        if visit.text("reason") not in REASONS:
            errors.append("Choose a reason.")
        if visit.text("resolution") not in RESOLUTIONS:
            errors.append("Choose what you want in return.")
        if not errors:
            for line in chosen:
                visit.write(
                    "INSERT INTO returns VALUES (NULL, ?, ?, ?, ?)",
                    line,
                    visit.text("reason"),
                    visit.text("resolution"),
                    visit.now,
                )
            return visit.go(f"/orders/{found['id']}", notice="returned")
    return visit.checked(
        "return.html",
        errors=errors,
        order=found,
        lines=lines,
        reasons=REASONS,
        resolutions=RESOLUTIONS,
    )


def account(visit: Visit) -> Response:
    """Contact, letters and addresses."""
    errors: list[str] = []
    if visit.posted:
        phone = visit.text("phone")
        if phone.isascii() and phone.isdigit() and 5 <= len(phone) <= 15:
            visit.write(
                "UPDATE account SET phone = ?, newsletter = ?, reminders = ?",
                phone,
                int(bool(visit.text("newsletter"))),
                int(bool(visit.text("reminders"))),
            )
            return visit.go("/account", notice="saved")
        errors.append("A phone number has 5 to 15 digits and nothing else.")
    return visit.checked(
        "account.html",
        errors=errors,
        me=visit.row("SELECT * FROM account"),
        addresses=visit.rows("SELECT * FROM addresses ORDER BY id"),
    )


def address(visit: Visit) -> Response:
    """The form for an address, new or old."""
    found: dict[str, Any] = {"id": None, "label": "", "street": "", "city": "", "zip": ""}
    found["name"] = visit.value("SELECT name FROM account")
    if "number" in visit.args:
        found = visit.row("SELECT * FROM addresses WHERE id = ?", visit.number("number") or 0)
    errors: list[str] = []
    if visit.posted:
        new = {name: visit.text(name)[:MAX_PART] for name in ("label", "name", "street", "city", "zip")}
        errors += [f"The field {name} is missing." for name, text in new.items() if not text]
        if new["zip"] and not (new["zip"].isascii() and new["zip"].isdigit() and len(new["zip"]) == 5):
            errors.append("The zip code has five digits.")
        sql = "SELECT 1 FROM addresses WHERE label = ? AND id IS NOT ?"
        if visit.value(sql, new["label"], found["id"]):
            errors.append("Another address has this label.")
        if not errors:
            visit.write(
                """INSERT INTO addresses VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
                label = excluded.label, name = excluded.name, street = excluded.street, city = excluded.city,
                zip = excluded.zip""",
                found["id"],
                *new.values(),
            )
            return visit.go("/account", notice="saved")
        found = {**found, **new}
    return visit.checked("address.html", errors=errors, found=found)
