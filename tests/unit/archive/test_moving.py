"""Finished files are moved: nothing is overwritten, nothing is removed before its copy is safe."""

from __future__ import annotations

import csv
import errno
import json
import os
from pathlib import Path

import pytest

from feefifod.archive import (
    Refusal,
    RejectedRows,
    move_file,
    reject_file,
    rename_exclusive,
    rename_group,
    sync_folders,
)
from feefifod.archive import move as move_module
from feefifod.errors import Unavailable
from feefifod.parse.rows import Reject
from tests.support.other_user import open_folder, other_user


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "XBTUSD_60.csv"
    path.parent.mkdir()
    path.write_bytes(b"new")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ingested"


def refuse_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.fixture(
    params=[
        "same file system",
        "another file system",
        "no exclusive rename",
        "no hard links",
        "another file system without hard links",
    ]
)
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, source: Path) -> str:
    """File systems that can do more or less."""
    kind: str = request.param
    if kind == "no exclusive rename":
        monkeypatch.setattr(move_module, "_native_rename", lambda: None)
    if "no hard links" in kind or "without hard links" in kind:
        monkeypatch.setattr(move_module, "_native_rename", lambda: None)
        monkeypatch.setattr(os, "link", refuse_links)
    if "another file system" in kind:

        def rename(old: str, new: str) -> None:
            if old == str(source):
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            rename_exclusive(old, new)

        monkeypatch.setattr(move_module, "rename_exclusive", rename)
    return kind


async def test_move_keeps_content_and_time(source: Path, folder: Path, system: str) -> None:
    os.utime(source, ns=(1_500_000_000_123_456_789, 1_500_000_000_123_456_789))
    target = await move_file(str(source), folder, source.name)
    assert target == folder / source.name
    assert target.read_bytes() == b"new"
    assert target.stat().st_mtime_ns == 1_500_000_000_123_456_789
    assert not source.exists()
    assert [path.name for path in folder.iterdir()] == [source.name], "nothing half-made is left"


async def test_move_overwrites_nothing(source: Path, folder: Path, system: str) -> None:
    folder.mkdir()
    (folder / source.name).write_bytes(b"old")
    target = await move_file(str(source), folder, source.name)
    assert target != folder / source.name
    assert target.name.startswith("XBTUSD_60.")
    assert target.name.endswith(".csv")
    assert (folder / source.name).read_bytes() == b"old"
    assert target.read_bytes() == b"new"


