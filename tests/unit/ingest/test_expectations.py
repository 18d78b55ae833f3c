"""What the table must hold after a batch, and which files are candidates at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feefifod.discover import Settlement, look_at
from feefifod.ingest.candidates import Selection
from feefifod.ingest.finish import shorten
from feefifod.ingest.ingestor import _SMALL_BATCH_BYTES, _SMALL_FILE_BYTES, pick_small
from feefifod.ingest.order import latest_seconds
from feefifod.ingest.prove import expect
from feefifod.sweep import SweepFile, Tally

_ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 20), st.integers(0, 30)), max_size=8)


def sweep_file(number: int, asset: int) -> SweepFile:
    return SweepFile(number, number, lambda: -1, 1, 0, 7, asset, 60, "USD")


@given(_ROWS)
def test_a_series_is_expected_to_hold_its_distinct_rows(rows: list[tuple[int, int, int]]) -> None:
    """Each file is (asset, rows, first hour): what was taken less what lost is what a set of keys holds."""
    files = [sweep_file(number, asset) for number, (asset, _, _) in enumerate(rows)]
    tallies = {
        number: Tally(count, 0, first * 3600, (first + count - 1) * 3600)
        for number, (_, count, first) in enumerate(rows)
    }
    keys: dict[int, set[int]] = {}
    merged: dict[str, int] = {}
    for file, (asset, count, first) in zip(files, rows, strict=True):
        mine = set(range(first, first + count))
        lost = len(mine & keys.setdefault(asset, set()))
        keys[asset] |= mine
        if lost:
            merged[file.series] = merged.get(file.series, 0) + lost
    expected = expect(files, tallies, merged)
    assert {key[0]: series.rows for key, series in expected.items()} == {asset: len(k) for asset, k in keys.items()}
    for asset, hours in keys.items():
        series = expected[asset, 60, "USD"]
        assert (series.first_seconds, series.last_seconds) == (min(hours) * 3600, max(hours) * 3600)


def test_what_is_complete_is_sorted_out(tmp_path: Path) -> None:
    for name in ("XBTUSD_60.csv", "XBTUSD_61.csv", "Q.zip"):
        (tmp_path / name).write_text("x\n")
    selection = Selection()
    for name in ("XBTUSD_60.csv", "XBTUSD_61.csv", "Q.zip"):
        selection.add(look_at(str(tmp_path), str(tmp_path / name)))
    waiting = look_at(str(tmp_path), str(tmp_path / "XBTUSD_60.csv"))
    selection.wait(waiting, Settlement(False, "it changed a moment ago", 0.4))
    selection.wait(waiting, Settlement(False, "another process has it open for writing", 2.0))

    assert [drop.name for drop in selection.drops] == ["XBTUSD_60.csv"]
    assert [refused.name for refused in selection.refused] == ["XBTUSD_61.csv"]
    assert [Path(found.path).name for found in selection.zips] == ["Q.zip"]
    assert selection.due_seconds == 0.4


def test_only_small_files_go_beside_a_sweep(tmp_path: Path) -> None:
    names = [f"{pair}_60.csv" for pair in ("XBTUSD", "ETHUSD", "SOLUSD", "ADAUSD", "DOTUSD")]
    sizes = [100, _SMALL_FILE_BYTES + 1, _SMALL_FILE_BYTES, _SMALL_BATCH_BYTES, 200]
    selection = Selection()
    for name, size in zip(names, sizes, strict=True):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)
        selection.add(look_at(str(tmp_path), str(tmp_path / name)))
    drops = selection.drops
    picked = [drop.name for drop in pick_small(drops)]
    assert picked == ["XBTUSD_60.csv", "SOLUSD_60.csv", "DOTUSD_60.csv"], "what is too large takes no place"
    assert len(pick_small([drops[2]] * 5)) == _SMALL_BATCH_BYTES // _SMALL_FILE_BYTES


@given(st.binary(min_size=1, max_size=255).filter(lambda raw: b"/" not in raw and b"\0" not in raw))
def test_long_names_leave_room_for_endings(raw: bytes) -> None:
    name = os.fsdecode(raw)
    short = shorten(name)
    assert len(os.fsencode(short)) + len(".rows.csv.20260101T000000.000000Z-999") <= 255
    assert len(raw) > 200 or short == name


@pytest.mark.parametrize("now", [1_700_000_000, 1_700_006_399, 1_700_006_400])
def test_candles_of_tomorrow_are_taken_and_later_ones_are_not(now: int) -> None:
    midnight = now // 86_400 * 86_400
    assert latest_seconds(now) == midnight + 2 * 86_400 - 1
