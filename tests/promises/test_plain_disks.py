"""Folders on file systems without hard links, rename flags and more, as rclone, CIFS and exFAT: all works there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import pytest

from feefifod.failpoint import EXIT_CODE, VARIABLE, Step
from tests.support import samples
from tests.support.daemon import World
from tests.support.forking import fork
from tests.support.plain_disk import plain_disk
from tests.support.zips import pack, split

_TRAITS: Final = [(), ("no-utime", "no-sync", "no-chmod"), ("names",)]

_COPYING: Final = (Step.COPIED, Step.LINKED, Step.SOURCE_REMOVED)


@pytest.fixture(params=_TRAITS, ids=" ".join)
def traits(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What the disk lacks, beyond hard links and rename flags."""
    chosen: tuple[str, ...] = request.param
    return chosen


@pytest.fixture(params=["one disk", "disks for finished files"])
def plain_world(
    world: World, request: pytest.FixtureRequest, traits: tuple[str, ...], tmp_path: Path
) -> Iterator[World]:
    """Folders on one such disk, or a local data folder and such disks for what is done."""
    with ExitStack() as stack:
        if request.param == "one disk":
            stack.enter_context(plain_disk(world.root, *traits))
            for folder in (world.data, world.root / "outside"):
                folder.mkdir()
            world.configure(paths={"state": str(tmp_path / "state")})
        else:
            for folder in (world.root / "ingested", world.rejected):
                stack.enter_context(plain_disk(folder, *traits))
        yield world


def test_whatever_is_dropped_comes_to_its_end(plain_world: World) -> None:
    """Loaded, loaded without bad rows, refused, deleted, the same name again, a zip and a split one."""
    world = plain_world
    world.drop("XBTUSD_60.csv", samples.file(300, interval=60))
    world.drop("ETHUSD_60.csv", samples.file(50, interval=60) + b"bad,1,1,1,1,1,1\n")
    world.drop("SOLUSD_60.csv", b"1,1,1,1,1,1,1\n")
    world.drop("XBTUSD_7.csv", samples.file(5, interval=60, seed=9))
    world.drop("ADAUSD_60.csv", b"")
    world.drop("Q.zip", pack({"DOTUSD_60.csv": samples.file(40, interval=60, seed=3)}))
    for number, piece in enumerate(split(pack({"LTCUSD_60.csv": samples.file(40, interval=60, seed=4)}), 2)):
        world.drop(f"P.zip.part{number:02}", piece)
    world.ingest()
    world.drop("XBTUSD_60.csv", samples.file(310, interval=60))
    world.drop("a/XBTUSD_60.csv", samples.file(300, interval=60))
    world.drop("SOLUSD_60.csv", b"2,1,1,1,1,1,1\n")
    summary = world.ingest()
    assert not summary.stuck
    assert not summary.troubles
    assert len(list(world.ingested.glob("XBTUSD_60*.csv"))) == 3
    assert len(list(world.rejected.glob("SOLUSD_60*Z.csv"))) == 1
    assert _hidden(world) == []
    world.check()


def test_daemon_takes_what_comes(plain_world: World) -> None:
    daemon = plain_world.start()
    daemon.wait_for("watching")
    plain_world.drop("XBTUSD_60.csv", samples.file(300, interval=60))
    plain_world.wait_finished(1)
    daemon.stop()
    plain_world.check()


@pytest.mark.parametrize("traits", [()], indirect=True, ids=["plain"])
@pytest.mark.parametrize(
    "step", [Step.RENAMING, Step.RESERVED, Step.RENAMED, Step.COPIED, Step.LINKED, Step.SOURCE_REMOVED]
)
def test_killed_while_a_file_is_moved(plain_world: World, step: Step) -> None:
    """After a name was reserved, with a copy half made, with a copy beside the file: it is there once in the end."""
    world = plain_world
    world.drop("XBTUSD_60.csv", samples.file(300, interval=60))
    world.drop("ETHUSD_60.csv", b"1,1,1,1,1,1,1\n")
    first = fork(world, "run-once", **{VARIABLE: step})
    if first.wait() != EXIT_CODE:
        assert step in _COPYING, first.text[-3000:]
        pytest.skip("nothing is copied on one disk")
    for _ in range(2):
        assert not world.ingest().stuck
    world.check()
    assert _hidden(world) == []
    assert len(list(world.ingested.iterdir())) == 1


@pytest.mark.parametrize("traits", [("no-utime",)], indirect=True, ids=["no-utime"])
@pytest.mark.parametrize("step", [Step.LINKED, Step.SOURCE_REMOVED])
def test_copy_without_its_time_is_known_again(plain_world: World, step: Step) -> None:
    plain_world.drop("XBTUSD_60.csv", samples.file(300, interval=60))
    first = fork(plain_world, "run-once", **{VARIABLE: step})
    if first.wait() != EXIT_CODE:
        pytest.skip("nothing is copied on one disk")
    plain_world.ingest()
    plain_world.check()
    assert _hidden(plain_world) == []


@pytest.mark.parametrize("traits", [("names",)], indirect=True, ids=["names"])
def test_names_that_differ_in_case_and_names_that_it_refuses(plain_world: World) -> None:
    """Nothing is overwritten, and a name with a colon becomes one without."""
    world = plain_world
    world.rejected.mkdir(exist_ok=True)
    (world.rejected / "xbtusd_7.csv").write_bytes(b"mine\n")
    world.drop("XBTUSD_7.csv", samples.file(5, interval=60))
    names = ["XBTUSD_7.csv"]
    with suppress(OSError):  # The data folder is on such a disk, too.
        (world.data / "XBT:USD_60.csv").write_bytes(samples.file(5, interval=60, seed=2))
        names.append("XBT_USD_60.csv")
    summary = world.ingest()
    assert not summary.stuck
    assert (world.rejected / "xbtusd_7.csv").read_bytes() == b"mine\n"
    assert not [path for path in world.data.rglob("*") if path.is_file()]
    rows = world.ask("SELECT moved_to FROM file")
    places = [Path(os.fsdecode(row["moved_to"])) for row in rows]
    assert all(place.is_file() and place.with_name(f"{place.name}.reason.json").is_file() for place in places)
    assert sorted(re.sub(r"\.\d+T[\d.]+Z", "", place.name) for place in places) == sorted(names)


def _hidden(world: World) -> list[Path]:
    return [path for folder in (world.root / "ingested", world.rejected) for path in folder.rglob(".*")]
