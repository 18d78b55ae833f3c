"""A file counts when it is complete, and not before."""

from __future__ import annotations

import os
import time

from tests.support import samples
from tests.support.checker import Dropped
from tests.support.daemon import World

_ROWS = samples.rows(300, interval=60)


def test_file_that_is_still_being_written(world: World) -> None:
    """A writer that stalls for longer than the settle time keeps its file, whatever the pieces look like."""
    daemon = world.start()
    daemon.wait_for("watching")
    with (world.data / "XBTUSD_60.csv").open("wb", buffering=0) as file:
        for start in range(0, 300, 100):
            file.write(samples.text(_ROWS[start : start + 100]))
            time.sleep(0.8)
            assert world.states() in ({}, {"waiting": 1})
    world.dropped.append(Dropped("XBTUSD_60.csv", samples.text(_ROWS)))
    world.wait_finished(1)
    daemon.stop()
    assert len(world.check().table) == 300


def test_file_that_ends_in_mid_line_waits_for_the_rest(world: World) -> None:
    world.configure(watch={"truncated_seconds": 60})
    daemon = world.start()
    daemon.wait_for("watching")
    content = samples.text(_ROWS)
    path = world.data / "XBTUSD_60.csv"
    path.write_bytes(content[:5_000])
    time.sleep(1.5)
    assert world.states() == {}
    with path.open("ab") as file:
        file.write(content[5_000:])
    world.dropped.append(Dropped("XBTUSD_60.csv", content))
    world.wait_finished(1)
    daemon.stop()
    assert len(world.check().table) == 300


def test_file_with_an_old_modification_time_is_not_taken_for_complete(world: World) -> None:
    """`cp -p` and `rsync -t` set old times on files that they are still writing."""
    world.configure(watch={"settle_seconds": 3})
    path = world.drop("XBTUSD_60.csv", samples.text(_ROWS))
    os.utime(path, (1_500_000_000, 1_500_000_000))
    daemon = world.start()
    daemon.wait_for("watching")
    assert world.states() == {}
    world.wait_finished(1)
    daemon.stop()
    world.check()


def test_temporary_names_are_left_alone(world: World) -> None:
    names = (".XBTUSD_60.csv.Xy12", "XBTUSD_60.csv.part", "XBTUSD_60.csv.filepart", "XBTUSD_60.csv.crdownload")
    for name in names:
        (world.data / name).write_bytes(samples.text(_ROWS))
    world.run("run-once")
    assert {path.name for path in world.data.iterdir()} == set(names)
    (world.data / names[1]).rename(world.data / "XBTUSD_60.csv")
    world.dropped += [Dropped("XBTUSD_60.csv", samples.text(_ROWS))] * len(names)
    world.ingest()
    assert len(world.check().table) == 300


def test_folder_moved_in_and_folder_made_again(world: World) -> None:
    daemon = world.start()
    daemon.wait_for("watching")
    whole = world.root / "outside" / "q3"
    whole.mkdir()
    (whole / "XBTUSD_60.csv").write_bytes(samples.text(_ROWS))
    whole.rename(world.data / "q3")
    world.dropped.append(Dropped("XBTUSD_60.csv", samples.text(_ROWS)))
    world.wait_finished(1)
    (world.data / "q3").rmdir()
    world.data.rmdir()
    time.sleep(0.5)
    world.data.mkdir()
    world.drop("ETHUSD_60.csv", samples.text(_ROWS))
    world.wait_finished(2)
    daemon.stop()
    assert len(world.check().table) == 600


def test_file_replaced_in_mid_batch(world: World) -> None:
    """What was claimed is not there any more: nothing of it is called done, and the new content is loaded."""
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    world.drop("XBTUSD_1.csv", samples.file(30_000, seed=1))
    world.drop("ETHUSD_1.csv", samples.file(30_000, seed=2))
    other = samples.file(30_000, seed=3)  # Making it may take as long as loading the first.
    daemon = world.start()
    daemon.wait_for("window_sent", count=3)
    world.drop("XBTUSD_1.csv", other)
    world.dropped.pop(0)  # Overwritten by its owner.
    world.wait_finished(2)
    daemon.stop()
    world.check()
    assert world.states() == {"done": 2}


def test_file_appended_in_mid_batch(world: World) -> None:
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    lines = samples.rows(30_000)
    path = world.drop("XBTUSD_1.csv", samples.text(lines[:20_000]))
    world.drop("ETHUSD_1.csv", samples.file(30_000, seed=2))
    daemon = world.start()
    daemon.wait_for("window_sent", count=3)
    with path.open("ab") as file:
        file.write(samples.text(lines[20_000:]))
    world.dropped[0] = Dropped("XBTUSD_1.csv", samples.text(lines))
    world.wait_finished(2)
    daemon.stop()
    world.check()
    assert world.states() == {"done": 2}
