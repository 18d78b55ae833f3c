"""A full disk, whichever it is: nothing is lost, it is said what to do, and it goes on once there is room."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from feefifod.servers import Endpoints
from tests.support import samples
from tests.support.checker import Dropped, check_rows, expect_rows
from tests.support.daemon import World, describe, wait_until
from tests.support.disks import MIB, fill, free, small_disk
from tests.support.embedded import query, run_pair, unique_name
from tests.support.zips import pack

_BAD = "bad,1,1,1,1,1,1"


def _out_of_order(count: int) -> bytes:
    lines = samples.rows(count, interval=60, seed=7)
    random.Random(1).shuffle(lines)
    return samples.text([*lines, _BAD])


def _assert_said(events: list[dict[str, Any]], folder: Path) -> None:
    """Which folder, what is wrong, and what to do."""
    assert str(folder) in events[0]["where"], events[0]
    assert "No space left" in events[0]["reason"]
    assert "space" in events[0]["remedy"]


@pytest.mark.parametrize("name", ["ingested", "rejected"])
def test_disk_of_finished_files(world: World, name: str) -> None:
    """Files and reasons are copied there from another disk."""
    with small_disk(world.root / name, 4 * MIB) as disk:
        fill(disk)
        world.drop("XBTUSD_60.csv", samples.file(300, interval=60))
        world.drop("ETHUSD_60.csv", samples.text(["1,1,1,1,1,1,1"] * 500))
        world.drop("SOLUSD_60.csv", _out_of_order(50))
        daemon = world.start()
        _assert_said(daemon.wait_for("trouble"), disk)
        moved = {"ingested": {"ETHUSD_60.csv"}, "rejected": {"XBTUSD_60.csv"}}[name]
        wait_until(lambda: {path.name for path in world.data.iterdir()} == {*_NAMES} - moved, what="the other disk")
        free(disk)
        world.wait_finished(3)
        daemon.stop()
        world.check()
        assert len(daemon.events("batch_started")) == 2, "one more for what had to be put in order, and none again"
        with (world.rejected / "SOLUSD_60.csv.rows.csv").open(newline="") as file:
            assert [row["text"] for row in csv.DictReader(file)] == [_BAD]
        hidden = [path for path in disk.rglob(".*") if path.is_file()]
        assert not hidden, "nothing half-made is left"


_NAMES = ("XBTUSD_60.csv", "ETHUSD_60.csv", "SOLUSD_60.csv")


def test_one_disk_for_everything(world: World, tmp_path: Path) -> None:
    """Finished files need no room where they are only renamed; reasons do."""
    with small_disk(tmp_path / "disk", 4 * MIB) as disk:
        world.data.rmdir()
        for folder in (world.data, world.root / "ingested", world.rejected):
            (disk / folder.name).mkdir()
            folder.symlink_to(disk / folder.name)
        (disk / "ingested" / "ohlcv").mkdir()
        daemon = world.start()
        daemon.wait_for("watching")
        for name, content in (
            ("XBTUSD_60.csv", samples.file(300, interval=60)),
            ("ETHUSD_60.csv", samples.text(["1,1,1,1,1,1,1"] * 500)),
        ):
            world.dropped.append(Dropped(name, content))
            (world.data / name).write_bytes(content)
        fill(disk)
        _assert_said(daemon.wait_for("trouble"), world.rejected)
        wait_until(lambda: world.states().get("done") == 1, what="the good file")
        free(disk)
        world.wait_finished(2)
        daemon.stop()
        world.check()


def test_disk_of_scratch_space(world: World) -> None:
    """What is in order needs no scratch space; what is not waits for it."""
    with small_disk(world.root / ".feefifod", 4 * MIB) as disk:
        daemon = world.start()
        daemon.wait_for("watching")
        fill(disk)
        world.drop("XBTUSD_60.csv", _out_of_order(3_000))
        world.drop("ETHUSD_60.csv", samples.file(300, interval=60))
        _assert_said(daemon.wait_for("trouble", count=2), disk / "scratch")
        wait_until(lambda: world.states().get("done") == 1, what="the good file")
        assert [path.name for path in world.data.iterdir()] == ["XBTUSD_60.csv"]
        wait_until(lambda: world.states() == {"done": 1, "waiting": 1}, what="the other one to be given back")
        free(disk)
        world.wait_finished(2)
        daemon.stop()
        assert len(world.check().table) == 3_300
        assert not [path for path in world.scratch.rglob("*") if path.is_file()]


@pytest.mark.parametrize("seen", [True, False], ids=["seen before", "met on the way"])
def test_disk_that_a_zip_is_unpacked_to(world: World, seen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {f"{pair}_60.csv": samples.file(5_000, interval=60, seed=5) for pair in ("XBTUSD", "ETHUSD")}
    with small_disk(world.root / ".feefifod", 4 * MIB) as disk:
        (disk / "scratch").mkdir()
        fill(disk, spare=300_000)
        world.drop("Q.zip", pack(members))
        if not seen:
            monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
        summary = world.ingest()
        assert summary.failed
        assert "space" in summary.troubles[0]
        assert str(disk / "scratch") in summary.troubles[0]
        assert [path.name for path in world.data.iterdir()] == ["Q.zip"]
        assert not [path for path in world.scratch.rglob("*") if path.is_file()]
        free(disk)
        assert not world.ingest().failed
        dropped = [Dropped(*item) for item in members.items()]
        facts = world.facts()
        check_rows(facts.table, expect_rows(dropped), dropped)
        assert facts.leases == 0
        assert (world.root / "ingested" / "zips" / "Q.zip").read_bytes() == world.dropped[0].content
        assert not [path for path in world.scratch.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """QuestDB's own disk, and the one that frames are handed over on."""
    base = tmp_path_factory.mktemp("disks")
    questdb = base / "state" / "questdb"
    with ExitStack() as stack:
        stack.enter_context(small_disk(questdb, 1024 * MIB, image=base / "image"))
        stack.enter_context(small_disk(questdb / "import", 4 * MIB))
        yield {"state": base / "state", "questdb": questdb, "import": questdb / "import"}


