"""A run: rows of one file in time order, taken piece by piece."""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa

from feefifod.errors import FeefifodError
from feefifod.model import Candles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXHAUSTED: Final = 2**62
"""The next time of a run that has no rows left."""

_LONGEST_ROW: Final = 4096
_STEP_BYTES: Final = (16 * 1024, 256 * 1024)


class Irregular(FeefifodError):
    """The file is not in perfect order: it has to be put in order on its own first."""


class FileChanged(FeefifodError):
    """The file is not what it was when it was claimed: it has to settle again."""


@dataclass(frozen=True, slots=True)
class SweepFile:
    """What the sweep has to know of a file.

    Attributes:
        id: its ledger row.
        order: the order of drops; among equal rows the later one wins.
        open: opens the file read-only and makes sure that it is the one that was claimed.
        data_start: the byte at which its first row begins.
        fields: 7, or 6 without a trade count.
        size: bytes; the last one is a newline.
    """

    id: int
    order: int
    open: Callable[[], int]
    size: int
    data_start: int
    fields: int
    asset_id: int
    interval_minutes: int
    quote: str

    @property
    def series(self) -> str:
        """The series as a key of a JSON object."""
        return f"{self.asset_id}/{self.interval_minutes}/{self.quote}"


class Unreadable(FileChanged):
    """The system cannot read the file, for now at least."""


class Run(Protocol):
    """Rows in time order.

    Attributes:
        file: whose rows they are.
        first_seconds, last_seconds: times of the first and the last row.
        next_seconds: time of the next row, or EXHAUSTED.
    """

    file: SweepFile
    first_seconds: int
    last_seconds: int
    next_seconds: int

    def density(self) -> tuple[np.ndarray, np.ndarray]:
        """Return times (int64, ascending) and the estimated number of rows before each of them."""

    def seek(self, seconds: int) -> int:
        """Skip all rows before this instant and return how many they are."""

    def estimate_bytes(self, until_seconds: int) -> int:
        """Return about how many bytes `take` would hold."""

    def close(self) -> None:
        """Give back what is held."""


