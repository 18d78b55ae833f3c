"""How long a file takes from its rename into the data folder to rows that can be queried, and what a look costs."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import psutil

from bench.generate import Plan, cached
from bench.meter import MIB
from bench.pairs import list_pairs
from bench.report import Report
from bench.rig import TABLE, Server
from bench.suites import Run

RATES: Final = (3, 20, 100)
SECONDS: Final = 30
CROWDS: Final = (50_000, 500_000)
_SWEEP: Final = Plan(160, 12_000_000, start=date(2025, 1, 1))
_START: Final = 1_767_225_600  # 2026-01-01, after everything that the long sweep loads.
_ROWS: Final = 5
_FOLDERS: Final = 1000
_POLL_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 120.0
_LARGE_ROWS: Final = 400_000
_FIRST_LARGE: Final = 10**6


@dataclass(frozen=True, slots=True)
class Stream:
    """Files that come at a steady rate.

    Attributes:
        series: how many series they are of.
        beside_sweep: whether a long sweep is going on.
        with_large: whether a file of 20 MB comes every five seconds, of a series that the small ones are of too.
    """

    rate: int
    series: int = 400
    beside_sweep: bool = False
    with_large: bool = False

    def describe(self) -> str:
        """Say what it is."""
        kind = "all of one series" if self.series == 1 else f"{self.series} series"
        extra = ", beside a long sweep" if self.beside_sweep else ""
        return f"{self.rate}/s, {kind}{extra}{', with large files' if self.with_large else ''}"


STREAMS: Final = (
    *(Stream(rate) for rate in RATES),
    Stream(20, series=1),
    Stream(20, beside_sweep=True),
    Stream(20, series=200, with_large=True),
)


@dataclass(slots=True)
class Arrivals:
    """When each file came, was visible, and had left the data folder; by its number, which begins at 1."""

    came: dict[int, float] = field(default_factory=dict)
    paths: dict[int, Path] = field(default_factory=dict)
    seen: dict[int, float] = field(default_factory=dict)
    moved: dict[int, float] = field(default_factory=dict)

    def drop_large(self) -> float:
        """Take the large files out; returns the longest time until one was visible."""
        large = [number for number in self.came if number >= _FIRST_LARGE]
        longest = max(self.seen[number] - self.came[number] for number in large)
        for numbers in (self.came, self.seen, self.moved):
            for number in large:
                del numbers[number]
        return longest

    def waits(self, ends: dict[int, float]) -> list[float]:
        """Return the seconds that each took until then."""
        return sorted(ends[number] - came for number, came in self.came.items())


class Watched:
    """A daemon on a data folder of its own."""

    def __init__(self, run: Run, server: Server, name: str) -> None:
        self.server = server
        self.data = run.rig.folder / f"data-{name}"
        self.staging = run.rig.folder / f"staging-{name}"
        self.data.mkdir()
        self.staging.mkdir()
        config = run.rig.configure(server, self.data, "ilp")
        config.write_text(config.read_text() + '[http]\nlisten = ""\n')
        self._log = (run.rig.folder / f"log-{name}").open("wb")
        self._config = config

    @contextmanager
    def running(self) -> Iterator[psutil.Process]:
        """Run it, from its first look at the folder to the end of the block."""
        child = subprocess.Popen(
            [sys.executable, "-m", "feefifod", "run"],
            env={**os.environ, "FEEFIFOD_CONFIG": str(self._config)},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: b'"watching"' in Path(self._log.name).read_bytes(), f"the daemon: {self._log.name}")
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait(60)

    def drop(self, content: bytes, path: Path) -> None:
        """Put a file into the data folder, whole."""
        draft = self.staging / "draft"
        draft.write_bytes(content)
        draft.rename(path)

    def remove(self) -> None:
        """Remove its folders."""
        shutil.rmtree(self.data)
        shutil.rmtree(self.staging)


def wait_until(condition: Callable[[], object], what: str, seconds: float = _PATIENCE_SECONDS) -> None:
    """Wait until a call gives something true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.05)


