"""Zips as they are dropped: whole or in parts, complete or still on their way."""

from __future__ import annotations

import hashlib
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feefifod.config.settings import WatchSettings
from feefifod.discover import Settlement, Settler, copy_member, list_members, look_at, open_zip, read_contents, scan
from feefifod.discover.parts import JoinedFile, find_gap, list_parts
from feefifod.ingest.unpack import Shelf, boot_name, choose_portion
from feefifod.model import Membership
from tests.support.zips import manifest, pack, split

WATCH = WatchSettings(settle_seconds=0.05, truncated_seconds=30)
RANDOM = random.Random(7)
CSV = b"1700006400,1.0,1.0,1.0,1.0,1.0,1\n"
NOISE = "".join(f"{1_700_006_400 + 60 * n},{RANDOM.random()},2,0,1,1.5,{n}\n" for n in range(500)).encode()
MEMBERS = {"master_q4/XBTUSD_1.csv": NOISE, "master_q4/ETHUSD_60.csv": CSV, "__MACOSX/master_q4/._XBTUSD_1.csv": b"x"}


def drop(folder: Path, names: dict[str, bytes]) -> None:
    for name, content in names.items():
        (folder / name).write_bytes(content)


def drop_parts(folder: Path, count: int = 4) -> dict[str, bytes]:
    parts = {f"Full.zip.part{n:02}": piece for n, piece in enumerate(split(pack(MEMBERS), count))}
    drop(folder, parts)
    return parts


def judge(folder: Path, *, name: str = "Full.zip.part00", watch: WatchSettings = WATCH) -> Settlement:
    """Judge as if the files had lain there for a second."""
    settler = Settler(watch, wall=lambda: time.time() + 1)
    return settler.judge(scan(str(folder)))[str(folder / name)]


def test_parts_are_one_thing_with_all_their_bytes(tmp_path: Path) -> None:
    parts = drop_parts(tmp_path)
    (found,) = scan(str(tmp_path))
    assert found.path == str(tmp_path / "Full.zip.part00")
    assert [Path(part.path).name for part in found.parts] == list(parts)
    assert found.stamp is not None
    assert found.stamp.size == sum(map(len, parts.values()))
    with open_zip(found.parts) as archive:
        contents = read_contents(archive)
        for member in contents.members:
            copy_member(archive, member, tmp_path / member.place)
    assert (tmp_path / "XBTUSD_1.csv").read_bytes() == NOISE
    assert not list(tmp_path.glob("Full.zip"))


def test_any_change_of_a_part_is_a_change_of_the_zip(tmp_path: Path) -> None:
    drop_parts(tmp_path)
    before = scan(str(tmp_path))[0].stamp
    part = tmp_path / "Full.zip.part02"
    part.write_bytes(part.read_bytes())
    assert scan(str(tmp_path))[0].stamp != before


def test_whole_zip_and_parts_of_its_name_are_two_things(tmp_path: Path) -> None:
    drop_parts(tmp_path)
    drop(tmp_path, {"Full.zip": pack(MEMBERS), "Other.zip.part00": b"x"})
    names = [Path(found.path).name for found in scan(str(tmp_path))]
    assert names == ["Full.zip", "Full.zip.part00", "Other.zip.part00"]
    assert list_parts(str(tmp_path / "Full.zip")) == [str(tmp_path / "Full.zip")]
    assert len(list_parts(str(tmp_path / "Full.zip.part01"))) == 4


def test_complete_parts_are_complete(tmp_path: Path) -> None:
    drop_parts(tmp_path)
    assert judge(tmp_path).complete


@pytest.mark.parametrize("missing", ["00", "02", "03"])
def test_missing_part_is_waited_for_however_long_it_takes(tmp_path: Path, missing: str) -> None:
    drop_parts(tmp_path)
    (tmp_path / f"Full.zip.part{missing}").unlink()
    first = "Full.zip.part01" if missing == "00" else "Full.zip.part00"
    settlement = judge(tmp_path, name=first, watch=WatchSettings(settle_seconds=0.05, truncated_seconds=0))
    assert not settlement.complete
    assert "missing" in settlement.reason


def test_list_of_checksums_names_a_missing_last_part(tmp_path: Path) -> None:
    parts = drop_parts(tmp_path)
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in parts.items()]
    drop(tmp_path, {"OHLCVT_Full_PARTS_SHA256SUMS.txt": "\n".join(lines).encode()})
    assert judge(tmp_path).complete
    (tmp_path / "Full.zip.part03").unlink()
    assert "Full.zip.part03 is missing" in judge(tmp_path).reason


def test_part_in_two_spellings_is_not_guessed_at(tmp_path: Path) -> None:
    drop_parts(tmp_path)
    drop(tmp_path, {"Full.zip.part1": b"?"})
    assert "twice" in judge(tmp_path).reason


def test_part_that_is_being_written_holds_all_back(tmp_path: Path) -> None:
    drop_parts(tmp_path)
    with (tmp_path / "Full.zip.part01").open("ab"):
        assert "open for writing" in judge(tmp_path).reason
    assert judge(tmp_path).complete


def test_hard_link_or_symbolic_link_among_parts_holds_all_back(tmp_path: Path) -> None:
    drop_parts(tmp_path)
    (tmp_path / "elsewhere").hardlink_to(tmp_path / "Full.zip.part01")
    assert "hard links" in judge(tmp_path).reason
    (tmp_path / "elsewhere").unlink()
    (tmp_path / "Full.zip.part01").rename(tmp_path / "real")
    (tmp_path / "Full.zip.part01").symlink_to(tmp_path / "real")
    found = next(found for found in scan(str(tmp_path)) if found.path.endswith("part00"))
    assert found.stamp is None
    assert "symbolic link" in found.obstacle


