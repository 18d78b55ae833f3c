"""The table cut into pieces of time that one question each can copy: at most a month, and not too many rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from feefifod.sink.repartition import Partition

SLICE_ROWS: Final = 4_000_000
"""More than these, and a server may give up on a question of a minute, or keep too much in memory."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_PARTS: Final = 31
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Slice:
    """From `start_us` up to before `end_us`; microseconds since 1970 UTC."""

    start_us: int
    end_us: int

    @property
    def month(self) -> str:
        """Name its month."""
        return (_EPOCH + timedelta(microseconds=self.start_us)).strftime("%Y-%m")


def cut_slices(partitions: Sequence[Partition], *, most_rows: int = SLICE_ROWS) -> list[Slice]:
    """Cut everything that the partitions hold into slices, in the order of time."""
    rows: dict[int, float] = defaultdict(float)
    for partition in partitions:
        months = _list_months(partition.first_us, partition.last_us)
        for month in months:
            rows[month] += partition.rows / len(months)
    slices = []
    for month in sorted(rows):
        end = _next_month(month)
        parts = min(max(-(-int(rows[month]) // most_rows), 1), _MOST_PARTS)
        edges = [month + (end - month) * part // parts for part in range(parts + 1)]
        slices += [Slice(start, stop) for start, stop in pairwise(edges)]
    return slices


def _list_months(first_us: int, last_us: int) -> list[int]:
    first = _EPOCH + timedelta(microseconds=first_us)
    month = (first.replace(day=1, hour=0, minute=0, second=0, microsecond=0) - _EPOCH) // _MICROSECOND
    months = []
    while month <= last_us:
        months.append(month)
        month = _next_month(month)
    return months


def _next_month(month_us: int) -> int:
    later = _EPOCH + timedelta(microseconds=month_us) + timedelta(days=31)
    return (later.replace(day=1) - _EPOCH) // _MICROSECOND
