"""Zips of Kraken's archive can be dropped as they are."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import anyio
import pytest

from feefifod.catalog import Ledger, ZipRecord, open_database
from feefifod.config.settings import QuestDBSettings
from feefifod.model import FileState
from feefifod.sink import QuestDBClient, drop_table
from tests.support import samples
from tests.support.checker import Dropped, check_inputs, check_ledger, check_rows, expect_rows
from tests.support.daemon import World, wait_until
from tests.support.zips import manifest, pack, split


@pytest.fixture
def world(world: World) -> World:
    world.configure(databases={"questdb": {**world.questdb, "partition_by": "YEAR"}})
    return world


def scratch(world: World) -> list[Path]:
    """List what lies in scratch space."""
    return [path for path in (world.root / ".feefifod" / "scratch").rglob("*") if path.is_file()]


def zips(world: World) -> list[str]:
    """List what lies in `ingested/zips`."""
    folder = world.root / "ingested" / "zips"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def row_of(world: World, name: str) -> dict[str, object]:
    """Return the newest ledger row of this name."""
    return world.ask("SELECT * FROM file WHERE name = $1 ORDER BY id DESC LIMIT 1", name)[0]


def check_members(world: World, members: Mapping[str, bytes]) -> None:
    """Assert that the table holds the rows of these files and nothing else, and that nothing is left behind."""
    facts = world.facts()
    dropped = [Dropped(name, content) for name, content in members.items()]
    check_rows(facts.table, expect_rows(dropped), dropped)
    check_ledger(facts, finished=False)
    check_inputs(facts, world.dropped)
    assert facts.leases == 0
    assert not scratch(world)


QUARTER = {
    "XBTUSD_60.csv": samples.file(300, interval=60, seed=1),
    "XBTUSD_1.csv": samples.file(400, seed=2),
    "ETHEUR_60.csv": samples.file(200, interval=60, seed=3),
}


def test_quarterly_zip_is_loaded_and_its_manifest_agrees(world: World) -> None:
    content = pack({**QUARTER, "MANIFEST.json": manifest(3, 900)})
    world.drop("Kraken_OHLCVT_2026Q2.zip", content)
    summary = world.ingest()
    assert not summary.failed
    check_members(world, QUARTER)
    assert world.states() == {"done": 4}
    assert zips(world) == ["Kraken_OHLCVT_2026Q2.zip"]
    assert (world.root / "ingested" / "zips" / "Kraken_OHLCVT_2026Q2.zip").read_bytes() == content
    row = row_of(world, "Kraken_OHLCVT_2026Q2.zip")
    assert (row["state"], row["reason"], row["members"]) == ("done", "", 3)
    # One batch, not one for each member.
    assert world.ask("SELECT count(*) AS n FROM batch")[0]["n"] == 1
    # Members are not kept twice: the zip has them.
    assert not list(world.ingested.iterdir())
    assert not list(world.data.iterdir())


def test_complete_zip_of_the_older_kind_is_loaded(world: World) -> None:
    """Files in a folder, and beside it the notes of macOS with the same names."""
    notes = {f"__MACOSX/master_q4/._{name}": b"\0\5\26\7" for name in QUARTER}
    odd = {"master_q4/BTCUSD_Daily_OHLC.csv": b"time,open\n1,2\n", "master_q4/.DS_Store": b"?"}
    world.drop("Kraken_OHLCVT.zip", pack({f"master_q4/{name}": text for name, text in QUARTER.items()} | notes | odd))
    assert not world.ingest().failed
    check_members(world, QUARTER)
    assert zips(world) == ["Kraken_OHLCVT.zip"]
    assert not list(world.rejected.glob("*"))


def test_members_and_files_beside_the_zip_are_one_batch(world: World) -> None:
    world.drop("Q.zip", pack(QUARTER))
    world.drop("ADAUSD_60.csv", samples.file(100, interval=60, seed=9))
    assert not world.ingest().failed
    check_members(world, QUARTER | {"ADAUSD_60.csv": samples.file(100, interval=60, seed=9)})
    assert world.ask("SELECT count(*) AS n FROM batch")[0]["n"] == 1


def test_files_of_one_name_in_two_folders_of_a_zip_are_both_loaded(world: World) -> None:
    early, late = samples.file(50, seed=1, trades=5), samples.file(50, seed=2, start=samples.START + 1800, trades=6)
    world.drop("Q.zip", pack({"a/XBTUSD_1.csv": early, "b/XBTUSD_1.csv": late}))
    assert not world.ingest().failed
    check_members(world, {"XBTUSD_1.csv": early, "b/XBTUSD_1.csv": late})


@pytest.mark.parametrize("listed", [False, True], ids=["without checksums", "with checksums"])
def test_parts_are_read_as_one(world: World, listed: bool) -> None:
    parts = {f"Full.zip.part{n:02}": piece for n, piece in enumerate(split(pack(QUARTER), 3))}
    for name, piece in parts.items():
        world.drop(name, piece)
    if listed:
        lines = [f"{hashlib.sha256(piece).hexdigest()}  {name}\n" for name, piece in parts.items()]
        world.drop("OHLCVT_Full_PARTS_SHA256SUMS.txt", "".join(lines).encode())
    assert not world.ingest().failed
    check_members(world, QUARTER)
    assert zips(world) == sorted(parts)
    assert [path.name for path in world.data.iterdir()] == (["OHLCVT_Full_PARTS_SHA256SUMS.txt"] if listed else [])
    assert row_of(world, "Full.zip")["state"] == "done"


def test_part_with_a_wrong_checksum_is_refused_with_all_others(world: World) -> None:
    parts = {f"Full.zip.part{n:02}": piece for n, piece in enumerate(split(pack(QUARTER), 3))}
    lines = [f"{hashlib.sha256(piece).hexdigest()} *{name}\n" for name, piece in parts.items()]
    world.drop("OHLCVT_Full_PARTS_SHA256SUMS.txt", "".join(lines).encode())
    parts["Full.zip.part01"] = parts["Full.zip.part01"][::-1]
    for name, piece in parts.items():
        world.drop(name, piece)
    assert world.ingest().failed
    check_members(world, {})
    assert sorted(path.name for path in world.rejected.iterdir()) == [
        "Full.zip.part00",
        "Full.zip.part00.reason.json",
        "Full.zip.part01",
        "Full.zip.part02",
    ]
    reason = json.loads((world.rejected / "Full.zip.part00.reason.json").read_text())["reason"]
    assert "SHA-256 of Full.zip.part01" in reason


def test_missing_part_is_waited_for(world: World) -> None:
    pieces = split(pack(QUARTER), 3)
    for number in (0, 2):
        world.drop(f"Full.zip.part{number:02}", pieces[number])
    summary = world.ingest()
    assert not summary.failed
    assert [result.reason for result in summary.results] == ["part 01 is missing; waiting for it"]
    world.drop("Full.zip.part01", pieces[1])
    assert not world.ingest().failed
    check_members(world, QUARTER)


def test_same_zip_again_is_a_duplicate_and_not_opened(world: World) -> None:
    content = pack(QUARTER)
    world.drop("Kraken_OHLCVT_Q2_2026.zip", content)
    world.ingest()
    world.drop("Kraken_OHLCVT_2026Q2.zip", content)
    # Its parts have the same content too.
    for number, piece in enumerate(split(content, 2)):
        world.drop(f"Kraken.zip.part{number:02}", piece)
    world.ingest()
    check_members(world, QUARTER)
    assert world.states() == {"done": 4, "duplicate": 2}
    assert len(zips(world)) == 4
    assert world.logs.count("zip_unpacked") == 1


def test_zip_with_known_files_takes_only_the_new_ones_in(world: World) -> None:
    world.drop("XBTUSD_1.csv", QUARTER["XBTUSD_1.csv"])
    world.ingest()
    world.drop("Q.zip", pack({**QUARTER, "MANIFEST.json": manifest(3, 900)}))
    world.ingest()
    check_members(world, QUARTER)
    assert world.states() == {"done": 4, "duplicate": 1}
    assert row_of(world, "Q.zip")["reason"] == ""  # The rows of the known file count for the manifest.


def test_filter_takes_its_part_and_a_later_run_the_rest(world: World) -> None:
    world.drop("Q.zip", pack(QUARTER))
    world.configure(watch={**world.sections["watch"], "intervals": [60], "tiers": ["TIER1"]})
    summary = world.ingest()
    assert not summary.failed
    (left,) = [result for result in summary.results if result.name == "Q.zip"]
    assert "2 of 3 members done" in left.reason
    assert (world.data / "Q.zip").exists()
    row = row_of(world, "Q.zip")
    assert (row["state"], row["members"]) == ("waiting", 3)
    assert "2 of 3 members done" in str(row["reason"])
    check_members(world, {name: QUARTER[name] for name in ("XBTUSD_60.csv", "ETHEUR_60.csv")})
    # A second run finds nothing to do, nor does a zip of another name begin anew.
    (world.data / "Q.zip").rename(world.data / "Renamed.zip")
    assert not world.ingest().failed
    assert world.logs.count("zip_unpacked") == 1
    world.configure(watch={**world.sections["watch"], "intervals": [], "tiers": ["ALL"]})
    assert not world.ingest().failed
    check_members(world, QUARTER)
    assert zips(world) == ["Renamed.zip"]
    assert world.states() == {"done": 4}


def test_ledger_tells_people_how_far_each_zip_is(world: World) -> None:
    world.drop("Q.zip", pack({**QUARTER, "ADAUSD_60.csv": b"no candle\n"}))
    world.configure(watch={**world.sections["watch"], "intervals": [60]})
    world.ingest()

    async def ask() -> tuple[list[ZipRecord], int]:
        async with open_database(world.postgres_dsn) as database:
            zips = Ledger(database).zips
            return await zips.list_unfinished(None), await zips.count_busy_copies()

    (record,), busy = anyio.run(ask)
    assert (record.name, record.state, record.done, record.members) == ("Q.zip", FileState.WAITING, 3, 4)
    assert record.states == {FileState.DONE: 2, FileState.REJECTED: 1}
    assert busy == 0


def test_refused_member_is_kept_with_its_reason_and_the_others_are_loaded(world: World) -> None:
    bad = {"ADAUSD_60.csv": b"no candle\n" * 20, "ADAUSD_7.csv": b"1,2\n", "SOLUSD_1.csv": b"", "XDGUSD_1.csv": b"x\n"}
    partly = samples.file(20, seed=4) + b"broken\n"
    world.drop("Q.zip", pack({**QUARTER, **bad, "LTCUSD_1.csv": partly}))
    assert world.ingest().failed
    check_members(world, QUARTER | {"LTCUSD_1.csv": partly})
    assert zips(world) == ["Q.zip"]
    assert sorted(path.name for path in world.rejected.iterdir() if not path.name.endswith(".rows.csv")) == [
        "ADAUSD_60.csv",
        "ADAUSD_60.csv.reason.json",
        "ADAUSD_7.csv",
        "ADAUSD_7.csv.reason.json",
        "XDGUSD_1.csv",
        "XDGUSD_1.csv.reason.json",
    ]
    note = json.loads((world.rejected / "ADAUSD_60.csv.reason.json").read_text())
    assert note["zip"] == "Q.zip"
    assert (world.rejected / "ADAUSD_60.csv").read_bytes() == bad["ADAUSD_60.csv"]
    assert "broken" in (world.rejected / "LTCUSD_1.csv.rows.csv").read_text()
    assert world.states() == {"done": 5, "rejected": 3, "empty": 1}


def test_manifest_that_disagrees_is_told_and_the_zip_is_done(world: World) -> None:
    world.drop("Q.zip", pack({**QUARTER, "MANIFEST.json": manifest(4, 901)}))
    assert not world.ingest().failed
    check_members(world, QUARTER)
    row = row_of(world, "Q.zip")
    assert row["state"] == "done"
    assert "says 4 files, and 3 were found" in str(row["reason"])
    assert "says 901 rows, and 900 were found" in str(row["reason"])
    assert "manifest_disagrees" in world.logs


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (pack({"README.txt": b"?"}), "nothing in it is an OHLCVT file"),
        (pack({**QUARTER, "../XBTUSD_5.csv": QUARTER["XBTUSD_1.csv"]}), "unpacked elsewhere"),
        (pack(QUARTER, stored=True).replace(b"1700006400", b"1700006460", 1), "damaged"),
        (pack(QUARTER)[:-40], "damaged"),
    ],
    ids=["nothing for us", "leaves the folder", "bad checksum", "cut"],
)
def test_bad_zip_is_refused_as_a_whole(world: World, content: bytes, why: str) -> None:
    world.drop("Q.zip", content)
    world.drop("ADAUSD_60.csv", samples.file(10, interval=60))
    before = {path for path in world.root.rglob("*") if ".feefifod" not in path.parts}
    assert world.ingest().failed
    check_members(world, {"ADAUSD_60.csv": samples.file(10, interval=60)})
    reason = json.loads((world.rejected / "Q.zip.reason.json").read_text())["reason"]
    assert why in reason
    assert (world.rejected / "Q.zip").read_bytes() == content
    new = {path.name for path in world.root.rglob("*") if ".feefifod" not in path.parts and path not in before}
    assert new == {"ingested", "ohlcv", "ADAUSD_60.csv", "rejected", "Q.zip", "Q.zip.reason.json"}


def test_full_disk_is_named_and_holds_nothing_else_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("Q.zip", pack(QUARTER))
    world.drop("ADAUSD_60.csv", samples.file(10, interval=60))
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage(1000))
    summary = world.ingest()
    assert summary.failed
    size = len(QUARTER["ETHEUR_60.csv"])
    assert f"needs {size:,} bytes" in summary.troubles[0]
    assert "1,000 are free" in summary.troubles[0]
    assert (world.data / "Q.zip").exists()
    check_members(world, {"ADAUSD_60.csv": samples.file(10, interval=60)})
    # Room for one member at a time: portion by portion, each loaded before the next.
    largest = max(map(len, QUARTER.values()))
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage(2 * largest))
    assert not world.ingest().failed
    check_members(world, QUARTER | {"ADAUSD_60.csv": samples.file(10, interval=60)})
    assert world.logs.count("zip_unpacked") == 3
    assert zips(world) == ["Q.zip"]


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_dropped_table_makes_a_half_done_zip_begin_anew(world: World) -> None:
    world.drop("Q.zip", pack(QUARTER))
    world.configure(watch={**world.sections["watch"], "intervals": [60]})
    world.ingest()
    settings = QuestDBSettings(url=world.questdb_url, table=world.table)
    anyio.run(partial(drop_table, QuestDBClient(settings, world.questdb_url), world.table))
    world.configure(watch={**world.sections["watch"], "intervals": []})
    assert not world.ingest().failed
    check_members(world, QUARTER)
    assert zips(world) == ["Q.zip"]


LARGE = {f"{pair}_1.csv": samples.file(15_000, seed=n) for n, pair in enumerate(("XBTUSD", "ETHUSD", "ADAUSD"))}


def test_killed_in_mid_load_it_goes_on_from_the_checkpoint(world: World) -> None:
    world.configure(pipeline={"window_rows": 1000, "lane": "ilp"})
    world.drop("Q.zip", pack(LARGE))
    daemon = world.start()
    daemon.wait_for("window_sent", count=3)
    daemon.kill()
    assert world.states().get("loading", 0) >= 3
    assert scratch(world)
    again = world.start()
    again.wait_for("file_done", count=4)
    (resumed,) = again.events("batch_started")[:1]
    assert resumed["resumed_at"] is not None
    again.stop()
    check_members(world, LARGE)
    assert not again.events("zip_unpacked")
    assert zips(world) == ["Q.zip"]


def test_killed_at_any_moment_everything_is_there_once(world: World) -> None:
    world.configure(pipeline={"window_rows": 1000, "lane": "ilp"})
    parts = split(pack(LARGE), 3)
    for number, piece in enumerate(parts):
        world.drop(f"Full.zip.part{number:02}", piece)
    for moment in ("zip_unpacked", "window_sent", "batch_loaded", "file_done"):
        daemon = world.start()
        daemon.wait_for(moment)
        daemon.kill()
    daemon = world.start()
    daemon.wait_for("watching")
    wait_until(lambda: row_of(world, "Full.zip")["state"] == "done", what="the zip's end")
    daemon.stop()
    check_members(world, LARGE)
    assert len(zips(world)) == 3
    assert not list(world.data.iterdir())


@pytest.mark.parametrize("moved", [1, 2, 3])
def test_parts_that_were_half_moved_by_a_crash_are_moved_in_full(world: World, moved: int) -> None:
    """The end is recorded, some parts are moved, the last first, and then there is a crash."""
    for number, piece in enumerate(split(pack(QUARTER), 3)):
        world.drop(f"Full.zip.part{number:02}", piece)
    world.ingest()
    folder = world.root / "ingested" / "zips"
    for number in range(3 - moved):
        (folder / f"Full.zip.part{number:02}").rename(world.data / f"Full.zip.part{number:02}")
    world.ask("UPDATE file SET state = 'moving', moved_to = NULL, finished_at = NULL WHERE is_zip")
    assert not world.ingest().failed
    check_members(world, QUARTER)
    assert len(zips(world)) == 3
    assert row_of(world, "Full.zip")["moved_to"] == os.fsencode(folder / "Full.zip.part00")


def test_one_shot_beside_a_daemon_takes_nothing_twice(world: World) -> None:
    world.drop("Q.zip", pack(LARGE))
    daemon = world.start()
    others = [world.start("run-once") for _ in range(2)]
    for other in others:
        other.wait()
    wait_until(lambda: world.states() == {"done": 4}, what="the zip's end")
    daemon.stop()
    check_members(world, LARGE)


def test_breakdown_shows_what_is_in_the_zip(world: World) -> None:
    world.drop("Q.zip", pack(QUARTER))
    text = world.run("ingest-sequential", "--yes", "--intervals", "60").text
    assert "Ingest 3 files" in text or "60 min" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["TIER1", "60", "min", "2"] in [line[:4] for line in lines]
    assert "zips" in text
    assert "2 of 3 members done" in text


@pytest.mark.parametrize("content", [b"", b"PK\5\6" + bytes(18)], ids=["zero bytes", "no entries"])
def test_empty_zip_is_what_an_empty_file_is(world: World, content: bytes) -> None:
    path = world.drop("Kraken_OHLCVT.zip", content)
    assert not world.ingest().failed
    assert not path.exists()
    assert not zips(world)
    assert not list(world.rejected.glob("*"))
    assert world.states() == {"empty": 1}
    # The real one comes under that name later.
    world.drop("Kraken_OHLCVT.zip", pack(QUARTER))
    assert not world.ingest().failed
    check_members(world, QUARTER)


def test_empty_zip_is_waited_for_as_an_empty_file_is(world: World) -> None:
    """A browser makes it first, and puts the whole one in its place."""
    world.configure(watch={"truncated_seconds": 3600})
    path = world.drop("Kraken_OHLCVT.zip", b"")
    assert not world.ingest().failed
    assert path.exists()
    world.drop("Kraken_OHLCVT.zip", pack(QUARTER))
    assert not world.ingest().failed
    check_members(world, QUARTER)


def test_zip_with_other_files_only_is_refused_and_kept(world: World) -> None:
    content = pack({"readme.txt": b"", "pictures/cat.png": b"meow"})
    world.drop("Other.zip", content)
    assert world.ingest().failed
    assert (world.rejected / "Other.zip").read_bytes() == content


def test_zip_and_file_that_are_still_being_downloaded_wait(world: World) -> None:
    world.drop("Q.zip", pack(QUARTER))
    world.drop("ADAUSD_60.csv", samples.file(100, interval=60, seed=9))
    notes = [world.drop("Q.zip.aria2", b"?"), world.drop("ADAUSD_60.csv.part", b"?")]
    summary = world.ingest()
    assert {result.name: result.state for result in summary.results} == dict.fromkeys(
        ("Q.zip", "ADAUSD_60.csv"), FileState.WAITING
    )
    assert all("still being loaded" in result.reason for result in summary.results)
    status = world.run("status", "--json").text
    document = json.loads(status[status.index("{\n") :])
    assert [item["name"] for item in document["data"]["downloads"]] == ["ADAUSD_60.csv", "Q.zip"]
    assert all("still being loaded" in item["reason"] for item in document["data"]["downloads"])
    for note in notes:
        note.unlink()
    world.dropped = [drop for drop in world.dropped if drop.content != b"?"]
    assert not world.ingest().failed
    check_members(world, QUARTER | {"ADAUSD_60.csv": samples.file(100, interval=60, seed=9)})