def test_unreadable_zip_is_judged_only_after_a_while(tmp_path: Path) -> None:
    drop(tmp_path, {"X.zip": pack(MEMBERS)[:-40]})
    settlement = judge(tmp_path, name="X.zip")
    assert not settlement.complete
    assert "central directory" in settlement.reason
    assert judge(tmp_path, name="X.zip", watch=WatchSettings(settle_seconds=0.05, truncated_seconds=0.5)).complete


def test_explaining_any_part_sees_all_of_them(tmp_path: Path) -> None:
    drop_parts(tmp_path)
    found = look_at(str(tmp_path), str(tmp_path / "Full.zip.part02"))
    assert found.path.endswith("part02")
    assert len(found.parts) == 4


def test_members_are_named_as_if_they_lay_beside_the_zip(tmp_path: Path) -> None:
    drop(tmp_path, {"X.zip": pack(MEMBERS)})
    members = list_members(scan(str(tmp_path))[0])
    assert [(Path(m.path).name, m.stamp.size) for m in members if m.stamp] == [
        ("ETHUSD_60.csv", len(CSV)),
        ("XBTUSD_1.csv", len(NOISE)),
    ]


def test_equal_names_in_different_folders_get_different_places(tmp_path: Path) -> None:
    names = ["b/XBTUSD_1.csv", "a/XBTUSD_1.csv", "XBTUSD_5.csv"]
    drop(tmp_path, {"X.zip": pack(dict.fromkeys(names, CSV) | {"MANIFEST.json": manifest(3, 4)})})
    with open_zip(scan(str(tmp_path))[0].parts) as archive:
        contents = read_contents(archive)
    places = {member.info.filename: member.place for member in contents.members}
    assert places == {
        "XBTUSD_5.csv": "XBTUSD_5.csv",
        "a/XBTUSD_1.csv": "XBTUSD_1.csv",
        "b/XBTUSD_1.csv": "2/XBTUSD_1.csv",
    }
    assert contents.manifest is not None
    assert (contents.manifest.files, contents.manifest.rows) == (3, 4)


@pytest.mark.parametrize("text", [b"", b"[1]", b'"x"', b"{", b'{"files": "many", "rows": null}', b"[" * 100_000])
def test_broken_manifest_says_nothing(tmp_path: Path, text: bytes) -> None:
    drop(tmp_path, {"X.zip": pack({"XBTUSD_1.csv": CSV, "MANIFEST.json": text}, stored=True)})
    with open_zip(scan(str(tmp_path))[0].parts) as archive:
        manifest_ = read_contents(archive).manifest
    assert manifest_ is not None
    assert (manifest_.files, manifest_.rows) == (None, None)


def test_portion_is_what_half_of_the_free_disk_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(tmp_path, {"X.zip": pack({f"A{n}USD_1.csv": bytes(1000) for n in range(10)}, stored=True)})
    with open_zip(scan(str(tmp_path))[0].parts) as archive:
        members = read_contents(archive).members
    for free, names in ((100_000, 10), (20_000, 10), (19_999, 9), (2_000, 1)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: _Usage(free))
        assert len(choose_portion(members, tmp_path)) == names


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_scratch_copies_tell_their_zip_and_only_whole_portions_of_this_boot_count(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "scratch" / "zips")
    folder = shelf.folder(b"\xab" * 32)
    for portion in (f"{boot_name()}-1", f".{boot_name()}-2", "0ldb00t5-1"):
        (folder / portion / "2").mkdir(parents=True)
        drop(folder / portion, {"XBTUSD_1.csv": CSV, "2/XBTUSD_1.csv": CSV})
    assert shelf.places(b"\xab" * 32) == {"XBTUSD_1.csv", "2/XBTUSD_1.csv"}
    assert {found.membership for found in shelf.find()} == {
        Membership(b"\xab" * 32, place) for place in ("XBTUSD_1.csv", "2/XBTUSD_1.csv")
    }
    # The same folder, looked at as what a person has dropped: no path makes a copy of a file.
    assert {found.membership for found in scan(str(tmp_path))} == {None}
    shelf.tidy(b"\xab" * 32)
    assert [path.name for path in folder.iterdir()] == [f"{boot_name()}-1"]


@given(pieces=st.lists(st.binary(max_size=20), max_size=6), moves=st.lists(st.integers(0, 130), max_size=8))
def test_joined_files_read_as_their_joined_bytes(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], moves: list[int]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "joined"
    folder.mkdir(exist_ok=True)
    opened = []
    for number, piece in enumerate(pieces):
        (folder / str(number)).write_bytes(piece)
        opened.append((folder / str(number)).open("rb"))

    whole = b"".join(pieces)
    with JoinedFile([os.dup(file.fileno()) for file in opened]) as joined:
        assert joined.read() == whole
        for position in moves:
            joined.seek(position)
            assert joined.read(position % 7) == whole[position : position + position % 7]
    for file in opened:
        file.close()


@pytest.mark.parametrize(
    ("numbers", "gap"),
    [("0 1 2", ""), ("00 01 02", ""), ("0 2", "part 01 is missing"), ("1 2", "part 00 is missing"), ("0 00", "twice")],
)
def test_numbers_of_parts_have_no_gap(tmp_path: Path, numbers: str, gap: str) -> None:
    drop(tmp_path, {f"X.zip.part{number}": b"x" for number in numbers.split()})
    (found,) = scan(str(tmp_path))
    assert gap in find_gap(found.parts)
    assert bool(gap) == bool(find_gap(found.parts))
