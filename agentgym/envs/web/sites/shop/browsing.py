"""Pages of the shop for looking around: the start, the listing with filters, products, reviews, the wish list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from agentgym.envs.web.sites.base import money
from agentgym.envs.web.sites.serving import Visit

#: Products on a page of the listing.
PER_PAGE = 8
#: Suggestions below the search field.
SUGGESTIONS = 6
SORTS = {
    "name": ("Name", "p.name"),
    "cheap": ("Price, low to high", "p.price, p.name"),
    "dear": ("Price, high to low", "p.price DESC, p.name"),
    "rating": ("Rating", "p.rating DESC, p.name"),
}
_IN_STOCK = "EXISTS (SELECT 1 FROM variants v WHERE v.product = p.id AND v.stock > 0)"


def home(visit: Visit) -> Response:
    """The start: the categories and the best rated products."""
    best = visit.rows("SELECT slug, name, price, rating FROM products ORDER BY rating DESC, name LIMIT 4")
    return visit.page("home.html", best=best, **_shelves(visit))


def _shelves(visit: Visit) -> dict[str, Any]:
    return {"categories": [row["name"] for row in visit.rows("SELECT name FROM categories ORDER BY name")]}


def _filters(visit: Visit) -> tuple[str, list[str | int | float]]:
    """The condition that the query's filters stand for, and its parameters."""
    parts: list[str] = ["1"]
    args: list[str | int | float] = []
    for word in visit.text("q").split()[:8]:
        parts.append("p.name LIKE ? ESCAPE '\\'")
        args.append("%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%")
    for column in ("category", "brand"):
        if visit.text(column):
            parts.append(f"p.{column} = ?")
            args.append(visit.text(column))
    if visit.text("colour"):
        parts.append("EXISTS (SELECT 1 FROM variants v WHERE v.product = p.id AND v.colour = ? AND v.stock > 0)")
        args.append(visit.text("colour"))
    for name, test in (("from", "p.price >= ?"), ("to", "p.price <= ?")):
        if (bound := visit.number(name)) is not None:
            parts.append(test)
            args.append(bound * 100)
    if (stars := visit.number("stars", 1, 5)) is not None:
        parts.append("p.rating >= ?")
        args.append(stars)
    if visit.text("stock"):
        parts.append(_IN_STOCK)
    return " AND ".join(parts), args


def listing(visit: Visit) -> Response:
    """The products that a search and its filters leave, sorted, page by page."""
    where, args = _filters(visit)
    sort = visit.text("sort") if visit.text("sort") in SORTS else "name"
    count = visit.value(f"SELECT COUNT(*) FROM products p WHERE {where}", *args)  # noqa: S608 - fixed parts
    pages = max(1, -(-count // PER_PAGE))
    page = min(visit.number("page", 1) or 1, pages)
    found = visit.rows(
        f"SELECT slug, name, price, rating, {_IN_STOCK} AS stocked FROM products p WHERE {where} "  # noqa: S608
        f"ORDER BY {SORTS[sort][1]} LIMIT ? OFFSET ?",
        *args,
        PER_PAGE,
        (page - 1) * PER_PAGE,
    )
    return visit.page(
        "listing.html",
        found=found,
        count=count,
        page=page,
        pages=pages,
        link=_link(visit.query),
        sort=sort,
        sorts=[(key, text) for key, (text, _) in SORTS.items()],
        brands=[row["brand"] for row in visit.rows("SELECT DISTINCT brand FROM products ORDER BY brand")],
        colours=[row["colour"] for row in visit.rows("SELECT DISTINCT colour FROM variants ORDER BY colour")],
        **_shelves(visit),
    )


def _link(query: Mapping[str, str]) -> str:
    kept = {name: text for name, text in query.items() if name != "page" and text}
    return "/search?" + (urlencode(kept) + "&" if kept else "")


def suggest(visit: Visit) -> Response:
    """The names of products that a search would find, for the search field."""
    where, args = _filters(visit)
    sql = f"SELECT name FROM products p WHERE {where} ORDER BY name LIMIT ?"  # noqa: S608 - fixed parts
    found = visit.rows(sql, *args, SUGGESTIONS)
    return visit.json([row["name"] for row in found])


def product_of(visit: Visit) -> dict[str, Any]:
    """The product that the path names."""
    return visit.row("SELECT * FROM products WHERE slug = ?", visit.args["slug"])


def product(visit: Visit) -> Response:
    """A product with its variants and reviews; a post puts one of its variants into the cart."""
    item = product_of(visit)
    errors: list[str] = []
    if visit.posted:
        variant = visit.rows(
            "SELECT id, stock FROM variants WHERE product = ? AND colour = ? AND size = ?",
            item["id"],
            visit.text("colour"),
            visit.text("size"),
        )
        quantity = visit.number("quantity", 1, 99)
        if not variant:
            errors.append("Choose a colour and a size that we offer.")
        elif quantity is None:
            errors.append("The quantity must be a whole number from 1 to 99.")
        else:
            held = visit.value("SELECT quantity FROM cart WHERE variant = ?", variant[0]["id"]) or 0
            if held + quantity > variant[0]["stock"]:
                errors.append(f"Only {variant[0]['stock']} in stock.")
            else:
                visit.write(
                    "INSERT INTO cart VALUES (?, ?) ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity",
                    variant[0]["id"],
                    quantity,
                )
                return visit.go("/cart", notice="added")
    variants = visit.rows("SELECT colour, size, stock FROM variants WHERE product = ? ORDER BY id", item["id"])
    sizes = list(dict.fromkeys(row["size"] for row in variants if row["size"]))
    return visit.checked(
        "product.html",
        item=item,
        errors=errors,
        variants=[{**row, "price": money(item["price"])} for row in variants],
        colours=list(dict.fromkeys(row["colour"] for row in variants)),
        sizes=sizes,
        reviews=visit.rows("SELECT * FROM reviews WHERE product = ? ORDER BY day DESC, id DESC", item["id"]),
        wished=visit.value("SELECT 1 FROM wishes WHERE product = ?", item["id"]),
    )


def wish(visit: Visit) -> Response:
    """Puts a product on the wish list, or takes it off."""
    item = product_of(visit)
    if not visit.posted:
        return visit.go(f"/product/{item['slug']}")
    if visit.text("off"):
        visit.write("DELETE FROM wishes WHERE product = ?", item["id"])
        return visit.go("/wishes", notice="unwished")
    visit.write("INSERT OR IGNORE INTO wishes VALUES (?)", item["id"])
    return visit.go(f"/product/{item['slug']}", notice="wished")


def wishes(visit: Visit) -> Response:
    """The wish list."""
    sql = "SELECT p.slug, p.name, p.price FROM wishes w JOIN products p ON p.id = w.product ORDER BY p.name"
    return visit.page("wishes.html", found=visit.rows(sql))


def review(visit: Visit) -> Response:
    """The form for a review."""
    item = product_of(visit)
    errors: list[str] = []
    if visit.posted:
        stars, title, body = visit.number("stars", 1, 5), visit.text("title"), visit.text("body")
        if stars is None:
            errors.append("Choose the number of stars.")
        if not title:
            errors.append("The title is missing.")
        if not body:
            errors.append("The text is missing.")
        if not errors:
            author = visit.value("SELECT name FROM account")
            visit.write(
                "INSERT INTO reviews VALUES (NULL, ?, ?, ?, ?, ?, ?)", item["id"], author, stars, title, body, visit.now
            )
            return visit.go(f"/product/{item['slug']}", notice="reviewed")
    return visit.checked("review.html", item=item, errors=errors)
