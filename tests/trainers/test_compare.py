"""Rank correlation of credit methods, and their picture."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from making import trajectory

from agentgym.faults import ConfigError
from agentgym.rewards.table import RewardTable
from agentgym.trainers.compare import MAX_PANELS, Panel, build_methods, disagreement, draw, judge, rank_correlation
from agentgym.trainers.credit import grpo
from agentgym.trajectory import Group

ROWS = hnp.arrays(np.float64, st.tuples(st.integers(2, 4), st.integers(2, 30)), elements=st.integers(-5, 5).map(float))


def slow_spearman(a: np.ndarray, b: np.ndarray) -> float:
    """From the definition: a value's rank is the mean place of its equals in sorted order."""

    def ranks(values: np.ndarray) -> list[float]:
        order = sorted(values.tolist())
        return [np.mean([i + 1 for i, v in enumerate(order) if v == x]) for x in values.tolist()]

    x, y = np.array(ranks(a)), np.array(ranks(b))
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / norm) if norm else np.nan


@given(ROWS)
def test_rank_correlation_is_spearmans(values):
    found = rank_correlation(values)
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            assert found[i, j] == pytest.approx(slow_spearman(a, b), abs=1e-12, nan_ok=True)


@given(ROWS)
def test_rank_correlation_does_not_see_monotone_changes(values):
    changed = values.copy()
    changed[0] = np.exp(values[0]) * 7 - 3
    assert np.allclose(rank_correlation(changed), rank_correlation(values), equal_nan=True)


def test_rounding_does_not_break_ties():
    a = np.array([0.1 + 0.2, 0.3, 1.0, -1.0])
    b = np.array([0.3, 0.1 + 0.2, 1.0, -1.0])
    assert rank_correlation(np.array([a, b]))[0, 1] == 1.0
    assert rank_correlation(np.zeros((2, 0))).shape == (2, 2)
    assert rank_correlation(np.array([[1e-300, -1e-300], [1.0, -1.0]]))[0, 1] == pytest.approx(1.0)


def test_judge_is_one_row_a_method():
    table = RewardTable.from_groups([Group("g0", "t0", [trajectory(n, i) for i, n in enumerate((3, 0, 2))])])
    methods = build_methods(["grpo", {"name": "grpo", "std": False}, "rloo"])
    assert list(methods) == ["grpo", "grpo (std=False)", "rloo"]
    values = judge(table, methods)
    assert values.shape == (3, 5)
    assert np.array_equal(values[0], grpo(table))
    with pytest.raises(ConfigError, match="given twice"):
        build_methods(["grpo", "grpo"])


@pytest.mark.parametrize("turns", [[3, 0, 1], [0], [], [500, 2], [1] * 40])
def test_a_picture_of_any_shape(tmp_path, turns):
    rng = np.random.default_rng(0)
    panels = [Panel(f"episode {i} $x_{{$ \ud800", rng.normal(size=(3, n))) for i, n in enumerate(turns)]
    for panel in panels:
        panel.advantages[2] = 0.0
    draw(tmp_path / "p.png", ["grpo", "rloo", "a $method_$"], panels, "$\\frac$")
    picture = matplotlib.image.imread(tmp_path / "p.png")
    assert picture.shape[0] < 400 * (min(len(turns), MAX_PANELS) + 1)
    assert [f.name for f in tmp_path.iterdir()] == ["p.png"]


def test_praise_is_blue_and_blame_red(tmp_path):
    draw(tmp_path / "p.png", ["a"], [Panel("", np.array([[1.0, -1.0]]))], "")
    picture = matplotlib.image.imread(tmp_path / "p.png")[..., :3]
    coloured = np.argwhere(np.ptp(picture, axis=2) > 0.3)
    left, right = coloured[:, 1].min(), coloured[:, 1].max()
    middle = int(np.median(coloured[:, 0]))
    assert picture[middle, left + 3, 2] > picture[middle, left + 3, 0]
    assert picture[middle, right - 3, 0] > picture[middle, right - 3, 2]


def test_disagreement_does_not_depend_on_scales() -> None:
    values = np.array([[1.0, -1.0, 1.0, -1.0], [3.0, -3.0, -3.0, 3.0]])
    np.testing.assert_allclose(disagreement(values, np.array([0, 0, 1, 1]), 3), [0.0, 1.0, 0.0])
    assert disagreement(np.zeros((2, 0)), np.zeros(0, np.int64), 2).tolist() == [0.0, 0.0]
