"""Row by row: which candles of one series and month are missing, too many, or have other values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from feefifod.model import INT_NULL
from feefifod.verify.report import RowCounts, format_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from feefifod.model import Frame
    from feefifod.sink.checksums import StoredRows

_COLUMNS: Final = ("open", "high", "low", "close", "volume")
_EXAMPLES: Final = 5


@dataclass(slots=True)
class FileRows:
    """The rows of one series and month that the files have, piece by piece."""

    pieces: list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int32]]] = field(default_factory=list)

    def add(self, frame: Frame, rows: NDArray[np.int64]) -> None:
        """Take in rows of a frame, which come in the order of time."""
        values = np.stack([getattr(frame, name)[rows] for name in _COLUMNS])
        self.pieces.append((frame.time_us[rows], values, frame.trade_count[rows]))

    def join(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int32]]:
        """Return times, values (one row for each column) and trade counts."""
        empty = (np.empty(0, np.int64), np.empty((5, 0)), np.empty(0, np.int32))
        times, values, counts = zip(empty, *self.pieces, strict=True)
        return np.concatenate(times), np.concatenate(values, axis=1), np.concatenate(counts)


def compare_rows(files: FileRows, stored: StoredRows) -> RowCounts:
    """Compare to the bit. A time that is stored twice is one row too many."""
    times, values, counts = files.join()
    order = np.argsort(stored.time_us, kind="stable")
    found_times, first = np.unique(stored.time_us[order], return_index=True)
    first = order[first]
    repeated = np.setdiff1d(np.arange(len(stored.time_us)), first)
    missing = np.flatnonzero(~np.isin(times, found_times))
    extra = np.concatenate((first[~np.isin(found_times, times)], repeated))
    mine = np.flatnonzero(np.isin(times, found_times))
    theirs = first[np.searchsorted(found_times, times[mine])]
    ours, others = values[:, mine].view(np.uint64), stored.values[:, theirs].copy().view(np.uint64)
    differs = np.vstack([ours != others, counts[mine] != stored.trade_count[theirs]])
    changed = np.flatnonzero(differs.any(axis=0))
    examples = _tell(
        (f"{format_time(int(time))}: only in the files" for time in times[missing]),
        (f"{format_time(int(time))}: only in the table" for time in stored.time_us[extra]),
        (
            _tell_change(
                int(times[mine[row]]),
                differs[:, row].tolist(),
                [*values[:, mine[row]].tolist(), _count(counts[mine[row]])],
                [*stored.values[:, theirs[row]].tolist(), _count(stored.trade_count[theirs[row]])],
            )
            for row in changed
        ),
    )
    return RowCounts(len(missing), len(extra), len(changed), examples)


def _tell(*kinds: Iterator[str]) -> tuple[str, ...]:
    """Take a few of each kind."""
    return tuple(text for kind in kinds for text, _ in zip(kind, range(_EXAMPLES), strict=False))


def _tell_change(time_us: int, differs: list[bool], ours: list[float | None], theirs: list[float | None]) -> str:
    parts = [
        f"{name} is {there}, the files say {here}"
        for name, differ, here, there in zip((*_COLUMNS, "trade_count"), differs, ours, theirs, strict=True)
        if differ
    ]
    return f"{format_time(time_us)}: {'; '.join(parts)}"


def _count(value: np.int32) -> int | None:
    return None if value == INT_NULL else int(value)
