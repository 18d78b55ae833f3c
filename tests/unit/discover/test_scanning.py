"""The scan finds what is there, whatever it is called and however deep it lies."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feefifod.discover import find_closed, open_drop, scan, stamp_of
from feefifod.errors import Refused
from feefifod.parse.names import Kind
from tests.support.other_user import open_folder, other_user


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


def closing(monkeypatch: pytest.MonkeyPatch, folder: Path, code: int) -> None:
    """Let the system refuse to list one folder."""
    listed: Callable[..., Any] = os.scandir

    def refuse(path: str) -> Any:
        if path == str(folder):
            raise OSError(code, os.strerror(code), path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(
    "code", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENAMETOOLONG, errno.ELOOP, errno.EHOSTDOWN]
)
def test_folder_that_cannot_be_listed_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, depth: int
) -> None:
    """At any level, for any reason; what lies beside it is found."""
    folder = tmp_path.joinpath(*"abc"[: depth - 1], "lost+found")
    folder.mkdir(parents=True)
    for name in ("XBTUSD_60.csv", "z/ETHUSD_60.csv"):
        (folder.parent / name).parent.mkdir(exist_ok=True)
        (folder.parent / name).touch()
    closing(monkeypatch, folder, code)
    closed: dict[str, str] = {}
    assert [Path(item.path).name for item in scan(str(tmp_path), closed)] == ["XBTUSD_60.csv", "ETHUSD_60.csv"]
    assert list(closed) == [str(folder)]
    assert os.strerror(code) in closed[str(folder)]
    assert find_closed(str(tmp_path), f"{folder}/a/XBTUSD_1.csv") == (str(folder), closed[str(folder)])
    assert find_closed(str(tmp_path), str(folder.parent / "XBTUSD_60.csv")) is None


def test_data_folder_that_cannot_be_listed_is_named_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closing(monkeypatch, tmp_path, errno.EACCES)
    with pytest.raises(Refused) as caught:
        scan(str(tmp_path))
    assert caught.value.where == str(tmp_path)


def test_folder_that_may_be_listed_and_not_entered() -> None:
    closed: dict[str, str] = {}
    with open_folder() as data:
        folder = data / "half"
        folder.mkdir()
        (folder / "XBTUSD_60.csv").touch()
        (data / "ETHUSD_60.csv").touch()
        folder.chmod(0o644)
        with other_user():
            found = scan(str(data), closed)
            hidden = find_closed(str(data), f"{folder}/XBTUSD_60.csv")
        folder.chmod(0o755)
    assert [Path(item.path).name for item in found] == ["ETHUSD_60.csv"]
    assert list(closed.items()) == [hidden]
    assert hidden is not None
    assert hidden[0] == str(folder)


def test_folders_without_an_end_are_passed_over(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*(["d"] * 40))
    deep.mkdir(parents=True)
    (deep / "XBTUSD_60.csv").touch()
    closed: dict[str, str] = {}
    assert scan(str(tmp_path), closed) == []
    assert ["deeper" in reason for reason in closed.values()] == [True]
