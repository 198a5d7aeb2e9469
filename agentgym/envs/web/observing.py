"""What the agent reads: where it is, what went wrong, and the page as a tree, or what has changed in it.

Text of pages is data: `agentgym.tools.browser.tree` keeps a name or a value from passing for a line or an id of its
own, and everything here that a page has a hand in (its title, its URL, a dialog) goes through the same filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from agentgym.tools.browser.tree import Tree, diff, shown

if TYPE_CHECKING:
    from agentgym.tools.browser.session import Tab

#: ``tree``: the whole page every time. ``changes``: of a page that was there before, the lines that went and came.
Showing = Literal["tree", "changes"]
#: Characters shown of a title or of a note (a dialog that was answered, say), and of a URL.
MAX_NOTE_CHARS, MAX_URL_CHARS = 200, 500
#: Notes and tabs shown.
MAX_NOTES = 8
#: What stands in an observation beside the page's own texts; for tokenizers.
WORDS = (
    'page " " : url tab focused note : error : [ ] value',
    "( empty page ) ( nothing changed ) ( more lines are not shown ) more characters … + - *",
    "alert banner blockquote button cell checkbox columnheader combobox complementary contentinfo definition dialog",
    "form group heading image link list listbox listitem main menu menuitem navigation option paragraph progressbar",
    "radio region row search searchbox separator slider spinbutton status switch tab table tablist tabpanel term text",
    "textbox",
    "checked collapsed current disabled expanded focused invalid mixed pressed readonly required selected clickable",
    "level=1 level=2 level=3 level=4 type=date type=time type=email type=password type=tel type=url",
)
EMPTY, UNCHANGED = "( empty page )", "( nothing changed )"


def show(
    tree: Tree,
    before: Tree | None = None,
    *,
    tabs: Sequence[Tab] = (),
    notes: Sequence[str] = (),
    error: str = "",
    max_lines: int,
    max_text: int,
) -> str:
    """An observation.

    Args:
        tree: The page.
        before: The page as it was shown last, where only what changed is wanted; None: all of it.
        tabs: The open tabs; not shown where there is one only.
        notes: What happened besides, one line each.
        error: Why the action was not carried out.
        max_lines: Nodes shown.
        max_text: Characters shown of a name or a value.
    """
    lines = [f"error : {shown(error, MAX_NOTE_CHARS)}"] if error else []
    lines += [f"note : {shown(note, MAX_NOTE_CHARS)}" for note in notes[:MAX_NOTES]]
    lines.append(f'page "{shown(tree.title, MAX_NOTE_CHARS)}" {shown(tree.url, MAX_URL_CHARS)}')
    if len(tabs) > 1:
        lines += [
            f'tab {tab.index}{" *" if tab.active else ""} "{shown(tab.title, MAX_NOTE_CHARS)}" '
            f"{shown(tab.url, MAX_URL_CHARS)}"
            for tab in tabs[:MAX_NOTES]
        ]
    if tree.focus:
        lines.append(f"focused [{tree.focus}]")
    if before is not None and before.url == tree.url:
        lines.append(diff(before, tree, max_lines=max_lines, max_text=max_text) or UNCHANGED)
    else:
        lines.append(tree.render(max_lines=max_lines, max_text=max_text) or EMPTY)
    return "\n".join(lines)