def make_file(number: int, rows: int = _ROWS, start: int | None = None) -> bytes:
    """Make a file whose last row, and no other one, has its number as trade count."""
    begin = _START + number * _ROWS * 60 if start is None else start
    lines = [f"{begin + 60 * row},1.5,2.5,0.5,1.75,3.25,0" for row in range(rows)]
    lines[-1] = lines[-1][:-1] + str(number)
    return ("\n".join(lines) + "\n").encode()


def measure_stream(run: Run, streams: Sequence[Stream] = STREAMS, seconds: int = SECONDS) -> Report:
    """Measure the time from rename to visible, for each stream on a fresh server."""
    rows = []
    for place, stream in enumerate(streams):
        with run.rig.server(run.tried) as server:
            watched = Watched(run, server, str(place))
            arrivals, cpu, extra = _run_stream(watched, stream, seconds)
            watched.remove()
        seen, moved = arrivals.waits(arrivals.seen), arrivals.waits(arrivals.moved)
        rows.append(
            [
                stream.describe(),
                str(len(seen)),
                *(f"{value:.2f}" for value in (statistics.median(seen), percentile(seen, 0.99), seen[-1])),
                f"{percentile(moved, 0.99):.2f}",
                f"{cpu:.2f}",
                extra,
            ]
        )
        print("  " + " | ".join(rows[-1]), flush=True)
    columns = ["stream", "files", "median s", "p99 s", "max s", "p99 s moved", "daemon cores", "remark"]
    note = f"From the rename to the row in an answer of QuestDB, asked every {_POLL_SECONDS} s; {seconds} s each."
    return Report("stream", columns, rows, run.machine, [note, "settle_seconds is 1, its default."])


def percentile(ordered: Sequence[float], part: float) -> float:
    """Return the value below which this part of all values is."""
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def _run_stream(watched: Watched, stream: Stream, seconds: int) -> tuple[Arrivals, float, str]:
    for number in range(_FOLDERS):
        (watched.data / f"{number:03}").mkdir()
    names = [f"{pair.altname}_1.csv" for pair in list_pairs(stream.series)]
    arrivals, extra = Arrivals(), ""
    archive = cached(_SWEEP) if stream.beside_sweep else None
    with watched.running() as process:
        time.sleep(2)
        if archive is not None:
            for path in archive.paths:
                shutil.copy(path, watched.staging)
                (watched.staging / path.name).rename(watched.data / path.name)
            wait_until(lambda: watched.server.count() > 0, "the long sweep")
            # Its own series are busy until its end, as they should be.
            names = [name for name in names if name not in archive.rows]
        before = sum(process.cpu_times()[:2])
        writer = threading.Thread(target=_feed, args=(watched, stream, names, seconds, arrivals))
        larges = threading.Thread(target=_feed_large, args=(watched, names[0], seconds, arrivals))
        started = time.monotonic()
        writer.start()
        if stream.with_large:
            larges.start()
        _follow(watched, arrivals, [writer, larges] if stream.with_large else [writer])
        cpu = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - started)
        if archive is not None:
            left = [path.name for path in archive.paths if (watched.data / path.name).exists()]
            extra = "the sweep went on to the end" if left else "the sweep ended before"
        if stream.with_large:
            extra = f"large files: at most {arrivals.drop_large():.1f} s"
    return arrivals, cpu, extra


def _feed(watched: Watched, stream: Stream, names: Sequence[str], seconds: int, arrivals: Arrivals) -> None:
    begun = time.monotonic()
    for number in range(1, stream.rate * seconds + 1):
        draft = watched.staging / str(number)
        draft.write_bytes(make_file(number))
        path = watched.data / f"{number % _FOLDERS:03}" / names[number % len(names)]
        time.sleep(max(begun + number / stream.rate - time.monotonic(), 0.0))
        arrivals.paths[number] = path
        draft.rename(path)
        arrivals.came[number] = time.monotonic()


