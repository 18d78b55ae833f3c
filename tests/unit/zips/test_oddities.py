"""Zips that are not as the specification has them, and that people have all the same: read where that is safe."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from feefifod.discover import copy_member, look_at, open_zip, read_contents
from feefifod.errors import BadInput
from tests.support.zips import Entry, build, pack

CSV = b"1700006400,1.0,1.0,1.0,1.0,1.0,1\n"


def unpack(path: Path) -> dict[str, bytes]:
    """Unpack all that is wanted of a zip, by its place."""
    found = {}
    with open_zip(look_at(str(path.parent), str(path)).parts) as archive:
        for member in read_contents(archive).members:
            copy_member(archive, member, path.parent / "copy")
            found[member.place] = (path.parent / "copy").read_bytes()
            (path.parent / "copy").unlink()
    return found


def test_backslashes_separate_folders(tmp_path: Path) -> None:
    """As .NET Framework and some tools of Windows write them, with folders as members of their own."""
    (tmp_path / "Q.zip").write_bytes(
        build(
            [
                Entry("Kraken\\", b"", method=0),
                Entry("Kraken\\XBTUSD_1.csv", CSV),
                Entry("Kraken\\more\\XBTUSD_1.csv", CSV * 2),
                Entry("__MACOSX\\._XBTUSD_1.csv", b"x"),
            ]
        )
    )
    assert unpack(tmp_path / "Q.zip") == {"XBTUSD_1.csv": CSV, "2/XBTUSD_1.csv": CSV * 2}


@pytest.mark.parametrize("name", ["Überblick/XBTUSD_1.csv", "数据/XBTUSD_1.csv"])
def test_folders_in_any_alphabet(tmp_path: Path, name: str) -> None:
    """With the flag that says UTF-8, and without, as macOS has them."""
    (tmp_path / "Q.zip").write_bytes(pack({name: CSV}))
    (tmp_path / "R.zip").write_bytes(build([Entry(name, CSV)]))
    assert unpack(tmp_path / "Q.zip") == unpack(tmp_path / "R.zip") == {"XBTUSD_1.csv": CSV}


def test_what_lies_before_a_zip_is_skipped(tmp_path: Path) -> None:
    """Self-extracting ones have a program there."""
    (tmp_path / "Q.zip").write_bytes(b"MZ" + bytes(5000) + pack({"XBTUSD_1.csv": CSV}))
    assert unpack(tmp_path / "Q.zip") == {"XBTUSD_1.csv": CSV}


def large(path: Path, *, lie: int = 0) -> None:
    """Write a sparse zip of 6 GiB whose directory has no zip64, as macOS' Archive Utility does."""
    gap = 2 * 1024**3 - 1
    sizes = {"XBTUSD_1.csv": None, "pad1": gap, "pad2": gap, "ETHUSD_1.csv": None, "pad3": gap, "SOLUSD_1.csv": None}
    directory = io.BytesIO()
    with path.open("wb") as file:
        for name, size in sizes.items():
            place, data = file.tell(), CSV if size is None else b""
            length, crc = (len(CSV), zlib.crc32(CSV)) if size is None else (size, 0)
            facts = struct.pack("<HHHHHLLL", 20, 0, 0, 0, 0x21, crc, length, length)
            raw = name.encode()
            file.write(b"PK\3\4" + facts + struct.pack("<HH", len(raw), 0) + raw + data)
            if size is not None:
                file.seek(size, io.SEEK_CUR)
            offset = (place + lie * (name == "SOLUSD_1.csv")) % 2**32
            directory.write(b"PK\1\2" + struct.pack("<H", 3 << 8 | 20) + facts)
            directory.write(struct.pack("<HHHHHLL", len(raw), 0, 0, 0, 0, 0o100644 << 16, offset) + raw)
        start = file.tell()
        file.write(directory.getvalue())
        facts = struct.pack("<HHLLH", len(sizes), len(sizes), len(directory.getvalue()), start % 2**32, 0)
        file.write(b"PK\5\6" + bytes(4) + facts)


def test_more_than_four_gibibytes_without_zip64(tmp_path: Path) -> None:
    large(tmp_path / "Q.zip")
    with zipfile.ZipFile(tmp_path / "Q.zip") as archive, pytest.raises(zipfile.BadZipFile):
        archive.read("XBTUSD_1.csv")
    assert unpack(tmp_path / "Q.zip") == dict.fromkeys(("XBTUSD_1.csv", "ETHUSD_1.csv", "SOLUSD_1.csv"), CSV)


def test_directory_that_fits_nowhere_hears_what_to_do(tmp_path: Path) -> None:
    large(tmp_path / "Q.zip", lie=17)
    with pytest.raises(BadInput, match=r"zip64.*Make it again"):
        unpack(tmp_path / "Q.zip")
