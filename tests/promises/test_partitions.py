"""Any partitioning works: that of a table which is there already, and that which needs more maps than Linux grants."""

from __future__ import annotations

import contextlib
import threading
import urllib.error
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.support import samples
from tests.support.daemon import World
from tests.support.embedded import query

_REAL = Path(__file__).resolve().parents[2].parent / "shared" / "kraken" / "ohlcvt"
_READERS = 4
_DAY = 86_400
_FIRST = 1_380_000_000 // _DAY * _DAY
_NEWEST = 1_760_000_000 // _DAY * _DAY

COLUMNS = (
    "asset_id INT, time TIMESTAMP, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE,"
    " interval_minutes INT, trade_count INT, quote_currency SYMBOL, source SYMBOL"
)


@contextlib.contextmanager
def reading(world: World, count: int) -> Iterator[list[int]]:
    """Read the whole table again and again from several clients, until the end of the block; counts the answers."""
    stop = threading.Event()
    answers = [0]

    def read() -> None:
        sql = f"SELECT asset_id, count(), max(high), sum(volume) FROM {world.table} GROUP BY asset_id"
        while not stop.is_set():
            try:
                query(world.questdb_url, sql)
                answers[0] += 1
            except (OSError, HTTPException, ValueError, urllib.error.URLError):
                stop.wait(0.1)  # Readers may find no maps; what is loaded beside them must not care.

    threads = [threading.Thread(target=read, name=f"reader {number}") for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def make_table(world: World, partition_by: str) -> None:
    query(world.questdb_url, f"CREATE TABLE {world.table} ({COLUMNS}) TIMESTAMP(time) PARTITION BY {partition_by} WAL")


@pytest.mark.parametrize("partition_by", ["DAY", "YEAR"])
def test_a_table_of_before_is_taken_as_it_is(world: World, partition_by: str) -> None:
    """Under the default of another partitioning: one shot, verification, repair of a loss, and the daemon."""
    make_table(world, partition_by)
    for seed, name in enumerate(("XBTUSD_1440.csv", "ETHUSD_720.csv", "SOLUSD_60.csv")):
        world.drop(name, samples.file(700, interval=int(name[7:-4]), start=_FIRST, seed=seed))
    world.run("run-once")
    world.run("verify")
    daemon = world.start()
    world.drop("ADAUSD_1440.csv", samples.file(300, interval=1440, start=_FIRST + 200 * _DAY))
    world.wait_finished(4)
    daemon.stop()
    world.run("setup-questdb-schema")

    assert len(world.check().table) == 3 * 700 + 300
    [[found]] = query(world.questdb_url, f"SELECT partitionBy FROM tables() WHERE table_name = '{world.table}'")[
        "dataset"
    ]
    assert found == partition_by
    query(world.questdb_url, f"ALTER TABLE {world.table} DROP PARTITION LIST '{_first_partition(world)}'")
    assert world.run("verify", code=1).text.count("missing") >= 1
    world.run("verify", "--repair")
    assert len(world.check().table) == 3 * 700 + 300


@pytest.mark.parametrize("lane", ["ilp", "bulk"])
@pytest.mark.parametrize("partition_by", ["DAY", "WEEK", "MONTH", "YEAR"])
def test_sparse_and_dense_files_in_a_new_table(world: World, partition_by: str, lane: str) -> None:
    world.configure(databases={"questdb": {**world.questdb, "partition_by": partition_by}}, pipeline={"lane": lane})
    world.drop("XBTUSD_1440.csv", samples.file(600, interval=1440, start=_FIRST))
    world.drop("ETHUSD_1.csv", samples.file(3_000, start=_FIRST + 100 * _DAY))

    summary = world.ingest()

    assert not summary.failed
    windows = world.logs.count("window_sent")
    assert windows >= 3 if partition_by == "DAY" else windows == 1
    assert len(world.check().table) == 600 + 3_000


def test_a_stop_between_windows_goes_on_where_it_was(world: World) -> None:
    """Windows that are bounded in partitions are checkpoints like any other."""
    world.configure(databases={"questdb": {**world.questdb, "partition_by": "DAY"}})
    world.drop("XBTUSD_1440.csv", samples.file(900, interval=1440, start=_FIRST))

    world.ingest(stop_after=lambda: True)
    assert 0 < query(world.questdb_url, f"SELECT count() FROM {world.table}")["dataset"][0][0] < 900
    world.ingest()

    assert len(world.check().table) == 900


def _first_partition(world: World) -> str:
    sql = f"SELECT name FROM table_partitions('{world.table}') LIMIT 1"
    [[name]] = query(world.questdb_url, sql)["dataset"]
    return str(name)


@pytest.mark.slow
@pytest.mark.skipif(not _REAL.is_dir(), reason="Kraken's own files are not on this machine")
@pytest.mark.parametrize("partition_by", ["MONTH", "DAY"])
def test_years_of_real_days_beside_four_readers(own_world: World, partition_by: str) -> None:
    """Never stalled: by DAY two readers of the whole table alone need more maps than Linux grants by default."""
    world = own_world
    world.configure(databases={"questdb": {**world.questdb, "partition_by": partition_by}})
    world.forget()
    world.drop("SOLUSD_1.csv", samples.file(5_000, start=_NEWEST))
    daemon = world.start()
    world.wait_finished(1)
    with reading(world, _READERS) as answers:
        for place, (pair, minutes) in enumerate((("XBTUSD", 1440), ("XBTUSD", 720), ("ETHUSD", 1440), ("ETHUSD", 720))):
            world.drop(f"{pair}_{minutes}.csv", (_REAL / f"XBTUSD_{minutes}.csv").read_bytes())
            world.wait_finished(2 + place, seconds=180)
        assert answers[0] > 0
    daemon.stop()

    assert "work_stalled" not in daemon.text
    assert len(world.check().table) == sum(drop.content.count(b"\n") for drop in world.dropped)
