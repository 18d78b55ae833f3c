"""What downloaders put beside a file while it is not complete, though it has its final name already."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from feefifod.config.settings import WatchSettings
from feefifod.discover import Settlement, Settler, scan
from tests.support.zips import pack

WATCH = WatchSettings(settle_seconds=0.05, truncated_seconds=30)
CSV = b"1700006400,1.0,1.0,1.0,1.0,1.0,1\n"
ZIP = pack({"XBTUSD_60.csv": CSV})


def judge(folder: Path, name: str, *, later: float = 1.0) -> Settlement:
    """Judge a file so many seconds after everything there was changed."""
    settler = Settler(WATCH, wall=lambda: time.time() + later)
    return settler.judge(scan(str(folder)))[str(folder / name)]


@pytest.mark.parametrize(
    ("name", "sibling"),
    [
        ("Full.zip", "Full.zip.aria2"),
        ("XBTUSD_60.csv", "XBTUSD_60.csv.aria2"),
        ("XBTUSD_60.csv", "XBTUSD_60.csv.part"),
        ("Full.zip", "Full.zip.crdownload"),
        ("Full.zip", "Full.zip.!ut"),
        ("Full.zip", "Full.zip.download"),
        ("Full.zip", "Full.zip.partial"),
        ("Full.zip", "Full.zip.opdownload"),
        ("XBTUSD_60.csv", "XBTUSD_60.csv.!qB"),
        ("XBTUSD_60.csv", "XBTUSD_60.csv.lftp-pget-status"),
        # Firefox and rclone put some letters of their own in.
        ("Full.zip", "Full.x8Kd2s-A.zip.part"),
        ("Full.zip", "Full.zip.1a2b3c4d.partial"),
        ("XBTUSD_60.csv.zst", "XBTUSD_60.csv.zst.part"),
        ("Full.zip.part00", "Full.zip.part00.aria2"),
        ("Full.zip.part00", "Full.zip.part01.aria2"),
        ("Full.zip.part00", "Full.zip.part02.crdownload"),
    ],
)
def test_file_with_a_running_download_beside_it_waits_for_its_end(tmp_path: Path, name: str, sibling: str) -> None:
    if name.endswith(".part00"):
        (tmp_path / name).write_bytes(ZIP[:50])
        (tmp_path / "Full.zip.part01").write_bytes(ZIP[50:])
    else:
        (tmp_path / name).write_bytes(ZIP if name.endswith(".zip") else CSV)
    assert judge(tmp_path, name).complete
    (tmp_path / sibling).write_bytes(b"?")

    settlement = judge(tmp_path, name)

    assert not settlement.complete
    assert sibling in settlement.reason
    assert not settlement.trouble
    (tmp_path / sibling).unlink()
    assert judge(tmp_path, name).complete


@pytest.mark.parametrize(
    "sibling",
    [
        *("ETHUSD_60.csv.aria2", "XBTUSD_60.csv~", "XBTUSD_60.csv.bak", "XBTUSD_600.csv.part", "aXBTUSD_60.csv.part"),
        *("XBTUSD_60.tmp", "XBTUSD_60.csv.reason.json", "below/XBTUSD_60.csv.part", ".part", "XBTUSD_60.part"),
    ],
)
def test_what_belongs_to_another_file_holds_nothing_back(tmp_path: Path, sibling: str) -> None:
    (tmp_path / "XBTUSD_60.csv").write_bytes(CSV)
    (tmp_path / sibling).parent.mkdir(exist_ok=True)
    (tmp_path / sibling).write_bytes(b"?")

    assert judge(tmp_path, "XBTUSD_60.csv").complete


def test_a_temporary_file_that_grows_no_more_holds_back_for_an_hour_only(tmp_path: Path) -> None:
    (tmp_path / "XBTUSD_60.csv").write_bytes(CSV)
    (tmp_path / "XBTUSD_60.csv.part").write_bytes(b"?")

    assert not judge(tmp_path, "XBTUSD_60.csv", later=3000).complete
    assert judge(tmp_path, "XBTUSD_60.csv", later=4000).complete


@pytest.mark.parametrize("ending", [".crdownload", ".filepart"])
def test_placeholder_of_a_browser_waits_and_an_earlier_file_with_rows_does_not(tmp_path: Path, ending: str) -> None:
    (tmp_path / "XBTUSD_60.csv").write_bytes(b"")
    (tmp_path / f"XBTUSD_60.csv{ending}").write_bytes(CSV)
    assert not judge(tmp_path, "XBTUSD_60.csv", later=60).complete
    (tmp_path / "XBTUSD_60.csv").write_bytes(CSV)
    assert judge(tmp_path, "XBTUSD_60.csv", later=60).complete


def test_a_control_file_holds_back_as_long_as_it_is_there_and_says_what_to_do(tmp_path: Path) -> None:
    """What is beside it was made in its full length at once: half of it may be nothing yet."""
    (tmp_path / "XBTUSD_60.csv").write_bytes(CSV)
    (tmp_path / "XBTUSD_60.csv.aria2").write_bytes(b"?")

    settlement = judge(tmp_path, "XBTUSD_60.csv", later=7300)

    assert not settlement.complete
    assert settlement.trouble
    assert "2 h" in settlement.reason
    assert "remove" in settlement.reason


def test_a_folder_is_listed_once_for_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 30):
        (tmp_path / f"A{number}USD_60.csv").write_bytes(CSV)
    found = scan(str(tmp_path))
    listed: list[str] = []
    original = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(folder) or original(folder))  # type: ignore[func-returns-value]

    assert all(item.complete for item in Settler(WATCH, wall=lambda: time.time() + 1).judge(found).values())

    assert listed == [str(tmp_path)]
