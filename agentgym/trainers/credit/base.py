"""What all credit assignment shares: the registry, groups of numbers, returns.

A method is `estimate(table, **parameters) -> float64[M]`, one advantage a turn, which the learner spreads over the
turn's tokens. It is pure and works on any number of groups at once. Trajectories with a fault of the world never reach
the table: whoever collects leaves them out. A trajectory without turns has no advantages but counts in its group's
statistics; a truncated one is a trajectory like any other, its outcome being 0 unless the environment gave one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.methods import Methods
from agentgym.rewards.table import Floats, Ints, RewardTable


@dataclass(frozen=True, slots=True)
class PerToken:
    """Advantages that differ inside a turn.

    Attributes:
        values: float64[P], of the policy's tokens, those of all turns one after the other (P = sum(table.tokens)).
    """

    values: Floats

    def per_turn(self, table: RewardTable) -> Floats:
        """float64[M], the mean over each turn's tokens; 0 for a turn without any."""
        turn = np.repeat(np.arange(table.m), table.tokens)
        sums = np.bincount(turn, weights=self.values, minlength=table.m)
        return np.asarray(sums / np.maximum(table.tokens, 1), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Values:
    """State values, as a critic estimates them: what the policy will still earn.

    Attributes:
        turn: float64[M], before the turn is written.
        final: float64[N], after the last turn; what a truncated episode might still have earned.
        token: float64[P], before each of the policy's tokens.
    """

    turn: Floats
    final: Floats
    token: Floats


Estimate = Callable[..., Floats | PerToken]
CREDIT: Methods[Estimate] = Methods("credit", "credit method", "agentgym.credit")

Discount = Annotated[float, Field(ge=0, le=1)]
Epsilon = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]

#: Advantages no larger than this are rounding, not signal.
SIGNAL_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True)
class Credit:
    """A configured credit method.

    Attributes:
        estimate: The method with its parameters fixed.
        needs: What it takes besides the table (`agentgym.trainers.companions`), in order.
        whitens: Whether it has a parameter ``whiten``, by which its advantages are normalised in the end.
        reads: The process parts that it looks at by name.
        least_group: Trajectories that a group must have for it to say anything.
    """

    estimate: Estimate
    needs: tuple[str, ...] = ()
    whitens: bool = False
    reads: tuple[str, ...] = ()
    least_group: int = 1

    def __call__(self, table: RewardTable, *inputs: Any) -> Floats | PerToken:
        """Advantages: float64[M], or one for each of the policy's tokens."""
        return self.estimate(table, *inputs)

    def unwhitened(self, table: RewardTable, *inputs: Any) -> Floats | PerToken:
        """Advantages as they are before whitening: in the unit of the rewards, as a critic learns from them."""
        return self.estimate(table, *inputs, whiten=False) if self.whitens else self.estimate(table, *inputs)


def build_credit(config: Mapping[str, Any]) -> Credit:
    """The configured method with its parameters fixed.

    Args:
        config: ``{name: gigpo, gamma: 0.95}``.

    Raises:
        ConfigError: An unknown method or parameter; names the nearest known one.
    """
    method, parameters = CREDIT.select(config, "credit")
    reads = tuple(method.signals(dict(parameters))) if method.signals else ()
    whitens = "whiten" in type(parameters).model_fields
    return Credit(method.bind(parameters), method.needs, whitens, reads, method.least_group)


def per_turn(table: RewardTable, advantages: Floats | PerToken) -> Floats:
    """float64[M]: advantages as they are, or the mean over each turn's tokens."""
    return advantages.per_turn(table) if isinstance(advantages, PerToken) else advantages


def has_signal(table: RewardTable, advantages: Floats | PerToken) -> NDArray[np.bool_]:
    """Which groups have any gradient: a turn with policy tokens whose advantage is not 0.

    A group in which every trajectory earned the same teaches nothing; dynamic sampling (DAPO, arXiv 2503.14476) drops
    it and samples another.

    Args:
        table: G groups, M turns.
        advantages: float64[M], or one for each of the policy's tokens.

    Returns:
        bool[G]
    """
    size = np.abs(advantages.values) if isinstance(advantages, PerToken) else np.abs(advantages)
    if isinstance(advantages, PerToken):
        size = PerToken(size).per_turn(table)
    live = (size > SIGNAL_TOLERANCE) & (table.tokens > 0)
    return np.bincount(table.group[table.trajectory][live], minlength=table.n_groups) > 0


