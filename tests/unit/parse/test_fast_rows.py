"""The fast reader gives what the slow one gives, bit by bit, or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feefifod.errors import BadInput
from feefifod.model import INT_NULL, Candles
from feefifod.parse.columns import count_odd, is_strictly_increasing, parse_fast, times_are_regular
from feefifod.parse.line import EARLIEST_SECONDS, parse_line

OHLCVT = Path(__file__).resolve().parents[4] / "shared" / "kraken" / "ohlcvt"
LATEST = 1_800_000_000
ROW = b"1381017600,122.0,124.0,121.0,123.0,0.1,1\n"

PLAIN = st.one_of(
    st.floats(min_value=0, allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(min_value=0, max_value=10**7, places=10).map(str),
    st.integers(0, 10**18).map(str),
    st.sampled_from(
        ["122.0", "3E+1", "1e-07", "917.2307723399", "0.0", "1.", ".5", "007", "5e-324", "1e-400", "2.5e+12"]
    ),
)
STRANGE = [
    *[
        "",
        " 12 ",
        "1\t",
        "+5",
        "-5",
        "-0.0",
        "-0",
        "0x10",
        "0X1F",
        "nan",
        "inf",
        "Infinity",
        "1e400",
        "1e999",
        "-1e-400",
    ],
    *[
        "1_000",
        "\uff11\uff12",
        "1e0001",
        "1E-0005",
        "1e+00012",
        "1e",
        "e5",
        ".",
        "e+5",
        "1e++5",
        "+1e+5",
        "1e-+5",
        '"1"',
    ],
    *["1\r", "\r", "1\0", "null", "NA", "1e12", "2147483647", "2147483648", "2.5", "1.5e1", "12.0", "1,2", "\ufeff1"],
    *["1" * 5000, "0." + "0" * 4200 + "1"],
]
STRANGE_TIMES = [
    *["0", "-60", "-0", "", "1381017601", "1381017600.0", "1.3810176e9", "0x5250A800", "0X5250A800", "1381017600000"],
    *["99999999999999999999", "0001381017600", " 1381017600", "1381017600\t", "+1381017600", "1800000060", "nan"],
]
TIMES = st.one_of(
    st.integers(EARLIEST_SECONDS // 60, LATEST // 60).map(lambda minute: str(minute * 60)),
    st.sampled_from(STRANGE_TIMES),
)


@st.composite
def rows(draw: st.DrawFn, number: st.SearchStrategy[str], time: st.SearchStrategy[str], fields: int) -> bytes:
    texts = [draw(time), *(draw(number) for _ in range(5))]
    if fields == 7:
        texts.append(draw(st.one_of(st.integers(0, 2**31 - 1).map(str), number)))
    return ",".join(texts).encode()


def read_slowly(data: bytes, fields: int) -> list[tuple[float, ...]] | None:
    try:
        return [tuple(parse_line(line, 1, fields, LATEST)) for line in data.removesuffix(b"\n").split(b"\n")]
    except BadInput:
        return None


def list_bits(candles: Candles) -> list[tuple[float | int, ...]]:
    columns = [candles.open, candles.high, candles.low, candles.close, candles.volume]
    bits = [column.view(np.int64).tolist() for column in columns]
    return list(zip(candles.time_seconds.tolist(), *bits, candles.trade_count.tolist(), strict=True))


def assert_agreement(data: bytes, fields: int) -> None:
    fast = parse_fast(data, fields)
    if fast is None or not times_are_regular(fast.time_seconds, 1, EARLIEST_SECONDS, LATEST):
        return
    slow = read_slowly(data, fields)
    assert slow is not None, "the fast reader took what the slow one refuses"
    bits = [(row[0], *(int(np.float64(value).view(np.int64)) for value in row[1:6]), row[6]) for row in slow]
    assert list_bits(fast) == bits


@pytest.mark.parametrize("text", STRANGE + STRANGE_TIMES)
def test_the_readers_agree_on_every_strange_text_in_every_field(text: str) -> None:
    for place in range(7):
        fields = ROW.strip().split(b",")
        fields[place] = text.encode()
        strange = b",".join(fields) + b"\n"

        assert_agreement(ROW + strange + ROW, 7)
        assert_agreement(strange, 7)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([6, 7]), st.sampled_from([b"\n", b"\r\n"]))
def test_the_readers_agree_on_rows_in_any_spelling(data: st.DataObject, fields: int, newline: bytes) -> None:
    number = st.one_of(PLAIN, PLAIN, PLAIN, st.sampled_from(STRANGE)) if data.draw(st.booleans()) else PLAIN
    lines = data.draw(st.lists(rows(number, TIMES, fields), min_size=1, max_size=5))

    assert_agreement(newline.join(lines) + newline, fields)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([6, 7]))
def test_the_readers_agree_on_mutated_bytes(data: st.DataObject, fields: int) -> None:
    row = ROW if fields == 7 else ROW.rsplit(b",", 1)[0] + b"\n"
    mutated = bytearray(row * data.draw(st.integers(1, 4)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated)))
        removed = data.draw(st.integers(0, 2))
        mutated[at : at + removed] = data.draw(
            st.one_of(
                st.sampled_from(list(b'0123456789eE+-.,\r\n \t\0"xX_\xef\v\f')).map(lambda byte: bytes([byte])),
                st.binary(max_size=3),
            )
        )

    assert_agreement(bytes(mutated), fields)


@given(st.data(), st.sampled_from([6, 7]), st.sampled_from([b"\n", b"\r\n"]))
@settings(deadline=None)
def test_regular_rows_are_always_taken(data: st.DataObject, fields: int, newline: bytes) -> None:
    price = st.one_of(
        st.decimals(min_value=0, max_value=10**7, places=5).map(str), st.sampled_from(["3E+1", "1e-07", "5", "1E-7"])
    )
    time = st.integers(EARLIEST_SECONDS // 60, LATEST // 60).map(lambda minute: str(minute * 60))
    row = st.tuples(rows(price, time, 6), st.integers(0, 10**6)).map(
        lambda drawn: drawn[0] + (b",%d" % drawn[1] if fields == 7 else b"")
    )
    lines = data.draw(st.lists(row, min_size=1, max_size=5))

    assert parse_fast(newline.join(lines) + newline, fields) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\r\n",
        ROW + b"\n",
        b"\n" + ROW,
        ROW + b"\n" + ROW,
        ROW.rstrip(b"\n"),
        ROW.replace(b"\n", b"\r"),
        ROW.replace(b"\n", b"\r") + ROW,
        ROW.replace(b"\n", b"\r\r\n"),
        b"\xef\xbb\xbf" + ROW,
        ROW + b"\xef\xbb\xbf" + ROW,
        ROW + b"timestamp,open,high,low,close,volume,trades\n",
        ROW + b"1381017600,122.0,124.0,121.0,123.0,0.1\n",
        b"1381017600,122.0,124.0,121.0,123.0,0.1\n" * 2,
        ROW + ROW[:-1] + b",1\n",
        ROW + b"0" * 4096 + ROW,
    ],
)
def test_irregular_data_is_left_to_the_slow_reader(data: bytes) -> None:
    assert parse_fast(data, 7) is None


@pytest.mark.parametrize("repeats", [1, 100, 500])
def test_a_long_line_is_found_wherever_it_is(repeats: int) -> None:
    longest = ROW.replace(b"0.1", b"0.1" + b"0" * (4096 - len(ROW) + 1))
    too_long = longest.replace(b"0.1", b"0.10")

    assert parse_fast(ROW * repeats + longest + ROW * repeats, 7) is not None
    assert parse_fast(ROW * repeats + too_long + ROW * repeats, 7) is None
    assert parse_fast(ROW * repeats + too_long, 7) is None


def test_mixed_line_ends_are_regular() -> None:
    candles = parse_fast(ROW + ROW.replace(b"\n", b"\r\n") + ROW, 7)

    assert candles is not None
    assert len(candles) == 3


def test_types_of_columns() -> None:
    candles = parse_fast(ROW, 7)
    six = parse_fast(b"1381017600,122.0,124.0,121.0,123.0,0.1\n", 6)

    assert candles is not None
    assert six is not None
    assert candles.time_seconds.dtype == np.int64
    assert candles.open.dtype == np.float64
    assert candles.trade_count.dtype == np.int32
    assert six.trade_count.dtype == np.int32
    assert six.trade_count.tolist() == [INT_NULL]


@pytest.mark.skipif(not OHLCVT.exists(), reason="Kraken's real files are not on this machine")
@pytest.mark.parametrize("name", ["XBTUSD_720.csv", "XBTUSD_1440.csv"])
def test_real_files_equal_pythons_floats_bit_by_bit(name: str) -> None:
    data = (OHLCVT / name).read_bytes()
    candles = parse_fast(data, 7)
    table = [line.split(",") for line in data.decode().splitlines()]

    assert candles is not None
    assert candles.time_seconds.tolist() == [int(row[0]) for row in table]
    assert candles.trade_count.tolist() == [int(row[6]) for row in table]
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    for index, column in enumerate(columns, start=1):
        assert column.tobytes() == np.array([float(row[index]) for row in table]).tobytes()
    minutes = int(name.split("_")[1].removesuffix(".csv"))
    assert times_are_regular(candles.time_seconds, minutes, EARLIEST_SECONDS, LATEST)
    assert is_strictly_increasing(candles.time_seconds)
    assert count_odd(candles) == 0


@given(
    st.lists(st.integers(-(10**6), 10**6).map(lambda step: step * 15), max_size=20),
    st.sampled_from([1, 5, 60]),
    st.booleans(),
)
def test_times_are_regular_means_range_and_grid(times: list[int], minutes: int, one_for_each: bool) -> None:
    array = np.array(times, np.int64)
    interval = np.full(len(times), minutes, np.int32) if one_for_each else minutes
    expected = all(-3000 <= time <= 6000 and time % (minutes * 60) == 0 for time in times)

    assert times_are_regular(array, interval, -3000, 6000) == expected


def test_each_time_has_its_own_interval() -> None:
    times = np.array([60, 300, 3600], np.int64)

    assert times_are_regular(times, np.array([1, 5, 60]), 60, 3600)
    assert not times_are_regular(times, np.array([5, 5, 60]), 60, 3600)


@given(st.lists(st.integers(0, 5), max_size=6))
def test_strictly_increasing(times: list[int]) -> None:
    assert is_strictly_increasing(np.array(times, np.int64)) == (times == sorted(set(times)))


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, 3.0])] * 4), max_size=20))
def test_odd_candles_are_counted(prices: list[tuple[float, float, float, float]]) -> None:
    columns = np.array(prices, np.float64).reshape(-1, 4).T
    candles = Candles(np.zeros(len(prices), np.int64), *columns, np.zeros(len(prices)), np.ones(len(prices), np.int32))
    odd = [
        high < low or not low <= open_ <= high or not low <= close <= high or 0 in (open_, high, low, close)
        for open_, high, low, close in prices
    ]

    assert count_odd(candles) == sum(odd)
