"""Typed errors: who is to blame decides what happens next.

* `AgentGymError`: base of everything this package raises on purpose.
* `ConfigError`: the user's configuration or arguments; one line, names the key.
* `DataError`: a damaged file; one line, names file and line.
* `MissingExtra`: an optional dependency is absent; carries the pip line that mends it.
* `EnvironmentFault`: the world broke (container died, engine gone). Never the agent's doing: the episode is retried and
  never trained on, never counted as a zero.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def first_line(error: BaseException, most: int = 200) -> str:
    """An error's first line that says something, at most so many characters; its type's name where it says nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:most]


def typed_line(error: BaseException, most: int = 200) -> str:
    """An error's type and first line."""
    kind, line = type(error).__name__, first_line(error, most)
    return kind if line == kind else f"{kind}: {line}"


class AgentGymError(Exception):
    """Base of the package's typed errors."""


class ConfigError(AgentGymError, ValueError):
    """A configuration key, option or name that cannot be used as given."""


class DataError(AgentGymError, ValueError):
    """A data file that cannot be read as what it claims to be.

    Args:
        path: The file.
        reason: What is wrong, in a few words.
        line: 1-based line (or row) number, where one can be named.
    """

    def __init__(self, path: object, reason: str, line: int | None = None) -> None:
        super().__init__(f"{path}{'' if line is None else f':{line}'}: {reason}")
        self.path, self.reason, self.line = str(path), reason, line

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str, int | None]]:
        return type(self), (self.path, self.reason, self.line)


class MissingExtra(AgentGymError, ImportError):
    """An optional dependency is not installed.

    Args:
        package: The import that failed.
        extra: The extra of this package that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; mend it with: pip install 'agentgym[{extra}]'")
        self.package, self.extra = package, extra

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        return type(self), (self.package, self.extra)


class EnvironmentFault(AgentGymError, RuntimeError):
    """The world failed, not the agent. The collector retries the episode elsewhere.

    Args:
        kind: Short machine-readable kind, e.g. ``"timeout"``, ``"crash"``, ``"engine"``; reports count by it.
        detail: One line for people.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind, self.detail = kind, detail

    def __reduce__(self) -> tuple[type[EnvironmentFault], tuple[str, str]]:
        return type(self), (self.kind, self.detail)


class EngineFault(EnvironmentFault):
    """The engine that writes the policy's text failed."""

    def __init__(self, detail: str = "", kind: str = "engine") -> None:
        super().__init__(kind, detail)

    def __reduce__(self) -> tuple[type[EngineFault], tuple[str, str]]:
        return type(self), (self.detail, self.kind)


#: How many names an error message lists.
MAX_LISTED = 20


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ends an error message: the nearest known name, or the first `MAX_LISTED` when none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"known: {', '.join(names[:MAX_LISTED]) or 'none'}{more}"


class RayFault(AgentGymError, RuntimeError):
    """Ray itself is gone, and with it all that it held; a new session can be made."""
