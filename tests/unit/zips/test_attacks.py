"""Zips that nobody should trust: each is refused within seconds, in little memory, before anything is written."""

from __future__ import annotations

import re
import stat
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from feefifod.discover import Contents, copy_member, look_at, open_zip, read_contents, suspicion
from feefifod.discover import zips as guarded
from feefifod.errors import BadInput
from tests.support.zips import Entry, build, pack

CSV = b"1700006400,1.0,1.0,1.0,1.0,1.0,1\n"
ZEROS = zlib.compress(bytes(50_000_000), 9)[2:-4]
"""Fifty megabytes of nothing, deflated to fifty kilobytes."""


@contextmanager
def opened(folder: Path, content: bytes, name: str = "X.zip") -> Iterator[tuple[zipfile.ZipFile, Contents]]:
    path = folder / name
    path.write_bytes(content)
    with open_zip(look_at(str(folder), str(path)).parts) as archive:
        yield archive, read_contents(archive)


def unpack_all(folder: Path, content: bytes) -> None:
    """Unpack a zip as far as it goes, a member at a time."""
    (folder / "out").mkdir()
    with opened(folder, content) as (archive, contents):
        for member in contents.members:
            copy_member(archive, member, folder / "out" / "copy")
            (folder / "out" / "copy").unlink()


def refuse(folder: Path, content: bytes) -> str:
    """Assert that a zip is refused, soon and in little space; returns why."""
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(BadInput) as caught:
            unpack_all(folder, content)
        assert tracemalloc.get_traced_memory()[1] < 150_000_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 10
    assert sum(path.stat().st_size for path in (folder / "out").iterdir()) <= 2_000_000
    assert {path.name for path in folder.iterdir()} == {"X.zip", "out"}
    return str(caught.value)


def overlapping() -> bytes:
    """Many members that share one kernel of compressed bytes: 50 GB out of a few hundred kilobytes."""
    return build([Entry(f"A{n}USD_1.csv", ZEROS, size=50_000_000, shared=True) for n in range(1000)])


