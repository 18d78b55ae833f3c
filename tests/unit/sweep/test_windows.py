"""Windows hold every row exactly once, in the order of time, and the row that has to win."""

from __future__ import annotations

import itertools
import math
import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feefifod.errors import FeefifodError
from feefifod.model import INT_NULL
from feefifod.parse.head import inspect_head
from feefifod.sweep import FileChanged, Irregular, Ordered, Slab, Sweep, SweepFile, Tally, Window, order_file

_START = 1_700_006_400
_LATEST = 2_000_000_000
_SERIES = ((1, 1, "USD"), (1, 60, "USD"), (1, 1, "EUR"), (2, 1440, "USD"))

Row = tuple[int, float, int | None]
"""Unix seconds, price (all prices and the volume of a row are made of it), trade count."""
Key = tuple[int, int, str, int]


@dataclass(frozen=True)
class Sample:
    """A file: its series and rows in its order; without trade counts when `six`."""

    series: tuple[int, int, str]
    rows: tuple[Row, ...]
    six: bool

    def write(self, path: Path) -> None:
        lines = []
        for time, price, trades in self.rows:
            fields = [str(time), *(repr(price),) * 4, repr(price * 2)]
            lines.append(",".join(fields if self.six else [*fields, str(trades)]))
        path.write_text("".join(f"{line}\n" for line in lines))


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Draw a file: sorted, shuffled, with repeated times, gaps, of one row, or long enough to have an index."""
    series = draw(st.sampled_from(_SERIES))
    chance = random.Random(draw(st.integers(0, 2**32)))
    count = draw(st.sampled_from((1, 2, 3, 17, 60, 700)))
    step = series[1] * 60
    start = _START + draw(st.integers(0, 50)) * 1440 * 60
    times = [start + place * step for place in range(count)]
    if draw(st.booleans()):
        times = sorted(chance.sample(times, max(1, count // 2)))
    disorder = draw(st.sampled_from(("none", "none", "shuffled", "one swap", "repeated", "reversed")))
    if disorder == "shuffled":
        chance.shuffle(times)
    elif disorder == "reversed":
        times.reverse()
    elif disorder == "repeated":
        times.insert(chance.randrange(len(times)), chance.choice(times))
    elif disorder == "one swap" and len(times) > 1:
        place = chance.randrange(len(times) - 1)
        times[place], times[place + 1] = times[place + 1], times[place]
    six = draw(st.sampled_from((False, False, False, True)))
    rows = tuple((time, chance.randrange(1, 6) / 4, None if six else chance.randrange(4)) for time in times)
    return Sample(series, rows, six)


def expect(files: Sequence[Sample]) -> dict[Key, Row]:
    """Merge slowly: the larger trade count wins, then the larger volume, then the later drop, then the later row."""
    best: dict[Key, Row] = {}
    for file in files:
        for row in file.rows:
            key = (*file.series, row[0])
            if key not in best or (row[2] or 0, row[1]) >= (best[key][2] or 0, best[key][1]):
                best[key] = row
    return best


@dataclass
class Run:
    """What came of a sweep."""

    windows: list[Window]
    refused: list[tuple[SweepFile, FeefifodError]]
    tallies: Mapping[int, Tally]


async def sweep_files(
    files: Sequence[SweepFile],
    ordered: Mapping[int, Sequence[Path]],
    *,
    start: int | None = None,
    window_rows: int = 7,
    window_bytes: int = 10_000,
    keep_open: int = 2,
) -> Run:
    """Take a batch through both stages."""
    sweep = Sweep(files, ordered, start, window_rows, window_bytes, anyio.CapacityLimiter(2), keep_open=keep_open)
    windows: list[Window] = []
    try:
        refused = await sweep.open()
        slabs, slabs_in = anyio.create_memory_object_stream[Slab](0)
        out, out_in = anyio.create_memory_object_stream[Window](0)
        async with anyio.create_task_group() as stages:
            stages.start_soon(sweep.read, slabs)
            stages.start_soon(sweep.merge, slabs_in, out)
            async with out_in:
                windows += [window async for window in out_in]
    finally:
        sweep.close()
    return Run(windows, refused, sweep.tallies)


def prepare(folder: Path, files: Sequence[Sample]) -> list[SweepFile]:
    """Write files, and describe them as an inspection would."""
    prepared = []
    for number, file in enumerate(files):
        path = folder / f"{number}.csv"
        file.write(path)
        head = inspect_head(path.read_bytes()[:65_536])
        asset, interval, quote = file.series
        prepared.append(
            SweepFile(
                id=number,
                order=number,
                open=partial(os.open, path, os.O_RDONLY),
                size=path.stat().st_size,
                data_start=head.data_start,
                fields=head.fields,
                asset_id=asset,
                interval_minutes=interval,
                quote=quote,
            )
        )
    return prepared


def put_in_order(folder: Path, file: SweepFile, *, chunk_rows: int = 50) -> Ordered:
    """Put one file in order, in small chunks."""
    fd = file.open()
    try:
        return order_file(
            fd,
            interval_minutes=file.interval_minutes,
            latest_seconds=_LATEST,
            scratch=folder / f"ordered-{file.id}",
            chunk_rows=chunk_rows,
            on_rejects=lambda rejects: pytest.fail(f"{rejects}"),
        )
    finally:
        os.close(fd)


def rows_of(window: Window) -> Iterator[tuple[Key, Row]]:
    """List a window's rows as keys and rows."""
    frame = window.frame
    if frame is None:
        return
    for place in range(len(frame)):
        time, remainder = divmod(int(frame.time_us[place]), 1_000_000)
        assert remainder == 0
        quote = frame.quotes[frame.quote_code[place]]
        key = (int(frame.asset_id[place]), int(frame.interval_minutes[place]), quote, time)
        trades = int(frame.trade_count[place])
        price = float(frame.open[place])
        assert frame.high[place] == frame.low[place] == frame.close[place] == price
        assert frame.volume[place] == price * 2
        yield key, (time, price, None if trades == INT_NULL else trades)


