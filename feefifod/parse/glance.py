"""A quick look at a few rows all over a file: enough to see what is wrong with most of it, before any row is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from feefifod.model import Candles
from feefifod.parse.columns import parse_fast, times_are_regular
from feefifod.parse.line import EARLIEST_SECONDS

_PLACES: Final = 8
_LINES: Final = 3
_PLACE_BYTES: Final = 512
_CLOSER_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Pieces:
    """Gives pieces of a file in Kraken's order.

    Attributes:
        read: gives so many bytes (the first number) from an offset (the second), or what is left of them.
        start: where the first row begins.
        latest_seconds: the last instant that a candle may start at, unix seconds UTC.
    """

    read: Callable[[int, int], bytes]
    start: int
    size: int
    fields: Literal[6, 7]
    interval_minutes: int
    latest_seconds: int

    def lines(self, offset: int, size: int) -> list[bytes]:
        """Return the complete lines of a piece."""
        return self.read(size, offset).split(b"\n")[0 if offset == self.start else 1 : -1]

    def parse(self, lines: Sequence[bytes]) -> Candles | None:
        """Return the candles of these lines; None when one of them is bad, or there is none."""
        candles = parse_fast(b"\n".join([*lines, b""]), self.fields) if lines else None
        if candles is None or not times_are_regular(
            candles.time_seconds, self.interval_minutes, EARLIEST_SECONDS, self.latest_seconds
        ):
            return None
        return candles


def has_bad_rows(file: Pieces) -> bool:
    """Look at a few rows; True when one is bad, and the file has to be read to its end before any row of it is sent.

    A part of the file that is larger than half of it is certainly met, and scattered bad rows are met almost surely:
    the chance to miss rows of which half are bad is 1 in 16 million.
    """
    lines: list[bytes] = []
    for place in range(_PLACES):
        offset = file.start + (file.size - file.start) * place // _PLACES
        lines += [line for line in file.lines(offset, _PLACE_BYTES)[:_LINES] if line.strip()]
    return file.parse(lines) is None
