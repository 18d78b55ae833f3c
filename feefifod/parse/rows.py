"""A whole file that is not perfectly regular, read in bounded memory: the good rows, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from feefifod.errors import BadInput, Unavailable
from feefifod.model import Candles
from feefifod.parse.columns import parse_fast, times_are_regular
from feefifod.parse.line import EARLIEST_SECONDS, KEPT_BYTES, MAX_LINE_BYTES, Row, escape, parse_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from feefifod.parse.head import Head

_BY_LINE_BYTES: Final = 4096  # Below this a call of the fast reader costs as much as reading line by line.
_MAX_REJECTS: Final = 1000  # A file of nothing but bad lines must not pile up either.


@dataclass(frozen=True, slots=True)
class Reject:
    """One refused line.

    Attributes:
        line: its number in the file, from 1, header and blank lines counted.
        text: what it says, unprintable bytes as backslash escapes; the first 200 bytes of a line that is too long.
    """

    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class RowsChunk:
    """The next piece of a file. `lines` is the sum of candles, rejects and blank lines; the header is none of them."""

    candles: Candles
    rejects: list[Reject]
    lines: int
    blanks: int


def read_rows(
    read: Callable[[int], bytes],
    *,
    head: Head,
    interval_minutes: int,
    latest_seconds: int,
    chunk_bytes: int = 1 << 20,
    terminated: bool,
) -> Iterator[RowsChunk]:
    """Read a file to its end, in the file's order.

    Args:
        read: gives the next bytes, at most as many as asked for and none at the end; starts at the file's first byte.
        head: how the file begins. Six fields only after `has_only_six_fields`; with seven,
            shorter rows are refused.
        latest_seconds: the last instant that a candle may start at, unix seconds UTC.
        terminated: whether the file was seen to end in a newline. If not, its last line is refused.

    Raises:
        Unavailable: the last line has lost its newline meanwhile, so the file is being changed.
    """
    skipped = _read_exactly(read, head.data_start)
    reader = _Reader(head.fields, interval_minutes, latest_seconds, line=1 + skipped.count(b"\n"))
    for piece in _cut_at_newlines(read, chunk_bytes):
        if piece.endswith(b"\n"):
            yield from reader.read_lines(piece)
        elif len(piece) > MAX_LINE_BYTES:
            reader.refuse(piece[:KEPT_BYTES], "line too long")
        elif not piece.strip():
            reader.pass_blank()
        elif terminated:
            raise Unavailable("the file is being changed: its last line has no newline any more")
        else:
            reader.refuse(piece, "unterminated last line")
    if reader.lines:
        yield reader.take()


def has_only_six_fields(read: Callable[[int], bytes], data_start: int, chunk_bytes: int = 1 << 20) -> bool:
    """Tell whether every row of a file has six fields; blank lines and an unterminated last line do not count.

    Args:
        read: as in `read_rows`.
    """
    _read_exactly(read, data_start)
    for piece in _cut_at_newlines(read, chunk_bytes):
        if piece.endswith(b"\n"):
            if any(line.count(b",") != 5 for line in piece.split(b"\n") if line.strip()):
                return False
        elif len(piece) > MAX_LINE_BYTES:
            return False
    return True


@dataclass(slots=True)
class _Reader:
    """Collects what lines hold until there is enough for a chunk."""

    fields: int
    interval_minutes: int
    latest_seconds: int
    line: int
    parts: list[Candles] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    lines: int = 0
    blanks: int = 0

    def read_lines(self, data: bytes) -> Iterator[RowsChunk]:
        """Read complete lines, halving what the fast reader does not take until the bad lines are alone."""
        todo = [data]
        while todo:
            piece = todo.pop()
            candles = parse_fast(piece, self.fields)
            if candles is not None and times_are_regular(
                candles.time_seconds, self.interval_minutes, EARLIEST_SECONDS, self.latest_seconds
            ):
                self.parts.append(candles)
                self._count(len(candles))
            elif len(piece) <= _BY_LINE_BYTES:
                self._read_by_line(piece)
            else:
                middle = len(piece) // 2
                cut = piece.rfind(b"\n", 0, middle) + 1 or piece.find(b"\n", middle) + 1
                if cut == len(piece):
                    self._read_by_line(piece)
                else:
                    todo += [piece[cut:], piece[:cut]]
            if len(self.rejects) >= _MAX_REJECTS:
                yield self.take()
        if self.lines:
            yield self.take()

    def refuse(self, raw: bytes, reason: str) -> None:
        """Count a line as refused."""
        self.rejects.append(Reject(self.line, reason, escape(raw.removesuffix(b"\r"))))
        self._count(1)

    def pass_blank(self) -> None:
        """Count a blank line."""
        self.blanks += 1
        self._count(1)

    def take(self) -> RowsChunk:
        """Give what was collected, and begin anew."""
        chunk = RowsChunk(_join(self.parts), self.rejects, self.lines, self.blanks)
        self.parts, self.rejects, self.lines, self.blanks = [], [], 0, 0
        return chunk

    def _read_by_line(self, piece: bytes) -> None:
        rows: list[Row] = []
        for raw in piece[:-1].split(b"\n"):
            if len(raw) > MAX_LINE_BYTES:
                self.refuse(raw[:KEPT_BYTES], "line too long")
            elif not raw.strip():
                self.pass_blank()
            else:
                try:
                    rows.append(parse_line(raw, self.interval_minutes, self.fields, self.latest_seconds))
                    self._count(1)
                except BadInput as error:
                    self.refuse(raw, error.why)
        if rows:
            self.parts.append(_make_candles(rows))

    def _count(self, lines: int) -> None:
        self.line += lines
        self.lines += lines


def _cut_at_newlines(read: Callable[[int], bytes], chunk_bytes: int) -> Iterator[bytes]:
    """Give blocks of complete lines; a piece that ends in no newline is a line that is too long, or the last one.

    Of a line that is too long only the beginning is given, one byte more than a line may have; the rest is passed over.
    """
    begun = b""
    too_long = False
    while data := read(chunk_bytes):
        if too_long:
            newline = data.find(b"\n")
            if newline < 0:
                continue
            data = data[newline + 1 :]
            too_long = False
        end = data.rfind(b"\n") + 1
        if end:
            yield begun + data[:end]
            begun = b""
        begun += data[end:]
        if len(begun) > MAX_LINE_BYTES:
            yield begun[: MAX_LINE_BYTES + 1]
            begun = b""
            too_long = True
    if begun:
        yield begun


def _read_exactly(read: Callable[[int], bytes], count: int) -> bytes:
    data = b""
    while len(data) < count and (more := read(count - len(data))):
        data += more
    return data


def _make_candles(rows: list[Row]) -> Candles:
    table = np.array([row[1:6] for row in rows], np.float64).reshape(-1, 5)
    return Candles(
        np.array([row.time_seconds for row in rows], np.int64),
        open=table[:, 0],
        high=table[:, 1],
        low=table[:, 2],
        close=table[:, 3],
        volume=table[:, 4],
        trade_count=np.array([row.trade_count for row in rows], np.int32),
    )


def _join(parts: list[Candles]) -> Candles:
    if len(parts) == 1:
        return parts[0]
    parts = parts or [_make_candles([])]
    return Candles(
        np.concatenate([part.time_seconds for part in parts]),
        open=np.concatenate([part.open for part in parts]),
        high=np.concatenate([part.high for part in parts]),
        low=np.concatenate([part.low for part in parts]),
        close=np.concatenate([part.close for part in parts]),
        volume=np.concatenate([part.volume for part in parts]),
        trade_count=np.concatenate([part.trade_count for part in parts]),
    )
