"""The scan finds what is there, whatever it is called and however deep it lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from feefifod.discover import open_drop, scan, stamp_of
from feefifod.errors import Refused
from feefifod.parse.names import Kind


def test_subfolders_are_scanned_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for folder in ("", "q3/deep", ".hidden", "__MACOSX"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "XBTUSD_60.csv").touch()
    found = [os.path.relpath(item.path, tmp_path) for item in scan(str(tmp_path)) if item.verdict.kind is Kind.OHLCVT]
    assert found == ["XBTUSD_60.csv", "q3/deep/XBTUSD_60.csv"]


@pytest.mark.parametrize("name", [b"\xff\xfe_60.csv", b"a\nb_60.csv", b"x" * 250 + b".csv", b"\x1b[31m_60.csv"])
def test_any_name_is_found_as_it_is(tmp_path: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    [found] = scan(str(tmp_path))
    assert os.fsencode(found.path).endswith(b"/" + name)
    assert found.stamp is not None


def test_folder_that_is_not_there_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        scan(str(tmp_path / "nothing"))
    assert caught.value.remedy


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "XBTUSD_60.csv").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    found = scan(str(tmp_path))
    assert [item.path for item in found if item.stamp] == [str(tmp_path / "real" / "XBTUSD_60.csv")]


def test_drop_is_opened_only_as_the_file_that_was_found(tmp_path: Path) -> None:
    path = tmp_path / "XBTUSD_60.csv"
    path.write_bytes(b"1,2\n")
    stamp = stamp_of(path.stat())
    os.close(open_drop(str(path), stamp))
    path.write_bytes(b"1,2\n3,4\n")
    with pytest.raises(FileNotFoundError):
        open_drop(str(path), stamp)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FileNotFoundError):
        open_drop(str(path))
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(FileNotFoundError):
        open_drop(str(path))
