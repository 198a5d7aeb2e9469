"""Carries an action of the agent out in a browser session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from agentgym.actions import Action
from agentgym.envs.web.actions import MAX_WAIT_MS

if TYPE_CHECKING:
    from agentgym.tools.browser.session import Effect, Session

#: Longest text that is typed key by key, in characters; a longer one is put in at once.
TYPED_CHARS = 100
Args = Mapping[str, Any]
Doing = Callable[["Session", Args], Awaitable["Effect"]]


def _options(args: Args) -> list[str]:
    given = args["options"]
    return [given] if isinstance(given, str) else list(given)


def _type(session: Session, text: str) -> Awaitable[Effect]:
    # Key by key takes a while, and what an agent asks for must not be what breaks the browser's time limit.
    return session.type_text(text) if len(text) <= TYPED_CHARS else session.insert_text(text)


_DOING: Mapping[str, Doing] = {
    "click": lambda s, a: s.click(a["id"], button=a.get("button", "left"), modifiers=a.get("modifiers") or ()),
    "dblclick": lambda s, a: s.click(a["id"], button=a.get("button", "left"), count=2),
    "hover": lambda s, a: s.hover(a["id"]),
    "focus": lambda s, a: s.focus(a["id"]),
    "clear": lambda s, a: s.fill(a["id"], ""),
    "fill": lambda s, a: s.fill(a["id"], a["text"]),
    "press": lambda s, a: s.press(a["key"], a["id"]),
    "select_option": lambda s, a: s.select(a["id"], _options(a)),
    "drag_and_drop": lambda s, a: s.drag(a["from_id"], a["to_id"]),
    "mouse_click": lambda s, a: s.mouse_click(a["x"], a["y"], button=a.get("button", "left")),
    "mouse_dblclick": lambda s, a: s.mouse_click(a["x"], a["y"], button=a.get("button", "left"), count=2),
    "mouse_move": lambda s, a: s.mouse_move(a["x"], a["y"]),
    "mouse_drag_and_drop": lambda s, a: s.mouse_drag(a["from_x"], a["from_y"], a["to_x"], a["to_y"]),
    "keyboard_press": lambda s, a: s.press(a["key"]),
    "keyboard_type": lambda s, a: _type(s, a["text"]),
    "scroll": lambda s, a: s.scroll(a["delta_x"], a["delta_y"], a.get("id")),
    "goto": lambda s, a: s.goto(a["url"]),
    "go_back": lambda s, a: s.back(),
    "go_forward": lambda s, a: s.forward(),
    "tab_focus": lambda s, a: s.tab_focus(a["index"]),
    "new_tab": lambda s, a: s.tab_new(),
    "tab_close": lambda s, a: s.tab_close(),
    "noop": lambda s, a: s.wait(min(a.get("wait_ms", 0.0), MAX_WAIT_MS)),
}
#: Actions that are carried out in the browser; the others say something to the user or end the episode.
IN_BROWSER = frozenset(_DOING)
#: Actions that need what the session has gone through before.
OF_HISTORY = frozenset({"go_back", "go_forward"})


async def do(session: Session, action: Action) -> Effect:
    """Does it.

    Raises:
        ActionFailed: It cannot be done to the page as it is.
        EnvironmentFault: The browser broke.
    """
    return await _DOING[action.name](session, action.args)
