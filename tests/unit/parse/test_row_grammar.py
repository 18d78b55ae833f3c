"""One line: what a number is, what a time is, and the reason for every refusal."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feefifod.errors import BadInput
from feefifod.model import INT_NULL
from feefifod.parse.line import Row, escape, parse_line

LATEST = 1_800_000_000
TIME = "1381017600"


def read(line: str | bytes, interval_minutes: int = 1440, fields: int = 7) -> Row:
    raw = line if isinstance(line, bytes) else line.encode()
    return parse_line(raw, interval_minutes, fields, LATEST)


def refuse(line: str | bytes, interval_minutes: int = 1440, fields: int = 7) -> str:
    with pytest.raises(BadInput) as caught:
        read(line, interval_minutes, fields)
    return caught.value.why


def with_price(text: str) -> str:
    return f"{TIME},{text},2,1,1,0.5,3"


def test_a_row_of_krakens() -> None:
    row = read("1381190400,123.91,124.19,123.9,124.18,3.9916,4")

    assert row == Row(1381190400, 123.91, 124.19, 123.9, 124.18, 3.9916, 4)
    assert type(row.time_seconds) is int
    assert type(row.trade_count) is int


def test_a_carriage_return_belongs_to_the_newline() -> None:
    assert read(with_price("1.5") + "\r") == read(with_price("1.5"))
    assert refuse(with_price("1.5") + "\r\r") == "trade count is not a plain decimal number"


def test_six_fields_have_no_trade_count() -> None:
    assert read(f"{TIME},1,2,1,1,0.5", fields=6).trade_count == INT_NULL


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("122.0", 122.0),
        ("3E+1", 30.0),
        ("3e1", 30.0),
        ("1e-07", 1e-07),
        ("1E-7", 1e-07),
        ("917.2307723399", 917.2307723399),
        ("5", 5.0),
        ("007", 7.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("0", 0.0),
        ("0.0000000001", 1e-10),
        ("1e-400", 0.0),
        ("1e-999", 0.0),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("0.1000000000000000055511151231257827", 0.1),
        ("9007199254740993", 9007199254740992.0),
    ],
)
def test_spellings_of_numbers(text: str, value: float) -> None:
    assert struct.pack("d", read(with_price(text)).open) == struct.pack("d", value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "open is empty"),
        ("-1", "open is negative"),
        ("-0.0", "open is negative"),
        ("1e400", "open is too large a number"),
        ("1e0001", "open is not a plain decimal number"),
        ("1_000", "open is not a plain decimal number"),
        (" 12 ", "open is not a plain decimal number"),
        ("12\t", "open is not a plain decimal number"),
        ("+5", "open is not a plain decimal number"),
        ("0x10", "open is not a plain decimal number"),
        ("nan", "open is not a plain decimal number"),
        ("NaN", "open is not a plain decimal number"),
        ("inf", "open is not a plain decimal number"),
        ("-inf", "open is not a plain decimal number"),
        ("Infinity", "open is not a plain decimal number"),
        ("null", "open is not a plain decimal number"),
        (".", "open is not a plain decimal number"),
        ("e5", "open is not a plain decimal number"),
        ("1e", "open is not a plain decimal number"),
        ("1e+", "open is not a plain decimal number"),
        ("1.2.3", "open is not a plain decimal number"),
        ("--1", "open is not a plain decimal number"),
        ('"1"', "open is not a plain decimal number"),
        ("1\0", "open is not a plain decimal number"),
        ("1\r", "open is not a plain decimal number"),
        ("1\n", "open is not a plain decimal number"),
        ("\uff11\uff12", "open is not a plain decimal number"),
        ("\u0661", "open is not a plain decimal number"),
    ],
)
def test_what_is_no_number_is_refused(text: str, why: str) -> None:
    assert refuse(with_price(text)) == why


@pytest.mark.parametrize("place", range(7))
def test_the_reason_names_the_field(place: int) -> None:
    fields = [TIME, "1", "2", "1", "1", "0.5", "3"]
    fields[place] = "x"

    name = ["time", "open", "high", "low", "close", "volume", "trade count"][place]
    assert refuse(",".join(fields)) == f"{name} is not a plain decimal number"


@pytest.mark.parametrize(
    ("text", "minutes", "seconds"),
    [
        (TIME, 1440, 1381017600),
        (f"{TIME}.0", 1440, 1381017600),
        ("1.3810176e9", 1440, 1381017600),
        ("1381017660", 1, 1381017660),
        ("1230768000", 1440, 1230768000),
        (str(LATEST), 240, LATEST),
    ],
)
def test_times_on_the_grid(text: str, minutes: int, seconds: int) -> None:
    assert read(f"{text},1,2,1,1,0.5,3", minutes).time_seconds == seconds


@pytest.mark.parametrize(
    ("text", "minutes", "why"),
    [
        ("1381017660", 5, "time is not on the grid of 5 minutes"),
        ("1381017600.5", 1, "time is not in whole seconds"),
        ("1230767999", 1, "time is before 2009"),
        ("0", 1, "time is before 2009"),
        ("-60", 1, "time is negative"),
        ("1800000001", 1, "time is after tomorrow"),
        ("9e99", 1, "time is after tomorrow"),
        ("1381017600000", 1, "time looks like milliseconds; whole seconds are expected"),
        ("1381017600000000", 1, "time looks like microseconds; whole seconds are expected"),
        ("1381017600000000000", 1, "time looks like nanoseconds; whole seconds are expected"),
    ],
)
def test_other_times_are_refused(text: str, minutes: int, why: str) -> None:
    assert refuse(f"{text},1,2,1,1,0.5,3", minutes) == why


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("12", 12), ("12.0", 12), ("3E+1", 30), ("2147483647", 2147483647)]
)
def test_trade_counts(text: str, count: int) -> None:
    assert read(f"{TIME},1,2,1,1,0.5,{text}").trade_count == count


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1.5", "trade count is not a whole number"),
        ("2147483648", "trade count is too large a number"),
        ("-1", "trade count is negative"),
        ("", "trade count is empty"),
    ],
)
def test_other_trade_counts_are_refused(text: str, why: str) -> None:
    assert refuse(f"{TIME},1,2,1,1,0.5,{text}") == why


@pytest.mark.parametrize(
    ("line", "fields", "why"),
    [
        (f"{TIME},1,2,1,1,0.5", 7, "6 fields instead of 7"),
        (f"{TIME},1,2,1,1,0.5,3", 6, "7 fields instead of 6"),
        (f"{TIME},1,2,1,1,0.5,3,4", 7, "8 fields instead of 7"),
        (f"{TIME};1;2;1;1;0,5;3", 7, "2 fields instead of 7"),
        ("hello", 7, "1 field instead of 7"),
    ],
)
def test_other_numbers_of_fields_are_refused(line: str, fields: int, why: str) -> None:
    assert refuse(line, fields=fields) == why


def test_a_line_may_have_4096_bytes() -> None:
    rest = f"{TIME},1,2,1,1,0.5,3"
    longest = rest.replace("0.5", "0.5" + "0" * (4096 - len(rest)))

    assert read(longest).volume == 0.5
    assert refuse(longest + "\r") == "line too long"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"1,2,3", "1,2,3"),
        ("Zürich".encode(), "Zürich"),
        (b"\0\t\x1b[2J", "\\x00\\t\\x1b[2J"),
        (b"\xff\xfe1", "\\xff\\xfe1"),
        ("a\u202eb".encode(), "a\\u202eb"),
    ],
)
def test_any_bytes_can_be_shown(raw: bytes, text: str) -> None:
    assert escape(raw) == text


@given(st.binary())
def test_shown_bytes_are_printable_utf8(raw: bytes) -> None:
    text = escape(raw)

    assert text.isprintable()
    assert "\\" in text or text.encode() == raw
