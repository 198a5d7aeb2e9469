"""Key combinations as agents write them, checked before a browser sees them."""

from __future__ import annotations

from agentgym.tools.browser.failures import ActionFailed

MODIFIERS = {
    "alt": "Alt",
    "control": "Control",
    "ctrl": "Control",
    "controlormeta": "Control",
    "meta": "Meta",
    "cmd": "Meta",
    "shift": "Shift",
}
_NAMES = """Backspace Tab Enter Escape Space ArrowLeft ArrowUp ArrowRight ArrowDown Home End PageUp PageDown Insert
Delete F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12"""
NAMED = {name.casefold(): name for name in _NAMES.split()} | {
    "esc": "Escape",
    "return": "Enter",
    "del": "Delete",
    "up": "ArrowUp",
    "down": "ArrowDown",
    "left": "ArrowLeft",
    "right": "ArrowRight",
}


def combination(text: str) -> str:
    """``ctrl+A`` as ``Control+A``.

    Raises:
        ActionFailed: A part is no key.
    """
    parts = ["+"] if text == "+" else text.replace("++", "+Plus").split("+")
    keys = [_key(part.strip() if len(part) > 1 else part) for part in parts]
    if "Shift" in keys and len(keys[-1]) == 1:
        keys[-1] = keys[-1].upper()
    return "+".join(keys)


def _key(name: str) -> str:
    low = name.casefold()
    if low in MODIFIERS:
        return MODIFIERS[low]
    if low in NAMED:
        return NAMED[low]
    if name == "Plus":
        return "+"
    if name == " ":
        return "Space"
    if len(name) == 1 and 0x20 < ord(name) < 0x7F:
        return name
    raise ActionFailed("key", f"{name[:20]!r} is no key; keys are e.g. Enter, Tab, Escape, ArrowDown, a, Control+a")
