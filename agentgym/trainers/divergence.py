"""How far two policies are from each other on the tokens of one: KL estimates, and truncated importance weights.

The estimates are of the divergence to a reference; the weights are for engines whose log-probabilities differ from the
learner's. Tokens lie flat, as in `agentgym.trainers.losses`.
"""

from __future__ import annotations

from typing import Literal

import torch

KlEstimator = Literal["k1", "k2", "k3"]
Level = Literal["token", "sequence"]

#: Bound of a log ratio before exp: e^20 is 4.9e8.
LOG_RATIO_BOUND = 20.0


def log_ratio(logp: torch.Tensor, old_logp: torch.Tensor) -> torch.Tensor:
    """float[P], log of the importance ratio, kept within +-20."""
    return (logp - old_logp).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)


def kl_estimate(logp: torch.Tensor, reference: torch.Tensor, estimator: KlEstimator) -> torch.Tensor:
    """Per-token estimate of KL(policy || reference) from the policy's tokens (Schulman, "Approximating KL divergence").

    With d = reference - logp, kept within +-20: k1 = -d, unbiased; k2 = d^2 / 2, biased, low variance; k3 = exp(d) - d
    - 1, unbiased and never negative. As a loss, k1 has no gradient on average and k2 has the divergence's own.

    Args:
        logp, reference: float[P].
        estimator: Which.

    Returns:
        float[P]
    """
    difference = log_ratio(reference, logp)
    if estimator == "k1":
        return -difference
    if estimator == "k2":
        return difference.square() / 2
    return difference.exp() - difference - 1


def kl_to_go(
    logp: torch.Tensor, reference: torch.Tensor, trajectory: torch.Tensor, estimator: KlEstimator = "k1"
) -> torch.Tensor:
    """What a token and those after it in its trajectory add to the KL divergence: a cost of the reward, not the loss.

    Args:
        logp: float[P], of the policy that sampled, those of a trajectory in order.
        reference: float[P].
        trajectory: int64[P], equal numbers for tokens of one trajectory, which lie together.
        estimator: See `kl_estimate`.

    Returns:
        float[P], without gradients.
    """
    cost = kl_estimate(logp, reference, estimator).detach().double()
    _, part, sizes = torch.unique_consecutive(trajectory, return_inverse=True, return_counts=True)
    through = cost.cumsum(0)
    ends = sizes.cumsum(0) - 1
    return (through[ends][part] - through + cost).to(logp.dtype) if len(cost) else logp.detach()


def truncated_importance(gap: torch.Tensor, trajectory: torch.Tensor, cap: float, level: Level) -> torch.Tensor:
    """Truncated importance weights min(pi_learner / pi_engine, cap), as in verl.

    They multiply the loss of tokens that another implementation of the policy sampled.

    Args:
        gap: float[P], log-probability by the learner (at the weights that sampled) minus that by the engine.
        trajectory: int64[P], equal numbers for tokens of one trajectory.
        cap: Upper bound of a weight.
        level: ``token``: each token's own ratio; ``sequence``: exp of the sum of log ratios over its trajectory.

    Returns:
        float[P], without gradients.
    """
    gap = gap.detach()
    if level == "sequence":
        _, part = torch.unique(trajectory, return_inverse=True)
        sums = torch.zeros(int(part.max()) + 1 if len(part) else 0, dtype=gap.dtype, device=gap.device)
        gap = sums.index_add(0, part, gap)[part]
    return gap.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).exp().clamp(max=cap)