class CsvRun:
    """A file that is sorted by time, found by bisection on its bytes.

    Nothing is believed: what was taken is checked for order and range by the reader of the window.
    """

    def __init__(self, file: SweepFile, *, keep_open: bool) -> None:
        self.file = file
        self._fd = -1
        self._keep_open = keep_open
        try:
            self._open()
            self._index()
        except BaseException:
            self.close()
            raise
        self._pause()

    def _open(self) -> None:
        try:
            self._fd = self.file.open()
        except FileNotFoundError as error:
            raise FileChanged(error.strerror or str(error)) from error
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from error

    def _index(self) -> None:
        start, size = self.file.data_start, self.file.size
        step = min(max(size // 64, _STEP_BYTES[0]), _STEP_BYTES[1])
        head = self._pread(min(_LONGEST_ROW, size - start), start)
        lines = max(head.count(b"\n"), 1)
        self._row_bytes = max((head.rfind(b"\n") + 1) / lines, 8.0)
        times, offsets = [parse_time(head, 0)], [start]
        for offset in range(start + step, size - _LONGEST_ROW, step):
            piece = self._pread(256, offset)
            newline = piece.find(b"\n")
            if newline < 0 or newline + 24 > len(piece):
                raise Irregular("a line is longer than a row can be")
            times.append(parse_time(piece, newline + 1))
            offsets.append(offset + newline + 1)
        tail_start = max(start, size - 2 * _LONGEST_ROW)
        tail = self._pread(size - tail_start, tail_start)
        if not tail.endswith(b"\n"):
            raise Irregular("the last line is not terminated")
        last_line = tail.rfind(b"\n", 0, len(tail) - 1) + 1
        self.last_seconds = parse_time(tail, last_line)
        if any(b <= a for a, b in zip(times, [*times[1:], self.last_seconds + 1], strict=True)):
            raise Irregular("the rows are not sorted by time")
        self.first_seconds = times[0]
        self._times, self._offsets = times, offsets
        self._position = start
        self.next_seconds = times[0]

    def density(self) -> tuple[np.ndarray, np.ndarray]:
        """Return times and the estimated number of rows before each of them."""
        times = np.array([*self._times, self.last_seconds + 60 * self.file.interval_minutes], dtype=np.int64)
        offsets = np.array([*self._offsets, self.file.size], dtype=np.float64)
        return times, (offsets - self.file.data_start) / self._row_bytes

    def estimate_bytes(self, until_seconds: int) -> int:
        """Return how many bytes `take` would read, at most."""
        index = bisect_left(self._times, until_seconds)
        end = self._offsets[index] if index < len(self._offsets) else self.file.size
        return max(end - self._position, 0)

    def seek(self, seconds: int) -> int:
        """Skip all rows before this instant and return how many they are."""
        rows = 0
        while self.next_seconds < seconds:
            # Skipping in the index's own steps keeps the memory of a resume as small as that of a window.
            index = bisect_left(self._offsets, self._position + 1)
            step = self._times[index] if index < len(self._times) else EXHAUSTED
            rows += self.take(min(step, seconds)).count(b"\n")
        return rows

    def take(self, until_seconds: int) -> bytes:
        """Return the rows before this instant as complete lines, and move on.

        Raises:
            FileChanged: the file is shorter than it was, or another one.
            Irregular: a time cannot be read.
        """
        index = bisect_left(self._times, until_seconds)
        end = self._offsets[index] if index < len(self._offsets) else self.file.size
        if self._fd < 0:
            self._open()
        try:
            data = self._pread(end - self._position, self._position)
        finally:
            self._pause()
        next_time = self._times[index] if index < len(self._times) else self.last_seconds + 1
        if next_time <= until_seconds:
            boundary = len(data)
        else:
            start = max(self._offsets[index - 1] - self._position, 0) if index else 0
            boundary = find_time(data, start, until_seconds)
        self._position += boundary
        if boundary < len(data):
            self.next_seconds = parse_time(data, boundary)
            return data[:boundary]
        self.next_seconds = self._times[index] if index < len(self._times) else EXHAUSTED
        return data

    def _pread(self, size: int, offset: int) -> bytes:
        try:
            data = os.pread(self._fd, size, offset)
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from error
        if len(data) < size:
            raise FileChanged("it became shorter while it was read")
        return data

    def _pause(self) -> None:
        if not self._keep_open:
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ArrowRun:
    """Rows that were put in order by us, in an Arrow file in scratch space (see `order`)."""

    def __init__(self, file: SweepFile, path: Path) -> None:
        self.file = file
        with path.open("rb") as arrow:
            self._map = mmap.mmap(arrow.fileno(), 0, access=mmap.ACCESS_READ)
        batch = pa.ipc.open_file(pa.py_buffer(self._map)).get_batch(0)
        self._columns: list[Any] = [np.from_dlpack(column) for column in batch.columns]
        self._times = self._columns[0]
        self._position = 0
        self.first_seconds, self.last_seconds = int(self._times[0]), int(self._times[-1])
        self.next_seconds = self.first_seconds

    def density(self) -> tuple[np.ndarray, np.ndarray]:
        """Return times and the number of rows before each of them."""
        picks = np.unique(np.linspace(0, len(self._times) - 1, 65).astype(np.int64))
        times, first = np.unique(self._times[picks], return_index=True)
        end = self.last_seconds + 60 * self.file.interval_minutes
        return np.append(times, end), np.append(picks[first], len(self._times)).astype(np.float64)

    def seek(self, seconds: int) -> int:
        """Skip all rows before this instant and return how many they are."""
        return len(self.take_rows(seconds))

    def estimate_bytes(self, until_seconds: int) -> int:
        """Return how many bytes of rows there are before this instant."""
        return int(np.searchsorted(self._times, until_seconds) - self._position) * 56

    def take_rows(self, until_seconds: int) -> Candles:
        """Return the rows before this instant and move on; equal times may follow each other."""
        # What was read of the map would count as our memory to the end; it comes back from the page cache if need be.
        self._map.madvise(mmap.MADV_DONTNEED)
        start, end = self._position, int(np.searchsorted(self._times, until_seconds))
        self._position = end
        self.next_seconds = int(self._times[end]) if end < len(self._times) else EXHAUSTED
        return Candles(*(column[start:end] for column in self._columns))

    def close(self) -> None:
        """Let go of the rows; the file is unmapped when the last of those that were taken are gone."""
        self._columns, self._times = [], np.empty(0, np.int64)


def parse_time(data: bytes, offset: int) -> int:
    """Return the time of the row that begins at `offset`.

    Raises:
        Irregular: there is no plain whole number.
    """
    comma = data.find(b",", offset, offset + 24)
    field = data[offset:comma] if comma > 0 else b""
    if not field.isdigit():
        raise Irregular("a row does not begin with a time in whole seconds")
    return int(field)


def find_time(data: bytes, start: int, seconds: int) -> int:
    """Return where the first row at or after this instant begins, by bisection on sorted complete lines.

    `start` is where some row begins; the answer is len(data) when all rows are earlier.
    """
    low, high = start, len(data)
    while low < high:
        middle = (low + high) // 2
        row = data.rfind(b"\n", low, middle) + 1
        row = max(row, low)
        if parse_time(data, row) < seconds:
            low = data.find(b"\n", middle) + 1
        else:
            high = row
    return low
