"""An episode as one HTML page that needs nothing else: turns, signals, advantages, and pictures where there are any."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from agentgym.cli.common import number
from agentgym.exchange import picture_name


def episode_page(episode: Mapping[str, Any], pictures: Path | None) -> str:
    """The page of an episode.

    Args:
        episode: As `agentgym.cli.episodes.to_json` gives it.
        pictures: Folder of the pictures that the environment took (`agentgym.exchange.picture_name`); None: none.
    """
    # What a policy or an environment wrote is hostile: all of it is escaped.
    pages = Environment(loader=PackageLoader("agentgym.cli", "pages"), autoescape=True, undefined=StrictUndefined)
    pages.filters["number"] = number
    turns = [
        {
            **turn,
            "messages": [message for message in episode["messages"] if message["turn"] == at],
            "picture": _picture(pictures, turn["state_key"]),
        }
        for at, turn in enumerate(episode["turns"])
    ]
    sizes = [abs(turn["advantage"]) for turn in turns if turn["advantage"] is not None]
    largest = max((size for size in sizes if math.isfinite(size)), default=0.0) or 1.0
    opening = [message for message in episode["messages"] if message["turn"] < 0]
    last = _picture(pictures, episode["final_state_key"])
    page = pages.get_template("episode.html.jinja")
    return page.render({**episode, "turns": turns, "opening": opening, "largest": largest, "last_picture": last})


def _picture(folder: Path | None, state_key: str) -> str:
    """A picture as the source of an image, in the page itself; empty where there is none."""
    path = None if folder is None else folder / picture_name(state_key)
    if path is None or not path.is_file():
        return ""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
