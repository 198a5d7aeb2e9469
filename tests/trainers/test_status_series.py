from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.trainers.status_series import Series

#: (seconds since the look before, how much the counter rose)
LOOKS = st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 1e6)), min_size=1, max_size=50)


def test_a_steady_counter_has_its_rate_from_the_second_look_on() -> None:
    series = Series(window_s=10)
    assert series.rate(0) is None
    series.add(0, 5000)  # counted before anybody looked
    assert (series.rate(0), series.changed) == (None, False)
    for second in range(1, 100):
        series.add(second, 5000 + 7 * second)
        assert series.rate(second) == pytest.approx(7)
        assert series.rise(second) == pytest.approx(7 * min(second, 10))


def test_what_happened_before_the_window_is_forgotten() -> None:
    series = Series(window_s=10)
    for second in range(50):
        series.add(second, 1000 * second)
    for second in range(50, 100):
        series.add(second, 1000 * 49 + (second - 49))
    assert series.rate(99) == pytest.approx(1)
    assert series.rise(200) == 0


def test_a_counter_that_changes_rarely_is_looked_at_back_to_the_change_before_the_last() -> None:
    series = Series(window_s=10)
    for second in range(301):
        series.add(second, 600 * (second // 100))
    assert series.rate(300) == pytest.approx(6)
    assert series.rate(350) == pytest.approx(4)  # the next one is not there yet, and it is getting late


def test_a_counter_that_was_started_anew_goes_on() -> None:
    series = Series(window_s=100)
    for second, value in enumerate((0, 10, 20, 3, 0, 0, 4)):
        series.add(second, value)
    assert series.rise(6) == 27


def test_the_time_left_counts_from_the_last_step() -> None:
    series = Series(window_s=1000)
    assert series.left(0, 10) is None
    series.add(0, 2)
    assert series.left(5, 10) is None
    series.add(30, 3)
    series.add(60, 4)
    assert series.left(60, 10) == pytest.approx(180)
    assert series.left(70, 10) == pytest.approx(170)
    assert series.left(1000, 10) == 0


def test_the_past_can_be_forgotten() -> None:
    series = Series()
    series.add(0, 1)
    series.add(100, 2)
    series.restart(100)
    assert not series.changed
    series.add(110, 3)
    assert series.rate(110) == pytest.approx(0.1)


@given(LOOKS, st.floats(0.5, 1000))
def test_rates_lie_between_the_slowest_and_the_quickest_rise(looks: list[tuple[float, float]], window_s: float) -> None:
    series = Series(window_s)
    now = total = 0.0
    series.add(now, total)
    for wait, rise in looks:
        now, total = now + wait, total + rise
        series.add(now, total)
        rate = series.rate(now)
        if rate is not None:
            assert -1e-6 <= rate <= max(r / w for w, r in looks) * (1 + 1e-6)
        assert -1e-6 <= series.rise(now) <= total * (1 + 1e-6)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_no_course_of_a_counter_makes_it_fall(values: list[float]) -> None:
    series = Series(window_s=5)
    for second, value in enumerate(values):
        series.add(second, value)
        assert series.rise(second) >= 0
        assert (series.rate(second) or 0) >= 0
        assert (series.left(second, value + 1) or 0) >= 0