def _feed_large(watched: Watched, name: str, seconds: int, arrivals: Arrivals) -> None:
    """Every five seconds comes a large file of a series that the stream is of too."""
    for number in range(_FIRST_LARGE, _FIRST_LARGE + seconds // 5):
        # Years before the small ones; the row with its number comes last.
        start = _START - _LARGE_ROWS * 60 * (number - _FIRST_LARGE + 1)
        arrivals.paths[number] = watched.data / f"large-{number}" / name
        arrivals.paths[number].parent.mkdir()
        watched.drop(make_file(number, _LARGE_ROWS, start), arrivals.paths[number])
        arrivals.came[number] = time.monotonic()
        time.sleep(5)


def _follow(watched: Watched, arrivals: Arrivals, writers: Sequence[threading.Thread]) -> None:
    """Note when files are visible and when they have left, until all have."""
    deadline = time.monotonic() + SECONDS + _PATIENCE_SECONDS
    while any(writer.is_alive() for writer in writers) or len(arrivals.moved) < len(arrivals.came):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(arrivals.came) - len(arrivals.moved)} files are not loaded")
        began = time.monotonic()
        pending = {number for number in list(arrivals.came) if number not in arrivals.seen}
        here = _find(watched.server, pending)
        now = time.monotonic()
        arrivals.seen |= dict.fromkeys(here, now)
        for number in [number for number in arrivals.seen if number not in arrivals.moved]:
            if not arrivals.paths[number].exists():
                arrivals.moved[number] = now
        time.sleep(max(began + _POLL_SECONDS - time.monotonic(), 0.0))


def _find(server: Server, pending: set[int]) -> set[int]:
    """Return which files are visible."""
    found: set[int] = set()
    for numbers in ({n for n in pending if n < _FIRST_LARGE}, {n for n in pending if n >= _FIRST_LARGE}):
        if numbers:
            small = min(numbers) < _FIRST_LARGE
            since = (_START + min(numbers) * _ROWS * 60 if small else 0) * 1_000_000
            answer = server.ask(
                f"SELECT trade_count FROM {TABLE} "
                f"WHERE time >= cast({since} AS TIMESTAMP) AND trade_count BETWEEN {min(numbers)} AND {max(numbers)}"
            )
            found |= {row[0] for row in answer} & numbers
    return found


def measure_folder(run: Run, crowds: Sequence[int] = CROWDS) -> Report:
    """Measure what files that are left alone cost: at rest, for a new file, and when more of them come."""
    rows = []
    for crowd in (0, *crowds):
        with run.rig.server(run.tried) as server:
            watched = Watched(run, server, f"crowd-{crowd}")
            for number in range(crowd):
                os.close(os.open(watched.data / f"IMG_{number:06}.jpg", os.O_CREAT | os.O_WRONLY))
            begun = time.monotonic()
            with watched.running() as process:
                rows.append([f"{crowd:,}", f"{time.monotonic() - begun:.1f}", *_measure_crowd(watched, process)])
            watched.remove()
        print("  " + " | ".join(rows[-1]), flush=True)
    columns = [
        "files left alone",
        "start s",
        "idle, % of a core",
        "new file, median s",
        "max s",
        "50 more/s, % of a core",
        "MiB",
    ]
    return Report("folder", columns, rows, run.machine)


def _measure_crowd(watched: Watched, process: psutil.Process) -> list[str]:
    time.sleep(5)
    idle = _measure_cpu(process, 40)
    waits = []
    chance = random.Random(1)
    for number in range(1, 9):
        time.sleep(chance.random())
        watched.drop(make_file(number), watched.data / "XBTUSD_1.csv")
        came = time.monotonic()
        wait_until(
            lambda number=number: watched.server.ask(f"SELECT count() FROM {TABLE} WHERE trade_count = {number}")[0][0],
            "a new file",
        )
        waits.append(time.monotonic() - came)
        wait_until(lambda: not list(watched.data.glob("XBTUSD*")), "its move")
    stop = threading.Event()

    def fill() -> None:
        number = 0
        while not stop.wait(0.02):
            number += 1
            (watched.data / f"NEW_{number:06}.jpg").touch()

    filler = threading.Thread(target=fill)
    filler.start()
    busy = _measure_cpu(process, 15)
    stop.set()
    filler.join()
    memory = process.memory_info().rss / MIB
    return [f"{idle:.2%}", f"{statistics.median(waits):.2f}", f"{max(waits):.2f}", f"{busy:.1%}", f"{memory:.0f}"]


def _measure_cpu(process: psutil.Process, seconds: float) -> float:
    before, begun = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    return float((sum(process.cpu_times()[:2]) - before) / (time.monotonic() - begun))
