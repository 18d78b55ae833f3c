"""The closing table of an ingestion: each cause is told once, however many files it holds up."""

from __future__ import annotations

import io

from rich.console import Console

from feefifod.cli.ingest_progress import show_summary
from feefifod.ingest.report import FileResult, Summary
from feefifod.model import FileState


def show(summary: Summary) -> list[str]:
    stream = io.StringIO()
    show_summary(Console(file=stream, width=200), summary, 1.0)
    return stream.getvalue().splitlines()


def test_one_cause_of_many_files_is_one_line() -> None:
    cause = "assetprice: the table is not as feefifod needs it: column vwap DOUBLE is unknown"
    results = [FileResult(f"XBTUSD_{number}.csv", FileState.WAITING, reason=cause) for number in range(120)]

    lines = show(Summary(results, troubles=[cause]))

    assert [line for line in lines if "vwap" in line] == [
        f"  XBTUSD_0.csv, XBTUSD_1.csv, XBTUSD_2.csv and 117 more: {cause}"
    ]


def test_each_cause_has_a_line() -> None:
    results = [
        FileResult("a.csv", FileState.REJECTED, reason="no good row"),
        FileResult("b.csv", FileState.REJECTED, reason="a gzip file"),
        FileResult("c.csv", FileState.REJECTED, reason="no good row"),
        FileResult("d.csv", FileState.WAITING, reason="it became complete a moment ago"),
    ]

    lines = show(Summary(results, troubles=["data/zips: cannot be written"]))

    assert "  a.csv, c.csv: no good row" in lines
    assert "  b.csv: a gzip file" in lines
    assert "  d.csv: it became complete a moment ago" in lines
    assert "data/zips: cannot be written" in lines


def test_many_causes_are_cut_short() -> None:
    results = [FileResult(f"{number}.csv", FileState.REJECTED, reason=f"cause {number}") for number in range(500)]

    lines = show(Summary(results))

    assert len(lines) < 60
    assert "more: feefifod status" in lines[-1]
