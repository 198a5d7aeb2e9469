"""The pages of MiniWoB++ (arXiv 1802.08802): how long and how hard each is, and which are not offered, and why.

All pages of the wheel's folder ``miniwob`` load offline and are offered. Those in `REALTIME` only on request; those
in `UNSOLVED` have no expert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Page:
    """What is known of a page.

    Attributes:
        turns: Turns that the expert took at most on the seeds tried, or an allowance where there is no expert.
        difficulty: 1 to 5, by the turns.
        points: It cannot be solved by naming elements alone: places in it must be pointed at.
        solved_at: Raw reward from which it counts as solved; below 1 where the reward grows with exactness.
    """

    turns: int
    difficulty: int
    points: bool = False
    solved_at: float = 1.0


PAGES: Final[Mapping[str, Page]] = {
    "ascending-numbers": Page(15, 5),
    "bisect-angle": Page(15, 5, points=True, solved_at=0.9),
    "book-flight": Page(15, 5),
    "book-flight-nodelay": Page(15, 5),
    "button-delay": Page(15, 5),
    "buy-ticket": Page(15, 5),
    "chase-circle": Page(15, 5, points=True),
    "choose-date": Page(15, 5),
    "choose-date-easy": Page(15, 5),
    "choose-date-medium": Page(15, 5),
    "choose-date-nodelay": Page(15, 5),
    "choose-list": Page(15, 5),
    "circle-center": Page(15, 5, points=True, solved_at=0.9),
    "click-button": Page(15, 5),
    "click-button-sequence": Page(15, 5),
    "click-checkboxes": Page(15, 5),
    "click-checkboxes-large": Page(15, 5),
    "click-checkboxes-soft": Page(15, 5),
    "click-checkboxes-transfer": Page(15, 5),
    "click-collapsible": Page(15, 5),
    "click-collapsible-2": Page(15, 5),
    "click-collapsible-2-nodelay": Page(15, 5),
    "click-collapsible-nodelay": Page(15, 5),
    "click-color": Page(15, 5),
    "click-dialog": Page(15, 5),
    "click-dialog-2": Page(15, 5),
    "click-link": Page(15, 5),
    "click-menu": Page(15, 5),
    "click-menu-2": Page(15, 5),
    "click-option": Page(15, 5),
    "click-pie": Page(15, 5, points=True),
    "click-pie-nodelay": Page(15, 5, points=True),
    "click-scroll-list": Page(15, 5),
    "click-shades": Page(15, 5),
    "click-shape": Page(15, 5),
    "click-tab": Page(15, 5),
    "click-tab-2": Page(15, 5),
    "click-tab-2-easy": Page(15, 5),
    "click-tab-2-hard": Page(15, 5),
    "click-tab-2-medium": Page(15, 5),
    "click-test": Page(15, 5),
    "click-test-2": Page(15, 5),
    "click-test-transfer": Page(15, 5),
    "click-widget": Page(15, 5),
    "copy-paste": Page(15, 5),
    "copy-paste-2": Page(15, 5),
    "count-shape": Page(15, 5),
    "count-sides": Page(15, 5),
    "daily-calendar": Page(15, 5),
    "drag-box": Page(15, 5, points=True),
    "drag-circle": Page(15, 5, points=True),
    "drag-cube": Page(15, 5, points=True),
    "drag-items": Page(15, 5, points=True),
    "drag-items-grid": Page(15, 5, points=True),
    "drag-shapes": Page(15, 5, points=True),
    "drag-shapes-2": Page(15, 5, points=True),
    "drag-single-shape": Page(15, 5, points=True),
    "drag-sort-numbers": Page(15, 5, points=True),
    "draw-circle": Page(15, 5, points=True, solved_at=0.9),
    "draw-line": Page(15, 5, points=True, solved_at=0.9),
    "email-inbox": Page(15, 5),
    "email-inbox-delete": Page(15, 5),
    "email-inbox-forward": Page(15, 5),
    "email-inbox-forward-nl": Page(15, 5),
    "email-inbox-forward-nl-turk": Page(15, 5),
    "email-inbox-important": Page(15, 5),
    "email-inbox-nl-turk": Page(15, 5),
    "email-inbox-noscroll": Page(15, 5),
    "email-inbox-reply": Page(15, 5),
    "email-inbox-star-reply": Page(15, 5),
    "enter-date": Page(15, 5),
    "enter-password": Page(15, 5),
    "enter-text": Page(15, 5),
    "enter-text-2": Page(15, 5),
    "enter-text-dynamic": Page(15, 5),
    "enter-time": Page(15, 5),
    "find-greatest": Page(15, 5),
    "find-midpoint": Page(15, 5, points=True, solved_at=0.9),
    "find-word": Page(15, 5),
    "focus-text": Page(15, 5),
    "focus-text-2": Page(15, 5),
    "form-sequence": Page(15, 5, points=True),
    "form-sequence-2": Page(15, 5),
    "form-sequence-3": Page(15, 5),
    "generate-number": Page(15, 5),
    "grid-coordinate": Page(15, 5),
    "guess-number": Page(15, 5),
    "highlight-text": Page(15, 5, points=True),
    "highlight-text-2": Page(15, 5, points=True),
    "hot-cold": Page(15, 5, points=True),
    "hover-shape": Page(15, 5, points=True),
    "identify-shape": Page(15, 5),
    "login-user": Page(15, 5),
    "login-user-popup": Page(15, 5),
    "moving-items": Page(15, 5, points=True),
    "multi-layouts": Page(15, 5),
    "multi-orderings": Page(15, 5),
    "navigate-tree": Page(15, 5),
    "number-checkboxes": Page(15, 5),
    "odd-or-even": Page(15, 5),
    "order-food": Page(15, 5),
    "phone-book": Page(15, 5),
    "read-table": Page(15, 5),
    "read-table-2": Page(15, 5),
    "resize-textarea": Page(15, 5, points=True),
    "right-angle": Page(15, 5, points=True, solved_at=0.9),
    "scroll-text": Page(15, 5),
    "scroll-text-2": Page(15, 5),
    "search-engine": Page(15, 5),
    "sign-agreement": Page(15, 5),
    "simon-says": Page(15, 5),
    "simple-algebra": Page(15, 5),
    "simple-arithmetic": Page(15, 5),
    "social-media": Page(15, 5),
    "social-media-all": Page(15, 5),
    "social-media-some": Page(15, 5),
    "stock-market": Page(15, 5),
    "terminal": Page(15, 5),
    "text-editor": Page(15, 5),
    "text-transform": Page(15, 5),
    "tic-tac-toe": Page(15, 5),
    "unicode-test": Page(15, 5),
    "use-autocomplete": Page(15, 5),
    "use-autocomplete-nodelay": Page(15, 5),
    "use-colorwheel": Page(15, 5, points=True, solved_at=0.9),
    "use-colorwheel-2": Page(15, 5, points=True, solved_at=0.9),
    "use-slider": Page(15, 5, points=True),
    "use-slider-2": Page(15, 5, points=True),
    "use-spinner": Page(15, 5),
    "visual-addition": Page(15, 5),
}

#: Pages that go on by the clock, with the reason: the same actions need not lead to the same.
REALTIME: Final[Mapping[str, str]] = {
    "button-delay": "the reward depends on the seconds between two clicks",
    "chase-circle": "the circle moves all the time",
    "drag-cube": "how far the cube turns depends on the speed of the mouse",
    "hover-shape": "the shape moves all the time",
    "moving-items": "the items move all the time",
    "simon-says": "what is to be repeated is shown for moments",
    "stock-market": "the price changes ten times a second",
    "terminal": "a cursor blinks, and the date of the day is shown",
}

#: Pages without an expert, with the reason.
UNSOLVED: Final[Mapping[str, str]] = {
    "click-pie": "the menu opens and closes as the mouse moves over it",
    "click-pie-nodelay": "the menu opens and closes as the mouse moves over it",
    "count-sides": "the shape is painted on a canvas",
    "daily-calendar": "an event is drawn with the mouse while the calendar scrolls",
    "draw-circle": "there is no action that draws a curve",
    "hot-cold": "the place is found by moving the mouse, with no bound on the turns",
    "text-editor": "the editor's menus and selections are its own",
    "tic-tac-toe": "the opponent may win",
    "use-colorwheel": "the colours are painted on a canvas",
    "use-colorwheel-2": "the colours are painted on a canvas",
}

#: Folders of the wheel that are not offered, with the reason.
NOT_OFFERED: Final[Mapping[str, str]] = {
    "flight": "copies of airlines' pages inside of a frame, with scripts in attributes, which the policy that guards"
    " the reward forbids",
}
