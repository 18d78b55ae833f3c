"""A whole file that is not perfectly regular, read in bounded memory: the good rows, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from feefifod.errors import BadInput, Unavailable
from feefifod.model import Candles, Series
from feefifod.parse.columns import parse_fast, parse_fast_by_header, times_are_regular
from feefifod.parse.header import Layout, looks_like_header, read_header, split_fields
from feefifod.parse.line import EARLIEST_SECONDS, KEPT_BYTES, MAX_LINE_BYTES, Row, escape, parse_fields, parse_line

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
        header: number and text of the header that says what its columns mean; None where they are Kraken's.
    """

    line: int
    reason: str
    text: str
    header: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class RowsChunk:
    """The next piece of a file. `lines` is the sum of candles, rejects and blank lines.

    The header at the beginning is none of them; one that comes again among the rows counts as a blank line.
    """

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
    series: Series | None = None,
) -> Iterator[RowsChunk]:
    """Read a file to its end, in the file's order. A header among the rows names the columns of the rows below it.

    Args:
        read: gives the next bytes, at most as many as asked for and none at the end; starts at the file's first byte.
        head: how the file begins. Six fields only after `has_only_six_fields`; with seven,
            shorter rows are refused.
        latest_seconds: the last instant that a candle may start at, unix seconds UTC.
        terminated: whether the file was seen to end in a newline. If not, its last line is refused.
        series: what the file's name says.

    Raises:
        Unavailable: the last line has lost its newline meanwhile, so the file is being changed.
    """
    skipped = _read_exactly(read, head.data_start)
    reader = _Reader(head.fields, interval_minutes, latest_seconds, series, line=1 + skipped.count(b"\n"))
    if head.layout is not None:
        reader.follow(head.layout, head.header_line, head.header_text)
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
    """Collects what lines hold until there is enough for a chunk.

    Attributes:
        fields: of rows above any header.
        layout: what the last header says; None above any.
        header: that header, once there was one without which rows would be read in another way.
        lost: why the columns are not known: the last header cannot be understood.
        symbols: what the first row says in the columns that have to be the same in all of them.
    """

    fields: int
    interval_minutes: int
    latest_seconds: int
    series: Series | None
    line: int
    layout: Layout | None = None
    header: tuple[int, str] | None = None
    lost: str = ""
    symbols: list[bytes] | None = None
    parts: list[Candles] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    lines: int = 0
    blanks: int = 0

    def read_lines(self, data: bytes) -> Iterator[RowsChunk]:
        """Read complete lines, halving what the fast reader does not take until the bad lines are alone."""
        todo = [data]
        while todo:
            piece = todo.pop()
            candles = self._parse_fast(piece)
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
        self.rejects.append(Reject(self.line, reason, escape(raw.removesuffix(b"\r")), self.header))
        self._count(1)

    def follow(self, layout: Layout, line: int, text: bytes) -> None:
        """Read the rows from here on as a header says."""
        self.layout, self.lost, self.symbols = layout, "", None
        if self.header is not None or not layout.self_evident:
            self.header = (line, escape(text))

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
                    rows.append(self._parse_line(raw))
                    self._count(1)
                except BadInput as error:
                    if looks_like_header(raw, among_rows=True):
                        self._meet_header(raw)
                    else:
                        self.refuse(raw, error.why)
        if rows:
            self.parts.append(_make_candles(rows))

    def _meet_header(self, raw: bytes) -> None:
        """Read the rows below as this line says; where it cannot be understood, they are refused."""
        try:
            self.follow(read_header(raw, self.line, self.series), self.line, raw.removesuffix(b"\r"))
            self.pass_blank()
        except BadInput as error:
            self.lost = f"{error.where}: {error.why}"
            self.refuse(raw, error.why)

    def _parse_fast(self, piece: bytes) -> Candles | None:
        if self.lost:
            return None
        return parse_fast(piece, self.fields) if self.layout is None else parse_fast_by_header(piece, self.layout)

    def _parse_line(self, raw: bytes) -> Row:
        """Read one line by the last header.

        Raises:
            BadInput: it is no good row.
        """
        layout = self.layout
        if self.lost:
            raise BadInput(f"below a header that cannot be understood ({self.lost})")
        if layout is None:
            return parse_line(raw, self.interval_minutes, self.fields, self.latest_seconds)
        texts = split_fields(raw.removesuffix(b"\r"))
        if len(texts) != layout.width:
            count = f"{len(texts)} field{'' if len(texts) == 1 else 's'}"
            raise BadInput(f"{count} instead of the {layout.width} that the header names")
        row = parse_fields([texts[place] for place in layout.places], self.interval_minutes, self.latest_seconds)
        symbols = [texts[place] for place in layout.symbols]
        if symbols != (self.symbols or symbols):
            raise BadInput("the symbol is not that of the first row: a file holds one series")
        self.symbols = symbols
        return row

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
