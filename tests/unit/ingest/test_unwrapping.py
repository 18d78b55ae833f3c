"""What is inside of compressed files goes to scratch space only as far as there is room."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path

import pyarrow
import pytest

from feefifod.catalog import ClaimedFile
from feefifod.discover import stamp_of
from feefifod.ingest import unwrap as module
from feefifod.ingest.unwrap import Unwrapper
from feefifod.model import Category, Series

Usage = namedtuple("Usage", "free")


def claim(folder: Path, number: int, content: bytes) -> ClaimedFile:
    path = folder / f"{number}.csv.zst"
    path.write_bytes(pyarrow.compress(content, codec="zstd", asbytes=True))
    series = Series("BTC", Category.CRYPTO, "USD", 60)
    stamp = stamp_of(path.stat())
    return ClaimedFile(number, os.fsencode(path), path.name, stamp, series, None, False, False, wrapping=".zst")


def test_half_of_the_free_disk_is_used_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: Usage(2_500))
    unwrapper = Unwrapper(tmp_path / "scratch")
    first, second, third = (claim(tmp_path, n, os.urandom(size)) for n, size in ((1, 1_000), (2, 1_000), (3, 200)))

    unwrapped = unwrapper.unwrap(first)

    assert Path(os.fsdecode(unwrapped.path)).stat().st_size == 1_000
    assert (unwrapped.wrapping, unwrapped.stamp.size, unwrapped.id) == ("", 1_000, 1)
    with pytest.raises(OSError, match="no room"):
        unwrapper.unwrap(second)
    # What did not fit takes no room from what does, and leaves nothing behind.
    unwrapper.unwrap(third)
    assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == ["1.csv", "3.csv"]


def test_a_file_that_has_changed_is_not_read(tmp_path: Path) -> None:
    file = claim(tmp_path, 1, b"x")
    Path(os.fsdecode(file.path)).write_bytes(b"other")
    with pytest.raises(FileNotFoundError):
        Unwrapper(tmp_path / "scratch").unwrap(file)
