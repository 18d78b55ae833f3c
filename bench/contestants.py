"""The ways into QuestDB that are measured. Each runs in a process of its own, on a fresh server."""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import anyio
import numpy as np
import pyarrow as pa
import pyarrow.csv
from pyarrow import compute
from questdb import Sender, TimestampNanos

from bench.frames import describe_files, name_sample, read_frames
from bench.generate import Archive
from bench.meter import Measure, Meter
from bench.rig import TABLE, Rig, Server, wait_counted
from feefifod.config.settings import QuestDBSettings
from feefifod.model import Frame
from feefifod.sink import BulkLane, IlpLane, Lane, QuestDBClient

_SENDS: Final = 2  # As many at once as ingestion has.
_SETTLE_SECONDS: Final = 1.2  # Files that were just put back count as changed.


@dataclass(frozen=True, slots=True)
class Job:
    """What a contestant is given.

    Attributes:
        sample_rows: for the row-by-row baseline only; 0 takes all files.
    """

    rig: Rig
    server: Server
    archive: Archive
    sample_rows: int = 0
    partition_by: str = "MONTH"


def run_alone(contestant: Callable[[Job], Measure], job: Job) -> Measure:
    """Run a contestant in a fresh process, so that its memory and CPU are its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(contestant, job).result()


def send_row_by_row(job: Job) -> Measure:
    """A file at a time, `csv.reader` and `sender.row`, ILP over TCP: the way it is done today."""
    archive = job.archive
    paths = name_sample(archive, job.sample_rows) if job.sample_rows else archive.paths
    files = {file.id: file for file in describe_files(archive)}
    rows = sum(archive.rows[path.name] for path in paths)
    described = {path: files[number] for number, path in enumerate(archive.paths, 1)}
    with Meter(job.server.pid) as meter:
        with Sender.from_conf(f"tcp::addr=127.0.0.1:{job.server.tcp_port};") as sender:
            for path in paths:
                file = described[path]
                symbols: dict[str, str | None] = {"quote_currency": file.quote, "source": "kraken"}
                with path.open(newline="") as lines:
                    for row in csv.reader(lines):
                        sender.row(
                            TABLE,
                            symbols=symbols,
                            columns={
                                "asset_id": file.asset_id,
                                "open": float(row[1]),
                                "high": float(row[2]),
                                "low": float(row[3]),
                                "close": float(row[4]),
                                "volume": float(row[5]),
                                "interval_minutes": file.interval_minutes,
                                "trade_count": int(row[6]),
                            },
                            at=TimestampNanos(int(row[0]) * 1_000_000_000),
                        )
                sender.flush()
        wait_counted(job.server, rows)
    return meter.measure(rows)


def copy_merged(job: Job) -> Measure:
    """`COPY` of one CSV, merged and sorted beforehand, into an empty table."""
    target = job.server.import_dir / "merged.csv"
    rows = anyio.run(_write_merged, job.archive, target)
    # COPY fills only tables that are empty, and none that has a WAL's history.
    job.server.ask(f"TRUNCATE TABLE {TABLE}")
    with Meter(job.server.pid) as meter:
        job.server.ask(
            f"COPY {TABLE} FROM 'merged.csv' WITH HEADER true TIMESTAMP 'time' "
            f"FORMAT 'yyyy-MM-ddTHH:mm:ss.SSSUUUZ' PARTITION BY {job.partition_by} ON ERROR ABORT"
        )
        while True:
            states = job.server.ask("SELECT status, message FROM sys.text_import_log WHERE phase IS NULL")
            ends = [state for state in states if state[0] in {"finished", "failed", "cancelled"}]
            if ends:
                break
            time.sleep(0.05)
        counted = job.server.count()
        if ends[0][0] != "finished" or counted != rows:
            raise RuntimeError(f"COPY ended with {ends[0]}, {counted} rows of {rows}")
    target.unlink()
    return meter.measure(rows)


async def _write_merged(archive: Archive, target: Path) -> int:
    rows = 0
    writer = None
    async for frame in read_frames(archive):
        table = pa.table(
            {
                "asset_id": frame.asset_id,
                "time": compute.strftime(pa.array(frame.time_us.view("datetime64[us]")), "%Y-%m-%dT%H:%M:%SZ"),
                "open": frame.open,
                "high": frame.high,
                "low": frame.low,
                "close": frame.close,
                "volume": frame.volume,
                "interval_minutes": frame.interval_minutes,
                "trade_count": frame.trade_count,
                "quote_currency": pa.array(frame.quotes).take(pa.array(frame.quote_code)),
                "source": pa.repeat(pa.scalar(str(frame.source)), len(frame)),
            }
        )
        if writer is None:
            options = pyarrow.csv.WriteOptions(quoting_style="none")
            writer = pyarrow.csv.CSVWriter(target, table.schema, write_options=options)
        writer.write_table(table)
        rows += len(frame)
    if writer is not None:
        writer.close()
    return rows


def feed_ilp(job: Job) -> Measure:
    """The ILP lane with frames that were parsed and sorted beforehand: what it could do at best."""
    return anyio.run(_feed, job, "ilp")


def feed_bulk(job: Job) -> Measure:
    """Likewise, the bulk lane."""
    return anyio.run(_feed, job, "bulk")


async def _feed(job: Job, name: str) -> Measure:
    settings = QuestDBSettings.model_validate({"url": job.server.url, "table": TABLE})
    client = QuestDBClient(settings, job.server.url)
    lane: Lane
    lane = IlpLane(job.server.url, settings) if name == "ilp" else BulkLane(client, TABLE, job.server.import_dir)
    frames = [frame async for frame in read_frames(job.archive)]
    rows = sum(len(frame) for frame in frames)
    with Meter(job.server.pid) as meter:
        room = anyio.Semaphore(_SENDS)

        async def send(frame: Frame) -> None:
            try:
                await lane.send(frame)
            finally:
                room.release()

        async with anyio.create_task_group() as sends:
            for frame in frames:
                await room.acquire()
                sends.start_soon(send, frame)
        await anyio.to_thread.run_sync(wait_counted, job.server, rows)
    await lane.close()
    return meter.measure(rows)


def ingest_ilp(job: Job) -> Measure:
    """feefifod with the ILP lane: `ingest-sequential --yes` from start to exit, from raw files to counted rows."""
    return _ingest(job, "ilp")


def ingest_bulk(job: Job) -> Measure:
    """feefifod with the bulk lane, likewise."""
    return _ingest(job, "bulk")


def _ingest(job: Job, lane: str) -> Measure:
    config = job.rig.configure(job.server, job.archive.folder, lane, job.partition_by)
    environment = {**os.environ, "FEEFIFOD_CONFIG": str(config), "NO_COLOR": "1"}
    time.sleep(_SETTLE_SECONDS)
    try:
        with Meter(job.server.pid) as meter:
            meter.run([sys.executable, "-m", "feefifod", "ingest-sequential", "--yes"], environment)
            counted = job.server.count()
    finally:
        _put_back(job.rig.folder / "ingested" / "ohlcv", job.archive.folder)
    if counted != job.archive.total:
        raise RuntimeError(f"{counted} rows are visible, {job.archive.total} were expected")
    return meter.measure(counted)


def _put_back(ingested: Path, folder: Path) -> None:
    for path in ingested.glob("*"):
        path.rename(folder / path.name)


def apply_daily(job: Job) -> Measure:
    """One file of daily candles, sent as it would be, into an empty table: thousands of small partitions."""
    return anyio.run(_apply_daily, job, 1)


def apply_daily_again(job: Job) -> Measure:
    """Likewise, into a table that has these days already, of another asset."""
    return anyio.run(_apply_daily, job, 2)


async def _apply_daily(job: Job, times: int) -> Measure:
    settings = QuestDBSettings.model_validate({"url": job.server.url, "table": TABLE})
    [frame] = [frame async for frame in read_frames(job.archive)]
    lane = IlpLane(job.server.url, settings)
    for number in range(1, times + 1):
        asset = replace(frame, asset_id=np.full(len(frame), number, np.int32))
        with Meter(job.server.pid) as meter:
            await lane.send(asset)
            await anyio.to_thread.run_sync(wait_counted, job.server, number * len(frame))
    await lane.close()
    return meter.measure(len(frame))


# In the order of running. Each lane runs right after its limit: shared machines change their pace within minutes.
# The baseline is last: it makes QuestDB rewrite and remove partitions, which slows down who comes next.
CONTESTANTS: Final[dict[str, Callable[[Job], Measure]]] = {
    "feed-bulk": feed_bulk,
    "bulk": ingest_bulk,
    "feed-ilp": feed_ilp,
    "ilp": ingest_ilp,
    "copy": copy_merged,
    "rows": send_row_by_row,
}
# In the order of the report.
NAMES: Final = {
    "rows": "row by row, ILP/TCP, a file at a time",
    "copy": "COPY of a merged CSV, empty table",
    "feed-ilp": "feed limit of the ILP lane",
    "feed-bulk": "feed limit of the bulk lane",
    "ilp": "feefifod, ILP lane",
    "bulk": "feefifod, bulk lane",
}
BASELINE: Final = "rows"
LIMITS: Final = {"ilp": "feed-ilp", "bulk": "feed-bulk"}


def choose(only: Sequence[str]) -> list[str]:
    """Return the contestants in their order, or the ones that were asked for."""
    return [name for name in CONTESTANTS if not only or name in only]
