"""Policy losses on flat tokens: one value a token, weighed so that micro-batches add up exactly to the batch.

Every aggregation of per-token losses is a weighted sum whose weights depend only on how many tokens, turns and
sequences the WHOLE batch has. `token_weights` computes them once, up front; a loss over some of the tokens is then
sum(weight * loss), and gradient accumulation over micro-batches of any shape gives the full gradient. Tokens lie
flat, those of all trajectories one after the other, without padding; all of them are the policy's. A ratio over a
sequence needs all of its tokens: a micro-batch holds whole trajectories.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator

from agentgym.config import Config
from agentgym.faults import ConfigError
from agentgym.methods import Methods
from agentgym.trainers.divergence import log_ratio

Aggregate = Literal["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm", "turn-mean"]

#: Per-token losses float[P] and figures float[P] to average over tokens.
TokenLosses = tuple[torch.Tensor, dict[str, torch.Tensor]]
#: (logp, old_logp, advantage, trajectory, **parameters): float[P] each, `trajectory` int64[P].
TokenLoss = Callable[..., TokenLosses]

#: What rounding may add to the distance of equal advantages from their mean.
ROUNDING = 1e-6
#: Bound of the mean log ratio of a sequence before exp.
SEQUENCE_BOUND = 10.0


class LossOptions(Config):
    """What every loss has besides its own parameters."""

    aggregate: Aggregate = "token-mean"
    """How per-token losses become one number (`token_weights`)."""
    constant: float | None = Field(None, gt=0)
    """Divisor of ``seq-mean-token-sum-norm``, in tokens: e.g. the batch's sequences times the token budget of one."""
    sigmas: float | None = Field(None, gt=0)
    """Tokens whose advantage is further from the batch's mean, in standard deviations, are left out; none: none are."""

    @model_validator(mode="after")
    def _complete(self) -> LossOptions:
        if (self.aggregate == "seq-mean-token-sum-norm") != (self.constant is not None):
            raise ValueError("constant goes with aggregate seq-mean-token-sum-norm, which needs it")
        return self


LOSSES: Methods[TokenLoss] = Methods("loss", "loss", "agentgym.losses", LossOptions)

#: What a loss has instead of the common options' defaults.
DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "gspo": {"aggregate": "seq-mean-token-mean"},
    "stable_reinforce": {"sigmas": 3.0},
}
#: Losses that are defined with one aggregation only.
FIXED_AGGREGATE = ("gspo",)


