"""The sweep: a batch of files read in time order across all of them, window by window."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from feefifod.partitioning import Partitioning
from feefifod.pulse import beat
from feefifod.sweep.cuts import choose_cuts
from feefifod.sweep.merge import merge_parts
from feefifod.sweep.read import Part, read_part
from feefifod.sweep.run import EXHAUSTED, ArrowRun, CsvRun, FileChanged, Irregular

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from pathlib import Path

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from feefifod.errors import FeefifodError
    from feefifod.model import Frame
    from feefifod.sweep.run import Run, SweepFile

_JOB_BYTES: Final = 8 * 1024 * 1024
_JOB_RUNS: Final = 256
_BYTES_PER_ROW: Final = 48


@dataclass(slots=True)
class Tally:
    """What the sweep has seen of a file so far: rows taken, odd ones, unix seconds of the first and last row."""

    rows: int = 0
    odd: int = 0
    first_seconds: int = 0
    last_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Slab:
    """A part of a window that fits in memory; most windows are one slab.

    Attributes:
        start_seconds, until_seconds: the window.
        last: whether the window is complete with this slab.
        parts: what was read.
        withdrawn: files that cannot take part any more, with the reason.
    """

    start_seconds: int
    until_seconds: int
    last: bool
    parts: tuple[Part, ...]
    withdrawn: tuple[tuple[SweepFile, FeefifodError], ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A slab merged: the frame to send (None when it has no row) and what came with it.

    Attributes:
        merged: rows that lost to a row of another file, by series.
        rows, bytes: taken from files; rows that lost count.
    """

    start_seconds: int
    until_seconds: int
    last: bool
    frame: Frame | None
    merged: dict[str, int]
    withdrawn: tuple[tuple[SweepFile, FeefifodError], ...]
    rows: int
    bytes: int


