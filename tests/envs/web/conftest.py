"""What the tests of the web environment share: a Chromium, and environments that are closed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browsing import need_chromium

from agentgym.envs.web.env import WebEnv

Started = Callable[..., WebEnv]


@pytest.fixture(scope="session")
def chromium() -> str:
    return need_chromium()


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
