"""Files whose end is decided are known again, and no other file is taken for one."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from feefifod.discover import stamp_of
from feefifod.ingest.whereabouts import Ended, check_same, describe_stuck, find_moved
from feefifod.model import FileState

_NAME = "XBTUSD_60.csv"


@pytest.fixture
def item(tmp_path: Path) -> Ended:
    path = tmp_path / "data" / _NAME
    path.parent.mkdir()
    (tmp_path / "ingested").mkdir()
    path.write_bytes(b"1,2\n")
    return Ended(7, str(path), _NAME, stamp_of(path.stat()), FileState.DONE, "", 20)


def test_file_is_the_same_after_a_mount_anew(item: Ended) -> None:
    """Where the file system makes up its numbers, these are others then."""
    check_same(item)
    check_same(replace(item, stamp=replace(item.stamp, device=1, inode=2)))


def test_other_content_is_no_such_file(item: Ended) -> None:
    times = Path(item.path).stat()
    time.sleep(0.02)  # The clock of file systems ticks every few milliseconds.
    Path(item.path).write_bytes(b"3,4\n")
    os.utime(item.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(FileNotFoundError):
        check_same(item)


@pytest.mark.parametrize(("rounding", "known"), [(1, True), (10_000_000, True), (2_000_000_000, True), (777, False)])
def test_copy_is_known_by_its_time_as_its_file_system_rounds_it(
    item: Ended, tmp_path: Path, rounding: int, known: bool
) -> None:
    copy = tmp_path / "ingested" / _NAME.lower()
    copy.write_bytes(b"1,2\n")
    mtime = item.stamp.mtime_ns // rounding * rounding - (rounding if rounding == 777 else 0)
    os.utime(copy, ns=(mtime, mtime))
    Path(item.path).unlink()
    move = find_moved(item, tmp_path / "ingested", _NAME)
    assert (move.moved_to == os.fsencode(copy)) is known


def test_reservation_of_a_file_that_was_taken_away_goes(item: Ended, tmp_path: Path) -> None:
    mark = tmp_path / "ingested" / _NAME
    mark.write_bytes(b"feefifod moves a file here: " + os.fsencode(item.path) + b"\n")
    Path(item.path).unlink()
    assert find_moved(item, tmp_path / "ingested", _NAME).moved_to is None
    assert not mark.exists()


def test_what_is_in_is_said(item: Ended) -> None:
    assert describe_stuck([item]) == "20 rows are in the table; XBTUSD_60.csv waits in data/ to be moved"
    refused = replace(item, ending=FileState.REJECTED, rows_accepted=0)
    assert describe_stuck([refused]) == "XBTUSD_60.csv waits in data/ to be moved"
    assert describe_stuck([item, item]) == (
        "40 rows are in the table; 2 files, such as XBTUSD_60.csv, wait to be moved"
    )
