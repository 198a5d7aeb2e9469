from __future__ import annotations

import io

from PIL import Image

from agentgym.tools.browser import Box, Node, Tree
from agentgym.tools.browser.marks import draw


def test_what_can_be_acted_on_is_marked_where_it_is() -> None:
    blank = io.BytesIO()
    Image.new("RGB", (200, 100), "white").save(blank, "PNG")
    tree = Tree(
        roots=(
            Node("1", "button", box=Box(50, 40, 60, 20)),
            Node("2", "heading", box=Box(150, 10, 40, 20)),
            Node("3", "link", box=Box(0, 500, 40, 20)),
            Node("4", "option"),
        )
    )
    image = Image.open(io.BytesIO(draw(blank.getvalue(), tree)))
    assert image.size == (200, 100)
    assert image.getpixel((50, 60)) == (208, 0, 0)
    assert image.getpixel((80, 52)) == (255, 255, 255)
    assert image.getpixel((150, 10)) == (255, 255, 255)
