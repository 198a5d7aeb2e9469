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
    "ascending-numbers": Page(5, 3),
    "bisect-angle": Page(2, 2, points=True, solved_at=0.9),
    "book-flight": Page(10, 4),
    "book-flight-nodelay": Page(10, 4),
    "button-delay": Page(15, 5),
    "buy-ticket": Page(1, 1),
    "chase-circle": Page(15, 5, points=True),
    "choose-date": Page(14, 5),
    "choose-date-easy": Page(3, 2),
    "choose-date-medium": Page(4, 3),
    "choose-date-nodelay": Page(14, 5),
    "choose-list": Page(2, 2),
    "circle-center": Page(2, 2, points=True, solved_at=0.9),
    "click-button": Page(1, 1),
    "click-button-sequence": Page(2, 2),
    "click-checkboxes": Page(5, 3),
    "click-checkboxes-large": Page(13, 5),
    "click-checkboxes-soft": Page(5, 3),
    "click-checkboxes-transfer": Page(4, 3),
    "click-collapsible": Page(2, 2),
    "click-collapsible-2": Page(2, 2),
    "click-collapsible-2-nodelay": Page(2, 2),
    "click-collapsible-nodelay": Page(2, 2),
    "click-color": Page(1, 1),
    "click-dialog": Page(1, 1),
    "click-dialog-2": Page(1, 1),
    "click-link": Page(1, 1),
    "click-menu": Page(3, 2),
    "click-menu-2": Page(3, 2),
    "click-option": Page(2, 2),
    "click-pie": Page(15, 5, points=True),
    "click-pie-nodelay": Page(15, 5, points=True),
    "click-scroll-list": Page(2, 2),
    "click-shades": Page(7, 4),
    "click-shape": Page(1, 1),
    "click-tab": Page(1, 1),
    "click-tab-2": Page(2, 2),
    "click-tab-2-easy": Page(1, 1),
    "click-tab-2-hard": Page(2, 2),
    "click-tab-2-medium": Page(1, 1),
    "click-test": Page(1, 1),
    "click-test-2": Page(1, 1),
    "click-test-transfer": Page(1, 1),
    "click-widget": Page(1, 1),
    "copy-paste": Page(2, 2),
    "copy-paste-2": Page(2, 2),
    "count-shape": Page(1, 1),
    "count-sides": Page(15, 5),
    "daily-calendar": Page(15, 5, points=True),
    "drag-box": Page(2, 2, points=True),
    "drag-circle": Page(2, 2, points=True),
    "drag-cube": Page(15, 5, points=True),
    "drag-items": Page(1, 1, points=True),
    "drag-items-grid": Page(1, 1, points=True),
    "drag-shapes": Page(4, 3, points=True),
    "drag-shapes-2": Page(6, 3, points=True),
    "drag-single-shape": Page(2, 2, points=True),
    "drag-sort-numbers": Page(3, 2, points=True),
    "draw-circle": Page(15, 5, points=True, solved_at=0.9),
    "draw-line": Page(2, 2, points=True, solved_at=0.9),
    "email-inbox": Page(4, 3),
    "email-inbox-delete": Page(1, 1),
    "email-inbox-forward": Page(4, 3),
    "email-inbox-forward-nl": Page(4, 3),
    "email-inbox-forward-nl-turk": Page(4, 3),
    "email-inbox-important": Page(1, 1),
    "email-inbox-nl-turk": Page(4, 3),
    "email-inbox-noscroll": Page(4, 3),
    "email-inbox-reply": Page(4, 3),
    "email-inbox-star-reply": Page(4, 3),
    "enter-date": Page(2, 2),
    "enter-password": Page(3, 2),
    "enter-text": Page(2, 2),
    "enter-text-2": Page(2, 2),
    "enter-text-dynamic": Page(2, 2),
    "enter-time": Page(2, 2),
    "find-greatest": Page(2, 2),
    "find-midpoint": Page(2, 2, points=True, solved_at=0.9),
    "find-word": Page(2, 2),
    "focus-text": Page(1, 1),
    "focus-text-2": Page(1, 1),
    "form-sequence": Page(3, 2, points=True),
    "form-sequence-2": Page(3, 2),
    "form-sequence-3": Page(3, 2),
    "generate-number": Page(8, 4),
    "grid-coordinate": Page(1, 1),
    "guess-number": Page(12, 5),
    "highlight-text": Page(2, 2, points=True),
    "highlight-text-2": Page(2, 2, points=True),
    "hot-cold": Page(15, 5, points=True),
    "hover-shape": Page(15, 5, points=True),
    "identify-shape": Page(1, 1),
    "login-user": Page(3, 2),
    "login-user-popup": Page(5, 3),
    "moving-items": Page(15, 5, points=True),
    "multi-layouts": Page(4, 3),
    "multi-orderings": Page(4, 3),
    "navigate-tree": Page(2, 2),
    "number-checkboxes": Page(15, 5),
    "odd-or-even": Page(4, 3),
    "order-food": Page(5, 3),
    "phone-book": Page(5, 3),
    "read-table": Page(2, 2),
    "read-table-2": Page(3, 2),
    "resize-textarea": Page(2, 2, points=True),
    "right-angle": Page(2, 2, points=True, solved_at=0.9),
    "scroll-text": Page(2, 2),
    "scroll-text-2": Page(2, 2),
    "search-engine": Page(4, 3),
    "sign-agreement": Page(3, 2),
    "simon-says": Page(15, 5),
    "simple-algebra": Page(2, 2),
    "simple-arithmetic": Page(2, 2),
    "social-media": Page(3, 2),
    "social-media-all": Page(9, 4),
    "social-media-some": Page(9, 4),
    "stock-market": Page(15, 5),
    "terminal": Page(15, 5),
    "text-editor": Page(15, 5),
    "text-transform": Page(2, 2),
    "tic-tac-toe": Page(15, 5),
    "unicode-test": Page(1, 1),
    "use-autocomplete": Page(3, 2),
    "use-autocomplete-nodelay": Page(3, 2),
    "use-colorwheel": Page(15, 5, points=True, solved_at=0.9),
    "use-colorwheel-2": Page(15, 5, points=True, solved_at=0.9),
    "use-slider": Page(4, 3, points=True),
    "use-slider-2": Page(6, 3, points=True),
    "use-spinner": Page(11, 5),
    "visual-addition": Page(2, 2),
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
