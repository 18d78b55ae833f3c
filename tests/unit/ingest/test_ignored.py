"""What is left alone is counted by reason, and folders that are closed are named when that changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from feefifod.config.settings import Settings
from feefifod.discover import Folder, scan
from feefifod.ingest.candidates import why_kind_unwanted
from feefifod.ingest.closed import ClosedFolders
from feefifod.ingest.ignored import Ignored, count_ignored, list_ignored


@pytest.fixture(autouse=True)
def _plain_log() -> Iterator[None]:
    """Let everything be logged, whatever another test has configured."""
    before = structlog.get_config()
    structlog.reset_defaults()
    yield
    structlog.configure(**before)


def test_reasons_are_the_same_for_all_of_a_kind(tmp_path: Path) -> None:
    """A filter leaves a thousand files alone for one reason, and not for one for each ticker."""
    for name in ("PEPEUSD_60.csv", "WIFUSD_60.csv", "BONKUSD_60.csv", "MOGUSD_60.csv", "XBTUSD_5.csv", "XBTUSD_60.csv"):
        (tmp_path / name).touch()
    (tmp_path / "link_60.csv").symlink_to("nowhere")
    settings = Settings()
    watch = settings.watch.model_copy(update={"tiers": ("TIER1",), "intervals": (60,)})
    groups = count_ignored(scan(str(tmp_path)), str(tmp_path), watch, settings.tiers)
    assert [group.files for group in groups] == [4, 1, 1]
    assert groups[0].reason == "its asset is of TIER4, and only TIER1 is wanted ([watch] tiers)"
    assert groups[0].examples == ("BONKUSD_60.csv", "MOGUSD_60.csv", "PEPEUSD_60.csv")
    assert groups[0].describe().startswith("4: its asset is of TIER4")
    assert {groups[1].reason, groups[2].reason} == {
        "its interval is 5, and only 60 is wanted ([watch] intervals)",
        "it is a symbolic link, and only regular files are read",
    }


def test_names_cannot_drive_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "\x1b[31m.png").touch()
    [group] = count_ignored(scan(str(tmp_path)), str(tmp_path), Settings().watch, Settings().tiers)
    assert group == Ignored(group.reason, 1, ("\\x1b[31m.png",))


def watched(root: Path) -> Folder:
    settings = Settings()
    watch = settings.watch.model_copy(update={"tiers": ("TIER1",), "intervals": (60,)})
    return Folder(str(root), watch, partial(why_kind_unwanted, watch=watch, tiers=settings.tiers))


def test_archive_is_told_once_until_another_one_comes(tmp_path: Path) -> None:
    (tmp_path / "Kraken.7z").touch()
    (tmp_path / "picture.png").touch()
    folder = watched(tmp_path)
    told = []
    for _ in range(3):
        folder.look(whole=True)
        told += folder.take_archives()
    (tmp_path / "more.tar.gz").touch()
    folder.look([str(tmp_path / "more.tar.gz")])
    told += folder.take_archives()
    assert [Path(path).name for path, _ in told] == ["Kraken.7z", "more.tar.gz"]
    assert all("only zips are read" in reason for _, reason in told)


def test_what_a_daemon_knows_is_counted_as_a_scan_is(tmp_path: Path) -> None:
    for name in ("PEPEUSD_60.csv", "WIFUSD_60.csv", "XBTUSD_5.csv", "XBTUSD_60.csv", "a.png", "sub/b.png", "c.part"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link_60.csv").symlink_to("nowhere")
    settings, folder = Settings(), watched(tmp_path)
    watch = settings.watch.model_copy(update={"tiers": ("TIER1",), "intervals": (60,)})
    folder.look(whole=True)
    for _ in range(2):
        known, listed = list_ignored(folder), count_ignored(scan(str(tmp_path)), str(tmp_path), watch, settings.tiers)
        assert [(group.reason, group.files) for group in known] == [(group.reason, group.files) for group in listed]
        assert [sorted(group.examples) for group in known] == [sorted(group.examples) for group in listed]
        (tmp_path / "a.png").unlink(missing_ok=True)
        folder.look([str(tmp_path / "a.png")])


def test_closed_folder_is_named_again_only_when_it_changes() -> None:
    closed = ClosedFolders()
    with capture_logs() as logs:
        for reason in ("denied", "denied", "broken", "broken"):
            closed.update({"/data/lost+found": reason})
        closed.update({})
        closed.update({})
    assert [(log["event"], log.get("reason")) for log in logs] == [
        ("folder_passed_over", "denied"),
        ("folder_passed_over", "broken"),
        ("folder_looked_into_again", None),
    ]


def test_thousands_of_closed_folders_fill_no_log() -> None:
    closed = ClosedFolders()
    with capture_logs() as logs:
        closed.update({f"/data/{number}": "denied" for number in range(5_000)})
    assert len(logs) == 21
    assert logs[-1]["more"] == 4_980


def test_what_is_hidden_is_what_lies_below() -> None:
    closed = ClosedFolders({"/data/a": "denied"})
    hidden = [closed.holds(os.fsencode(path)) for path in ("/data/a", "/data/a/b/X_60.csv", "/data/ab/X_60.csv")]
    assert hidden == [True, True, False]
