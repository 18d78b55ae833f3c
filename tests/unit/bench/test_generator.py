"""What the synthetic archives promise: Kraken's text, consistent intervals, the same bytes for the same plan."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path, PurePath

import numpy as np
import pytest

from bench.generate import Archive, Plan, cached, format_prices, format_volumes, generate
from bench.pairs import day_seconds, list_series
from feefifod.model import INTERVALS
from feefifod.parse.columns import count_odd, is_strictly_increasing, parse_fast, times_are_regular
from feefifod.parse.names import Kind, judge

PLAN = Plan(files=16, rows=20_000, start=date(2025, 12, 20))
ROW = re.compile(rb"\d{10}(,\d+\.\d+){4},(\d+(\.\d+)?|\d(\.\d+)?E\+\d+),\d+\n")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return generate(PLAN, tmp_path_factory.mktemp("archive"))


def read(path: Path) -> dict[int, list[Decimal]]:
    """Read a file in the slowest way there is."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    return {int(row[0]): [Decimal(value) for value in row[1:]] for row in rows}


def test_the_number_of_files_and_rows_is_as_planned(archive: Archive) -> None:
    assert len(archive.rows) == len(list(archive.folder.iterdir())) == 16
    assert abs(archive.total - PLAN.rows) < 0.05 * PLAN.rows
    assert archive.rows == {path.name: path.read_bytes().count(b"\n") for path in archive.paths}


def test_every_row_is_text_as_kraken_writes_it(archive: Archive) -> None:
    for path in archive.paths:
        lines = path.read_bytes().splitlines(keepends=True)

        assert all(ROW.fullmatch(line) for line in lines), path.name


def test_feefifod_reads_every_file_as_regular(archive: Archive) -> None:
    for path in archive.paths:
        verdict = judge(PurePath(path.name))
        candles = parse_fast(path.read_bytes(), 7)

        assert verdict.kind is Kind.OHLCVT
        assert candles is not None
        assert is_strictly_increasing(candles.time_seconds)
        first, last = day_seconds(PLAN.start), day_seconds(PLAN.end) - 60
        assert times_are_regular(candles.time_seconds, verdict.interval_minutes or 0, first, last)
        assert count_odd(candles) == 0


def test_all_intervals_agree_with_the_minutes(archive: Archive) -> None:
    minutes = read(archive.folder / "XBTEUR_1.csv")
    assert len(minutes) < (day_seconds(PLAN.end) - day_seconds(PLAN.start)) // 60, "minutes without trades have no row"
    for interval in INTERVALS:
        buckets: dict[int, list[list[Decimal]]] = defaultdict(list)
        for time, row in minutes.items():
            buckets[time // (60 * interval) * 60 * interval].append(row)
        expected = {
            time: [
                rows[0][0],
                max(row[1] for row in rows),
                min(row[2] for row in rows),
                rows[-1][3],
                sum(row[4] for row in rows),
                sum(row[5] for row in rows),
            ]
            for time, rows in buckets.items()
        }

        assert read(archive.folder / f"XBTEUR_{interval}.csv") == expected


def test_the_same_plan_gives_the_same_bytes_and_another_seed_does_not(archive: Archive, tmp_path: Path) -> None:
    again = generate(PLAN, tmp_path / "again")
    other = generate(Plan(PLAN.files, PLAN.rows, PLAN.start, PLAN.end, seed=2), tmp_path / "other")

    assert [path.read_bytes() for path in again.paths] == [path.read_bytes() for path in archive.paths]
    assert [path.read_bytes() for path in other.paths] != [path.read_bytes() for path in archive.paths]


def test_an_archive_is_kept_and_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    plan = Plan(files=3, rows=500, start=date(2025, 12, 30))
    first = cached(plan, tmp_path)
    stamp = first.paths[0].stat().st_mtime_ns

    assert cached(plan, tmp_path) == first
    assert first.paths[0].stat().st_mtime_ns == stamp
    first.paths[0].unlink()
    assert cached(plan, tmp_path) == first
    assert first.paths[0].exists()


def test_pairs_begin_when_kraken_first_traded_them() -> None:
    series = {pair.altname: pair.start for pair, _ in list_series(160)}

    assert len(series) == 20
    assert series["XBTEUR"] == date(2013, 9, 10)
    assert series["SOLUSD"] == date(2021, 6, 17)


@pytest.mark.parametrize("files", [1, 10, 16, 1600, 12_000])
def test_any_number_of_files_has_names_of_its_own_that_feefifod_takes(files: int) -> None:
    names = [f"{pair.altname}_{interval}.csv" for pair, intervals in list_series(files) for interval in intervals]
    verdicts = [judge(PurePath(name)) for name in names]

    assert len(set(names)) == files
    assert {verdict.kind for verdict in verdicts} == {Kind.OHLCVT}
    assert {verdict.pair.quote for verdict in verdicts if verdict.pair} <= {"USD", "EUR"}


def test_numbers_are_spelled_as_in_the_archive() -> None:
    prices = format_prices(np.array([12200, 12361, 12390, 5]), 2).to_pylist()
    volumes = format_volumes(np.array([30, 110, 2, 0]) * 100_000_000 + np.array([0, 0, 0, 1000])).to_pylist()

    assert prices == ["122.0", "123.61", "123.9", "0.05"]
    assert volumes == ["3E+1", "1.1E+2", "2", "0.00001"]
