"""A zip without any data is what an empty CSV is; anything else in it makes it none."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import pytest

from feefifod.config.settings import WatchSettings
from feefifod.discover import Settler, is_blank, scan
from tests.support.zips import pack

EMPTY = b"PK\5\6" + bytes(18)


def folders(*, extra: bytes = b"") -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in ("a/", "a/b/"):
            info = zipfile.ZipInfo(name)
            info.extra = extra
            archive.writestr(info, b"")
    return target.getvalue()


def with_comment() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.comment = b"1700006400,1,1,1,1,1,1"
    return target.getvalue()


def with_data_in_a_folder() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a/", b"1700006400,1,1,1,1,1,1\n")
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "blank"),
    [
        ("X.zip", b"", True),
        ("X.zip", EMPTY, True),
        ("X.zip", folders(), True),
        ("X.zip", folders(extra=b"UT\5\0\1" + bytes(4)), True),
        ("X.zip", pack({"readme.txt": b""}), False),
        ("X.zip", pack({"readme.txt": b"hello"}), False),
        ("X.zip", pack({"__MACOSX/._XBTUSD_60.csv": b"\0"}), False),
        ("X.zip", with_comment(), False),
        ("X.zip", with_data_in_a_folder(), False),
        ("X.zip", b"1700006400,1,1,1,1,1,1\n" + EMPTY, False),
        ("X.zip", b"no zip at all", False),
        ("X.zip.part00", EMPTY, False),
        ("X.zip.part00", b"", False),
    ],
)
def test_only_a_zip_without_any_data_is_blank(tmp_path: Path, name: str, content: bytes, blank: bool) -> None:
    (tmp_path / name).write_bytes(content)
    (found,) = scan(str(tmp_path))

    assert is_blank(found.parts) is blank


@pytest.mark.parametrize("content", [b"", EMPTY, folders()])
def test_a_blank_zip_may_still_become_one_with_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "X.zip").write_bytes(content)
    watch = WatchSettings(settle_seconds=0.05, truncated_seconds=30)

    def judge(later: float) -> bool:
        settler = Settler(watch, wall=lambda: time.time() + later)
        return settler.judge(scan(str(tmp_path)))[str(tmp_path / "X.zip")].complete

    assert not judge(29)
    assert judge(31)
