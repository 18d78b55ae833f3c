"""Slow lines, long outages, floods of events, files made to hurt: it stays alive, small and clear about it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest

from feefifod.servers import Endpoints
from tests.support import samples
from tests.support.daemon import Process, World, wait_until
from tests.support.embedded import query
from tests.support.fault_proxy import FaultProxy

_DAY = 86_400
_MIB = 1024 * 1024


def _rss(process: Process) -> int:
    return int(psutil.Process(process.pid).memory_info().rss)


def test_slow_lines_that_carry_byte_by_byte(
    world: World, questdb_proxy: FaultProxy, postgres_proxy: FaultProxy
) -> None:
    daemon = world.start()
    daemon.wait_for("watching")
    questdb_proxy.mode = postgres_proxy.mode = "drip"
    for seed, name in enumerate(("XBTUSD_60.csv", "ETHUSD_60.csv")):
        world.drop(name, samples.file(300, interval=60, seed=seed))
    world.wait_finished(2)
    daemon.stop()
    assert questdb_proxy.faults
    assert postgres_proxy.faults
    world.check()


def test_questdb_away_for_long(world: World, questdb_proxy: FaultProxy) -> None:
    """It asks less and less often, needs no more memory for that, and goes on by itself."""
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    world.drop("XBTUSD_1.csv", samples.file(20_000))
    daemon = world.start()
    daemon.wait_for("window_sent", count=3)
    questdb_proxy.mode = "cut"
    daemon.wait_for("waiting")
    time.sleep(4)
    before, asked = _rss(daemon), questdb_proxy.faults
    time.sleep(10)
    assert _rss(daemon) - before < 20 * _MIB
    assert questdb_proxy.faults - asked < 40
    assert (world.data / "XBTUSD_1.csv").exists()
    questdb_proxy.mode = "pass"
    world.wait_finished(1)
    daemon.stop()
    world.check()


@pytest.mark.slow
def test_postgres_a_black_hole_for_longer_than_the_lease(world: World, postgres_proxy: FaultProxy) -> None:
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    for seed, name in enumerate(("XBTUSD_1.csv", "ETHUSD_1.csv")):
        world.drop(name, samples.file(20_000, seed=seed))
    daemon = world.start()
    daemon.wait_for("window_sent", count=3)
    postgres_proxy.mode = "hang"
    time.sleep(100)
    assert daemon.alive
    postgres_proxy.mode = "pass"
    world.wait_finished(2, seconds=120)
    daemon.stop()
    world.check()


def test_suspended_table(world: World, pair: Endpoints) -> None:
    """QuestDB takes rows and shows none: no file is called done before somebody has resumed the table."""
    world.drop("XBTUSD_60.csv", samples.file(100, interval=60))
    daemon = world.start()
    world.wait_finished(1)
    [[folder]] = query(world.questdb_url, f"SELECT directoryName FROM tables() WHERE table_name = '{world.table}'")[
        "dataset"
    ]
    later = samples.START + 60 * _DAY
    month = time.strftime("%Y-%m", time.gmtime(later))
    # Files where QuestDB would make the folder of the new month's partition.
    root = pair.import_dir.parent / "db" / folder
    obstacles = [root / month, *(root / f"{month}.{version}" for version in range(20))]
    for obstacle in obstacles:
        obstacle.touch()
    path = world.drop("ETHUSD_60.csv", samples.file(100, interval=60, start=later))

    [first, *_] = wait_until(
        lambda: [event for event in daemon.events("waiting") if "suspended" in event["reason"]], what="the alarm"
    )
    assert first["where"] == world.table
    time.sleep(1)
    assert path.exists()
    assert world.states() == {"done": 1, "loading": 1}
    for obstacle in obstacles:
        obstacle.unlink()
    query(world.questdb_url, f"ALTER TABLE {world.table} RESUME WAL")
    world.wait_finished(2)
    daemon.stop()
    world.check()


def test_more_events_than_the_kernel_keeps_and_names_that_kill_watchers(world: World) -> None:
    world.configure(watch={"rescan_seconds": 2.0})
    daemon = world.start()
    daemon.wait_for("watching")
    daemon.signal(signal.SIGSTOP)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    one, two = world.data / "one.tmp", world.data / "two.tmp"
    for _ in range(limit // 4 + 100):  # Four events each: two files made, two removed.
        one.touch()
        two.touch()
        one.unlink()
        two.unlink()
    world.drop("XBTUSD_60.csv", samples.file(100, interval=60))
    daemon.signal(signal.SIGCONT)
    world.wait_finished(1)
    hostile = Path(os.fsdecode(os.fsencode(world.data) + b"/\xff\xfe\n.tmp"))
    hostile.touch()
    world.drop("ETHUSD_60.csv", samples.file(100, interval=60, seed=2))
    world.wait_finished(2)
    hostile.unlink()
    daemon.stop()
    world.check()


def test_folder_that_is_polled(world: World) -> None:
    """As on a network file system, where the kernel tells of nothing."""
    world.configure(watch={"poll": True, "rescan_seconds": 3600.0})
    daemon = world.start()
    daemon.wait_for("watching")
    for seed, name in enumerate(("XBTUSD_60.csv", "deep/er/ETHUSD_60.csv")):
        world.drop(name, samples.file(100, interval=60, seed=seed))
        world.wait_finished(seed + 1, seconds=20)
    daemon.stop()
    world.check()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_thousand_files_that_came_while_it_was_stopped(world: World) -> None:
    names = [f"{number:04}/{name}" for number in range(1_000) for name in _names()[:20]]
    for seed, name in enumerate(names):
        world.drop(name, samples.file(2, interval=1440, seed=seed))
    daemon = world.start()
    world.wait_finished(len(names), seconds=600)
    daemon.stop()
    assert len(world.check().table) == 2 * 20
    assert world.states() == {"done": len(names)}


def test_line_without_an_end_needs_no_memory(world: World) -> None:
    size = 120 * _MIB
    world.drop("ETHUSD_60.csv", samples.file(100, interval=60))
    usual = _measure_peak(world)
    world.drop("XBTUSD_60.csv", b"1700006400," + b"1" * size + b"\n" + samples.file(10, interval=60))
    assert _measure_peak(world) - usual < 60 * _MIB
    facts = world.check()
    assert len(facts.table) == 110
    rejects = (world.rejected / "XBTUSD_60.csv.rows.csv").stat()
    assert rejects.st_size < 10_000


def test_candles_of_four_thousand_days(world: World) -> None:
    """A partition for each of them: bounded time, and a bounded disk."""
    world.configure(databases={"questdb": {**world.questdb, "partition_by": "DAY"}})
    days = 4_000
    world.drop("XBTUSD_1440.csv", samples.file(days, interval=1440, start=1_230_768_000))
    started = time.monotonic()
    daemon = world.start()
    world.wait_finished(1, seconds=120)
    assert time.monotonic() - started < 100
    world.drop("ETHUSD_60.csv", samples.file(100, interval=60))
    world.wait_finished(2)
    daemon.stop()
    assert len(world.check().table) == days + 100


def test_absurd_but_finite_numbers_are_stored_to_the_bit(world: World) -> None:
    rows = [
        f"{samples.START + place * 3600},{numbers}"
        for place, numbers in enumerate(
            (
                "1e300,1.7976931348623157e308,5e-324,1e-300,123456789012345678901234567890,2147483646",
                "0,0,0,0,0,0",
                "5,1,9,7,1,1",
                "0.1,0.2,0.30000000000000004,3E+1,1e-7,1",
                "-0.0,1,1,1,1,1",
            )
        )
    ]
    world.drop("XBTUSD_60.csv", samples.text(rows[:4]))
    world.ingest()
    assert len(world.check().table) == 4
    world.drop("ETHUSD_60.csv", samples.text(rows[4:]))
    assert world.ingest().failed, "a sign is no part of a price"
    world.check()


def test_no_secret_in_what_others_can_see_of_the_process(world: World) -> None:
    daemon = world.start()
    daemon.wait_for("watching")
    process = psutil.Process(daemon.pid)
    shown = [part for one in (process, *process.children(recursive=True)) for part in (one.name(), *one.cmdline())]
    password = world.postgres_dsn.split(":")[2].partition("@")[0]
    assert not [part for part in shown if world.canary in part or password in part]
    daemon.stop()
    assert world.canary not in daemon.text
    assert password not in daemon.text


def _measure_peak(world: World) -> int:
    """Run it once; returns the most memory that it had."""
    process = world.start("run-once")
    peak = 0
    while process.alive:
        with contextlib.suppress(OSError):
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            peak = int(found[1]) * 1024 if found else peak
        time.sleep(0.01)
    assert process.wait() == 0, process.text[-3000:]
    return peak


def _names() -> list[str]:
    return [f"{pair}_1440.csv" for pair in samples.PAIRS if pair not in {"BTCUSD", "DOGEUSD"}]
