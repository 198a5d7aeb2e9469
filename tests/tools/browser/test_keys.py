from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.tools.browser import ActionFailed
from agentgym.tools.browser.keys import combination


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Enter", "Enter"),
        ("enter", "Enter"),
        ("ctrl+a", "Control+a"),
        ("Shift+x", "Shift+X"),
        ("ControlOrMeta+ArrowDown", "Control+ArrowDown"),
        ("Ctrl + Shift + Tab", "Control+Shift+Tab"),
        ("esc", "Escape"),
        ("+", "+"),
        ("Control++", "Control++"),
        (" ", "Space"),
        ("7", "7"),
    ],
)
def test_combinations(written: str, meant: str) -> None:
    assert combination(written) == meant


@pytest.mark.parametrize("written", ["", "Hyper+a", "ab", "Control+", "é", "\n", "F99", "a" * 1000, "\ud800"])
def test_what_is_no_key(written: str) -> None:
    with pytest.raises(ActionFailed) as failed:
        combination(written)
    assert failed.value.kind == "key"
    assert len(str(failed.value)) < 150


@given(st.text(max_size=30))
def test_any_text_is_keys_or_a_failure(text: str) -> None:
    try:
        keys = combination(text)
    except ActionFailed:
        return
    assert keys.isascii()
