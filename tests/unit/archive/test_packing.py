"""Packed copies are ordinary `.zst` files, right on disk before they have their name, and never in anybody's way."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from feefifod.archive import hash_packed, pack_file, packing, remove_drafts, unpack_file
from feefifod.errors import BadInput

CONTENT = b"1700006400,1,1,1,1,0.5,3\n" * 5000
DIGEST = hashlib.sha256(CONTENT).digest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "XBTUSD_60.csv"
    path.write_bytes(CONTENT)
    os.utime(path, ns=(1_500_000_000_123_456_789, 1_500_000_000_123_456_789))
    path.chmod(0o640)
    return path


def pack(path: Path, digest: bytes = DIGEST) -> Path:
    with path.open("rb") as file:
        return pack_file(file.fileno(), str(path), digest)


def test_a_copy_beside_it_with_its_time_and_mode(source: Path) -> None:
    target = pack(source)

    assert target == source.with_name("XBTUSD_60.csv.zst")
    assert target.read_bytes()[:4] == b"\x28\xb5\x2f\xfd", "the mark of a zstd frame"
    assert (target.stat().st_mtime_ns, target.stat().st_mode & 0o777) == (1_500_000_000_123_456_789, 0o640)
    assert source.read_bytes() == CONTENT, "the original stays"
    with target.open("rb") as file:
        assert hash_packed(file.fileno()) == DIGEST
        unpack_file(file.fileno(), source.with_name("again"), len(CONTENT))
    assert source.with_name("again").read_bytes() == CONTENT


def test_another_content_is_refused_and_leaves_nothing(source: Path) -> None:
    with pytest.raises(BadInput, match="another content"):
        pack(source, b"x" * 32)
    assert list(source.parent.iterdir()) == [source]


def test_a_copy_that_does_not_read_back_is_not_one(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "hash_packed", lambda _: b"other")
    with pytest.raises(OSError, match="read back"):
        pack(source)
    assert list(source.parent.iterdir()) == [source]


def test_a_name_that_is_taken(source: Path) -> None:
    first = pack(source)
    assert pack(source) == first, "what an earlier try has left is taken as it is"
    first.write_bytes(b"somebody else's")
    second = pack(source)
    assert second != first
    assert second.name.startswith("XBTUSD_60.2")
    assert first.read_bytes() == b"somebody else's"


def test_what_is_cut_off_or_too_long_is_not_unpacked(source: Path) -> None:
    target = pack(source)
    cut = source.with_name("cut.zst")
    cut.write_bytes(target.read_bytes()[:-9])
    for path, size in ((cut, len(CONTENT)), (target, len(CONTENT) - 1), (target, len(CONTENT) + 1)):
        scratch = source.with_name(f"{path.name}-{size}")
        with path.open("rb") as file, pytest.raises(OSError, match=r".+"):
            unpack_file(file.fileno(), scratch, size)
        assert not scratch.exists() or scratch.stat().st_size <= len(CONTENT)


def test_old_drafts_are_removed_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (".XBTUSD_60.csv.zst.12.part", ".XBTUSD_60.csv.12.part", "XBTUSD_60.csv.zst.12.part", ".x.zst.part"):
        (tmp_path / name).touch()

    remove_drafts(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4, "a day has not passed"
    now = time.time()
    monkeypatch.setattr(packing.time, "time", lambda: now + 90_000)
    remove_drafts(tmp_path)
    assert not (tmp_path / ".XBTUSD_60.csv.zst.12.part").exists()
    assert len(list(tmp_path.iterdir())) == 3
    remove_drafts(tmp_path / "missing")