@dataclass(slots=True)
class Sweep:
    """A batch of files in, windows out.

    Args:
        files: in the order of drops.
        ordered: for irregular files, the Arrow files that `order_file` made of them.
        start_seconds: the batch's checkpoint; rows before it are counted and skipped.
        keep_open: how many files may stay open at once.
        until_seconds: rows from here on are not wanted.
        partitioning: that of the table that the rows are for; windows touch few partitions of it.
    """

    files: Sequence[SweepFile]
    ordered: Mapping[int, Sequence[Path]]
    start_seconds: int | None
    window_rows: int
    window_bytes: int
    limiter: anyio.CapacityLimiter
    keep_open: int = 256
    until_seconds: int | None = None
    partitioning: Partitioning = Partitioning.MONTH
    tallies: dict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    cuts: list[int] = field(default_factory=list)
    _runs: list[Run] = field(default_factory=list)

    async def open(self) -> list[tuple[SweepFile, FeefifodError]]:
        """Open and index the files and choose the windows; returns files that cannot take part."""
        refused: list[tuple[SweepFile, FeefifodError]] = []
        for start in range(0, len(self.files), _JOB_RUNS):
            await to_thread.run_sync(self._open_some, start, refused, limiter=self.limiter)
        # One series after the other, so that a window can be divided without parting a series.
        self._runs.sort(key=lambda run: (run.file.series, run.file.order))
        self.cuts = await to_thread.run_sync(self._choose_cuts, limiter=self.limiter)
        return refused

    def _open_some(self, start: int, refused: list[tuple[SweepFile, FeefifodError]]) -> None:
        for file in self.files[start : start + _JOB_RUNS]:
            runs: list[Run] = []
            try:
                if file.id in self.ordered:
                    runs += [ArrowRun(file, path) for path in self.ordered[file.id]]
                else:
                    runs.append(CsvRun(file, keep_open=len(self._runs) < self.keep_open))
                tally = self.tallies[file.id]
                tally.first_seconds = min(run.first_seconds for run in runs)
                tally.last_seconds = max(run.last_seconds for run in runs)
                if self.start_seconds is not None:
                    tally.rows = sum(run.seek(self.start_seconds) for run in runs)
                beat()
            except (Irregular, FileChanged) as error:
                for run in runs:
                    run.close()
                self.tallies.pop(file.id, None)  # Nothing is known of its rows any more.
                refused.append((file, error))
            else:
                self._runs += runs

    def _choose_cuts(self) -> list[int]:
        live = [run for run in self._runs if run.next_seconds < EXHAUSTED]
        window_rows = min(self.window_rows, self.window_bytes // _BYTES_PER_ROW)
        cuts = choose_cuts([run.density() for run in live], self.start_seconds, window_rows, self.partitioning)
        if self.until_seconds is None:
            return cuts
        return [*(cut for cut in cuts if cut < self.until_seconds), self.until_seconds]

    async def read(self, outbox: MemoryObjectSendStream[Slab]) -> None:
        """Stage one: take the rows of each window from the files, several threads at a time."""
        async with outbox:
            start = self.start_seconds or 0
            for until in self.cuts:
                async for slab in self._read_window(start, until):
                    try:
                        await outbox.send(slab)
                    except anyio.BrokenResourceError:
                        return  # What comes after us has stopped; its own error is the one to report.
                    del slab  # Not kept while the next one is read.
                start = until
            if left := self._withdraw_rest():
                with suppress(anyio.BrokenResourceError):  # As above.
                    await outbox.send(Slab(start, start, True, (), left))

    def _withdraw_rest(self) -> tuple[tuple[SweepFile, FeefifodError], ...]:
        """Take out the files of which rows are left after the last window: its end came from their last rows."""
        if self.until_seconds is not None:
            return ()
        reason = Irregular("it has rows that are later than its last one")
        left = {run.file.id: run.file for run in self._runs if run.next_seconds < EXHAUSTED}
        for file_id in left:
            self.withdraw(file_id)
        return tuple((file, reason) for file in left.values())

    async def _read_window(self, start: int, until: int) -> AsyncIterator[Slab]:
        divided = list(self._divide(until))
        for index, jobs in enumerate(divided or [[]]):
            parts: list[Part] = [Part() for _ in jobs]

            async def work(place: int, runs: list[Run], parts: list[Part] = parts) -> None:
                parts[place] = await to_thread.run_sync(read_part, runs, start, until, limiter=self.limiter)
                beat()

            async with anyio.create_task_group() as tasks:
                for place, runs in enumerate(jobs):
                    tasks.start_soon(work, place, runs)
            withdrawn = tuple(pair for part in parts for pair in part.withdrawn)
            for file, _ in withdrawn:
                self.withdraw(file.id)
            for part in parts:
                self._count(part)
            last = index + 1 >= len(divided)
            yield Slab(start, until, last, tuple(parts), withdrawn)

    def _divide(self, until: int) -> Iterator[list[list[Run]]]:
        """Divide a window's runs into slabs of jobs; a series stays in one slab."""
        jobs: list[list[Run]] = []
        job: list[Run] = []
        slab_bytes = job_bytes = 0
        series = ""
        for run in self._runs:
            if run.next_seconds >= until:
                continue
            size = run.estimate_bytes(until)
            other_series = run.file.series != series
            if job and other_series and (job_bytes + size > _JOB_BYTES or len(job) >= _JOB_RUNS):
                jobs.append(job)
                job, job_bytes = [], 0
                if slab_bytes + size > self.window_bytes:
                    yield jobs
                    jobs, slab_bytes = [], 0
            job.append(run)
            job_bytes += size
            slab_bytes += size
            series = run.file.series
        if job:
            jobs.append(job)
        if jobs:
            yield jobs

    def _count(self, part: Part) -> None:
        for run, count in part.pieces:
            self.tallies[run.file.id].rows += count
        for file_id, odd in part.odd.items():
            self.tallies[file_id].odd += odd

    def withdraw(self, file_id: int) -> None:
        """Leave a file out from now on."""
        for run in self._runs:
            if run.file.id == file_id:
                run.close()
        self._runs = [run for run in self._runs if run.file.id != file_id]
        self.tallies.pop(file_id, None)

    async def merge(self, inbox: MemoryObjectReceiveStream[Slab], outbox: MemoryObjectSendStream[Window]) -> None:
        """Stage two: merge each slab into one frame."""
        async with inbox, outbox:
            async for slab in inbox:
                frame, merged = await to_thread.run_sync(merge_parts, slab.parts, limiter=self.limiter)
                beat()
                window = Window(
                    slab.start_seconds,
                    slab.until_seconds,
                    slab.last,
                    frame,
                    merged,
                    slab.withdrawn,
                    sum(count for part in slab.parts for _, count in part.pieces),
                    sum(part.bytes for part in slab.parts),
                )
                del slab, frame
                try:
                    await outbox.send(window)
                except anyio.BrokenResourceError:
                    return  # As above.
                del window

    def close(self) -> None:
        """Close all files."""
        for run in self._runs:
            run.close()
        self._runs = []
