"""The shop's paths and who answers them."""

from __future__ import annotations

from agentgym.envs.web.sites.serving import Handler
from agentgym.envs.web.sites.shop import browsing, buying, owning

HANDLERS: tuple[tuple[str, str, Handler], ...] = (
    ("/", "GET", browsing.home),
    ("/search", "GET", browsing.listing),
    ("/suggest", "GET", browsing.suggest),
    ("/product/{slug}", "GET POST", browsing.product),
    ("/product/{slug}/wish", "GET POST", browsing.wish),
    ("/product/{slug}/review", "GET POST", browsing.review),
    ("/wishes", "GET", browsing.wishes),
    ("/cart", "GET POST", buying.cart),
    ("/offers", "GET", buying.offers),
    ("/checkout", "GET POST", buying.checkout),
    ("/orders", "GET", owning.orders),
    ("/orders/{number}", "GET POST", owning.order),
    ("/orders/{number}/return", "GET POST", owning.give_back),
    ("/account", "GET POST", owning.account),
    ("/addresses/new", "GET POST", owning.address),
    ("/addresses/{number}", "GET POST", owning.address),
)

NOTICES = {
    "added": "Added to your cart.",
    "updated": "The quantity was changed.",
    "removed": "Removed from your cart.",
    "emptied": "Your cart is empty now.",
    "coupon": "The coupon was applied.",
    "uncoupon": "The coupon was removed.",
    "wished": "Saved to your wish list.",
    "unwished": "Removed from your wish list.",
    "reviewed": "Thank you for your review.",
    "placed": "Thank you, your order was placed.",
    "cancelled": "The order was cancelled.",
    "again": "What is in stock was put into your cart.",
    "returned": "Your return was registered.",
    "late": "Nothing of this order can be returned.",
    "saved": "Your changes were saved.",
}
