"""Pieces of time that one question can copy: whole, in order, at most a month, and not too many rows."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from feefifod.repartition.slices import Slice, cut_slices
from feefifod.sink.repartition import Partition


def _us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def _partition(first: str, last: str, rows: int = 100) -> Partition:
    return Partition(_us(first), _us(last), rows, 0)


def test_days_of_a_month_are_one_piece() -> None:
    days = [_partition(f"2024-02-{day:02}", f"2024-02-{day:02} 23:00") for day in (1, 15, 29)]
    assert cut_slices(days) == [Slice(_us("2024-02-01"), _us("2024-03-01"))]


def test_a_year_is_cut_into_months_and_gaps_are_left_out() -> None:
    pieces = cut_slices([_partition("2023-11-05", "2023-12-31 23:59"), _partition("2025-01-01", "2025-01-01")])
    assert [piece.month for piece in pieces] == ["2023-11", "2023-12", "2025-01"]
    assert pieces[1] == Slice(_us("2023-12-01"), _us("2024-01-01"))


def test_a_week_that_spans_two_months_is_in_both() -> None:
    assert [piece.month for piece in cut_slices([_partition("2024-01-29", "2024-02-04")])] == ["2024-01", "2024-02"]


def test_many_rows_make_smaller_pieces_without_a_gap() -> None:
    pieces = cut_slices([_partition("2024-01-01", "2024-01-31 23:59", 1_000)], most_rows=300)
    assert len(pieces) == 4
    assert pieces[0].start_us == _us("2024-01-01")
    assert pieces[-1].end_us == _us("2024-02-01")
    assert all(one.end_us == two.start_us for one, two in pairwise(pieces))


def test_nothing_is_no_piece() -> None:
    assert cut_slices([]) == []
