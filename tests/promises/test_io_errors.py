"""A disk that fails to read, a folder that became read-only, a clock that was set: said aloud, survived, made good."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from tests.support import samples
from tests.support.checker import Dropped, check_rows, expect_rows
from tests.support.daemon import World, wait_until
from tests.support.disks import MIB, small_disk
from tests.support.zips import pack


class BadSector:
    """Makes reads of files of one size fail that touch this byte, as a disk with a bad sector does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int, byte: int, *, skip: int = 0) -> None:
        self.failures = 0
        self._size, self._byte, self._skip = size, byte, skip
        self._read: Callable[[int, int, int], bytes] = os.pread
        self._lock = threading.Lock()
        monkeypatch.setattr(os, "pread", self)

    def __call__(self, fd: int, count: int, offset: int) -> bytes:
        if os.fstat(fd).st_size == self._size and offset <= self._byte < offset + count:
            with self._lock:
                self._skip -= 1
                if self._skip < 0:
                    self.failures += 1
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._read(fd, count, offset)


# Its end is looked at first; then all of it is hashed, some places are looked up, and each window is read.
@pytest.mark.parametrize(
    ("kind", "place", "skip"),
    [
        *(("in order", place, skip) for place, skip in ((0.0, 0), (0.0, 2), (0.5, 0), (0.5, 1))),
        *(("in order", 1.0, skip) for skip in range(4)),
        *(("out of order", 0.5, skip) for skip in range(3)),
    ],
)
def test_byte_that_cannot_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str, place: float, skip: int
) -> None:
    """The others are loaded, it stays where it is, and it is loaded when it can be read."""
    world.configure(pipeline={"window_rows": 1_000})
    lines = samples.rows(4_000)
    content = samples.text(lines if kind == "in order" else [*lines[2_000:], *lines[:2_000]])
    world.drop("XBTUSD_1.csv", content)
    world.drop("ETHUSD_60.csv", samples.file(100, interval=60))
    with monkeypatch.context() as patch:
        sector = BadSector(patch, len(content), round((len(content) - 1) * place), skip=skip)
        summary = world.ingest()
    if sector.failures:
        assert summary.failed
        assert [path.name for path in world.data.iterdir()] == ["XBTUSD_1.csv"]
        left = [result for result in summary.results if result.name == "XBTUSD_1.csv"]
        assert "Input/output error" in left[-1].reason
        # It was registered, unless not even its end could be looked at.
        assert world.states() in ({"done": 1, "waiting": 1}, {"done": 1})
        assert not world.ingest().failed
    else:
        assert skip, "a byte is read at least once"
    assert len(world.check().table) == 4_100
    assert world.states() == {"done": 2}


def test_daemon_reads_it_again_less_and_less_often(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody has to wait for it."""
    content = samples.file(1_000)
    sector = BadSector(monkeypatch, len(content), 20_000)
    world.drop("XBTUSD_1.csv", content)
    with world.serve():
        wait_until(lambda: sector.failures, what="the bad sector")
        time.sleep(0.5)
        world.drop("ETHUSD_60.csv", samples.file(100, interval=60))
        world.wait_finished(1, seconds=10)
        time.sleep(3.0)
        # At once, after one second, and after two more.
        assert 2 <= sector.failures <= 4
        monkeypatch.undo()
        world.wait_finished(2, seconds=20)
    world.check()


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_zip_with_a_byte_that_cannot_be_read_is_not_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, place: float
) -> None:
    members = {"XBTUSD_60.csv": samples.file(3_000, interval=60)}
    content = pack(members, stored=True)
    world.drop("Q.zip", content)
    for skip in range(12):
        with monkeypatch.context() as patch:
            sector = BadSector(patch, len(content), round((len(content) - 1) * place), skip=skip)
            summary = world.ingest()
        if not sector.failures:
            break
        assert summary.failed
        assert [path.name for path in world.data.iterdir()] == ["Q.zip"]
        assert not world.rejected.exists() or not list(world.rejected.iterdir())
    else:
        pytest.fail("it is read more often than thought")
    assert skip, "a byte is read at least once"
    dropped = [Dropped(*item) for item in members.items()]
    check_rows(world.facts().table, expect_rows(dropped), dropped)
    assert (world.root / "ingested" / "zips" / "Q.zip").read_bytes() == content


def test_ingested_folder_that_became_read_only(world: World) -> None:
    with small_disk(world.root / "ingested", 4 * MIB) as disk:
        (disk / "ohlcv").mkdir()
        _remount(disk, "ro")
        world.drop("XBTUSD_60.csv", samples.file(300, interval=60))
        world.drop("ETHUSD_60.csv", samples.text(["1,1,1,1,1,1,1"]))
        daemon = world.start()
        (trouble, *_) = daemon.wait_for("trouble")
        assert (trouble["where"], "Read-only file system" in trouble["reason"]) == (str(world.ingested), True)
        assert trouble["remedy"]
        wait_until(lambda: world.states() == {"moving": 1, "rejected": 1}, what="the other folder")
        _remount(disk, "rw")
        world.wait_finished(2)
        daemon.stop()
        world.check()
        assert len(daemon.events("batch_started")) == 1, "it is moved, not loaded again"


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_clock_that_is_set_under_a_load(world: World, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    """Whoever loads keeps its batch and its frames, though others see another time: no lease is on this clock."""
    world.configure(pipeline={"window_rows": 1_000, "lane": "bulk"})
    for seed, name in enumerate(("XBTUSD_1.csv", "ETHUSD_1.csv")):
        world.drop(name, samples.file(20_000, seed=seed))
    now, booted = time.time, psutil._pslinux.boot_time
    with world.serve():
        wait_until(lambda: world.logs.count('"event": "window_sent"') >= 3, what="windows")
        monkeypatch.setattr(time, "time", lambda: now() + jump)
        monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: booted() + jump)
        other = world.start("run-once")
        world.drop("SOLUSD_60.csv", samples.file(100, interval=60))
        world.wait_finished(3)
        other.wait()
    monkeypatch.undo()
    world.check()
    assert world.states() == {"done": 3}
    assert not other.events("lease_lost")
    assert world.logs.count('"event": "batch_started"') <= 3
    assert "lease_lost" not in world.logs
    assert "batch_failed" not in world.logs


def _remount(disk: object, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True, timeout=20)
