"""Router-R1's price buffer and the running filter: published numbers, and scales that outlive a restart."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import Row, reward_table

from agentgym.rewards.shaping import cost_buffer, running_filter
from agentgym.rewards.shaping.buffers import Filters, Moments, Prices

BATCHES = st.lists(st.lists(st.floats(-100, 100), max_size=5), min_size=1, max_size=4)


def priced(outcomes: list[float], prices: list[float]) -> Any:
    return reward_table([[Row(o, parts={"price": [p]}) for o, p in zip(outcomes, prices, strict=True)]])


def test_published_numbers() -> None:
    # Prices that do not differ cost 0.5 each.
    after, _ = cost_buffer(priced([0.8, -1.0, 0.0], [4.0] * 3), Prices(), price="price", weight=0.2)
    np.testing.assert_allclose(after.outcome, [0.74, -1.0, 0.0])


def test_the_cheapest_right_answer_earns_most() -> None:
    before = priced([1.0, 1.0, 1.0, 0.0], [0.0, 25.0, 100.0, 0.0])
    after, memory = cost_buffer(before, Prices(), price="price", weight=0.2, low=0.0, high=1.0)
    np.testing.assert_allclose(after.outcome, [1.0, 0.9, 0.8, 0.0])
    assert memory.prices == [0.0, 5.0, 10.0, 0.0]


def test_quantiles_leave_the_dearest_out_of_the_scale() -> None:
    memory = Prices(prices=[float(p) for p in range(101)])
    after, _ = cost_buffer(priced([1.0] * 3, [2.0, 50.0, 100.0]), memory, price="price", weight=1.0, transform="none")
    lo, hi = np.quantile([*range(101), 2.0, 50.0, 100.0], [0.05, 0.95])
    np.testing.assert_allclose(after.outcome, [1.0, 1 - (50 - lo) / (hi - lo), 0.0])


@pytest.mark.parametrize(("transform", "stored"), [("sqrt", 10.0), ("log", float(np.log(2))), ("none", 100.0)])
def test_prices_are_stored_as_compared(transform: Any, stored: float) -> None:
    _, memory = cost_buffer(priced([1.0], [100.0]), Prices(), price="price", transform=transform)
    assert memory.prices == [pytest.approx(stored)]


def test_the_window_forgets_the_oldest_and_a_resumed_buffer_goes_on() -> None:
    _, memory = cost_buffer(priced([1.0] * 3, [1.0, 4.0, 9.0]), Prices(), price="price", window=4)
    resumed = Prices.model_validate(json.loads(json.dumps(memory.model_dump(mode="json"))))
    batch = priced([1.0] * 2, [16.0, 25.0])
    after, memory = cost_buffer(batch, resumed, price="price", window=4)
    assert memory.prices == [2.0, 3.0, 4.0, 5.0]
    whole, _ = cost_buffer(batch, Prices(prices=[1, 2, 3]), price="price", window=4)
    np.testing.assert_array_equal(after.outcome, whole.outcome)


def test_an_empty_batch_changes_nothing() -> None:
    empty = reward_table([])
    assert cost_buffer(empty, Prices(), price="price") == (empty, Prices())
    assert running_filter(empty, Filters(), parts=["x"])[1].parts["x"] == Moments()


@given(BATCHES)
def test_the_filter_knows_the_moments_of_all_turns_so_far(batches: list[list[float]]) -> None:
    memory = Filters()
    seen: list[float] = []
    for values in batches:
        seen += values
        before = reward_table([[Row(parts={"x": values}, turns=len(values))]])
        after, memory = running_filter(before, memory, parts=["x"], centre=True, limit=1e9)
        now = memory.parts["x"]
        assert now.count == len(seen)
        if seen:
            assert now.mean == pytest.approx(np.mean(seen), abs=1e-9)
            assert now.squares == pytest.approx(np.sum((np.array(seen) - np.mean(seen)) ** 2), abs=1e-6)
        if len(seen) > 1 and (deviation := np.std(seen, ddof=1)) > 1e-6:
            expected = (np.array(values) - np.mean(seen)) / (deviation + 1e-8)
            np.testing.assert_allclose(after.part("x"), expected, rtol=1e-6, atol=1e-6)


def test_the_filter_scales_without_moving_zero_and_bounds_outliers() -> None:
    memory = Filters(parts={"x": Moments(count=10_001, mean=0.0, squares=10_000.0)})
    before = reward_table([[Row(parts={"x": [0.0, 2.0, 500.0], "y": [7.0, 7.0, 7.0]})]])
    after, memory = running_filter(before, memory, parts=["x", "y"], limit=5.0)
    assert after.part("x")[0] == 0.0
    assert after.part("x")[2] == 5.0
    assert after.part("y").tolist() == [5.0] * 3, "without spread the scale is 1"
    assert set(memory.parts) == {"x", "y"}


def test_a_part_named_twice_is_filtered_once() -> None:
    before = reward_table([[Row(parts={"x": [1.0, 2.0, 4.0]})]])
    once, twice = (running_filter(before, Filters(), parts=parts) for parts in (["x"], ["x", "x"]))
    np.testing.assert_array_equal(once[0].part("x"), twice[0].part("x"))
    assert once[1] == twice[1]
