"""Verifiers that err: how often, and rewards corrected for it (arXiv 2510.00915).

A verifier says 1 of an episode that is wrong with probability rho0 (false positive) and 0 of one that is right with
probability rho1 (false negative), whatever the episode. As long as rho0 + rho1 < 1 what it says still carries the
truth: *backward* correction makes its reward unbiased, *forward* weights leave the expected gradient's direction right
with less variance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentgym.statistics import wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate as a sample shows it.

    Attributes:
        value: Share of the sample, 0..1; nan of an empty one.
        low, high: 95% interval (Wilson).
        n: Size of the sample.
    """

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, errors: int, n: int) -> Rate:
        """From counts."""
        return cls(errors / n if n else float("nan"), *wilson(errors, n), n)


@dataclass(frozen=True, slots=True)
class NoiseRates:
    """How often a verifier errs.

    Attributes:
        false_positive: rho0, of wrong episodes.
        false_negative: rho1, of right ones.
    """

    false_positive: Rate
    false_negative: Rate


def estimate_rates(said: Iterable[bool], truth: Iterable[bool]) -> NoiseRates:
    """A verifier's error rates on a sample whose labels are known.

    Args:
        said: What the verifier said of each episode.
        truth: Whether it was right.

    Raises:
        ValueError: The two differ in length.
    """
    pairs = np.array(list(zip(said, truth, strict=True)), dtype=np.bool_).reshape(-1, 2)
    verdict, right = pairs[:, 0], pairs[:, 1]
    wrong_n, right_n = int((~right).sum()), int(right.sum())
    return NoiseRates(Rate.of(int((verdict & ~right).sum()), wrong_n), Rate.of(int((~verdict & right).sum()), right_n))


def backward(reward: ArrayLike, false_positive: float, false_negative: float) -> Floats:
    """(R - rho0) / (1 - rho0 - rho1): in expectation over the verifier's errors, the true reward.

    Args:
        reward: What the verifier said, 0 or 1 (or between).
        false_positive: rho0.
        false_negative: rho1.

    Raises:
        ValueError: See `why_not`.
    """
    _check(false_positive, false_negative)
    values = np.asarray(reward, dtype=np.float64)
    return np.asarray((values - false_positive) / (1 - false_positive - false_negative), dtype=np.float64)


def forward(reward: ArrayLike, false_negative: float) -> Floats:
    """Weights rho1 where the verifier said 1 and rho1 - 1 where it said 0: only false negatives need to be known.

    Args:
        reward: What the verifier said, 0 or 1 (or between: the weights in proportion).
        false_negative: rho1.

    Raises:
        ValueError: See `why_not`.
    """
    _check(0.0, false_negative)
    return np.asarray(np.asarray(reward, dtype=np.float64) + false_negative - 1, dtype=np.float64)


def why_not(false_positive: float, false_negative: float) -> str | None:
    """Why no correction is possible with these rates; None: it is.

    They may be no rates (that of an empty sample is nan); or so high that the verifier says nothing, or the opposite.
    """
    for name, rate in (("false_positive", false_positive), ("false_negative", false_negative)):
        if not 0 <= rate <= 1:
            return f"{name} must be a rate, 0 to 1, got {rate:g}"
    if false_positive + false_negative >= 1:
        return (
            f"false_positive {false_positive:g} and false_negative {false_negative:g} must add up to less than 1: "
            "such a verifier knows nothing"
        )
    return None


def _check(false_positive: float, false_negative: float) -> None:
    if (why := why_not(false_positive, false_negative)) is not None:
        raise ValueError(why)