@pytest.fixture(scope="module")
def full_pair(disks: dict[str, Path]) -> Iterator[Endpoints]:
    """A pair on these disks."""
    with run_pair(disks["state"].parent) as endpoints:
        yield endpoints


@pytest.fixture
def full_world(full_pair: Endpoints, disks: dict[str, Path], tmp_path: Path) -> Iterator[World]:
    """A world that uses that pair as its embedded one, and so restarts what dies."""
    sections = describe(questdb={"table": unique_name("prices")}, postgres_url="embedded")
    sections["paths"] = {"state": str(disks["state"])}
    urls = {"questdb_url": full_pair.questdb_url, "postgres_dsn": full_pair.postgres_dsn}
    world = World(tmp_path / "feefifod", sections, **urls)
    world.forget()
    yield world
    world.close()


@pytest.mark.xdist_group("full disks")
def test_disk_of_the_bulk_lane(full_world: World, disks: dict[str, Path]) -> None:
    full_world.configure(pipeline={"lane": "bulk"})
    daemon = full_world.start()
    daemon.wait_for("watching")
    fill(disks["import"])
    full_world.drop("XBTUSD_1.csv", samples.file(5_000))
    _assert_said(daemon.wait_for("waiting"), disks["import"])
    assert full_world.states() == {"loading": 1}
    free(disks["import"])
    full_world.wait_finished(1)
    daemon.stop()
    full_world.check()
    assert not list(disks["import"].glob("feefifod-*"))


@pytest.mark.xdist_group("full disks")
@pytest.mark.parametrize("lane", ["ilp", "bulk"])
def test_disk_of_questdb(full_world: World, disks: dict[str, Path], lane: str) -> None:
    """The server may say so, may suspend the table, or may die (SIGSEGV in what it maps): all of it is survived."""
    full_world.configure(pipeline={"lane": lane, "window_rows": 5_000})
    daemon = full_world.start()
    daemon.wait_for("watching")
    fill(disks["questdb"], spare=6 * MIB)
    for seed, name in enumerate(("XBTUSD_1.csv", "ETHUSD_1.csv", "SOLEUR_1.csv")):
        full_world.drop(name, samples.file(30_000, seed=seed))

    def in_trouble() -> bool:
        return bool(daemon.events("waiting") or daemon.events("trouble"))

    wait_until(in_trouble, what="trouble")
    assert daemon.alive
    assert "done" not in full_world.states(), "nothing is archived that is not in the table"
    free(disks["questdb"])
    wait_until(lambda: _resume(full_world), seconds=120, what="the end of the load")
    daemon.stop()
    full_world.check()


def _resume(world: World) -> bool:
    """Do what the remedy says where the table is suspended; True when everything is loaded."""
    try:
        (state,) = query(world.questdb_url, f"SELECT suspended FROM wal_tables() WHERE name = '{world.table}'")[
            "dataset"
        ]
        if state[0]:
            query(world.questdb_url, f"ALTER TABLE {world.table} RESUME WAL")
    except OSError:
        return False  # It is being restarted.
    return world.states().get("done") == 3