def collect(windows: Sequence[Window]) -> dict[Key, Row]:
    """Put windows together, checking what every sequence of windows must be."""
    found: dict[Key, Row] = {}
    for window in windows:
        times = [] if window.frame is None else window.frame.time_us.tolist()
        assert times == sorted(times)
        for key, row in rows_of(window):
            assert window.start_seconds <= key[3] < window.until_seconds
            assert key not in found, "a candle is in two windows, or twice in one"
            found[key] = row
    whole = [window for window in windows if window.last]
    for one, other in itertools.pairwise(whole):
        assert one.until_seconds == other.start_seconds
    assert not windows or windows[-1].last
    return found


def load(folder: Path, files: Sequence[Sample], **options: int) -> tuple[dict[Key, Row], list[Window]]:
    """Load a batch as ingestion does: all irregular files are found, put in order, and swept in one go."""
    prepared = prepare(folder, files)
    first = anyio.run(partial(sweep_files, prepared, {}, **options))
    withdrawn = first.refused + [pair for window in first.windows for pair in window.withdrawn]
    assert all(isinstance(error, Irregular) for _, error in withdrawn)
    irregular = {file.id for file, _ in withdrawn}
    for number, file in enumerate(files):
        if file.six or any(b[0] <= a[0] for a, b in itertools.pairwise(file.rows)):
            continue
        assert number not in irregular, "a perfect file was taken for an irregular one"
    ordered = {number: put_in_order(folder, prepared[number]).paths for number in irregular}
    second = anyio.run(partial(sweep_files, prepared, ordered, **options))
    assert not second.refused
    assert not any(window.withdrawn for window in second.windows)
    found = collect(second.windows)
    merged: Counter[str] = Counter()
    for window in second.windows:
        merged.update(window.merged)
    by_series: Counter[str] = Counter()
    for number, tally in second.tallies.items():
        by_series[prepared[number].series] += tally.rows
    stored = Counter(f"{asset}/{interval}/{quote}" for asset, interval, quote, _ in found)
    assert by_series - merged == stored, "rows taken less rows that lost are the rows that are stored"
    for number, tally in second.tallies.items():
        times = [row[0] for row in files[number].rows]
        assert (tally.first_seconds, tally.last_seconds) == (min(times), max(times))
    return found, second.windows


