"""Loading beside clients that read the whole table: by MONTH and by DAY, with the memory maps that QuestDB needs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Final

from bench.contestants import CONTESTANTS, Job, run_alone
from bench.generate import Archive, Plan, cached
from bench.meter import Measure
from bench.report import Report, median
from bench.rig import TABLE, Rig, Server
from bench.suites import Run

READERS: Final = 4
REAL: Final = Path(__file__).resolve().parents[1].parent / "shared" / "kraken" / "ohlcvt"
"""Kraken's own daily and half-daily files of one pair, where they are at hand; else made-up ones take their place."""

_DROPS: Final = (("XBTUSD", 1440), ("XBTUSD", 720), ("ETHUSD", 1440), ("ETHUSD", 720))
_NEWEST: Final = 1_790_000_000 // 86_400 * 86_400
_NEWER_ROWS: Final = 5_000
_GIVE_UP_SECONDS: Final = 200.0
_QUESTION: Final = f"SELECT asset_id, count(), max(high), sum(volume) FROM {TABLE} GROUP BY asset_id"


@dataclass(slots=True)
class Watch:
    """What happened meanwhile: answers to readers and refusals, and the most memory maps of the server."""

    answers: int = 0
    refusals: int = 0
    maps: int = 0


@contextlib.contextmanager
def read_beside(server: Server, readers: int) -> Iterator[Watch]:
    """Let clients read the whole table, each as fast as it is answered, until the end of the block."""
    watch, stop = Watch(), threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                server.ask(_QUESTION, timeout=60.0)
                watch.answers += 1
            except (OSError, HTTPException, ValueError):
                watch.refusals += 1
                stop.wait(0.1)

    def count() -> None:
        while not stop.wait(0.05):
            watch.maps = max(watch.maps, Path(f"/proc/{server.pid}/maps").read_bytes().count(b"\n"))

    threads = [threading.Thread(target=work) for work in (*[read] * readers, count)]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def measure_readers(run: Run, partitionings: Sequence[str], readers: int = READERS) -> Report:
    """Drop day and half-day files of two pairs one after the other into a table that holds newer rows."""
    rows = []
    for _ in range(run.rounds):
        for partition_by in partitionings:
            for beside in (0, readers):
                seconds, watch = _drop_all(run.rig, partition_by, beside)
                cells = [f"{value:.1f}" if value < _GIVE_UP_SECONDS else "stalled" for value in seconds]
                rows.append(
                    [partition_by, str(beside), *cells, f"{watch.maps:,}", str(watch.answers), str(watch.refusals)]
                )
                print(" ", rows[-1], flush=True)
    columns = ["partitions", "readers", *(f"{pair} {minutes}, s" for pair, minutes in _DROPS)]
    notes = [
        f"Seconds from the drop until the file is in, proven and moved; {_NEWER_ROWS:,} newer rows were in the table.",
        "The files are " + ("Kraken's own, for both pairs those of XBTUSD." if REAL.is_dir() else "made up."),
    ]
    return Report("readers", [*columns, "most maps", "answers", "refused"], rows, run.machine, notes)


def _drop_all(rig: Rig, partition_by: str, readers: int) -> tuple[list[float], Watch]:
    data, ingested = rig.folder / "drops", rig.folder / "ingested" / "ohlcv"
    data.mkdir(exist_ok=True)
    with rig.server(partition_by=partition_by) as server:
        config = rig.configure(server, data, "auto", partition_by)
        environment = {**os.environ, "FEEFIFOD_CONFIG": str(config), "NO_COLOR": "1"}
        command = [sys.executable, "-m", "feefifod", "run"]
        with (rig.folder / "daemon.log").open("wb") as log:
            daemon = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            newer = b"".join(b"%d,2,3,1,2,1.5,7\n" % (_NEWEST + 60 * number) for number in range(_NEWER_ROWS))
            _drop(data, ingested, "SOLUSD_1.csv", newer)
            with read_beside(server, readers) as watch:
                return [
                    _drop(data, ingested, f"{pair}_{minutes}.csv", _read_real(minutes)) for pair, minutes in _DROPS
                ], watch
        finally:
            daemon.terminate()
            daemon.wait()
            for path in [*ingested.glob("*"), *data.glob("*")]:
                path.unlink()


def _drop(data: Path, ingested: Path, name: str, content: bytes) -> float:
    draft = data / f".{name}"
    draft.write_bytes(content)
    started = time.monotonic()
    draft.rename(data / name)
    while not (ingested / name).exists():
        if time.monotonic() - started > _GIVE_UP_SECONDS:
            break
        time.sleep(0.02)
    seconds = time.monotonic() - started
    print(f"    {name}: {seconds:.1f} s", flush=True)
    return seconds


def _read_real(minutes: int) -> bytes:
    if REAL.is_dir():
        return (REAL / f"XBTUSD_{minutes}.csv").read_bytes()
    start = _NEWEST - 4_750 * 86_400
    rows = range(start, _NEWEST - 86_400, 60 * minutes)
    return b"".join(b"%d,2.5,3.5,1.5,2.25,1.5,7\n" % seconds for seconds in rows)


def measure_partitions(run: Run, plan: Plan, partitionings: Sequence[str], lanes: Sequence[str]) -> Report:
    """Load the same rows into tables of other partitionings, and into the first one beside readers, by turns."""
    archive = cached(plan)
    cases = [(partition_by, lane, 0) for lane in lanes for partition_by in partitionings]
    cases += [(partition_by, lane, READERS) for lane in lanes for partition_by in partitionings[:1]]
    measures: dict[tuple[str, str, int], list[Measure]] = defaultdict(list)
    maps: dict[tuple[str, str, int], int] = defaultdict(int)
    for _ in range(run.rounds):
        for case in cases:
            measure, watch = _load(run, archive, *case)
            measures[case].append(measure)
            maps[case] = max(maps[case], watch.maps)
            print(f"  {case}: {measure.rate:,.0f} rows/s, {watch.maps:,} maps", flush=True)
    rows = []
    for case, runs in measures.items():
        measure, reference = median(runs), median(measures[partitionings[0], case[1], 0])
        rows.append(
            [
                *(str(cell) for cell in case),
                f"{measure.rows:,}",
                f"{measure.seconds:.1f}",
                f"{measure.rate:,.0f}",
                f"{measure.rate / reference.rate:.2f}",
                f"{measure.server_cpu:.1f}",
                f"{maps[case]:,}",
            ]
        )
    columns = [
        "partitions",
        "lane",
        "readers",
        "rows",
        "seconds",
        "rows/s",
        "of the first",
        "server CPU s",
        "most maps",
    ]
    notes = [f"Each case ran {run.rounds} times, by turns; the run in the middle counts."]
    return Report("partitions", columns, rows, run.machine, notes)


def _load(run: Run, archive: Archive, partition_by: str, lane: str, readers: int) -> tuple[Measure, Watch]:
    with run.rig.server(run.tried, partition_by) as server, read_beside(server, readers) as watch:
        return run_alone(CONTESTANTS[lane], Job(run.rig, server, archive, partition_by=partition_by)), watch
