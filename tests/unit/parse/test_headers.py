"""A header names the columns: in any order, with the usual names, or the file is refused with line, column and word."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feefifod.errors import BadInput
from feefifod.model import INT_NULL, Category, Series
from feefifod.parse.columns import parse_fast_by_header
from feefifod.parse.head import inspect_head
from feefifod.parse.header import read_header
from tests.unit.parse.test_whole_files import list_rows, read_all

_TRIALS = Path(__file__).resolve().parents[3].parent / "shared" / "trials" / "headers"
_BTC = Series("BTC", Category.CRYPTO, "USD", 60)
_NAMES = {
    "time": ["time", "Timestamp", "UNIX", "date", "DateTime", "open_time", " ts "],
    "open": ["open", "O", "Open Price"],
    "high": ["high", "h", '"High"'],
    "low": ["low", "L", "price_low"],
    "close": ["close", "c", "Close"],
    "volume": ["volume", "vol", "Volume BTC", "volume_xbt", "v", "base_volume", "volumefrom"],
    "trades": ["trades", "count", "trade_count", "n", "Number of Trades", "tradeCount"],
}
_OTHERS = ["vwap", "symbol", "Volume USD", "quote_asset_volume", "close_time", "", "Adj Close"]
_VALUES = {"time": 1704067200, "open": 100, "high": 130.5, "low": 90, "close": 110, "volume": 0.25, "trades": 7}


@given(st.data(), st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_any_order_with_any_usual_names_gives_the_same_rows(
    data: st.DataObject, luck: random.Random, trades: bool, quoted: bool
) -> None:
    columns = [column for column in _NAMES if trades or column != "trades"]
    others = data.draw(st.lists(st.sampled_from(_OTHERS), unique=True))
    order = data.draw(st.permutations([*columns, *others]))
    names = [luck.choice(_NAMES[name]) if name in _NAMES else name for name in order]
    quote = '"' if quoted else ""
    rows = [
        [f"{quote}{_VALUES[name] + 60 * step * (name == 'time') if name in _VALUES else 'x'}{quote}" for name in order]
        for step in range(3)
    ]
    header = ",".join(names).encode()
    body = "".join(f"{','.join(row)}\n" for row in rows).encode()

    layout = read_header(header, 1, _BTC)
    result = read_all(header + b"\n" + body, series=_BTC)

    wanted = [(1704067200 + 60 * step, 100, 130.5, 90, 110, 0.25, 7 if trades else INT_NULL) for step in range(3)]
    assert result.candles == wanted
    assert not result.rejects
    if (fast := parse_fast_by_header(body, layout)) is not None:
        assert [(*row,) for row in list_rows(type("Chunk", (), {"candles": fast}))] == wanted


def test_the_fast_reader_takes_another_order() -> None:
    layout = read_header(b"close,high,low,open,time,volume,vwap,trades", 1)

    candles = parse_fast_by_header(b"110,130,90,100,1704067200,1000,abc,7\n", layout)

    assert candles is not None
    assert (candles.open[0], candles.close[0], candles.trade_count[0]) == (100, 110, 7)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("time,open,high,low,close,volume,foo", ["line 1", "column 7", "'foo'"]),
        ("time,open,high,low,open,volume", ["line 1", "open", "column 2", "column 5"]),
        ("time,open,high,low,close,volume,vol", ["line 1", "volume", "column 6", "column 7"]),
        ("time,timestamp,open,high,low,close,volume", ["line 1", "time", "column 1", "column 2"]),
        ("time,open,high,low,volume,trades", ["line 1", "close"]),
        ("time,open,high,low,close,Volume USD", ["line 1", "volume"]),
        ("time,open,high,low,close,Volume ETH", ["line 1", "column 6", "'Volume ETH'"]),
        ("Price,Volume,Timestamp,Type,OrderType,Misc", ["line 1", "column 1", "'Price'"]),
        ("a,b,d,e,f,g,i", ["line 1", "column 1", "'a'"]),
    ],
)
def test_what_cannot_be_understood_is_named(header: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        inspect_head(header.encode() + b"\n1704067200,1,1,1,1,1,1\n", _BTC)

    for word in words:
        assert word in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2024-01-01 00:01:00", ""),
        ("2024-01-01T00:01", ""),
        ("2024-01-01T00:01:00.000Z", ""),
        ("2024-01-01 00:01:00+00:00", ""),
        ("2024-01-01 00:01:00 UTC", ""),
        ("2024-01-01", "time is a day without the time of day"),
        ("2024-01-01 00:01:00+02:00", "time is not in UTC"),
        ("2024-02-30 00:01:00", "time is a day or an hour that does not exist"),
        ("01-02-2024 00:01", "time is neither unix seconds nor UTC as 2024-01-01 00:00:00"),
        ("01/02/2024", "time is not a plain decimal number"),
        ("1704067260000", "time looks like milliseconds; whole seconds are expected"),
    ],
)
def test_times_below_a_header(text: str, reason: str) -> None:
    result = read_all(f"date,open,high,low,close,volume\n{text},1,1,1,1,1\n".encode())

    assert [row[0] for row in result.candles] == ([] if reason else [1704067260])
    assert [reject.reason for reject in result.rejects] == ([reason] if reason else [])


def test_a_header_among_the_rows_governs_those_below_it() -> None:
    """Files put behind each other: nothing below the second header is read in the order of the first."""
    first, second = b"time,open,high,low,close,volume\n", b"time,low,high,open,close,volume\n"
    data = first + b"1704067200,2,3,1,2.5,9\n" + second + b"1704067260,1,3,2,2.5,9\n" + first + b"x,2,3,1,2.5,9\n"

    result = read_all(data)

    assert [row[1:5] for row in result.candles] == [(2, 3, 1, 2.5)] * 2
    assert [(reject.line, reject.header) for reject in result.rejects] == [(6, (5, first.decode().strip()))]
    bad = read_all(data.replace(second, b"time,low,high,open,close,what\n"))
    assert [row[0] for row in bad.candles] == [1704067200]
    assert [reject.line for reject in bad.rejects] == [3, 4, 6]


def test_a_title_above_the_header_is_set_aside() -> None:
    header = b"unix,date,symbol,open,high,low,close,Volume BTC,Volume USD,tradecount\n"
    row = b"1704067200,2024-01-01 00:00:00,BTC/USD,1,3,0.5,2,9,18,4\n"

    result = read_all(b"https://www.example.com\n" + header + row, series=_BTC)

    assert result.candles == [(1704067200, 1, 3, 0.5, 2, 9, 4)]
    assert [reject.line for reject in result.rejects] == [1]


def test_rows_of_another_symbol_are_refused() -> None:
    rows = b"1704067200,BTC,1,1,1,1,1\n1704067200,ETH,2,2,2,2,2\n"

    result = read_all(b"time,symbol,open,high,low,close,volume\n" + rows)

    assert len(result.candles) == 1
    assert [reject.line for reject in result.rejects] == [3]


@pytest.mark.skipif(not _TRIALS.is_dir(), reason="the trial files are not on this machine")
@pytest.mark.parametrize("name", ["ADAUSD", "DOTUSD", "SOLUSD", "XBTUSD"])
def test_trial_files(name: str) -> None:
    content = (_TRIALS / f"{name}_60.csv").read_bytes()
    trades = 7 if b"trades" in content else INT_NULL

    assert read_all(content).candles == [
        (1704067200 + 3600 * i, 100 + i, 130 + i, 90 + i, 110 + i, 1000 + i, trades) for i in range(24)
    ]
