"""Credit methods side by side: how each judges the turns of the same episodes.

Methods differ in the scale of their advantages, which the optimiser's step size takes up; what remains is which turns
they praise and which they blame. So methods are compared by rank correlation over turns, and drawn each in a scale of
its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.faults import ConfigError, MissingExtra
from agentgym.rewards.table import Floats, Ints, RewardTable
from agentgym.trainers.credit.base import Credit, build_credit, per_turn

#: Advantages that differ by less than this share of the largest one are equal: the difference is rounding.
TIE = 1e-9
#: A picture shows at most so many episodes of a group and so many turns of each; more could not be told apart.
MAX_PANELS, MAX_TURNS = 16, 60
#: Cells carry their number as long as no episode has more turns than this.
MAX_LABELLED = 16
# Inches: a cell's width and height, a panel's title, the margins left and right.
_CELL_W, _CELL_H, _TITLE, _LEFT, _RIGHT = 0.62, 0.34, 0.62, 1.9, 0.3
_MIN_CELLS = 5
_PANEL = 0.95  # a panel's title, turn numbers and their label


@dataclass(frozen=True, slots=True)
class Panel:
    """One episode as methods see it.

    Attributes:
        title: Said above it.
        advantages: float64[K, T], of K methods.
    """

    title: str
    advantages: Floats


def build_methods(configs: Sequence[str | Mapping[str, Any]]) -> dict[str, Credit]:
    """Credit methods by label, ready for stored episodes.

    Args:
        configs: Names, or ``{name: gigpo, gamma: 0.9}``.

    Raises:
        ConfigError: An unknown method or parameter, one given twice, or one that reads a model which is trained beside
            the policy: stored episodes do not hold that.
    """
    methods: dict[str, Credit] = {}
    for config in configs:
        options = {"name": config} if isinstance(config, str) else dict(config)
        credit = build_credit(options)
        refuse_needs(str(options["name"]), credit)
        label = _label(options)
        if label in methods:
            raise ConfigError(f"credit: {label} is given twice")
        methods[label] = credit
    return methods


def refuse_needs(name: str, credit: Credit) -> None:
    """Refuses a method that cannot be computed from stored episodes.

    Raises:
        ConfigError: Names the method and what it reads.
    """
    if credit.needs:
        raise ConfigError(
            f"credit: {name!r} reads {', '.join(credit.needs)}, made by a model that is trained beside the policy and "
            "not stored with the episodes; name a method that reads rewards alone"
        )


def judge(table: RewardTable, methods: Mapping[str, Credit]) -> Floats:
    """float64[K, M], the advantage that each of K methods gives each turn; the mean over its tokens where they differ.

    Args:
        table: M turns, shaped.
        methods: K, none of which needs anything but the table.
    """
    rows = [per_turn(table, credit(table)) for credit in methods.values()]
    return np.array(rows, dtype=np.float64).reshape(len(rows), table.m)


def rank_correlation(values: Floats) -> Floats:
    """Spearman's rank correlation of each row with each: Pearson's of the ranks, ties sharing their mean rank.

    Args:
        values: float64[K, M].

    Returns:
        float64[K, K]; NaN where one of the two rows is constant and so has no order.
    """
    ranks = np.array([_ranks(row) for row in values]).reshape(values.shape)
    centred = ranks - ranks.mean(axis=1, keepdims=True) if values.shape[1] else ranks
    norm = np.sqrt((centred**2).sum(axis=1))
    product = np.outer(norm, norm)
    result = np.full(product.shape, np.nan)
    np.divide(centred @ centred.T, product, out=result, where=product > 0)
    return np.asarray(np.clip(result, -1.0, 1.0), dtype=np.float64)


def _ranks(values: Floats) -> Floats:
    largest = float(np.abs(values).max(initial=0.0))
    rounded = np.round(values / (largest * TIE)) if largest else values
    _, place, counts = np.unique(rounded, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], dtype=np.float64)


def disagreement(values: Floats, group: Ints, n_groups: int) -> Floats:
    """float64[G], how far methods differ on the turns of each group: the mean over turns of their standard deviation.

    Each method's advantages are first divided by their own deviation, so that scales do not count.

    Args:
        values: float64[K, M].
        group: int64[M], of each turn.
        n_groups: G.
    """
    deviation = values.std(axis=1, keepdims=True) if values.size else np.ones((len(values), 1))
    spread = np.divide(values, deviation, out=np.zeros_like(values), where=deviation > 0).std(axis=0)
    sums = np.bincount(group, weights=spread, minlength=n_groups)
    return np.asarray(sums / np.maximum(np.bincount(group, minlength=n_groups), 1), dtype=np.float64)


def draw(path: Path, methods: Sequence[str], panels: Sequence[Panel], title: str) -> None:
    """Draws episodes one below the other: turns across, methods down, the advantage as colour.

    Red is blame, blue praise; each method has its own scale, from its largest advantage in the picture, 0 being white.

    Args:
        path: A PNG file, replaced whole.
        methods: K labels.
        panels: The episodes; of more than `MAX_PANELS` the first, of more than `MAX_TURNS` turns the first.
        title: Above all.

    Raises:
        MissingExtra: matplotlib is not installed.
        OSError: The disk refused.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "train") from None
    shown = [Panel(p.title, p.advantages[:, :MAX_TURNS]) for p in panels[:MAX_PANELS]]
    turns = max((p.advantages.shape[1] for p in shown), default=0)
    scale = np.array(
        [
            max((float(np.abs(p.advantages[k]).max(initial=0.0)) for p in shown), default=0.0)
            for k in range(len(methods))
        ]
    )
    width = _LEFT + _CELL_W * max(turns, _MIN_CELLS) + _RIGHT
    height = (_PANEL + _CELL_H * len(methods)) * max(len(shown), 1) + _TITLE
    figure = Figure(figsize=(width, height), dpi=130)
    FigureCanvasAgg(figure)
    figure.suptitle(f"{_literal(title)}\nblue: praise, red: blame, each method in its own scale", fontsize=9)
    axes = figure.subplots(max(len(shown), 1), 1, squeeze=False)[:, 0]
    for panel, axis in zip(shown, axes, strict=False):
        _draw_panel(axis, panel, methods, scale, turns)
    figure.tight_layout(rect=(0.0, 0.0, 1.0, 1.0 - _TITLE / height))
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        figure.savefig(scratch, format="png")
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _draw_panel(axis: Any, panel: Panel, methods: Sequence[str], scale: Floats, turns: int) -> None:
    values = panel.advantages
    colours = np.full((len(methods), max(turns, 1)), np.nan)
    np.divide(values, scale[:, None], out=colours[:, : values.shape[1]], where=scale[:, None] > 0)
    colours[:, : values.shape[1]][scale == 0] = 0.0
    axis.imshow(colours, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    axis.set_title(_literal(panel.title), fontsize=8, loc="left")
    axis.set_yticks(range(len(methods)), [_literal(name) for name in methods], fontsize=8)
    axis.set_xticks(range(turns), [str(t + 1) for t in range(turns)], fontsize=7)
    axis.set_xlabel("turn", fontsize=7)
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    if turns <= MAX_LABELLED:
        for (k, t), value in np.ndenumerate(values):
            dark = abs(colours[k, t]) > 0.6
            axis.text(t, k, f"{value:.2f}", ha="center", va="center", fontsize=7, color="white" if dark else "black")


def _literal(text: str) -> str:
    """Text that is drawn as it is: no formulas, nothing that no font could have."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("$", r"\$")


def _label(options: Mapping[str, Any]) -> str:
    given = ", ".join(f"{k}={v}" for k, v in options.items() if k != "name")
    return f"{options['name']} ({given})" if given else str(options["name"])
