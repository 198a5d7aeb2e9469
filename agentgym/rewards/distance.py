"""How far two reward functions are from each other, measured on episodes: 0 for a twin in disguise, 1 for an opposite.

After "STARC: A General Framework For Quantifying Differences Between Reward Functions" (arXiv 2309.15257): both are
brought to a canonical form in which what leaves the order of policies alone is gone (potential shaping), both are
divided by their norm (scale), and what is left is compared. Here it is done on stored transitions, without a model of
the environment: the canonical form is the one of least norm, which is what is left of the rewards when the part that
some potential could explain is taken out (least squares). What STARC also leaves out, redistribution over the next
states of one action, needs transition probabilities and is not part of it.

Potentials are functions of the task and the state key, and 0 where an episode ends, whether by itself or by a budget:
the convention under which shaping leaves returns alone. A constant added to all rewards is therefore no disguise here;
it pays for long episodes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from agentgym.rewards.table import Floats, Ints, RewardTable
from agentgym.trajectory import Trajectory

#: The state after the last turn of an episode.
END = -1
#: A canonical form below this share of the rewards' own norm is rounding: the rewards are nothing but a potential.
RELATIVE_ZERO = 1e-10
#: Least squares stop when their gradient has fallen to this share of the rewards' norm.
TOLERANCE = 1e-14
#: Rounds of least squares; the second removes what rounding left in the first.
ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Transitions:
    """Where the turns of some episodes lead.

    Attributes:
        state: int64[M], number of the state in which each turn was taken.
        after: int64[M], of the state it led to; `END` after an episode's last turn.
    """

    state: Ints
    after: Ints

    @classmethod
    def of(cls, trajectories: Iterable[Trajectory]) -> Transitions:
        """The transitions of episodes, turn by turn; states are equal where task and state key are."""
        numbers: dict[Hashable, int] = {}
        state: list[int] = []
        after: list[int] = []
        for t in trajectories:
            visited = [numbers.setdefault((t.task_id, turn.state_key), len(numbers)) for turn in t.turns]
            state += visited
            after += [*visited[1:], END][: len(visited)]
        return cls(np.array(state, dtype=np.int64), np.array(after, dtype=np.int64))

    def shaping(self, potential: Floats, gamma: float) -> Floats:
        """float64[M], gamma * Phi(s') - Phi(s), with Phi = 0 at the end.

        Args:
            potential: float64[S], Phi of each state.
            gamma: Discount of each further turn.
        """
        padded = np.append(potential, 0.0)  # END = -1 picks the last entry
        return np.asarray(gamma * padded[self.after] - padded[self.state], dtype=np.float64)


def turn_rewards(table: RewardTable) -> Floats:
    """float64[M], what each turn earned: its reward, and on an episode's last turn the outcome as well."""
    rewards = table.turn_reward.copy()
    played = table.lengths > 0
    rewards[table.offsets[1:][played] - 1] += table.outcome[played]
    return rewards


def canonical(rewards: Floats, transitions: Transitions, gamma: float = 1.0) -> Floats:
    """The rewards of least norm among all that differ from these by a potential.

    Formula: c(R) = R - F* with F* = argmin over Phi of ||R - (gamma * Phi(s') - Phi(s))||_2. Linear in R, and 0 for a
    pure potential. By conjugate gradients, in memory linear in M; tables of many short episodes take some dozens of
    rounds, one long chain of T states about T.

    Args:
        rewards: float64[M], one a turn.
        transitions: Of the same turns.
        gamma: Discount of each further turn.

    Returns:
        float64[M]
    """
    rest = rewards.astype(np.float64)
    enough = (TOLERANCE * float(np.linalg.norm(rest))) ** 2
    for _ in range(ROUNDS if enough else 0):
        rest = rest - transitions.shaping(_best_potential(rest, transitions, gamma, enough), gamma)
    return rest


def distance(a: Floats, b: Floats, transitions: Transitions, gamma: float = 1.0) -> float:
    """How far two reward functions are apart on these turns: 0 (the same policies are best) to 1 (opposed).

    Formula: ||s(A) - s(B)||_2 / 2 with s(R) = c(R) / ||c(R)||_2, and s(R) = 0 where c(R) = 0, that is for rewards that
    prefer nothing: those are at distance 0 from each other and 0.5 from all others.

    Source: "STARC: A General Framework For Quantifying Differences Between Reward Functions" (arXiv 2309.15257); status
    recalled, the canonical form on samples is this package's.

    Args:
        a, b: float64[M], one reward a turn (`turn_rewards`).
        transitions: Of the same turns.
        gamma: Discount of each further turn.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: Arrays that do not fit together.
    """
    if not (a.shape == b.shape == transitions.state.shape):
        raise ValueError(f"{a.shape} and {b.shape} rewards for {transitions.state.shape} turns")
    gap = _standard(a, transitions, gamma) - _standard(b, transitions, gamma)
    return min(float(np.linalg.norm(gap)) / 2, 1.0)


def _standard(rewards: Floats, transitions: Transitions, gamma: float) -> Floats:
    scale = float(np.abs(rewards).max(initial=0.0))
    if scale == 0.0:
        return np.zeros(len(rewards))
    rewards = rewards / scale  # squares neither overflow nor vanish
    rest = canonical(rewards, transitions, gamma)
    norm = float(np.linalg.norm(rest))
    if norm <= RELATIVE_ZERO * float(np.linalg.norm(rewards)):
        return np.zeros(len(rewards))
    return rest / norm


def _best_potential(rewards: Floats, transitions: Transitions, gamma: float, enough: float) -> Floats:
    """float64[S], the potential whose shaping is nearest to the rewards: least squares by conjugate gradients.

    Ends when the squared norm of the gradient is `enough`, or moving changes nothing that can be represented. Each
    state's column is divided by its norm first (Jacobi), so that states visited often and rarely converge alike.
    """
    state, after = transitions.state, transitions.after
    n = int(state.max()) + 1

    def gather(values: Floats) -> Floats:  # the adjoint of `shaping`
        sums = np.bincount(after + 1, weights=gamma * values, minlength=n + 1)[1:]
        return np.asarray(sums - np.bincount(state, weights=values, minlength=n), dtype=np.float64)

    loops = np.bincount(state[state == after], minlength=n)
    squares = np.bincount(state, minlength=n) + gamma**2 * np.bincount(after + 1, minlength=n + 1)[1:]
    column = np.sqrt(squares - 2 * gamma * loops)
    scale = np.divide(1.0, column, out=np.zeros(n), where=column > 0)

    x, residual = np.zeros(n), rewards
    gradient = scale * gather(residual)
    direction, size = gradient, float(gradient @ gradient)
    for _ in range(2 * n + 1):  # n in exact arithmetic
        moved = transitions.shaping(scale * direction, gamma)
        length = float(moved @ moved)
        if size <= enough or length == 0.0:
            break
        step = size / length
        x = x + step * direction
        residual = residual - step * moved
        gradient = scale * gather(residual)
        size, before = float(gradient @ gradient), size
        direction = gradient + (size / before) * direction
    return np.asarray(scale * x, dtype=np.float64)