def quoted() -> bytes:
    """Members whose compressed bytes hold the next member's header, as in the best known bombs."""
    inner = build([Entry("XBTUSD_1.csv", CSV, method=0)])
    return build([Entry("ETHUSD_1.csv", inner, method=0, reach=200), Entry("XBTUSD_1.csv", CSV, method=0)])


ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "leaves the folder": (lambda: pack({"../XBTUSD_1.csv": CSV}), "unpacked elsewhere"),
    "leaves it further down": (lambda: pack({"a/../../XBTUSD_1.csv": CSV}), "unpacked elsewhere"),
    "absolute": (lambda: pack({"/etc/XBTUSD_1.csv": CSV}), "unpacked elsewhere"),
    "absolute, and not even wanted": (lambda: pack({"XBTUSD_1.csv": CSV, "/etc/passwd": CSV}), "unpacked elsewhere"),
    "backslashes": (lambda: pack({"..\\XBTUSD_1.csv": CSV}), "backslashes"),
    "a drive": (lambda: pack({"C:\\XBTUSD_1.csv": CSV}), "backslashes that would be unpacked elsewhere"),
    "a server": (lambda: pack({"\\\\host\\share\\XBTUSD_1.csv": CSV}), "backslashes that would be unpacked elsewhere"),
    "line feed in a name": (lambda: pack({"XBT\nUSD_1.csv": CSV}), "control characters"),
    "nul in a name": (lambda: build([Entry("XBTUSD_1.csv\0.exe", CSV)]), "control characters"),
    "long name": (lambda: pack({f"{'X' * 300}_1.csv": CSV}), "name of over 200 bytes"),
    "empty name": (lambda: build([Entry("", CSV)]), "no name"),
    "symbolic link": (lambda: build([Entry("XBTUSD_1.csv", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)]), "a link"),
    "device": (lambda: build([Entry("XBTUSD_1.csv", b"", mode=stat.S_IFCHR | 0o666)]), "a device"),
    "encrypted": (lambda: build([Entry("XBTUSD_1.csv", CSV, flags=0x1)]), "encrypted"),
    "strongly encrypted": (lambda: build([Entry("XBTUSD_1.csv", CSV, flags=0x40)]), "encrypted"),
    "unknown compression": (lambda: build([Entry("XBTUSD_1.csv", CSV, method=99)]), "method 99"),
    "deflate64": (lambda: build([Entry("XBTUSD_1.csv", CSV, method=9)]), "Deflate64.*Pack it again with Deflate"),
    "AES without its flag": (lambda: build([Entry("XBTUSD_1.csv", CSV, method=99)]), "encrypted .*without a password"),
    "compression that is rarely looked at": (lambda: build([Entry("XBTUSD_1.csv", CSV, method=14)]), "method 14"),
    "nested": (lambda: pack({"XBTUSD_1.csv": CSV, "more/inner.zip": pack({"XBTUSD_5.csv": CSV})}), "another zip"),
    "nested part": (lambda: pack({"XBTUSD_1.csv": CSV, "inner.zip.part00": CSV}), "another zip"),
    "same name twice": (lambda: build([Entry("XBTUSD_1.csv", CSV), Entry("XBTUSD_1.csv", CSV)]), "twice"),
    "shared bytes": (overlapping, "overlaps"),
    "few shared bytes": (
        lambda: build([Entry(f"A{n}USD_1.csv", CSV, method=0, shared=True) for n in range(9)]),
        "overlaps",
    ),
    "quoted headers": (quoted, "overlaps"),
    "a member beyond the end": (lambda: build([Entry("XBTUSD_1.csv", CSV, packed=10_000)]), "overlaps"),
    "ratio": (lambda: build([Entry("XBTUSD_1.csv", ZEROS, size=50_000_000)]), "unpacks to 50000000 bytes from"),
    "a huge member": (lambda: build([Entry("XBTUSD_1.csv", CSV, size=3 * 1024**3)]), "the most"),
    "too much in all": (
        lambda: build([Entry(f"A{n}USD_1.csv", CSV, size=2 * 1024**3) for n in range(40)]),
        "more than 64 GiB",
    ),
    "longer than it says": (lambda: build([Entry("XBTUSD_1.csv", ZEROS, size=1_000_000)]), "damaged"),
    "shorter than it says": (lambda: build([Entry("XBTUSD_1.csv", CSV, method=0, size=500)]), "damaged|not as long"),
    "wrong checksum": (lambda: build([Entry("XBTUSD_1.csv", CSV, method=0, crc=1)]), "damaged"),
    "bytes that do not unpack": (lambda: build([Entry("XBTUSD_1.csv", b"\xff" * 40, size=40)]), "damaged"),
    "two names for one member": (lambda: build([Entry("XBTUSD_1.csv", CSV, local="ETHUSD_1.csv")]), "damaged"),
    "nothing for us": (lambda: pack({"README.txt": CSV, "XBTUSD.csv": CSV}), "nothing in it is an OHLCVT file"),
    "only names that are refused": (lambda: pack({"XBTUSD_7.csv": CSV}), "nothing in it is an OHLCVT file"),
    "empty": (lambda: pack({}), "nothing in it is an OHLCVT file"),
    "no zip": (lambda: b"PK" + bytes(5000), "damaged"),
    "cut": (lambda: pack({"XBTUSD_1.csv": CSV})[:-30], "damaged"),
    "too many members": (lambda: build([Entry(f"{n}", b"", method=0) for n in range(40_001)]), "40001 members"),
    "a million members": (lambda: build([Entry("", b"", method=0)], times=1_000_000), "central directory is longer"),
    "a directory that lies about its size": (
        lambda: pack({"XBTUSD_1.csv": CSV})[:-10] + struct.pack("<LLH", 2**31, 0, 0),
        "damaged",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(tmp_path: Path, name: str) -> None:
    make, why = ATTACKS[name]
    assert re.search(why, refuse(tmp_path, make()))


def test_no_more_is_written_than_a_member_says(tmp_path: Path) -> None:
    """A size and a checksum that agree with the beginning of the data are believed, and no byte more is written."""
    lie = Entry("XBTUSD_1.csv", ZEROS, size=100, crc=zlib.crc32(bytes(100)))
    with opened(tmp_path, build([lie])) as (archive, contents):
        copy_member(archive, contents.members[0], tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == bytes(100)


def test_limits_admit_the_complete_archive(tmp_path: Path) -> None:
    """12,028 files of 27 GB, and as many notes of macOS."""
    names = [f"master_q4/A{n}USD_{minutes}.csv" for n in range(1504) for minutes in (1, 5, 15, 30, 60, 240, 720, 1440)]
    entries = [Entry(name, b"\0" * 500, method=8, size=27_000_000_000 // len(names) // 50) for name in names[:12_028]]
    notes = [Entry(f"__MACOSX/master_q4/._A{n}USD_1.csv", b"", method=0) for n in range(12_028)]
    with opened(tmp_path, build(entries + notes)) as (_, contents):
        assert len(contents.members) == 12_028


def test_every_limit_is_what_is_promised() -> None:
    assert guarded.MOST_MEMBERS == 40_000
    assert (suspicion.MOST_MEMBER_BYTES, guarded.MOST_BYTES, suspicion.MOST_RATIO) == (2 * 1024**3, 64 * 1024**3, 100)
