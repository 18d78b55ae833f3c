"""Windows are bounded in rows and in the partitions of the table that they touch, whatever its partitioning is."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feefifod.partitioning import MOST_PARTITIONS, Partitioning
from feefifod.sweep.cuts import choose_cuts

_DAY = 86_400
_START = int(datetime(2013, 10, 6, tzinfo=UTC).timestamp())
_DAYS = 4_750


def make_density(start: int, until: int, rows: float) -> tuple[np.ndarray, np.ndarray]:
    times = np.linspace(start, until, 65).astype(np.int64)
    return times, np.linspace(0.0, rows, 65)


def count_partitions(partitioning: Partitioning, start: int, until: int) -> int:
    return partitioning.locate(until - 1) - partitioning.locate(start) + 1


@pytest.mark.parametrize("partitioning", list(Partitioning))
def test_daily_candles_of_thirteen_years_touch_few_partitions_in_each_window(partitioning: Partitioning) -> None:
    end = _START + _DAYS * _DAY
    cuts = choose_cuts([make_density(_START, end, _DAYS)], None, 1_000_000, partitioning)

    edges = [_START, *cuts]
    assert edges == sorted(set(edges))
    assert edges[-1] > end
    touched = [count_partitions(partitioning, a, b) for a, b in itertools.pairwise(edges)]
    assert max(touched) <= MOST_PARTITIONS
    assert sum(touched) - count_partitions(partitioning, _START, edges[-1]) <= len(cuts) - 1
    if partitioning is Partitioning.YEAR:
        assert len(cuts) == 1, "nothing is divided without need"


def test_a_window_ends_where_a_partition_ends() -> None:
    end = _START + _DAYS * _DAY
    cuts = choose_cuts([make_density(_START, end, 40_000_000)], None, 1_000_000, Partitioning.MONTH)

    starts = [cut for cut in cuts if datetime.fromtimestamp(cut, UTC).day == 1 and cut % _DAY == 0]
    assert len(cuts) > 35
    assert len(starts) >= len(cuts) - 1


def test_no_window_is_made_of_years_without_a_row() -> None:
    early = make_density(_START, _START + 10 * _DAY, 1_000)
    late = make_density(_START + 20_000 * _DAY, _START + 20_010 * _DAY, 1_000)

    cuts = choose_cuts([early, late], None, 1_000_000, Partitioning.HOUR)

    assert len(cuts) < 8


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4_000_000_000), st.integers(1, 200_000_000), st.integers(1, 3_000_000)), max_size=5
    ),
    st.sampled_from(list(Partitioning)),
    st.one_of(st.none(), st.integers(0, 4_100_000_000)),
)
def test_cuts_ascend_and_reach_beyond_the_last_row(
    runs: list[tuple[int, int, int]], partitioning: Partitioning, start: int | None
) -> None:
    densities = [make_density(first, first + length, rows) for first, length, rows in runs]
    end = max((first + length for first, length, _ in runs), default=0)
    if start is not None:
        start = min(start, end)

    cuts = choose_cuts(densities, start, 100_000, partitioning)

    assert cuts == sorted(set(cuts))
    assert not densities or cuts[-1] > end


@given(st.integers(0, 4_000_000_000), st.sampled_from(list(Partitioning)))
def test_a_partition_begins_before_and_ends_after_what_lies_in_it(seconds: int, partitioning: Partitioning) -> None:
    number = partitioning.locate(seconds)

    assert partitioning.start(number) <= seconds < partitioning.start(number + 1)
    assert partitioning.locate(partitioning.start(number)) == number
    begin = datetime.fromtimestamp(max(partitioning.start(number), 0), UTC)
    if partitioning is Partitioning.WEEK and number >= 0:
        assert begin.isoweekday() == 1


@given(
    st.integers(0, 4_000_000_000_000_000),
    st.integers(0, 400_000_000_000_000),
    st.sampled_from(list(Partitioning)),
)
def test_a_question_is_divided_without_a_gap(first: int, length: int, partitioning: Partitioning) -> None:
    spans = partitioning.divide(first, first + length)

    assert spans[0][0] == first
    assert spans[-1][1] == first + length
    assert all(b[0] == a[1] + 1 for a, b in itertools.pairwise(spans))
    for start, end in spans:
        assert start <= end
        assert partitioning.locate(end // 1_000_000) - partitioning.locate(start // 1_000_000) < MOST_PARTITIONS


def test_where_the_table_has_nothing_nothing_is_divided() -> None:
    day = 86_400_000_000

    assert Partitioning.DAY.divide_within(0, 100_000 * day, None) == [(0, 100_000 * day)]
    assert Partitioning.DAY.divide_within(0, 100 * day, (200 * day, 900 * day)) == [(0, 100 * day)]
    spans = Partitioning.DAY.divide_within(0, 100_000 * day, (5_000 * day, 5_000 * day + MOST_PARTITIONS * day))
    assert spans == [(0, 5_000 * day + MOST_PARTITIONS * day - 1), (5_000 * day + MOST_PARTITIONS * day, 100_000 * day)]
