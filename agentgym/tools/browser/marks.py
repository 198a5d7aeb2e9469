"""Set of marks: the ids of the elements that can be acted on, drawn onto a screenshot.

After "Set-of-Mark Prompting Unleashes Extraordinary Visual Grounding in GPT-4V" (arXiv 2310.11441).
"""

from __future__ import annotations

import io

from agentgym.faults import MissingExtra
from agentgym.tools.browser.tree import Tree

#: Roles that are marked.
_ROLES = """button link checkbox radio switch textbox searchbox spinbutton slider combobox listbox option menuitem
menuitemcheckbox menuitemradio tab treeitem generic color file"""
MARKED = frozenset(_ROLES.split())
#: Colours of the frames, in turn, and the size of the numbers in pixels.
COLOURS = ("#d00000", "#0050d0", "#007030", "#a000a0", "#b06000")
SIZE = 12


def draw(picture: bytes, tree: Tree) -> bytes:
    """The picture with a frame around each such element and its id in the frame's corner.

    Args:
        picture: PNG of the viewport that the tree was taken of.
        tree: Where the elements are.

    Returns:
        A PNG of the same size.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise MissingExtra("pillow", "web") from error
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(SIZE)
    for number, node in enumerate(node for node in tree.walk() if node.role in MARKED and node.box):
        box = node.box
        if (
            box is None
            or box.x + box.width < 0
            or box.y + box.height < 0
            or box.x > image.width
            or box.y > image.height
        ):
            continue
        colour = COLOURS[number % len(COLOURS)]
        pen.rectangle((box.x, box.y, box.x + box.width, box.y + box.height), outline=colour, width=2)
        corner = (max(0.0, box.x), max(0.0, box.y - SIZE))
        left, top, right, bottom = pen.textbbox(corner, node.id, font=font)
        pen.rectangle((left - 2, top - 1, right + 2, bottom + 1), fill=colour)
        pen.text(corner, node.id, fill="white", font=font)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
