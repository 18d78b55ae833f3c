"""What is around the candles of a file that we once wrote, taken off again. Blocking; meant for worker threads.

Retention compresses finished files (`NAME.csv.zst`), and the refused rows of a file are listed (`NAME.csv.rows.csv`).
Both can be dropped as they are. Memory is bounded whatever they hold, and `take` bounds the disk.
"""

from __future__ import annotations

import csv
import errno
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from feefifod.archive.packing import read_packed
from feefifod.errors import BadInput
from feefifod.parse.names import PACKED_SUFFIX, ROWS_SUFFIX
from feefifod.pulse import beat

ROWS_HEADER: Final = ("line", "reason", "text")
MOST_RATIO: Final = 100
"""Candles shrink to a third; what shrinks to a hundredth is made to fill disks."""
_FREE_BYTES: Final = 1024 * 1024
_MOST_BYTES: Final = 2 * 1024**3
_MOST_LINE: Final = 256 * 1024
_PIECE_BYTES: Final = 1024 * 1024


def unwrap_file(fd: int, wrapping: str, target: Path, take: Callable[[int], None] = lambda _: None) -> None:
    """Write what is inside of an open file to `target`, which does not exist yet.

    Args:
        wrapping: what is around it, see `parse.names`.
        take: called with the bytes that are about to be written; raises OSError when they are too many.

    Raises:
        BadInput: it is damaged, made to fill disks, or no list of refused rows.
        OSError: it cannot be read or written.
    """
    with target.open("xb") as file:
        for piece in unwrap(fd, wrapping):
            take(len(piece))
            file.write(piece)
            beat()


def unwrap(fd: int, wrapping: str) -> Iterator[bytes]:
    """Read what is inside of an open file, piece by piece; raises as `unwrap_file`."""
    pieces = _read_packed(fd) if wrapping.endswith(PACKED_SUFFIX) else _read(fd)
    return read_texts(pieces) if wrapping.removesuffix(PACKED_SUFFIX).endswith(ROWS_SUFFIX) else pieces


def _read(fd: int) -> Iterator[bytes]:
    offset = 0
    while piece := os.pread(fd, _PIECE_BYTES, offset):
        offset += len(piece)
        yield piece


def _read_packed(fd: int) -> Iterator[bytes]:
    packed_bytes = os.fstat(fd).st_size
    most = min(max(_FREE_BYTES, packed_bytes * MOST_RATIO), _MOST_BYTES)
    size = 0
    try:
        for piece in read_packed(fd):
            size += len(piece)
            if size > most:
                raise BadInput(
                    f"it unpacks to more than {most:,} bytes from {packed_bytes:,}", remedy="Unpack it, and drop that"
                )
            yield piece
    except OSError as error:
        if error.errno is not None and error.errno != errno.EINVAL:
            raise
        why = "it is cut off or damaged" if "truncated" in str(error).lower() else f"it is no whole .zst file: {error}"
        raise BadInput(why, remedy="Copy or download it again") from error


def read_texts(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Read the texts of a list of refused rows, a line each.

    Raises:
        BadInput: it is no such list.
    """
    text = io.TextIOWrapper(io.BufferedReader(_Pieces(pieces)), encoding="utf-8-sig", newline="")
    reader = csv.reader(_lines(text))
    try:
        if tuple(next(reader, ())) != ROWS_HEADER:
            raise BadInput(
                "it does not begin as a list of refused rows",
                remedy="Its columns are line,reason,text: correct only the last one",
            )
        for row in reader:
            if len(row) != len(ROWS_HEADER):
                raise BadInput(f"line {reader.line_num} has other than three columns: line,reason,text")
            if row[2]:  # The note that there were too many has no text.
                yield f"{row[2]}\n".encode()
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"line {reader.line_num + 1}: it is no CSV in UTF-8: {error}") from error


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(_MOST_LINE):
        if len(line) == _MOST_LINE:
            raise BadInput(f"a line is longer than {_MOST_LINE:,} characters")
        yield line


class _Pieces(io.RawIOBase):
    """Reads pieces of bytes as one file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # It is called with one by BufferedReader.
        """Read some bytes, none at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
