"""Pages of the shop for buying: cart, offers, coupon, checkout."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from agentgym.envs.web.sites.serving import Visit
from agentgym.envs.web.sites.shop.content import SHIPPING

_LINES = """SELECT v.id AS variant, p.slug, p.name, p.category, v.colour, v.size, v.stock, c.quantity, p.price,
    c.quantity * p.price AS total
    FROM cart c JOIN variants v ON v.id = c.variant JOIN products p ON p.id = v.product ORDER BY p.name, v.id"""


def _discount(visit: Visit, lines: list[dict[str, Any]], code: str) -> tuple[int, str]:
    """What a coupon takes off the cart (in cents), or why it cannot be used."""
    found = visit.rows("SELECT * FROM coupons WHERE code = ?", code)
    if not found:
        return 0, "There is no such coupon."
    coupon = found[0]
    if coupon["expires"] < visit.now:
        return 0, "This coupon has expired."
    fitting = sum(line["total"] for line in lines if coupon["category"] in ("", line["category"]))
    if not fitting:
        return 0, f"This coupon is for {coupon['category'] or 'full carts'} only."
    if sum(line["total"] for line in lines) < coupon["minimum"]:
        return 0, f"This coupon needs a cart of at least ${coupon['minimum'] // 100}."
    return fitting * coupon["percent"] // 100, ""


def _cart(visit: Visit) -> dict[str, Any]:
    lines = visit.rows(_LINES)
    coupon = visit.value("SELECT coupon FROM basket")
    discount = _discount(visit, lines, coupon)[0] if coupon else 0
    goods = sum(line["total"] for line in lines)
    return {"lines": lines, "coupon": coupon, "discount": discount, "goods": goods, "total": goods - discount}


def cart(visit: Visit) -> Response:
    """The cart; a post changes a quantity, removes a line, empties it, or uses a coupon."""
    errors: list[str] = []
    if visit.posted:
        deed, variant = visit.text("deed"), visit.number("variant") or 0
        if deed == "update":
            stock = visit.value("SELECT stock FROM variants WHERE id = ?", variant) or 0
            quantity = visit.number("quantity", 1, 99)
            if quantity is None or quantity > stock:
                errors.append(f"The quantity must be a whole number from 1 to {stock}.")
            else:
                visit.write("UPDATE cart SET quantity = ? WHERE variant = ?", quantity, variant)
                return visit.go("/cart", notice="updated")
        elif deed == "remove":
            visit.write("DELETE FROM cart WHERE variant = ?", variant)
            return visit.go("/cart", notice="removed")
        elif deed == "empty":
            visit.write("DELETE FROM cart")
            visit.write("UPDATE basket SET coupon = ''")
            return visit.go("/cart", notice="emptied")
        elif deed == "uncoupon":
            visit.write("UPDATE basket SET coupon = ''")
            return visit.go("/cart", notice="uncoupon")
        elif deed == "coupon":
            code = visit.text("code").upper()
            reason = _discount(visit, visit.rows(_LINES), code)[1]
            if not reason:
                visit.write("UPDATE basket SET coupon = ?", code)
                return visit.go("/cart", notice="coupon")
            errors.append(reason)
    return visit.checked("cart.html", errors=errors, **_cart(visit))


def offers(visit: Visit) -> Response:
    """The coupons that there are."""
    return visit.page("offers.html", coupons=visit.rows("SELECT * FROM coupons ORDER BY code"))


def checkout(visit: Visit) -> Response:
    """Address, shipping, card and note; a post places the order."""
    held = _cart(visit)
    addresses = visit.rows("SELECT * FROM addresses ORDER BY id")
    cards = [row["label"] for row in visit.rows("SELECT label FROM cards ORDER BY id")]
    errors: list[str] = []
    if visit.posted:
        address, shipping, card = visit.text("address"), visit.text("shipping"), visit.text("card")
        if not held["lines"]:
            errors.append("Your cart is empty.")
        if address not in [row["label"] for row in addresses]:
            errors.append("Choose an address.")
        if shipping not in SHIPPING:
            errors.append("Choose how to ship.")
        if card not in cards:
            errors.append("Choose a card.")
        errors += [
            f"Only {line['stock']} of {line['name']} in stock."
            for line in held["lines"]
            if line["quantity"] > line["stock"]
        ]
        if not errors:
            return visit.go(f"/orders/{_place(visit, held, address, shipping, card)}", notice="placed")
    return visit.checked(
        "checkout.html",
        errors=errors,
        addresses=addresses,
        cards=cards,
        shippings=SHIPPING,
        **held,
    )


def _place(visit: Visit, held: dict[str, Any], address: str, shipping: str, card: str) -> int:
    number = visit.write(
        "INSERT INTO orders VALUES (NULL, ?, 'Placed', '', ?, ?, ?, ?, ?, ?)",
        visit.now,
        address,
        card,
        shipping,
        visit.text("note"),
        held["coupon"] if held["discount"] else "",
        held["total"] + SHIPPING[shipping],
    )
    for line in held["lines"]:
        visit.write(
            "INSERT INTO lines VALUES (NULL, ?, ?, ?, ?)", number, line["variant"], line["quantity"], line["price"]
        )
        visit.write("UPDATE variants SET stock = stock - ? WHERE id = ?", line["quantity"], line["variant"])
    visit.write("DELETE FROM cart")
    visit.write("UPDATE basket SET coupon = ''")
    return number
