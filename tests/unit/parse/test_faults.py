"""A file that is wrong as a whole is recognised, its one cause is named, and no honest file is taken for one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from feefifod.model import Category, Series
from feefifod.parse.glance import Pieces, has_bad_rows
from feefifod.parse.head import inspect_head
from feefifod.sweep import order_file

_ROOT = Path(__file__).resolve().parents[3].parent / "shared"
_START = 1704067200
_LATEST = 1_800_000_000
_KRAKEN = "{t},{o},{h},{l},{c},{v},{n}"


def _rows(count: int, minutes: int, form: str = _KRAKEN, *, start: int = _START, trades: int = 7) -> bytes:
    lines = []
    for i in range(count):
        t = start + i * minutes * 60
        iso = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(t))
        lines.append(form.format(t=t, iso=iso, o=100 + i, h=130 + i, l=90 + i, c=110 + i, v=1000 + i, n=trades))
    return "".join(f"{line}\n" for line in lines).encode()


def _judge(folder: Path, data: bytes, minutes: int) -> str:
    """Say why the ordering of a file finds it wrong; "" when it is well."""
    path = folder / "file"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        ordered = order_file(
            fd,
            interval_minutes=minutes,
            latest_seconds=_LATEST,
            scratch=folder / "scratch",
            chunk_rows=500,
            on_rejects=lambda _: None,
            series=Series("BTC", Category.CRYPTO, "USD", minutes),
        )
    finally:
        os.close(fd)
    return str(ordered.wrong or "")


def _seems_bad(data: bytes, minutes: int) -> bool:
    start = inspect_head(data).data_start
    return has_bad_rows(Pieces(lambda size, at: data[at : at + size], start, len(data), 7, minutes, _LATEST))


@pytest.mark.parametrize(
    ("rows_are", "name_says"),
    [(1, 60), (60, 1440), (15, 30), (30, 60), (720, 1440), (5, 15)],
)
def test_wrong_interval_is_named(tmp_path: Path, rows_are: int, name_says: int) -> None:
    data = _rows(200, rows_are)

    reason = _judge(tmp_path, data, name_says)

    assert f"it looks like {rows_are} minute" in reason
    assert f"_{rows_are}.csv" in reason
    assert _seems_bad(data, name_says)


@pytest.mark.parametrize(
    ("form", "cause"),
    [
        ("{t}000,{o},{h},{l},{c},{v},{n}", "milliseconds"),
        ("{t}000000,{o},{h},{l},{c},{v},{n}", "microseconds"),
        ("{t};{o};{h};{l};{c};{v};{n}", "semicolons"),
        ("{t};{o},5;{h},5;{l},5;{c},5;{v},5;{n}", "semicolons"),
        ("{t}\t{o}\t{h}\t{l}\t{c}\t{v}\t{n}", "tabs"),
        ("{t},{o},5,{h},5,{l},5,{c},5,{v},5,{n}", "decimal commas"),
        ("{t},{o},{h},{l},{c},105,{v},{n}", "8 fields instead of 7"),
        ("{t}.5,{o},{v}", "single trades"),
        ('"{t}","{o}","{h}","{l}","{c}","{v}","{n}"', "quotes"),
        ("{iso},{o},{h},{l},{c},{v},{n}", "times are text"),
        ("{t},-{o},{h},{l},{c},{v},{n}", "negative"),
    ],
)
def test_one_cause_is_named_with_the_first_line(tmp_path: Path, form: str, cause: str) -> None:
    data = _rows(60, 60, form)

    reason = _judge(tmp_path, data, 60)

    assert cause in reason
    assert "first in line 1" in reason
    assert "none of its rows" not in reason
    assert _seems_bad(data, 60)


def test_a_header_over_rows_of_another_width(tmp_path: Path) -> None:
    data = b"time,open,high,low,close,volume,trades\n" + _rows(9, 60, "{t},{o},{h},{l},{c},{v}")

    assert "6 fields instead of the 7 that the header names (first in line 2" in _judge(tmp_path, data, 60)


def test_another_time_zone_is_named(tmp_path: Path) -> None:
    assert "time zone" in _judge(tmp_path, _rows(60, 1440, start=_START + 7200), 1440)


def test_half_of_bad_rows_is_not_most(tmp_path: Path) -> None:
    good, bad = _rows(50, 60), b"hello\n"

    assert _judge(tmp_path, good + bad * 50, 60) == ""
    assert "51 of its 101 rows" in _judge(tmp_path, good + bad * 51, 60)


def test_rows_that_are_on_the_grid_are_candles(tmp_path: Path) -> None:
    """A thin pair looks like a longer interval: what is well formed is never refused for what it looks like."""
    for rows_are, name_says in ((60, 1), (1440, 60), (60, 30)):
        data = _rows(200, rows_are)
        assert _judge(tmp_path, data, name_says) == ""
        assert not _seems_bad(data, name_says)


@pytest.mark.skipif(not (_ROOT / "kraken").is_dir(), reason="Kraken's own files are not on this machine")
def test_real_files_are_never_wrong() -> None:
    for path in sorted((_ROOT / "kraken").glob("*/*_*.csv")):
        assert not _seems_bad(path.read_bytes(), int(path.stem.rpartition("_")[2])), path


def test_a_bad_part_is_met_wherever_it_is() -> None:
    """More than half of a file cannot hide from the look at a few of its rows."""
    good, bad = _rows(2_000, 1), _rows(2_100, 1, "{t},x,{h},{l},{c},{v},{n}")
    for cut in range(0, 2_000, 250):
        at = good.find(b"\n", cut * len(good) // 2_000) + 1 if cut else 0
        assert _seems_bad(good[:at] + bad + good[at:], 1)
