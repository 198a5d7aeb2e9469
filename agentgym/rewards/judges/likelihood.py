"""Rewards from how likely a language model finds a text: formulas, on log-probabilities that somebody else computed.

RLPR (arXiv 2506.18254), likelihood and log-likelihood of the right answer (arXiv 2602.03979), the follow-up likelihood
(Aligning Language Models Using Follow-up Likelihood as Reward Signal), and the endogenous reward (Generalist Reward
Models: Found Inside Large Language Models).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from agentgym.rewards.judges.models import Floats


def mean_probability(logprobs: ArrayLike) -> float:
    """Mean over tokens of their probability, 0..1; 0 of no tokens.

    Args:
        logprobs: float[n].
    """
    values = np.asarray(logprobs, dtype=np.float64)
    return float(np.exp(np.minimum(values, 0.0)).mean()) if values.size else 0.0


def rlpr(with_reasoning: float, without: float, form: float = 1.0, form_weight: float = 0.1) -> float:
    """RLPR's reward, 0..1: what the reasoning adds to the probability of the right answer.

    Formula: (1 - w) max(0, p - p_0) + w form; status: code.

    Args:
        with_reasoning: p, mean token probability of the right answer after the reasoning.
        without: p_0, the same without any reasoning.
        form: Whether the format is right, 0..1.
        form_weight: w.
    """
    return (1.0 - form_weight) * max(0.0, with_reasoning - without) + form_weight * form


def sequence_logprob(logprobs: ArrayLike, per_token: bool = True) -> float:
    """Log-probability of a text: the mean over its tokens, or their sum; -inf of no tokens.

    Args:
        logprobs: float[n].
        per_token: The mean, so that long and short answers compare.
    """
    values = np.asarray(logprobs, dtype=np.float64)
    if not values.size:
        return -math.inf
    return float(values.mean() if per_token else values.sum())


def follow_up_likelihood(good: Sequence[float], bad: Sequence[float]) -> float:
    """How much likelier a pleased follow-up is than a displeased one, 0..1.

    Formula: sigmoid(mean of good - mean of bad); without bad ones exp(mean of good). The papers' abstract fixes that
    likelihoods of follow-ups are the reward; this combination is FREE.

    Args:
        good: Log-probability a token of each follow-up that a good text provokes.
        bad: Of each that a bad one does.

    Raises:
        ValueError: There is no good follow-up.
    """
    if not good:
        raise ValueError("at least one good follow-up is needed")
    pleased = float(np.mean(good))
    if not bad:
        return math.exp(min(pleased, 0.0))
    return sigmoid(pleased - float(np.mean(bad)))


def endogenous_rewards(logprobs: ArrayLike, values: ArrayLike) -> Floats:
    """Token rewards that a language model's own logits imply (inverse soft Bellman operator).

    Formula: with the logits as soft Q-values, V(s) = logsumexp Q(s, .) and V = 0 after the last token,
    r_h = Q(s_h, a_h) - V(s_h+1) = log p(a_h | s_h) + V(s_h) - V(s_h+1). They sum to sum log p + V(s_1): within a group,
    whose members share s_1, they rank as the log-likelihood does.

    Args:
        logprobs: float[n], log-probability of each token.
        values: float[n], logsumexp of the logits that each token was predicted by.

    Returns:
        float64[n]
    """
    p, v = np.asarray(logprobs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    return p + v - np.append(v[1:], np.zeros(min(v.size, 1)))


def yes_probability(yes: float, no: float) -> float:
    """Probability of yes among yes and no, from their log-probabilities."""
    return sigmoid(yes - no)


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), whatever the size of x."""
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))
