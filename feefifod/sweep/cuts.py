"""Where one window ends and the next begins: instants that cut the batch into about equally many rows.

A window also touches few partitions of the table: QuestDB needs memory maps for each of them, and readers keep those
of the partitions as they were before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from feefifod.partitioning import MOST_PARTITIONS, Partitioning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MINUTE: Final = 60


def choose_cuts(
    densities: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
    start_seconds: int | None,
    window_rows: int,
    partitioning: Partitioning,
) -> list[int]:
    """Return ascending instants; window k holds the rows in [cuts[k-1], cuts[k]), the last cut is after all rows.

    Args:
        densities: of each run, times and the estimated rows before each of them.
        start_seconds: rows before this are in already and count for nothing.
        window_rows: how many rows a window should have.
        partitioning: the table's.
    """
    if not densities:
        return []
    # Each piece of a run adds a constant slope of rows per second between its ends.
    edges = np.concatenate([np.concatenate((times[:-1], times[1:])) for times, _ in densities])
    slopes = [np.diff(rows) / np.maximum(np.diff(times), 1) for times, rows in densities]
    changes = np.concatenate([np.concatenate((slope, -slope)) for slope in slopes])
    order = np.argsort(edges, kind="stable")
    instants = edges[order].astype(np.float64)
    slope = np.cumsum(changes[order])
    rows = np.concatenate(([0.0], np.cumsum(slope[:-1] * np.diff(instants))))
    end = int(instants[-1]) + _MINUTE
    first = float(instants[0]) if start_seconds is None else float(start_seconds)
    before = float(np.interp(first, instants, rows))
    count = max(round((float(rows[-1]) - before) / window_rows), 1)
    targets = before + (float(rows[-1]) - before) * np.arange(1, count) / count
    cuts: list[int] = []
    previous = int(first)
    for raw in np.interp(targets, rows, instants):
        cut = _snap(float(raw), previous, partitioning)
        if previous < cut < end:
            cuts.append(cut)
            previous = cut

    def is_empty(start: int, until: int) -> bool:
        before, after = np.interp([start, until], instants, rows)
        return bool(after <= before)

    bounded: list[int] = []
    previous = int(first)
    for cut in [*cuts, end]:
        for near in _bound(previous, cut, partitioning):
            if not is_empty(previous, near):
                bounded.append(near)
                previous = near
        bounded.append(cut)
        previous = cut
    return bounded


def _snap(instant: float, previous: int, partitioning: Partitioning) -> int:
    # A partition that lies in two windows is written twice, so long windows end where one ends.
    number = partitioning.locate(int(instant))
    if number - partitioning.locate(previous) >= 2:
        return min(partitioning.start(number), partitioning.start(number + 1), key=lambda edge: abs(edge - instant))
    return round(instant / _MINUTE) * _MINUTE


def _bound(start: int, until: int, partitioning: Partitioning) -> list[int]:
    """Return where a window has to be divided that touches too many partitions."""
    first, last = partitioning.locate(start), partitioning.locate(until - 1)
    return [partitioning.start(number) for number in range(first + MOST_PARTITIONS, last + 1, MOST_PARTITIONS)]
