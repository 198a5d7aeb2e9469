"""Parts and outcomes put on a scale by what earlier batches showed: Router-R1's price buffer, a running filter.

What is remembered is plain data that comes in and goes out, so that a resumed run goes on with the same scale.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agentgym.config import Config
from agentgym.rewards.shaping.pipeline import STAGES
from agentgym.rewards.shaping.values import Count, Name, Positive, Share, emitted, value_of
from agentgym.rewards.table import Floats, RewardTable

#: How a price is transformed before it is compared; few episodes are very dear, so that a root spreads the rest.
Transform = Literal["sqrt", "log", "none"]


class Prices(Config):
    """Transformed prices of the latest episodes, the oldest first."""

    prices: list[float] = Field(default_factory=list)


@STAGES.register(
    "cost_buffer",
    source="Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via Reinforcement Learning",
    arxiv="2506.09033",
    status="code",
    signals=lambda p: emitted([p["price"]]),
    memory=Prices,
)
def cost_buffer(
    table: RewardTable,
    memory: Prices,
    *,
    price: Name,
    weight: Share = 0.2,
    window: Count = 1000,
    low: Share = 0.05,
    high: Share = 0.95,
    transform: Transform = "sqrt",
    eps: Positive = 1e-8,
) -> tuple[RewardTable, Prices]:
    """Blends how cheap an episode was, on the scale of the latest prices, into outcomes that earned anything.

    Formula: cost = 1 - clip((p - lo) / (hi - lo), 0, 1), lo and hi being quantiles of the latest transformed prices;
    0.5 where they are less than `eps` apart. outcome' = (1 - weight) * outcome + weight * cost where the outcome is
    above 0, otherwise the outcome: what is wrong or ill-formed earns nothing by being cheap. Prices of this batch are
    remembered first, all of them, so that the order of episodes does not matter (the public code adds them one by one).

    Args:
        table: N trajectories.
        memory: Prices of the batches before.
        price: The process part with the price paid, not negative, summed over the turns.
        weight: Of the cost.
        window: How many prices are remembered.
        low: Quantile of the prices at and below which the cost is 1.
        high: Quantile at and above which it is 0.
        transform: ``sqrt``; ``log``, log(1 + p / 100); or ``none``.
        eps: Least range of prices that counts as one.

    Returns:
        The table, and the prices with this batch's.
    """
    paid = _transformed(np.maximum(value_of(table, price), 0.0), transform)
    after = Prices(prices=[*memory.prices, *paid.tolist()][-window:])
    if not after.prices:
        return table, after
    lowest, highest = np.quantile(after.prices, [low, high])
    span = highest - lowest
    cost = 1.0 - np.clip((paid - lowest) / span, 0.0, 1.0) if span >= eps else np.full(table.n, 0.5)
    blended = (1.0 - weight) * table.outcome + weight * cost
    return table.with_rewards(outcome=np.where(table.outcome > 0, blended, table.outcome)), after


#: Slope of the logarithmic transform, as in the public code.
LOG_SLOPE = 0.01


def _transformed(prices: Floats, transform: Transform) -> Floats:
    if transform == "sqrt":
        return np.sqrt(prices)
    return np.log1p(LOG_SLOPE * prices) if transform == "log" else prices


class Moments(Config):
    """Running count, mean and sum of squared deviations of one part."""

    count: Annotated[int, Field(ge=0)] = 0
    mean: float = 0.0
    squares: Annotated[float, Field(ge=0)] = 0.0


class Filters(Config):
    """Moments of each filtered part."""

    parts: dict[str, Moments] = Field(default_factory=dict)


@STAGES.register(
    "running_filter",
    source="running mean and standard deviation filter, as reinforcement learning libraries apply to rewards",
    status="recalled",
    signals=lambda p: p["parts"],
    memory=Filters,
)
def running_filter(
    table: RewardTable,
    memory: Filters,
    *,
    parts: Annotated[list[Name], Field(min_length=1)],
    centre: bool = False,
    limit: Positive = 10.0,
    eps: Positive = 1e-8,
) -> tuple[RewardTable, Filters]:
    """Divides process parts by their running standard deviation, so that their weights mean the same for a whole run.

    Formula: clip((x - mean) / (std + eps), -limit, limit), with the moments of all turns so far, this batch's included
    (merged exactly, as if every value had been seen at once). Goes before `weigh`.

    Args:
        table: M turns.
        memory: Moments of the batches before.
        parts: The process parts to change in place.
        centre: Whether to subtract the mean; by default not, so that a turn without the part still earns 0.
        limit: Bound of the result's size.
        eps: Added to the standard deviation.

    Returns:
        The table, and the moments with this batch's.
    """
    moments = dict(memory.parts)
    for name in dict.fromkeys(parts):
        values = table.part(name)
        now = moments[name] = _merge(moments.get(name, Moments()), values)
        deviation = np.sqrt(now.squares / max(now.count - 1, 1))
        # Without spread there is no scale to go by.
        scale = deviation + eps if deviation > eps else 1.0
        scaled = (values - (now.mean if centre else 0.0)) / scale
        table = table.with_part(name, np.clip(scaled, -limit, limit))
    return table, Filters(parts=moments)


def _merge(before: Moments, values: Floats) -> Moments:
    """The moments of what was seen before and of further values together."""
    n = len(values)
    if not n:
        return before
    mean = float(np.mean(values))
    squares = float(np.sum((values - mean) ** 2))
    count, step = before.count + n, mean - before.mean
    return Moments(
        count=count,
        mean=before.mean + step * n / count,
        squares=before.squares + squares + step**2 * before.count * n / count,
    )