def trajectory_returns(table: RewardTable) -> Floats:
    """float64[N], outcome plus the sum of the turn rewards."""
    return table.outcome + table.sum_turns(table.turn_reward)


def turn_rewards_with_outcome(table: RewardTable) -> Floats:
    """float64[M], the turn rewards with the outcome added to each trajectory's last turn."""
    rewards = table.turn_reward.copy()
    played = table.lengths > 0
    rewards[table.offsets[1:][played] - 1] += table.outcome[played]
    return rewards


def returns_to_go(table: RewardTable, rewards: Floats, gamma: float) -> Floats:
    """G_t = r_t + gamma * G_{t+1}, restarting with each trajectory.

    By doubling: after k rounds G_t covers 2^k turns, so that 10,000 turns take 14 vectorised rounds. Equal tails of
    rewards give bit-equal returns.

    Args:
        table: M turns.
        rewards: float64[M].
        gamma: Discount of each further turn.

    Returns:
        float64[M]
    """
    left = np.repeat(table.offsets[1:], table.lengths) - np.arange(table.m) - 1
    returns = rewards.astype(np.float64)
    reach = np.flatnonzero(left > 0)
    step = 1
    while reach.size:
        returns[reach] += gamma**step * returns[reach + step]
        step *= 2
        reach = reach[left[reach] >= step]
    return returns


def centre(values: Floats, ids: Ints, alone: Literal["keep", "zero"] = "keep") -> Floats:
    """Values minus the mean of those with the same id; exactly 0 where all of them are equal.

    Args:
        values: float64[K].
        ids: int64[K], small numbers.
        alone: A value with an id of its own has no peers: it stays as it is, or becomes 0.
    """
    if not len(values):
        return np.zeros(0)
    counts = np.bincount(ids)
    # Measured from one of the group's own values, sums neither cancel nor leave rounding in a constant group.
    pivot = np.zeros(len(counts))
    pivot[ids] = values
    shifted = values - pivot[ids]
    centred = shifted - (np.bincount(ids, weights=shifted) / np.maximum(counts, 1))[ids]
    return np.where(counts[ids] > 1, centred, values) if alone == "keep" else centred


def normalise(
    values: Floats, ids: Ints, eps: float, std: bool = True, alone: Literal["keep", "zero"] = "keep"
) -> Floats:
    """`centre`, then divided by the sample standard deviation (n - 1) plus `eps` of the values with the same id.

    Args:
        values: float64[K].
        ids: int64[K], small numbers.
        eps: Added to the standard deviation.
        std: False leaves out the division.
        alone: See `centre`; a lone value that is kept is divided by 1 + eps, as published code does.
    """
    centred = centre(values, ids, alone)
    if not std or not len(values):
        return centred
    counts = np.bincount(ids)
    squares = np.bincount(ids, weights=centred**2)
    deviation = np.where(counts > 1, np.sqrt(squares / np.maximum(counts - 1, 1)), 1.0)
    return centred / (deviation + eps)[ids]


def whitened(values: Floats, counted: NDArray[np.bool_] | None = None, eps: float = 1e-8) -> Floats:
    """Values minus their mean, divided by their standard deviation plus `eps`: over the whole batch, not a group.

    Args:
        values: float64[K].
        counted: bool[K], which values mean and deviation are taken over; none: all.
        eps: Added to the standard deviation.
    """
    own = values if counted is None else values[counted]
    if not len(own):
        return np.zeros(len(values))
    centred = values - own.mean()
    # Rounding in a batch of equal values is no signal.
    return centred / (own.std() + eps) if np.ptp(own) > SIGNAL_TOLERANCE else np.zeros(len(values))


def pair_ids(first: Ints, second: Ints) -> Ints:
    """int64[K], equal numbers for equal pairs, counted from 0.

    Args:
        first, second: int64[K], not negative.
    """
    width = int(second.max(initial=0)) + 1
    ids: Ints = np.unique(first * width + second, return_inverse=True)[1]
    return ids


def anchors(table: RewardTable) -> Ints:
    """int64[M], equal numbers for turns of one group taken in the same anchor state.

    States are compared when the table is made; another comparison (by similarity, say) is another `RewardTable.state`.
    """
    return pair_ids(table.group[table.trajectory], table.state)


def spread(table: RewardTable, values: Floats) -> Floats:
    """float64[M], a number a trajectory given to each of its turns."""
    return np.repeat(values, table.lengths)