@dataclass(frozen=True, slots=True)
class Loss:
    """A configured policy loss.

    Attributes:
        tokens: The per-token loss with its parameters fixed.
        aggregate, constant, sigmas: See `LossOptions`.
    """

    tokens: TokenLoss
    aggregate: Aggregate = "token-mean"
    constant: float | None = None
    sigmas: float | None = None

    def keep(self, advantage: torch.Tensor) -> torch.Tensor | None:
        """bool[P], the tokens of a whole batch that count; None: all of them.

        Args:
            advantage: float[P], of the whole batch: statistics of a part of it would depend on how it is split.
        """
        if self.sigmas is None or not len(advantage):
            return None
        distance = (advantage - advantage.mean()).abs()
        return distance <= self.sigmas * advantage.std(unbiased=False) + ROUNDING

    def token_weights(
        self, trajectory: torch.Tensor, turn: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """float32[P]; see the function of that name."""
        return token_weights(self.aggregate, trajectory, turn, mask, self.constant)

    def __call__(
        self,
        logp: torch.Tensor,
        old_logp: torch.Tensor,
        advantage: torch.Tensor,
        weight: torch.Tensor,
        trajectory: torch.Tensor,
    ) -> TokenLosses:
        """The loss of some whole trajectories of the batch, P tokens in all.

        Args:
            logp: float[P], log-probabilities under the present weights; gradients flow through it alone.
            old_logp: float[P], under the weights that the ratio starts from.
            advantage: float[P], of the token's turn.
            weight: float[P], the tokens' own of the whole batch's `token_weights` (times importance weights, if any).
            trajectory: int64[P], equal numbers for tokens of one trajectory.

        Returns:
            The scalar sum(weight * loss), and figures float[P] without gradients, to be averaged over tokens.
        """
        losses, figures = self.tokens(logp, old_logp, advantage, trajectory)
        return (weight * losses).sum(), figures


def build_loss(config: Mapping[str, object]) -> Loss:
    """The configured loss.

    Args:
        config: ``{name: clipped, low: 0.2, high: 0.28, aggregate: token-mean}``.

    Raises:
        ConfigError: An unknown loss or parameter (names the nearest known one), or an aggregation that the loss is not
            defined with.
    """
    name = config.get("name")
    defaults = DEFAULTS.get(name, {}) if isinstance(name, str) else {}
    method, parameters = LOSSES.select({**defaults, **config}, "loss")
    assert isinstance(parameters, LossOptions)  # noqa: S101 - the registry's common part
    if method.name in FIXED_AGGREGATE and parameters.aggregate != defaults["aggregate"]:
        raise ConfigError(f"loss ({method.name}): its aggregate is always {defaults['aggregate']}")
    return Loss(method.bind(parameters), parameters.aggregate, parameters.constant, parameters.sigmas)


# -- losses ------------------------------------------------------------------------------------------------------------


@LOSSES.register(
    "clipped",
    source="PPO's clipped surrogate (arXiv 1707.06347) with clip-higher (DAPO) and dual clip (arXiv 1912.09729)",
    arxiv="2503.14476",
    status="code",
)
def clipped(
    logp: torch.Tensor,
    old_logp: torch.Tensor,
    advantage: torch.Tensor,
    trajectory: torch.Tensor,
    *,
    low: Annotated[float, Field(ge=0, lt=1)] = 0.2,
    high: Annotated[float, Field(ge=0)] = 0.28,
    dual: Annotated[float, Field(gt=1)] | None = 3.0,
) -> TokenLosses:
    """Clipped importance-weighted policy gradient, with bounds of their own below and above, and dual clip.

    L = max(-A * ratio, -A * clamp(ratio, 1 - low, 1 + high)); where A < 0 at most -A * dual.

    Args:
        logp, old_logp, advantage: float[P].
        trajectory: Not used: ratios are those of tokens.
        low: Ratios below 1 - low no longer gain from a negative advantage.
        high: Ratios above 1 + high no longer gain from a positive one (clip-higher).
        dual: Bound of the loss of a negative advantage in units of it, however large the ratio; none: no bound.

    Returns:
        Losses float[P]; figures ``ratio``, ``clip_fraction`` and ``dual_clip_fraction`` (where they stop the gradient),
        and ``approx_kl`` (k3 estimate of the divergence from the old policy).
    """
    difference = log_ratio(logp, old_logp)
    ratio = difference.exp()
    plain = -advantage * ratio
    bounded = -advantage * ratio.clamp(1 - low, 1 + high)
    losses = torch.maximum(plain, bounded)
    dual_clipped = torch.zeros_like(losses, dtype=torch.bool)
    if dual is not None:
        cap = -advantage * dual
        dual_clipped = (advantage < 0) & (losses > cap)
        losses = torch.where(dual_clipped, cap, losses)
    with torch.no_grad():
        figures = {
            "ratio": ratio.detach(),
            "clip_fraction": (bounded > plain).to(losses.dtype),
            "dual_clip_fraction": dual_clipped.to(losses.dtype),
            "approx_kl": (ratio - 1 - difference).detach(),
        }
    return losses, figures


@LOSSES.register("gspo", source="Group Sequence Policy Optimization", arxiv="2507.18071", status="code")
def gspo(
    logp: torch.Tensor,
    old_logp: torch.Tensor,
    advantage: torch.Tensor,
    trajectory: torch.Tensor,
    *,
    low: Annotated[float, Field(ge=0, lt=1)] = 3e-4,
    high: Annotated[float, Field(ge=0)] = 4e-4,
) -> TokenLosses:
    """Clipped surrogate with the importance ratio of the whole sequence, the same for all of its tokens.

    s = exp(mean over the sequence's tokens of logp - old_logp); L = max(-A * s, -A * clamp(s, 1 - low, 1 + high)), the
    gradient of s reaching each token through its own logp. The aggregation is always ``seq-mean-token-mean``; there is
    no dual clip. Sequence ratios vary far less than those of tokens, hence the narrow bounds.

    Args:
        logp, old_logp, advantage: float[P].
        trajectory: int64[P], equal numbers for tokens of one sequence.
        low: Ratios below 1 - low no longer gain from a negative advantage.
        high: Ratios above 1 + high no longer gain from a positive one.

    Returns:
        Losses float[P]; figures ``ratio`` and ``clip_fraction``.
    """
    _, part, sizes = torch.unique(trajectory, return_inverse=True, return_counts=True)
    sums = torch.zeros(len(sizes), dtype=logp.dtype, device=logp.device).index_add(0, part, (logp - old_logp).detach())
    mean = (sums / sizes)[part]
    # The value is that of the sequence's ratio, the gradient that of the token's log-probability.
    ratio = (mean + logp - logp.detach()).clamp(max=SEQUENCE_BOUND).exp()
    plain = -advantage * ratio
    bounded = -advantage * ratio.clamp(1 - low, 1 + high)
    with torch.no_grad():
        figures = {"ratio": ratio.detach(), "clip_fraction": (bounded > plain).to(plain.dtype)}
    return torch.maximum(plain, bounded), figures


@LOSSES.register(
    "cispo",
    source="MiniMax-M1: Scaling Test-Time Compute Efficiently with Lightning Attention (CISPO)",
    arxiv="2506.13585",
    status="recalled",
)
def cispo(
    logp: torch.Tensor,
    old_logp: torch.Tensor,
    advantage: torch.Tensor,
    trajectory: torch.Tensor,
    *,
    high: Annotated[float, Field(ge=0)] = 4.0,
) -> TokenLosses:
    """REINFORCE with a clipped importance weight: L = -stop_gradient(min(ratio, 1 + high)) * A * logp.

    The weight is clipped, never the gradient: every token keeps teaching, however far the policy has moved.

    Args:
        logp, old_logp, advantage: float[P].
        trajectory: Not used: ratios are those of tokens.
        high: Weights are at most 1 + high.

    Returns:
        Losses float[P]; figures ``ratio`` and ``clip_fraction`` (of the weights).
    """
    ratio = log_ratio(logp, old_logp).exp().detach()
    figures = {"ratio": ratio, "clip_fraction": (ratio > 1 + high).to(ratio.dtype)}
    return -ratio.clamp(max=1 + high) * advantage * logp, figures


@LOSSES.register(
    "stable_reinforce",
    source="R1-Reward: Training Multimodal Reward Model Through Stable Reinforcement Learning",
    arxiv="2505.02835",
    status="code",
)
def stable_reinforce(
    logp: torch.Tensor,
    old_logp: torch.Tensor,
    advantage: torch.Tensor,
    trajectory: torch.Tensor,
    *,
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.2,
    bound: Annotated[float, Field(gt=1)] = 1000.0,
) -> TokenLosses:
    """Clipped surrogate whose log ratio is bounded before exp, on advantages without outliers (``sigmas: 3``).

    ratio = exp(clamp(logp - old_logp, -ln bound, ln bound)); L = max(-A * ratio, -A * clamp(ratio, 1 - clip, 1 +
    clip)). Outside the bound there is no gradient. Tokens whose advantage lies more than ``sigmas`` standard deviations
    from the batch's mean are left out. The first is the authors' code, the rest recalled.

    Args:
        logp, old_logp, advantage: float[P].
        trajectory: Not used: ratios are those of tokens.
        clip: Ratios further than this from 1 no longer gain.
        bound: Ratios are between 1 / bound and bound.

    Returns:
        Losses float[P]; figures ``ratio`` and ``clip_fraction``.
    """
    limit = math.log(bound)
    ratio = (logp - old_logp).clamp(-limit, limit).exp()
    plain = -advantage * ratio
    bounded = -advantage * ratio.clamp(1 - clip, 1 + clip)
    with torch.no_grad():
        figures = {"ratio": ratio.detach(), "clip_fraction": (bounded > plain).to(plain.dtype)}
    return torch.maximum(plain, bounded), figures


# -- aggregation -------------------------------------------------------------------------------------------------------


def token_weights(
    aggregate: Aggregate,
    sequence: torch.Tensor,
    turn: torch.Tensor,
    mask: torch.Tensor | None = None,
    constant: float | None = None,
) -> torch.Tensor:
    """Weights with which an aggregation of per-token losses is sum(weight * loss), whatever the tokens are split into.

    ``token-mean``: mean over tokens. ``seq-mean-token-sum``: mean over sequences of the sum over their tokens.
    ``seq-mean-token-mean``: mean over sequences of the mean. ``seq-mean-token-sum-norm``: sum over tokens divided by a
    constant (Dr.GRPO, arXiv 2503.20783). ``turn-mean``: mean over turns of the mean over the turn's tokens. Only
    sequences and turns with a token that counts are counted. As in verl, but for ``turn-mean``.

    Args:
        aggregate: Which.
        sequence: int64[P], number of each token's sequence (a whole trajectory) in the batch.
        turn: int64[P], number of its turn in that sequence.
        mask: bool[P], which tokens count; none: all.
        constant: Divisor of ``seq-mean-token-sum-norm``.

    Returns:
        float32[P], 0 where the mask is false.

    Raises:
        ValueError: ``seq-mean-token-sum-norm`` without a constant.
    """
    counted = torch.ones_like(sequence, dtype=torch.bool) if mask is None else mask.bool()
    weights = torch.zeros(len(sequence), dtype=torch.float32, device=sequence.device)
    if not bool(counted.any()):
        return weights
    own = sequence[counted]
    if aggregate == "token-mean":
        weights[counted] = 1.0 / len(own)
    elif aggregate == "seq-mean-token-sum-norm":
        if constant is None:
            raise ValueError("seq-mean-token-sum-norm needs a constant")
        weights[counted] = 1.0 / constant
    elif aggregate == "seq-mean-token-sum":
        weights[counted] = 1.0 / len(torch.unique(own))
    else:
        if aggregate == "turn-mean":
            own = own * (turn.max() + 1) + turn[counted]
        _, part, sizes = torch.unique(own, return_inverse=True, return_counts=True)
        weights[counted] = 1.0 / (len(sizes) * sizes[part].float())
    return weights
