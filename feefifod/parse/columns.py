"""Many lines at once: the hot path, by pyarrow's CSV reader and numpy.

Everything here either gives exactly what `line.parse_line` gives, to the bit, or says that it cannot.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import csv

from feefifod.model import INT_NULL, Candles
from feefifod.parse.line import MAX_LINE_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from feefifod.parse.header import Layout

_NAMES: Final = ("time", "open", "high", "low", "close", "volume", "trade_count")
_BLOCK_BYTES: Final = 2**30  # One block is one batch without copies; bytes are never allocated ahead.
_READ: Final = {
    fields: csv.ReadOptions(use_threads=False, column_names=_NAMES[:fields], block_size=_BLOCK_BYTES)
    for fields in (6, 7)
}
_PARSE: Final = csv.ParseOptions(quote_char=False, escape_char=False, ignore_empty_lines=False)
_CONVERT: Final = csv.ConvertOptions(
    # Whole numbers are read in half the time; a count that is written in another way goes line by line.
    column_types={"time": pa.int64(), "trade_count": pa.int32()} | {name: pa.float64() for name in _NAMES[1:6]},
    null_values=[],
    strings_can_be_null=False,
    check_utf8=False,
)

# Arrow trims blanks around numbers and reads hexadecimal integers; the language has neither.
_FOREIGN: Final = (b" ", b"\t", b"x", b"X")
_SIGNS: Final = (b"e", b"E", b"+", b"-")
_RARE_BYTES: Final = 2048  # A letter that comes more often than this is found faster by looking at all of them.
_BOM: Final = b"\xef\xbb\xbf"  # Arrow skips one at the start of what it is given; only `head` may do that.

# Doubles without a sign sort like their bits; infinity and NaN come above all numbers.
_INFINITY_BITS: Final = np.int64(0x7FF0_0000_0000_0000)


def parse_fast(data: bytes, fields: int) -> Candles | None:
    """Read complete lines, in one thread and without the GIL; the arrays may be read-only.

    About 0.25 µs a row in large pieces; a call costs 0.15 ms, so join small pieces before. Times are not judged here:
    see `times_are_regular`.

    Args:
        data: whole lines, each ended by a newline.
        fields: of every line, 7 or 6.

    Returns:
        The candles, or None when anything at all is not perfectly regular; then `rows.read_rows` finds out what it is.
    """
    batch = _read_batch(data, _READ[fields], _CONVERT) if _looks_regular(data) else None
    return None if batch is None else _take_columns(batch)


def parse_fast_by_header(data: bytes, layout: Layout) -> Candles | None:
    """Do the same for rows whose columns a header names; quotes, texts and symbols are left to the slow reader."""
    if layout.symbols or b'"' in data or not _looks_regular(data):
        return None
    batch = _read_batch(data, *_make_options(layout))
    return None if batch is None else _take_columns(batch)


@lru_cache(maxsize=64)
def _make_options(layout: Layout) -> tuple[csv.ReadOptions, csv.ConvertOptions]:
    names = [f"passed_over_{place}" for place in range(layout.width)]
    for name, place in zip(_NAMES, layout.places, strict=False):
        names[place] = name
    read = csv.ReadOptions(use_threads=False, column_names=names, block_size=_BLOCK_BYTES)
    convert = csv.ConvertOptions(
        column_types=_CONVERT.column_types,
        null_values=[],
        strings_can_be_null=False,
        check_utf8=False,
        include_columns=list(_NAMES[: len(layout.places)]),
    )
    return read, convert


def _take_columns(batch: pa.RecordBatch) -> Candles | None:
    # `to_numpy` wraps the memory just the same, but imports pandas first: a third of a second at each start.
    columns: list[Any] = [np.from_dlpack(column) for column in batch.columns]
    time_seconds, open_, high, low, close, volume, *counts = columns
    if any(column.view(np.int64).max() >= _INFINITY_BITS for column in (open_, high, low, close, volume)):
        return None
    trade_count = counts[0] if counts else np.full(len(time_seconds), INT_NULL, np.int32)
    return Candles(time_seconds, open_, high, low, close, volume, trade_count)


def count_lines(data: bytes) -> int:
    """Count newlines, ten times as fast as `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))


def times_are_regular(
    time_seconds: NDArray[np.int64], interval_minutes: int | NDArray[np.integer], first: int, last_allowed: int
) -> bool:
    """Tell whether all times lie from `first` to `last_allowed`, both included, and on their interval's grid.

    Args:
        interval_minutes: one for all, or one for each.
    """
    if not len(time_seconds):
        return True
    if time_seconds.min() < first or time_seconds.max() > last_allowed:
        return False
    step = np.multiply(interval_minutes, 60, dtype=np.int64)
    # Numpy divides by a scalar much faster than it takes remainders.
    return bool((time_seconds // step * step == time_seconds).all())


def is_strictly_increasing(time_seconds: NDArray[np.int64]) -> bool:
    """Tell whether every time is later than the one before."""
    return bool((time_seconds[1:] > time_seconds[:-1]).all())


def count_odd(candles: Candles) -> int:
    """Count the candles that are stored but strange: high below low, open or close outside them, a price of zero."""
    least = np.minimum(candles.open, candles.close)
    most = np.maximum(candles.open, candles.close)
    # A high below the low leaves no room for the open; and where the open has room, no price is below the low.
    return int(np.count_nonzero((least < candles.low) | (most > candles.high) | (candles.low == 0)))


def _looks_regular(data: bytes) -> bool:
    """Rule out what Arrow would read and the language does not have: also a sign before a number."""
    return (
        data.endswith(b"\n")
        and not data.startswith(_BOM)
        and not any(mark in data for mark in _FOREIGN)
        and not _has_long_line(data)
        and not (any(mark in data for mark in _SIGNS) and _has_odd_sign(data))
    )


def _read_batch(data: bytes, read: csv.ReadOptions, convert: csv.ConvertOptions) -> pa.RecordBatch | None:
    try:
        batch = csv.open_csv(pa.BufferReader(data), read, _PARSE, convert).read_next_batch()
    except pa.ArrowInvalid:
        return None
    # Arrow also ends a line at a lone carriage return; then it has found more lines than there are newlines. The count
    # also proves that the one batch was all.
    if (b"\r" in data or len(data) >= _BLOCK_BYTES) and batch.num_rows != count_lines(data):
        return None
    return batch


def _has_long_line(data: bytes) -> bool:
    """Jump from line start to line start, by as many lines at once as one line may be long."""
    start = 0
    while start + MAX_LINE_BYTES < len(data):
        newline = data.rfind(b"\n", start, start + MAX_LINE_BYTES + 1)
        if newline < 0:
            return True
        start = newline + 1
    return False


def _has_odd_sign(data: bytes) -> bool:
    """Tell whether four digits follow an e and its sign, or a sign follows anything else: Arrow reads either."""
    letters = np.frombuffer(data, np.uint8)
    at = np.concatenate([_find_all(data, b"e"), _find_all(data, b"E")]) + 1
    sign = letters.take(at, mode="clip")
    signed = (sign == ord("+")) | (sign == ord("-"))
    if np.count_nonzero(signed) != len(_find_all(data, b"+")) + len(_find_all(data, b"-")):
        return True
    at += signed
    # As unsigned bytes, digits less "0" are below ten and everything else is above.
    largest = np.zeros(len(at), np.uint8)
    for place in range(4):
        np.maximum(largest, letters.take(at + place, mode="clip") - np.uint8(ord("0")), out=largest)
    return bool((largest < 10).any())


def _find_all(data: bytes, letter: bytes) -> NDArray[np.intp]:
    """Return all places of a letter: quickly where it is rare, as exponents are, and by numpy where it is not."""
    places: list[int] = []
    at = data.find(letter)
    while at >= 0:
        if len(places) * _RARE_BYTES > len(data):
            return np.flatnonzero(np.frombuffer(data, np.uint8) == ord(letter))
        places.append(at)
        at = data.find(letter, at + 1)
    return np.array(places, np.intp)
