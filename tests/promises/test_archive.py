"""A folder that cannot be written: files stay where they are, it is said aloud, and it goes on once it is mended."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.support import samples
from tests.support.daemon import World, wait_until


def _block(folder: Path) -> None:
    """Put a file in a folder's place: that stops root, too."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.touch()


def test_unwritable_ingested_folder(world: World) -> None:
    _block(world.ingested)
    world.drop("XBTUSD_60.csv", samples.file(300, interval=60))
    daemon = world.start()
    trouble = daemon.wait_for("trouble")
    assert str(world.ingested) in trouble[0]["where"]
    assert trouble[0]["remedy"]
    assert (world.data / "XBTUSD_60.csv").exists()
    world.ingested.unlink()
    world.wait_finished(1)
    daemon.stop()
    world.check()
    assert len(daemon.events("batch_started")) == 1, "it is moved, not loaded again"


def test_unwritable_rejected_folder(world: World) -> None:
    _block(world.rejected)
    world.drop("XBTUSD_60.csv", b"no,row,of,this,file,is,good1\n1,1,1,1,1,1,1\n")
    daemon = world.start()
    daemon.wait_for("trouble")
    assert (world.data / "XBTUSD_60.csv").exists()
    world.rejected.unlink()
    world.wait_finished(1)
    daemon.stop()
    world.check()


@pytest.mark.parametrize("killed", [False, True])
def test_bad_rows_reach_an_unwritable_rejected_folder_in_the_end(world: World, killed: bool) -> None:
    _block(world.rejected)
    world.drop("XBTUSD_60.csv", samples.file(50, interval=60) + b"bad,1,1,1,1,1,1\n")
    daemon = world.start()
    daemon.wait_for("trouble")
    if killed:
        daemon.kill()
        daemon = world.start()
        daemon.wait_for("trouble")
    world.rejected.unlink()
    world.wait_finished(1)
    daemon.stop()
    assert len(world.check().table) == 50
    with (world.rejected / "XBTUSD_60.csv.rows.csv").open(newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == ["bad,1,1,1,1,1,1"]


def test_others_are_loaded_while_one_cannot_be_moved(world: World) -> None:
    """Only what has to go to the broken folder waits."""
    _block(world.rejected)
    daemon = world.start()
    daemon.wait_for("watching")
    world.drop("XBTUSD_60.csv", b"1,1,1,1,1,1,1\n")
    daemon.wait_for("trouble")
    world.drop("ETHUSD_60.csv", samples.file(50, interval=60))
    wait_until(lambda: world.states().get("done") == 1, seconds=40, what="the good file")
    world.rejected.unlink()
    world.wait_finished(2)
    daemon.stop()
    world.check()
