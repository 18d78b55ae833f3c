"""What the price APIs give: candles of whole days, and splits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

_LARGEST_COUNT: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class DayCandle:
    """One asset on one day, checked: finite, not negative, low ≤ open, close ≤ high.

    Attributes:
        session: the day; the candle's `time` is 00:00 UTC of it, whatever time of day the vendor gave.
        trade_count: None where the vendor gave none.
        quote_currency: what the prices are in, `USD`, or `USDT` for `BINANCE:BTCUSDT`.
    """

    session: date
    open: float
    high: float
    low: float
    close: float
    volume: float
    trade_count: int | None
    quote_currency: str


@dataclass(frozen=True, slots=True)
class GroupedDay:
    """One session of a whole market, of which only the wanted symbols are kept.

    Attributes:
        candles: by the vendor's symbol. A wanted symbol in neither mapping did not trade.
        refused: why a wanted symbol's row cannot be used; it fails that asset, not the day.
    """

    session: date
    candles: Mapping[str, DayCandle]
    refused: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Split:
    """A split: all adjusted candles before `execution_date` have changed."""

    ticker: str
    execution_date: date


class BadValue(ValueError):
    """A row of an answer cannot be right; its text says why."""


def make_candle(session: date, row: Mapping[str, object], quote_currency: str) -> DayCandle:
    """Check one row of an answer: `o h l c v`, and `n` where there is one.

    Raises:
        BadValue: a value is missing, not a number, not finite or negative, or the prices are out of order.
    """
    names = (("o", "open"), ("h", "high"), ("l", "low"), ("c", "close"), ("v", "volume"))
    open_, high, low, close, volume = (read_number(row.get(key), name) for key, name in names)
    if not (low <= open_ <= high and low <= close <= high):
        raise BadValue(f"prices out of order: open {open_}, high {high}, low {low}, close {close}")
    trade_count: int | None = None
    if row.get("n") is not None:
        count = read_number(row["n"], "trade count")
        if not count.is_integer() or count > _LARGEST_COUNT:
            raise BadValue(f"{count} is not a trade count")
        trade_count = int(count)
    return DayCandle(session, open_, high, low, close, volume, trade_count, quote_currency)


def check_inside(session: date, start: date, end: date) -> None:
    """Check that a candle was asked for.

    Raises:
        BadValue: it was not.
    """
    if not start <= session <= end:
        raise BadValue(f"a candle of {session}, outside the request")


def read_instant(value: object, *, per_second: int) -> datetime:
    """Return the instant of a `t`, in UTC.

    Raises:
        BadValue: it is not a number, or no instant.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue("the time is missing or not a number")
    try:
        return datetime.fromtimestamp(value / per_second, UTC)
    except (ValueError, OverflowError, OSError):
        raise BadValue("the time is out of range") from None


def read_number(value: object, name: str) -> float:
    """Return a finite number that is not negative, as JSON has it.

    Raises:
        BadValue: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue(f"{name} is missing" if value is None else f"{name} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadValue(f"{name} is not finite")
    if number < 0:
        raise BadValue(f"{name} is negative")
    return number
