"""What measurements at several sizes say of other sizes: pure arithmetic, on made-up times."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reviewer.review.fit import Fit, Kind, Point, Range, fit

SIZES = (10_000, 10_000, 30_000, 90_000)


def _fitted(seconds: Callable[[int], float], noise: float = 0.0, *, works: bool = True) -> Fit:
    times = [seconds(rows) * (1 + noise * (position == 1)) for position, rows in enumerate(SIZES)]
    return fit([Point(rows, time) for rows, time in zip(SIZES, times, strict=True)], works)


def test_what_costs_the_same_for_every_row_is_linear() -> None:
    found = _fitted(lambda rows: 0.01 + rows * 2e-6)
    assert found.kind is Kind.LINEAR
    assert found.per_million.low < 2 < found.per_million.high
    assert found.per_million.high < 2 * found.per_million.low


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_the_truth_at_thirty_times_the_size_is_in_the_range(noise: float) -> None:
    there = _fitted(lambda rows: 0.02 + rows * 4e-6, noise).at(3_000_000)
    assert there.low < 12.02 < there.high


def test_what_compares_all_with_all_is_worse_than_linear() -> None:
    found = _fitted(lambda rows: 1e-9 * rows * rows)
    assert found.kind is Kind.WORSE
    assert 1.9 < found.exponent < 2.1
    there = found.at(900_000)
    assert there.low < 810 < there.high


def test_a_sort_counts_as_linear() -> None:
    from math import log

    found = _fitted(lambda rows: 1e-6 * rows * log(rows))
    assert found.kind is Kind.LINEAR
    there = found.at(3_000_000)
    assert there.low < 1e-6 * 3_000_000 * log(3_000_000) < there.high


def test_what_does_nothing_with_rows_and_takes_the_same_is_flat() -> None:
    found = _fitted(lambda _: 0.004, 0.1, works=False)
    assert found.kind is Kind.FLAT
    assert found.at(1_000_000_000).high < 0.01


def test_what_works_with_rows_and_ran_too_short_could_not_be_measured() -> None:
    found = _fitted(lambda rows: 0.001 + rows * 1e-9)
    assert found.kind is Kind.UNMEASURED
    assert "too short" in found.reason
    assert found.per_million.low == 0
    assert found.per_million.high > 0.001


def test_growth_within_the_noise_could_not_be_measured() -> None:
    found = _fitted(lambda rows: 1 + rows * 1e-6, 0.5)
    assert found.kind is Kind.UNMEASURED
    assert "two runs of the same size" in found.reason


def test_more_noise_makes_a_wider_range() -> None:
    quiet, loud = (_fitted(lambda rows: rows * 1e-5, noise).at(1_000_000) for noise in (0.0, 0.5))
    assert loud.high / loud.low > quiet.high / quiet.low


def test_a_size_below_the_largest_is_read_between_the_measurements() -> None:
    found = _fitted(lambda rows: rows * 1e-5).at(60_000)
    assert found.low < 0.6 < found.high
    assert found.high < 0.75


def test_two_sizes_are_too_few_to_say_how_it_grows() -> None:
    found = fit([Point(1000, 0.1), Point(1000, 0.1), Point(3000, 0.3)])
    assert found.kind is Kind.UNMEASURED
    assert "two sizes" in found.reason
    assert found.at(9000).low < 0.9 < found.at(9000).high


def test_one_size_says_nothing_but_a_bound() -> None:
    assert fit([Point(1000, 0.1), Point(1000, 0.2)]).kind is Kind.UNMEASURED


def test_ranges_add_up_and_stretch() -> None:
    assert Range(1, 2) + Range(3, 5) == Range(4, 7)
    assert Range(1, 4).times(2) == Range(2, 8)
    assert Range(1, 4).middle == 2


def test_a_run_that_something_else_slowed_down_changes_little() -> None:
    times = [(rows, rows * 1e-5 * slower) for rows in (10_000, 30_000, 90_000) for slower in (1.0, 1.02, 3.0)]
    there = fit([Point(rows, seconds) for rows, seconds in times]).at(1_000_000)
    assert there.low < 10 < there.high
    assert there.high / there.low < 3


def test_the_further_runs_are_from_a_line_the_wider_the_range() -> None:
    near, far = (
        fit([Point(rows, rows * 1e-5 * off) for rows in (10_000, 30_000, 90_000) for off in (1.0, each)]).at(
            3_000_000
        )
        for each in (1.1, 1.8)
    )
    assert far.high / far.low > 1.3 * near.high / near.low


def test_times_that_go_up_and_down_with_the_rows_were_not_measured() -> None:
    found = fit([Point(1_000, 0.0057), Point(3_000, 0.0014), Point(9_000, 0.0102)])
    assert found.kind is Kind.UNMEASURED
    assert "too short" in found.reason
    assert fit(found.points, works=False).kind is Kind.FLAT


def test_a_busy_machine_makes_only_the_lower_end_lower() -> None:
    sizes = [rows for rows in (10_000, 30_000, 90_000) for _ in range(2)]
    quiet, busy = (
        fit([Point(rows, rows * 1e-5, waited * rows * 1e-5) for rows in sizes]).at(3_000_000) for waited in (0, 3)
    )
    assert busy.high == quiet.high
    assert 0.55 * quiet.low < busy.low < 0.85 * quiet.low
    assert not busy.vague


def test_times_that_agree_make_a_range_that_one_can_plan_with() -> None:
    for off in (1.0, 1.1, 1.3):
        points = [Point(rows, rows * 1e-5 * other) for rows in (10_000, 30_000, 90_000) for other in (1.0, off)]
        assert not fit(points).at(3_000_000).vague, off


def test_one_slow_run_at_the_largest_size_is_no_bend() -> None:
    twice = [(rows, rows * 1e-5) for rows in (10_000, 30_000) for _ in range(2)]
    bent = [(90_000, 1.8)]
    assert fit([Point(*each) for each in (*twice, *bent)]).kind is Kind.LINEAR
    assert fit([Point(*each) for each in (*twice, *bent, *bent)]).kind is Kind.WORSE


def test_what_takes_hardly_any_time_is_never_too_vague() -> None:
    assert not Range(0.001, 0.09).vague
    assert Range(0.1, 0.5).vague
    assert not Range(1, 4).vague


def test_few_rows_say_nothing_about_a_million() -> None:
    found = fit([Point(2, 0.001), Point(2, 0.002), Point(20, 0.01)])
    assert not found.bounded
    assert found.reason == "its tables had no more than 20 rows"


def test_a_table_that_stayed_as_it_was_is_told() -> None:
    assert fit([Point(500, 0.1), Point(500, 0.2)]).reason == "its tables had 500 rows in every run"