@settings(max_examples=30, deadline=None)
@given(
    st.lists(samples(), min_size=1, max_size=6),
    st.sampled_from((1, 3, 20, 50)),
    st.sampled_from((1_000, 30_000, 10**8)),
    st.sampled_from((0, 2, 256)),
)
def test_windows_hold_every_row_once_and_the_best_of_each_candle(
    files: list[Sample], windows: int, window_bytes: int, keep_open: int
) -> None:
    window_rows = max(1, sum(len(file.rows) for file in files) // windows)
    with TemporaryDirectory() as folder:
        found, _ = load(Path(folder), files, window_rows=window_rows, window_bytes=window_bytes, keep_open=keep_open)
    assert found == expect(files)


@settings(max_examples=15, deadline=None)
@given(st.lists(samples(), min_size=1, max_size=4), st.sampled_from((3, 20)))
def test_resume_at_every_checkpoint_gives_the_same_rows(files: list[Sample], windows: int) -> None:
    """A checkpoint speaks for all rows before it; what comes after it is taken again, and nothing else."""
    regular = [
        Sample(file.series, tuple(sorted({row[0]: row for row in file.rows}.values())), six=False)
        for file in files
        if not file.six
    ]
    window_rows = max(1, sum(len(file.rows) for file in regular) // windows)
    with TemporaryDirectory() as name:
        prepared = prepare(Path(name), regular)
        whole = anyio.run(partial(sweep_files, prepared, {}, window_rows=window_rows, window_bytes=10**8))
        found = collect(whole.windows)
        checkpoints = [window.until_seconds for window in whole.windows if window.last]
        merged: Counter[str] = Counter()
        merged_before = {}
        for window in whole.windows:
            merged.update(window.merged)
            merged_before[window.until_seconds] = merged.copy()
        for checkpoint in checkpoints[:: max(1, len(checkpoints) // 4)] + checkpoints[-1:]:
            rest = anyio.run(
                partial(sweep_files, prepared, {}, start=checkpoint, window_rows=window_rows, window_bytes=10**8)
            )
            assert not rest.refused
            assert collect(rest.windows) == {key: row for key, row in found.items() if key[3] >= checkpoint}
            assert {id_: tally.rows for id_, tally in rest.tallies.items()} == {
                id_: tally.rows for id_, tally in whole.tallies.items()
            }, "rows before the checkpoint are counted, too"
            again: Counter[str] = merged_before[checkpoint].copy()
            for window in rest.windows:
                again.update(window.merged)
            assert again == merged


@settings(max_examples=30, deadline=None)
@given(samples(), st.sampled_from((1, 7, 100, 10_000)))
def test_file_put_in_order_has_each_time_of_a_chunk_once(file: Sample, chunk_rows: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        [prepared] = prepare(folder, [file])
        ordered = put_in_order(folder, prepared, chunk_rows=chunk_rows)
        run = anyio.run(partial(sweep_files, [prepared], {0: ordered.paths}))
        assert collect(run.windows) == expect([file])
    assert ordered.rows == len(file.rows)
    assert ordered.rejected == 0


async def test_row_later_than_the_last_one_makes_a_file_irregular(tmp_path: Path) -> None:
    """The last row ends the last window, so no window would ever take what is later."""
    times = [_START, _START + 240 * 60, _START + 60, _START + 120]
    unsorted = Sample((1, 1, "USD"), tuple((time, 1.0, 1) for time in times), six=False)
    regular = Sample((2, 1, "USD"), tuple((_START + place * 60, 1.0, 1) for place in range(9)), six=False)
    run = await sweep_files(prepare(tmp_path, [unsorted, regular]), {}, window_rows=1)
    withdrawn = [(file.id, type(error)) for window in run.windows for file, error in window.withdrawn]
    assert withdrawn == [(0, Irregular)]
    assert list(run.tallies) == [1]


@pytest.mark.parametrize("window_rows", [100, 1_000])
async def test_windows_are_about_as_large_as_wanted(tmp_path: Path, window_rows: int) -> None:
    """Dense and sparse files together: memory is bounded by rows, not by time."""
    minutes = tuple((_START + place * 60, 1.0, 1) for place in range(20_000))
    days = tuple((_START + (place - 3_000) * 86_400, 1.0, 1) for place in range(3_000))
    prepared = prepare(tmp_path, [Sample((1, 1, "USD"), minutes, six=False), Sample((2, 1440, "USD"), days, six=False)])
    run = await sweep_files(prepared, {}, window_rows=window_rows, window_bytes=10**8)
    sizes = [window.rows for window in run.windows]
    assert sum(sizes) == 23_000
    # Windows of several days end at midnight, and a day has 1,440 minutes.
    assert max(sizes) <= max(2 * window_rows, 1_440 + window_rows)
    assert len(sizes) <= 2 * math.ceil(23_000 / window_rows)


async def test_memory_is_bounded_by_bytes_when_many_series_meet_in_one_minute(tmp_path: Path) -> None:
    files = [Sample((number, 1440, "USD"), ((_START, 1.0, 1),), six=False) for number in range(2_000)]
    run = await sweep_files(prepare(tmp_path, files), {}, window_rows=10, window_bytes=5_000)
    assert sum(window.rows for window in run.windows) == 2_000
    assert [window.last for window in run.windows].count(True) == len({w.until_seconds for w in run.windows})


async def test_file_that_cannot_be_resumed_is_left_out_altogether(tmp_path: Path) -> None:
    """Nothing may speak for a file that was refused: it would be called done without its rows."""
    good = tuple((_START + place * 60, 1.0, 1) for place in range(300))
    prepared = prepare(tmp_path, [Sample((1, 1, "USD"), good, six=False), Sample((2, 1, "USD"), good, six=False)])
    path = tmp_path / "0.csv"
    lines = path.read_bytes().split(b"\n")
    for place in range(100, 200):
        lines[place] = b"x" * len(lines[place])
    path.write_bytes(b"\n".join(lines))
    run = await sweep_files(prepared, {}, start=_START + 150 * 60)
    assert [file.id for file, _ in run.refused] == [0]
    assert list(run.tallies) == [1]
    assert {key[0] for key in collect(run.windows)} == {2}


async def test_file_that_became_shorter_is_left_out(tmp_path: Path) -> None:
    rows = tuple((_START + place * 60, 1.0, 1) for place in range(3_000))
    prepared = prepare(tmp_path, [Sample((1, 1, "USD"), rows, six=False), Sample((2, 1, "USD"), rows, six=False)])
    sweep = Sweep(prepared, {}, None, 100, 10**8, anyio.CapacityLimiter(1))
    assert not await sweep.open()
    os.truncate(tmp_path / "0.csv", 40_000)
    slabs, slabs_in = anyio.create_memory_object_stream[Slab](math.inf)
    await sweep.read(slabs)
    sweep.close()
    withdrawn = []
    async with slabs_in:
        async for slab in slabs_in:
            withdrawn += slab.withdrawn
    assert [(file.id, type(error)) for file, error in withdrawn] == [(0, FileChanged)]
    assert list(sweep.tallies) == [1]
    assert sweep.tallies[1].rows == 3_000
