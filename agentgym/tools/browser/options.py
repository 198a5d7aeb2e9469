"""What can be chosen about browsers, and where Chromium is found."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from agentgym.faults import ConfigError

#: Environment variable that names the Chromium to use.
VARIABLE = "AGENTGYM_CHROMIUM"
#: Names looked for on PATH, in this order. The first starts fastest and cannot show a window.
HEADLESS_NAMES = ("chromium-headless-shell",)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True, slots=True)
class BrowserOptions:
    """How browsers are run."""

    browsers: int = 1  #: Chromium processes (each with its own children).
    size: int = 32  #: Most sessions at once, all browsers together; further leases wait.
    ready: int = 2  #: Contexts made ahead of being asked for.
    reuse: int = 1  #: Leases that a context serves, one after the other, where these allow it; 1: each has its own.
    executable_path: str | None = None  #: Chromium; None: `find_chromium`.
    headed: bool = False  #: Whether a person can watch.
    slow_mo_ms: float = 0.0  #: Pause before each action, for people who watch.
    viewport: tuple[int, int] = (1280, 720)  #: Width and height of the page in CSS pixels.
    settle_ms: float = 3_000.0  #: Longest wait for what an action caused on a page: requests, changes.
    load_ms: float = 20_000.0  #: Longest wait for another page that it caused to be loaded.
    still_ms: float = 4.0  #: How long a page must not have changed to count as still.
    max_nodes: int = 2_000  #: Nodes of a tree; a larger page is cut, and says so.
    max_text: int = 1_000  #: Characters of a name or value that a tree carries.
    lease_s: float = 120.0  #: Longest wait for a session, in seconds.

    def __post_init__(self) -> None:
        for name in (
            "browsers",
            "size",
            "reuse",
            "settle_ms",
            "load_ms",
            "still_ms",
            "max_nodes",
            "max_text",
            "lease_s",
        ):
            if getattr(self, name) <= 0:
                raise ConfigError(f"browser option {name} must be above 0, not {getattr(self, name)}")
        if self.ready < 0:
            raise ConfigError(f"browser option ready must not be negative, not {self.ready}")
        if min(self.viewport) < 1:
            raise ConfigError(f"browser option viewport must be two sizes above 0, not {self.viewport}")


def find_chromium(options: BrowserOptions) -> str | None:
    """The Chromium to run: the option, the variable ``AGENTGYM_CHROMIUM``, PATH; None leaves it to Playwright's own.

    Raises:
        ConfigError: The option or the variable names a file that cannot be run.
    """
    for key, path in (("executable_path", options.executable_path), (VARIABLE, os.environ.get(VARIABLE))):
        if path:
            found = shutil.which(path)
            if found is None:
                raise ConfigError(f"{key}: {path!r} is not a program that can be run")
            return found
    names = NAMES if options.headed else HEADLESS_NAMES + NAMES
    return next((found for name in names if (found := shutil.which(name))), None)
