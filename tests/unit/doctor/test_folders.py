"""What the doctor sees in folders."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from feefifod.config.settings import PathSettings
from feefifod.doctor import folders
from feefifod.doctor.folders import (
    check_data,
    check_disks,
    check_folder,
    check_folders,
    check_held,
    check_rejected,
    check_scratch,
)
from tests.support.other_user import NOBODY, open_folder, other_user


def test_folders_that_will_be_made_are_good_and_are_not_made(tmp_path: Path) -> None:
    paths = PathSettings(**{name: tmp_path / name for name in ("data", "ingested", "rejected", "state")})

    found = check_folders(paths)

    assert {str(finding.level) for finding in found} == {"ok"}
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    found = check_folder("data", tmp_path / "data")

    assert found.level == "error"
    assert "is no folder" in found.what


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders.os, "access", lambda *_, **__: False)

    assert check_folder("data", tmp_path).level == "error"
    assert str(tmp_path / "ingested") in check_folder("ingested", tmp_path / "ingested").what


def test_files_and_folders_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "it's data"
    (data / "closed").mkdir(parents=True)
    for name in ("XBTUSD_60.csv", "ETHUSD_60.csv"):
        (data / name).write_text("")
    (data / "XBTUSD_60.csv").chmod(0o600)
    assert [str(finding.level) for finding in check_data(data)] == ["ok"]
    closed = {str(data / "XBTUSD_60.csv"), str(data / "closed")}
    monkeypatch.setattr(folders.os, "access", lambda path, *_, **__: str(path) not in closed)

    folder, file = check_data(data)

    assert "mode 0600" in file.what
    assert (folder.level, file.level) == ("warning", "warning")
    for finding, mode in ((file, 0o644), (folder, 0o755)):
        command = finding.remedy.partition(": ")[2]
        subprocess.run(["/bin/sh", "-c", command], check=True)
        name = "XBTUSD_60.csv" if finding is file else "closed"
        assert (data / name).stat().st_mode & 0o777 == mode


def test_only_so_many_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(folders.MOST_NAMED + 5):
        (tmp_path / f"A{number}USD_60.csv").write_text("")
    monkeypatch.setattr(folders.os, "access", lambda *_, **__: False)

    found = check_data(tmp_path)

    assert len(found) == folders.MOST_NAMED + 1
    assert found[-1].what == "5 more"


def test_refused_files_have_their_reason(tmp_path: Path) -> None:
    assert check_rejected(tmp_path / "none").level == "ok"
    for name in ("A.csv", "A.csv.reason.json", "B.csv.rows.csv", ".part", "C.csv"):
        (tmp_path / name).write_text("")

    found = check_rejected(tmp_path)

    assert found.level == "warning"
    assert found.what == "1 of 2 have no reason, such as C.csv"


def test_scratch_of_the_living_is_not_left_over(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f"batch-{os.getpid()}-7").mkdir()
    assert check_scratch(tmp_path).level == "ok"
    left = tmp_path / f"batch-{ended.pid}-8"
    left.mkdir()
    (left / "5.0.arrow").write_bytes(bytes(3 * 1024 * 1024))

    found = check_scratch(tmp_path)

    assert found.what == "1 left by ended processes, 3 MiB"
    subprocess.run(["/bin/sh", "-c", found.remedy.partition(": ")[2]], check=True)
    assert check_scratch(tmp_path).level == "ok"


def test_each_disk_is_judged_once(tmp_path: Path) -> None:
    [found] = check_disks([("data", tmp_path / "a"), ("ingested", tmp_path / "b" / "c")])

    assert found.check == "disk of data, ingested"


@pytest.mark.skipif(os.geteuid() != 0, reason="files of another user are made by root alone")
def test_sticky_bit_over_the_files_of_others() -> None:
    """Such a folder may be written, and their files be read and loaded: they cannot be moved away."""
    with open_folder() as data:
        data.chmod(0o1777)
        (data / "XBTUSD_60.csv").write_text("")
        (data / "ETHUSD_60.csv").write_text("")
        os.chown(data / "ETHUSD_60.csv", NOBODY, NOBODY)
        with other_user():
            assert check_folder("data", data).level == "ok"
            [found] = check_held(data)
        assert found.level == "warning"
        assert "XBTUSD_60.csv" in found.what
        assert "sticky bit" in found.what
        subprocess.run(["/bin/sh", "-c", found.remedy.partition(": ")[2].partition(";")[0]], check=True)
        with other_user():
            [found] = check_held(data)
        assert found.level == "ok"


def test_folder_whose_files_may_be_read_and_not_be_moved() -> None:
    with open_folder() as data:
        (data / "q3").mkdir(0o755)
        (data / "q3" / "XBTUSD_60.csv").write_text("")
        if os.geteuid() != 0:
            (data / "q3").chmod(0o555)
        with other_user():
            [found] = check_held(data)
        (data / "q3").chmod(0o755)
    assert f"{data}/q3" in found.what
    assert "XBTUSD_60.csv" in found.what
    assert "may not change this folder" in found.what


def test_folder_that_cannot_be_listed_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no matter of rights, and the remedy is no chmod."""
    (tmp_path / "dead").mkdir()
    listed = os.scandir

    def refuse(path: str) -> object:
        if str(path) == str(tmp_path / "dead"):
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN), path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    [found] = check_data(tmp_path)
    assert "dead is passed over: it cannot be looked at" in found.what
    assert "Mount it anew" in found.remedy