async def test_copy_that_differs_removes_nothing(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def differs(source: str, copy: Path) -> bool:
        return False

    def rename(old: str, new: str) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(move_module, "rename_exclusive", rename)
    monkeypatch.setattr(move_module, "_is_same", differs)
    with pytest.raises(Unavailable):
        await move_file(str(source), folder, source.name)
    assert source.read_bytes() == b"new"
    assert list(folder.iterdir()) == []


async def test_folder_that_cannot_be_made_leaves_the_file(source: Path, folder: Path) -> None:
    folder.touch()
    with pytest.raises(Unavailable) as caught:
        await move_file(str(source), folder, source.name)
    assert caught.value.where == str(folder)
    assert caught.value.remedy
    assert source.read_bytes() == b"new"


async def test_source_that_is_gone_is_said_to_be_gone(source: Path, folder: Path) -> None:
    source.unlink()
    with pytest.raises(FileNotFoundError):
        await move_file(str(source), folder, source.name)


def test_group_goes_on_after_a_file_that_cannot_move(source: Path, folder: Path) -> None:
    others = [source.with_name(f"ETHUSD_{minutes}.csv") for minutes in (1, 5)]
    for path in others:
        path.write_bytes(b"other")

    def check(path: str, place: int) -> None:
        if place == 1:
            raise FileNotFoundError(errno.ENOENT, "it has changed", path)

    paths = [source, *others]
    results = rename_group([(str(path), folder, path.name) for path in paths], check)
    assert results[0] == folder / source.name
    assert isinstance(results[1], FileNotFoundError)
    assert results[2] == folder / others[1].name
    assert others[0].exists()


async def test_refused_file_has_its_reason_and_its_rows_beside_it(source: Path, tmp_path: Path) -> None:
    rejected = tmp_path / "rejected"
    with RejectedRows(tmp_path / "rows") as rows:
        rows.add([Reject(3, "2 fields instead of 7", 'a,"b"')])
    target = await reject_file(
        str(source), rejected, source.name, Refusal("no good row", {"rows_rejected": 1}, rows.path)
    )
    assert target.read_bytes() == b"new"
    document = json.loads(target.with_name(f"{target.name}.reason.json").read_text())
    assert (document["file"], document["reason"], document["rows_rejected"]) == (source.name, "no good row", 1)
    with target.with_name(f"{target.name}.rows.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["line", "reason", "text"], ["3", "2 fields instead of 7", 'a,"b"']]


async def test_reason_is_there_before_the_file_is(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No crash leaves a refused file without its reason."""
    seen: list[set[str]] = []

    def rename(old: str, new: str) -> None:
        seen.append({path.name for path in (tmp_path / "rejected").iterdir()})
        rename_exclusive(old, new)

    monkeypatch.setattr(move_module, "rename_exclusive", rename)
    await reject_file(str(source), tmp_path / "rejected", source.name, Refusal("why", {}))
    assert seen == [{"XBTUSD_60.csv.reason.json"}]


def test_rejected_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feefifod.archive.reasons._MOST_ROWS_BYTES", 1_000)
    with RejectedRows(tmp_path / "rows") as rows:
        for line in range(1, 1_001):
            rows.add([Reject(line, "bad", "x" * 50)])
    assert rows.count == 1_000
    assert rows.path.stat().st_size < 1_300
    assert "more rows were refused" in rows.path.read_text()


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES, errno.EROFS, errno.EIO, errno.ESTALE])
async def test_folder_that_cannot_be_changed_is_blamed_and_not_the_target(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def rename(old: str, new: str) -> None:
        raise OSError(code, os.strerror(code), old, None, new)

    monkeypatch.setattr(move_module, "rename_exclusive", rename)
    with pytest.raises(Unavailable) as caught:
        await move_file(str(source), folder, source.name)
    assert caught.value.where == str(source.parent)
    assert os.strerror(code) in caught.value.why
    assert caught.value.remedy
    assert list(folder.iterdir()) == [], "what was tried there is gone"


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "No space left"), (errno.EDQUOT, "quota")])
async def test_target_without_room_is_blamed(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def rename(old: str, new: str) -> None:
        raise OSError(code, os.strerror(code), old, None, new)

    monkeypatch.setattr(move_module, "rename_exclusive", rename)
    with pytest.raises(Unavailable, match=words) as caught:
        await move_file(str(source), folder, source.name)
    assert caught.value.where == str(folder)


async def test_source_that_cannot_be_removed_is_copied_once(
    source: Path, folder: Path, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is tried: no disk is filled with copies of one file."""
    if "another file system" not in system:
        pytest.skip("nothing is copied")

    async def refuse(path: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    with monkeypatch.context() as patch:
        patch.setattr(move_module.aiofiles.os, "unlink", refuse)
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                await move_file(str(source), folder, source.name)
            assert caught.value.where == str(source.parent)
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == [source.name]
    assert await move_file(str(source), folder, source.name) == folder / source.name
    assert [path.name for path in folder.iterdir()] == [source.name]
    assert not source.exists()


async def test_link_that_cannot_become_the_only_name_is_taken_back(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS, in a folder that may not be changed: else each try would leave another name."""
    monkeypatch.setattr(move_module, "_native_rename", lambda: None)
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == source:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(Unavailable):
        await move_file(str(source), folder, source.name)
    assert list(folder.iterdir()) == []
    assert source.stat().st_nlink == 1


def test_reserved_name_is_taken_by_its_own_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash leaves the reservation: another file does not take it, the same one does."""
    monkeypatch.setattr(move_module, "_native_rename", lambda: None)
    monkeypatch.setattr(os, "link", refuse_links)
    one, other, target = (tmp_path / name for name in ("one", "other", "target"))
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse_links)
        patch.setattr(Path, "unlink", refuse_links)
        with pytest.raises(OSError, match="not permitted"):
            rename_exclusive(str(one), str(target))
    assert target.stat().st_size > 0
    with pytest.raises(FileExistsError):
        rename_exclusive(str(other), str(target))
    rename_exclusive(str(one), str(target))
    assert target.read_bytes() == b"one"
    assert not one.exists()


def test_rename_whose_answer_got_lost_destroys_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(move_module, "_native_rename", lambda: None)
    monkeypatch.setattr(os, "link", refuse_links)
    rename = os.rename

    def lose_answer(source: str, target: str) -> None:
        rename(source, target)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "rename", lose_answer)
    (tmp_path / "one").write_bytes(b"one")
    with pytest.raises(OSError, match="Input/output"):
        rename_exclusive(str(tmp_path / "one"), str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == b"one"


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF])
def test_folder_that_cannot_be_made_durable_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(fd: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    sync_folders([tmp_path])


def test_folder_that_may_have_lost_names_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output"):
        sync_folders([tmp_path])


async def test_sticky_bit_is_named() -> None:
    """In a folder that all may write to, only its owner may move a file away."""
    if os.geteuid() != 0:
        pytest.skip("files of another user are made by root alone")
    with open_folder() as root:
        data, ingested = root / "data", root / "ingested"
        for folder in (data, ingested):
            folder.mkdir()
            folder.chmod(0o1777)
        (data / "XBTUSD_60.csv").write_bytes(b"new")
        with other_user(), pytest.raises(Unavailable, match="sticky bit") as caught:
            await move_file(str(data / "XBTUSD_60.csv"), ingested, "XBTUSD_60.csv")
        assert caught.value.where == str(data)
        assert list(ingested.iterdir()) == []


def test_reservation_is_known_where_the_kernel_sees_that_the_name_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so before it asks the file system, which would say that it knows no such rename."""
    one, target = tmp_path / "one", tmp_path / "target"
    one.write_bytes(b"one")
    target.write_bytes(b"feefifod moves a file here: " + os.fsencode(one) + b"\n")
    monkeypatch.setattr(move_module, "_native_rename", lambda: lambda *_: errno.EEXIST)
    rename_exclusive(str(one), str(target))
    assert target.read_bytes() == b"one"
