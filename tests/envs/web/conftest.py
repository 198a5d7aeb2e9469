"""What the tests of the web environment share: a Chromium, and environments that are closed afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentgym.envs.web.env import WebEnv
from agentgym.tools.browser import BrowserOptions, find_chromium

Started = Callable[..., WebEnv]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program; a machine without one skips, except where everything must run."""
    path = find_chromium(BrowserOptions())
    if path is None and not os.environ.get("CI"):
        pytest.skip("there is no Chromium on PATH")
    return path or ""


@pytest.fixture
def web(chromium: str) -> Iterator[Started]:
    """Makes environments of few tasks."""
    made: list[WebEnv] = []

    def start(**options: Any) -> WebEnv:
        few = {"seeds": 2, "heldout_seeds": 1} if options.get("source", "bundled") == "bundled" else {}
        env = WebEnv(**{**few, "action_format": "browsergym", **options})
        made.append(env)
        return env

    yield start
    for env in made:
        env.close()
