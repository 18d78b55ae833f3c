"""One line of an OHLCVT file, read slowly and with a reason for every refusal.

This module defines the language; `columns` reads the same language fast, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from feefifod.errors import BadInput
from feefifod.model import INT_NULL

EARLIEST_SECONDS: Final = 1_230_768_000
"""2009-01-01 UTC: nothing was traded on Kraken before Bitcoin."""

MAX_LINE_BYTES: Final = 4096
"""Longer lines are refused unread; Kraken's have about fifty bytes."""

MAX_TRADE_COUNT: Final = 2**31 - 1
"""What fits into QuestDB's INT."""

KEPT_BYTES: Final = 200
"""How much of a line that is too long is kept for the reader."""

# ASCII only, unlike float(), which also takes underscores, blanks, other scripts' digits, nan and inf.
_NUMBER: Final = re.compile(rb"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")

_DAY: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT: Final = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.0+)?(?: ?(?:Z|UTC|[+-]00:?00))?"
)
_OFFSET: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}.*[+-][0-9]{2}(?::?[0-9]{2})?")
_MINUTES_OF_DAY: Final = 1440

_UNITS: Final = (("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9))


class Row(NamedTuple):
    """One candle; `trade_count` is `INT_NULL` where the file has none."""

    time_seconds: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trade_count: int


def parse_line(line: bytes, interval_minutes: int, fields: int, latest_seconds: int) -> Row:
    """Read one line, without its newline; a carriage return at its end belongs to the newline.

    Args:
        fields: 7, or 6 where the whole file has no trade counts.
        latest_seconds: the last instant that a candle may start at, unix seconds UTC.

    Raises:
        BadInput: the first thing that is wrong, field by field.
    """
    if len(line) > MAX_LINE_BYTES:
        raise BadInput("line too long")
    texts = line.removesuffix(b"\r").split(b",")
    if len(texts) != fields:
        raise BadInput(f"{len(texts)} field{'' if len(texts) == 1 else 's'} instead of {fields}")
    return _read_row(texts, _read_time(texts[0], interval_minutes, latest_seconds))


def parse_fields(texts: Sequence[bytes], interval_minutes: int, latest_seconds: int) -> Row:
    """Read the fields of a row whose columns a header names, put in Kraken's order: six, or seven with trade counts.

    A time may also be written as UTC: `2024-01-01 00:00:00`, with `T`, `Z` or `+00:00` too; or as a day, for daily
    candles alone, because the hours of other ones would be lost.

    Raises:
        BadInput: as `parse_line`.
    """
    if b"-" in texts[0][1:]:
        value = _read_instant(texts[0], interval_minutes)
        return _read_row(texts, _check_time(value, interval_minutes, latest_seconds))
    return _read_row(texts, _read_time(texts[0], interval_minutes, latest_seconds))


def _read_row(texts: Sequence[bytes], time_seconds: int) -> Row:
    open_, high, low, close, volume = (
        _read_number(text, name)
        for text, name in zip(texts[1:6], ("open", "high", "low", "close", "volume"), strict=True)
    )
    trade_count = INT_NULL if len(texts) == 6 else _read_trade_count(texts[6])
    return Row(time_seconds, open_, high, low, close, volume, trade_count)


def escape(raw: bytes) -> str:
    """Turn any bytes into text that can be stored and shown: what is not printable becomes a backslash escape."""
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def _read_number(text: bytes, name: str) -> float:
    if not text:
        raise BadInput(f"{name} is empty")
    if not _NUMBER.fullmatch(text):
        raise BadInput(f"{name} is not a plain decimal number")
    if text.startswith(b"-"):
        raise BadInput(f"{name} is negative")
    value = float(text)
    if value == float("inf"):
        raise BadInput(f"{name} is too large a number")
    return value


def _read_time(text: bytes, interval_minutes: int, latest_seconds: int) -> int:
    return _check_time(_read_number(text, "time"), interval_minutes, latest_seconds)


def _read_instant(text: bytes, interval_minutes: int) -> float:
    instant = _INSTANT.fullmatch(text)
    if instant:
        day, hours = instant.groups()
    elif _DAY.fullmatch(text):
        if interval_minutes != _MINUTES_OF_DAY:
            raise BadInput("time is a day without the time of day")
        day, hours = text, b"00:00"
    elif _OFFSET.fullmatch(text):
        raise BadInput("time is not in UTC")
    else:
        raise BadInput("time is neither unix seconds nor UTC as 2024-01-01 00:00:00")
    try:
        return datetime.fromisoformat(f"{day.decode()} {hours.decode()}").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise BadInput("time is a day or an hour that does not exist") from None


def _check_time(value: float, interval_minutes: int, latest_seconds: int) -> int:
    if value < EARLIEST_SECONDS:
        raise BadInput("time is before 2009")
    if value > latest_seconds:
        for unit, per_second in _UNITS:
            if EARLIEST_SECONDS <= value / per_second <= latest_seconds:
                raise BadInput(f"time looks like {unit}; whole seconds are expected")
        raise BadInput("time is after tomorrow")
    if not value.is_integer():
        raise BadInput("time is not in whole seconds")
    if value % (interval_minutes * 60):
        raise BadInput(f"time is not on the grid of {interval_minutes} minutes")
    return int(value)


def _read_trade_count(text: bytes) -> int:
    value = _read_number(text, "trade count")
    if not value.is_integer():
        raise BadInput("trade count is not a whole number")
    if value > MAX_TRADE_COUNT:
        raise BadInput("trade count is too large a number")
    return int(value)
