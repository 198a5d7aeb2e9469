"""Mistakes of an expert that is to demonstrate for a warm start: which are made this turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar

import numpy as np

from agentgym.faults import ConfigError, did_you_mean

T = TypeVar("T")


class ExpertSlips:
    """Which mistakes are made this turn. A family's own names its `kinds`.

    Args:
        mistakes: Kind -> probability.
        rng: Source of chance; one number is drawn for each kind that is given.

    Raises:
        ConfigError: An unknown kind, or mistakes without `rng`.
    """

    #: In the order in which chance decides on them.
    kinds: ClassVar[Sequence[str]] = ()

    def __init__(self, mistakes: Mapping[str, float] | None, rng: np.random.Generator | None) -> None:
        mistakes = mistakes or {}
        for kind in mistakes:
            if kind not in self.kinds:
                raise ConfigError(f"no mistake {kind!r}; {did_you_mean(kind, self.kinds)}")
        if mistakes and rng is None:
            raise ConfigError("mistakes need rng")
        self._rng = rng
        self.made = {k for k in self.kinds if rng is not None and k in mistakes and rng.random() < mistakes[k]}

    def __contains__(self, kind: str) -> bool:
        return kind in self.made

    def choose(self, options: Sequence[T]) -> T:
        """One of them; the first where there is no chance."""
        return options[0 if self._rng is None else int(self._rng.integers(len(options)))]
