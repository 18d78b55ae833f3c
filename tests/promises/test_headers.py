"""A header names the columns, and a file that is wrong as a whole leaves nothing behind: from drop to table."""

from __future__ import annotations

import csv
import json
import struct
from pathlib import Path

import pytest

from tests.support import samples
from tests.support.daemon import World

_TRIALS = Path(__file__).resolve().parents[2].parent / "shared" / "trials"
_START = 1_704_067_200


def _row(i: int, minutes: int, form: str = "{t},{o},{h},{l},{c},{v},7") -> str:
    return form.format(t=_START + i * minutes * 60, o=100 + i, h=130 + i, l=90 + i, c=110 + i, v=1000 + i)


def _check_hours(world: World, count: int, trades: int | None) -> None:
    expected = [(*(struct.pack(">d", value + i) for value in (100, 130, 90, 110, 1000)), trades) for i in range(count)]
    assert [values for _, values in sorted(world.facts().table)] == expected


@pytest.mark.parametrize(
    ("header", "form", "trades"),
    [
        ("time,low,high,open,close,volume", "{t},{l},{h},{o},{c},{v}", None),
        ("Close,High,Low,Open,Timestamp,Volume BTC,Number of Trades", "{c},{h},{l},{o},{t},{v},7", 7),
        ("unix,date,open,high,low,close,volume", "{t},2024-01-01,{o},{h},{l},{c},{v}", None),
        (
            '"time","open","high","low","close","vwap","volume","count"',
            '"{t}","{o}","{h}","{l}","{c}","1","{v}","7"',
            7,
        ),
        ("time,open,high,low,close,volume,trades", "{t},{o},{h},{l},{c},{v},7", 7),
    ],
    ids=["another order", "time in the middle", "a date beside", "quoted", "Kraken's order"],
)
def test_columns_are_read_by_their_names(world: World, header: str, form: str, trades: int | None) -> None:
    world.drop("XBTUSD_60.csv", samples.text([header, *(_row(i, 60, form) for i in range(24))]))

    assert not world.ingest().failed

    _check_hours(world, 24, trades)
    assert world.states() == {"done": 1}
    assert world.run("verify", "--json").text
    assert not list(world.rejected.glob("*"))


def test_a_header_that_is_not_understood_refuses_the_file(world: World) -> None:
    path = world.drop("XBTUSD_60.csv", samples.text(["time,open,high,low,close,wolume,trades", _row(0, 60)]))
    explained = world.run("explain", str(path)).text
    assert "will be refused" in explained

    assert world.ingest().failed

    reason = json.loads((world.rejected / "XBTUSD_60.csv.reason.json").read_text())["reason"]
    assert "line 1, column 6: the header's word 'wolume' is not understood" in reason
    assert not world.facts().table


def test_bad_rows_below_a_header_keep_their_line_numbers(world: World) -> None:
    lines = ["time,low,high,open,close,volume", *(_row(i, 60, "{t},{l},{h},{o},{c},{v}") for i in range(24))]
    lines.insert(5, "1704067200,x,1,1,1,1")
    world.drop("XBTUSD_60.csv", samples.text(lines))

    assert not world.ingest().failed

    _check_hours(world, 24, None)
    with (world.rejected / "XBTUSD_60.csv.rows.csv").open(newline="") as file:
        header, bad = csv.DictReader(file)
    assert (header["line"], header["text"]) == ("1", lines[0])
    assert (bad["line"], bad["text"]) == ("6", lines[5])


@pytest.mark.parametrize(("rows_are", "name_says"), [(1, 60), (60, 1440), (720, 1440)])
def test_a_file_of_another_interval_is_refused(world: World, rows_are: int, name_says: int) -> None:
    world.drop(f"XBTUSD_{name_says}.csv", samples.text([_row(i, rows_are) for i in range(300)]))

    assert world.run("run-once", code=1)

    assert world.states() == {"rejected": 1}
    reason = json.loads((world.rejected / f"XBTUSD_{name_says}.csv.reason.json").read_text())["reason"]
    assert f"looks like {rows_are} minute" in reason
    assert not world.facts().table


def test_a_file_whose_second_half_is_bad_leaves_no_rows(world: World) -> None:
    """Its first windows would be sent before the bad ones are met: a look at a few rows comes before."""
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    lines = samples.rows(6_000)
    lines[2_500:] = [line.replace(",", ";") for line in lines[2_500:]]
    world.drop("XBTUSD_1.csv", samples.text(lines))

    assert world.ingest().failed

    assert world.states() == {"rejected": 1}
    assert not world.facts().table
    reason = json.loads((world.rejected / "XBTUSD_1.csv.reason.json").read_text())["reason"]
    assert "3500 of its 6000 rows are bad for one reason: its fields are separated by semicolons" in reason
    assert "line 2501" in reason


@pytest.mark.skipif(not _TRIALS.is_dir(), reason="the trial files are not on this machine")
def test_trial_files(world: World) -> None:
    for path in sorted([*(_TRIALS / "headers").iterdir(), *(_TRIALS / "intervals").iterdir()]):
        world.drop(f"{path.parent.name}/{path.name}", path.read_bytes())

    assert world.ingest().failed

    assert world.states() == {"done": 4, "rejected": 2}
    assert len(world.facts().table) == 4 * 24
