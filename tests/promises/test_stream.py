"""A steady stream of files: no wait is renewed by those that come later, and none are starved by others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from tests.support import samples
from tests.support.checker import Dropped
from tests.support.daemon import World, wait_until

_PER_SECOND = 5
_MOST_SECONDS = 90
_LARGE_ROWS = 250_000
"""Over 8 MiB: it is not loaded beside a sweep."""


@contextmanager
def _stream(world: World, names: Sequence[str]) -> Iterator[Thread]:
    """Drop small files at a steady rate until the end of the block, each in a folder of its own."""
    stop = Event()

    def feed() -> None:
        begun = time.monotonic()
        for number in range(_MOST_SECONDS * _PER_SECOND):
            start = samples.START + number * 600
            world.drop(f"{number}/{names[number % len(names)]}", samples.file(10, start=start, seed=number))
            if stop.wait(max(begun + number / _PER_SECOND - time.monotonic(), 0.0)):
                return

    thread = Thread(target=feed)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("names", [["XBTUSD_1.csv"], ["XBTUSD_1.csv", "ETHUSD_1.csv", "SOLUSD_1.csv"]], ids=len)
def test_first_files_of_a_stream_do_not_wait_for_its_end(world: World, names: list[str]) -> None:
    world.configure(watch={"settle_seconds": 1.0})
    daemon = world.start()
    daemon.wait_for("watching")
    with _stream(world, names) as stream:
        wait_until(lambda: world.states().get("done", 0) >= 20, what="the first twenty")
        assert stream.is_alive(), "they were loaded while others came"
    world.wait_finished(len(world.dropped))
    daemon.stop()
    world.check()


def test_large_file_is_not_starved_by_a_stream_of_its_series(world: World) -> None:
    large = samples.file(_LARGE_ROWS, start=samples.START - _LARGE_ROWS * 60)
    daemon = world.start()
    daemon.wait_for("watching")
    with _stream(world, ["XBTUSD_1.csv", "ETHUSD_1.csv"]) as stream:
        draft = world.root / "outside" / "XBTUSD_1.csv"
        draft.write_bytes(large)
        assert draft.stat().st_size > 8 * 1024 * 1024
        path = draft.rename(world.data / "XBTUSD_1.csv")
        world.dropped.append(Dropped("XBTUSD_1.csv", large))
        wait_until(lambda: not path.exists(), what="the large file", seconds=_MOST_SECONDS)
        assert stream.is_alive(), "it was loaded while small ones came"
    world.wait_finished(len(world.dropped))
    daemon.stop()
    world.check()


def test_events_come_again_when_the_folder_was_made_again(world: World) -> None:
    world.configure(watch={"rescan_seconds": 600})
    daemon = world.start()
    daemon.wait_for("watching")
    time.sleep(2)
    world.data.rmdir()
    time.sleep(0.5)
    world.data.mkdir()
    for number in range(3):
        time.sleep(3)
        world.drop(f"later/{number}/XBTUSD_60.csv", samples.file(10, interval=60, seed=number, trades=number + 1))
        world.wait_finished(number + 1)
    daemon.stop()
    world.check()
