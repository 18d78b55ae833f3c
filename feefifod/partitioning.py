"""How QuestDB divides a table by time, and how few of its partitions one step may touch.

Each column of each partition that a query or a write touches is a file and a memory map, and Linux grants a process
65,530 maps by default. By DAY, 13 years are 4,750 partitions and 52,000 maps, for each reader of the whole table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST_PARTITIONS: Final = 250
"""What one window, or one question of ours, touches at most: 2,750 maps for each version of them that is being read."""

PACED_PARTITIONS: Final = 100
"""After a window that touches so many, QuestDB has to make it visible before the next: else it would merge both."""

_WEEK_SECONDS: Final = 7 * 86_400
_MONDAY_SECONDS: Final = 4 * 86_400
"""1970-01-05 was a Monday, and QuestDB's weeks begin with it; numpy's begin with a Thursday."""


class Partitioning(StrEnum):
    """The piece of time that has a folder of its own."""

    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    YEAR = "YEAR"

    def number(self, seconds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number the partitions that these instants (unix seconds) lie in."""
        if self is Partitioning.WEEK:
            return (seconds - _MONDAY_SECONDS) // _WEEK_SECONDS
        return seconds.view("datetime64[s]").astype(_UNITS[self]).view(np.int64)

    def locate(self, seconds: int) -> int:
        """Number the partition that one instant (unix seconds) lies in."""
        return int(self.number(np.array([seconds], np.int64))[0])

    def start(self, number: int) -> int:
        """Return the first instant of a partition, in unix seconds."""
        if self is Partitioning.WEEK:
            return number * _WEEK_SECONDS + _MONDAY_SECONDS
        return int(np.array([number], np.int64).view(_UNITS[self]).astype("datetime64[s]").view(np.int64)[0])

    def find_starts(self, time_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indexes at which another partition begins, of ascending instants (microseconds)."""
        return np.flatnonzero(np.diff(self.number(time_us // 1_000_000), prepend=-(2**62)))

    def divide(self, first_us: int, last_us: int) -> list[tuple[int, int]]:
        """Divide a span of time, both ends included, into spans that touch `MOST_PARTITIONS` at most each."""
        first, last = self.locate(first_us // 1_000_000), self.locate(last_us // 1_000_000)
        starts = [
            self.start(number) * 1_000_000 for number in range(first + MOST_PARTITIONS, last + 1, MOST_PARTITIONS)
        ]
        return list(zip([first_us, *starts], [*(start - 1 for start in starts), last_us], strict=True))

    def divide_within(self, first_us: int, last_us: int, ends: tuple[int, int] | None) -> list[tuple[int, int]]:
        """Divide a span as `divide` does, but only where the table, which ends there, has partitions at all."""
        if ends is None or ends[1] < first_us or ends[0] > last_us:
            return [(first_us, last_us)]
        spans = self.divide(max(first_us, ends[0]), min(last_us, ends[1]))
        spans[0] = (first_us, spans[0][1])
        spans[-1] = (spans[-1][0], last_us)
        return spans


_UNITS: Final = {
    Partitioning.HOUR: "datetime64[h]",
    Partitioning.DAY: "datetime64[D]",
    Partitioning.MONTH: "datetime64[M]",
    Partitioning.YEAR: "datetime64[Y]",
}
