"""Synthetic Kraken archives: seeded, with the exact text of real OHLCVT files, all intervals made from the minutes.

`python -m bench.generate FOLDER --files 160 --rows 58300000` writes one; the benchmark keeps its own in bench/.cache.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, csv

from bench.pairs import PairShape, day_seconds, list_pairs, list_series

CACHE: Final = Path(__file__).parent / ".cache"
_EDITION: Final = 1  # Raise it when the same plan gives other files than before.
_DAY: Final = 86_400
_DAY_MINUTES: Final = 1440
_UNITS: Final = 100_000_000  # Volumes are whole numbers of this part.
_SLICE_ROWS: Final = 500_000
_YEARLY_CHANGE: Final = 0.4

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which archive to make; the same plan always gives the same bytes.

    Attributes:
        files: how many; eight make a pair.
        rows: of all files together, about.
        start, end: first day, and the first day that is not in it any more.
    """

    files: int
    rows: int
    start: date = date(2013, 1, 1)
    end: date = date(2026, 1, 1)
    seed: int = 1

    @property
    def name(self) -> str:
        """A folder's name that tells plans apart."""
        return f"f{self.files}-r{self.rows}-{self.start:%Y%m%d}-{self.end:%Y%m%d}-s{self.seed}-e{_EDITION}"


@dataclass(frozen=True, slots=True)
class Bars:
    """Candles of one series in whole numbers: unix seconds, ticks of the price, parts of a volume, trades."""

    time: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    trades: Ints

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True)
class Archive:
    """Files on disk. `rows` holds the number of rows by file name."""

    folder: Path
    rows: dict[str, int]

    @property
    def total(self) -> int:
        """Rows of all files."""
        return sum(self.rows.values())

    @property
    def paths(self) -> list[Path]:
        """All files in the order of names."""
        return [self.folder / name for name in sorted(self.rows)]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.paths)


def cached(plan: Plan, cache: Path = CACHE) -> Archive:
    """Return the archive of a plan, made now or earlier."""
    folder = cache / plan.name
    note = cache / f"{plan.name}.json"
    if note.exists():
        rows = json.loads(note.read_text())["rows"]
        if {path.name for path in folder.glob("*.csv")} == set(rows):
            return Archive(folder, rows)
    note.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    archive = generate(plan, folder)
    note.write_text(json.dumps({"plan": asdict(plan), "rows": archive.rows}, default=str, indent=1))
    return archive


def generate(plan: Plan, folder: Path) -> Archive:
    """Write all files of a plan."""
    folder.mkdir(parents=True, exist_ok=True)
    series = list_series(plan.files)
    spans = [day_span(pair, plan) for pair, _ in series]
    scale = find_scale(series, spans, plan.rows)

    def write_pair(index: int) -> dict[str, int]:
        pair, intervals = series[index]
        minutes = make_minutes(pair, spans[index], scale, np.random.default_rng([plan.seed, index]))
        return write_series(folder, pair, minutes, intervals)

    rows: dict[str, int] = {}
    with ThreadPoolExecutor(2) as pool:  # Each holds one pair in memory; numpy and Arrow let go of the GIL.
        for written in pool.map(write_pair, range(len(series))):
            rows |= written
    return Archive(folder, rows)


def day_span(pair: PairShape, plan: Plan) -> Ints:
    """Return the days (unix seconds) on which a pair trades; one day at least."""
    end = day_seconds(plan.end)
    start = min(max(day_seconds(pair.start), day_seconds(plan.start)), end - _DAY)
    return np.arange(start, end, _DAY)


def density(pair: PairShape, days: Ints) -> Floats:
    """Return how likely a minute has trades on each day, as an exponent: 1 - exp(-scale * density)."""
    age = (days - days[0]) / (365.25 * _DAY)
    wave = 1.0 + 0.4 * np.sin(days / (_DAY * 90.0)) + 0.2 * np.sin(days / (_DAY * 3.5))
    exponent: Floats = pair.activity * (0.15 + np.minimum(age / 6.0, 1.0)) * wave
    return exponent


def find_scale(series: Sequence[tuple[PairShape, Sequence[int]]], spans: Sequence[Ints], rows: int) -> float:
    """Find the activity that makes about so many rows; all rows that there can be, when more are wanted."""
    densities = [density(pair, days) for (pair, _), days in zip(series, spans, strict=True)]

    def expect(scale: float) -> float:
        total = 0.0
        for (_, intervals), exponent in zip(series, densities, strict=True):
            for interval in intervals:
                total += float((_DAY_MINUTES / interval * -np.expm1(-scale * exponent * interval)).sum())
        return total

    low, high = 1e-9, 1e3
    for _ in range(80):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if expect(middle) < rows else (low, middle)
    return high


def make_minutes(pair: PairShape, days: Ints, scale: float, random: np.random.Generator) -> Bars:
    """Make the one-minute candles of a pair: a price that wanders, and rows only where something was traded."""
    chance = np.repeat(-np.expm1(-scale * density(pair, days)).astype(np.float32), _DAY_MINUTES)
    traded = random.random(len(chance), dtype=np.float32) < chance
    traded[-1] = True  # A pair without any trade would leave no file.
    minute = np.flatnonzero(traded)
    count = len(minute)
    busy = np.repeat(scale * density(pair, days), _DAY_MINUTES)[minute]

    # From a thirtieth of its last price, twelve years before, to that price, with a random way in between.
    steps = random.standard_normal(count, dtype=np.float32).astype(np.float64)
    walk = np.cumsum(steps) * (_YEARLY_CHANGE * (len(days) / 365.25 / count) ** 0.5)
    walk -= minute / max(minute[-1], 1) * walk[-1]
    years_left = (minute[-1] - minute) / (365.25 * _DAY_MINUTES)
    tick = 10.0**-pair.decimals
    price = pair.price * 10.0 ** (-years_left / 8.0) * np.exp(walk)
    close = np.maximum(np.rint(price / tick), 20.0).astype(np.int64)

    trades = random.geometric(1.0 / (1.0 + np.minimum(busy * 8.0, 200.0)))
    jump = random.standard_normal(count, dtype=np.float32) * 0.0004
    opened = np.maximum(np.rint(np.concatenate((close[:1], close[:-1])) * (1.0 + jump)), 10.0).astype(np.int64)
    opened = np.where(trades == 1, close, opened)
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    reach = np.abs(random.standard_normal((2, count), dtype=np.float32)) * 0.0006 * (trades > 2)
    high = top + np.rint(top * reach[0]).astype(np.int64)
    low = np.maximum(bottom - np.rint(bottom * reach[1]).astype(np.int64), 1)

    amount = np.exp(random.standard_normal(count, dtype=np.float32) * 1.5) * trades * (500.0 / pair.price)
    volume = np.clip(amount, 1e-5, 1e8) * _UNITS
    grain = random.random(count, dtype=np.float32)
    step = np.select([grain < 0.002, grain < 0.02, grain < 0.3], [10 * _UNITS, _UNITS, 10_000], 1)
    units = np.maximum(volume.astype(np.int64) // step, 1) * step
    return Bars(days[0] + minute * 60, opened, high, low, close, units, trades.astype(np.int64))


def aggregate(bars: Bars, minutes: int) -> Bars:
    """Make candles of a longer interval; they begin at multiples of it since 1970."""
    step = minutes * 60
    bucket = bars.time // step
    first = np.flatnonzero(np.concatenate(([True], bucket[1:] != bucket[:-1])))
    last = np.append(first[1:], len(bars)) - 1
    return Bars(
        bucket[first] * step,
        bars.open[first],
        np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first),
        bars.close[last],
        np.add.reduceat(bars.volume, first),
        np.add.reduceat(bars.trades, first),
    )


def write_series(folder: Path, pair: PairShape, minutes: Bars, intervals: Sequence[int]) -> dict[str, int]:
    """Write one file for each interval; returns the rows by file name."""
    rows = {}
    bars = minutes
    for interval in intervals:
        # Every interval divides the next one, so each is made from the one before.
        bars = aggregate(bars, interval) if interval > 1 else bars
        name = f"{pair.altname}_{interval}.csv"
        write_csv(folder / name, bars, pair.decimals)
        rows[name] = len(bars)
    return rows


def write_csv(path: Path, bars: Bars, decimals: int) -> None:
    """Write candles as Kraken does: no header, LF, prices with a point, volumes as short as they can be."""
    names = [field.name for field in fields(Bars)]
    schema = pa.schema([(name, pa.int64() if name in {"time", "trades"} else pa.string()) for name in names])
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file, csv.CSVWriter(file, schema, write_options=options) as writer:
        for start in range(0, len(bars), _SLICE_ROWS):
            piece = {name: getattr(bars, name)[start : start + _SLICE_ROWS] for name in names}
            columns: list[Any] = [piece["time"]]
            columns += [format_prices(piece[name], decimals) for name in ("open", "high", "low", "close")]
            columns += [format_volumes(piece["volume"]), piece["trades"]]
            writer.write_table(pa.table(columns, schema=schema))


def format_prices(ticks: Ints, decimals: int) -> pa.Array:
    """Write prices: `122.0`, `123.61`."""
    text = compute.cast(pa.array(ticks / 10.0**decimals), pa.string())
    whole = compute.invert(compute.match_substring(text, "."))
    return compute.if_else(whole, compute.binary_join_element_wise(text, ".0", ""), text)


def format_volumes(units: Ints) -> pa.Array:
    """Write volumes: `0.1`, `917.23077239`, `2`, and a whole number that ends in 0 as `3E+1`."""
    text = compute.cast(pa.array(units / _UNITS), pa.string())
    round_ones = np.flatnonzero(units % (10 * _UNITS) == 0)
    if not len(round_ones):
        return text
    mask = np.zeros(len(units), bool)
    mask[round_ones] = True
    return compute.replace_with_mask(text, mask, pa.array([_scientific(units[i] // _UNITS) for i in round_ones]))


def _scientific(number: int) -> str:
    digits = str(number).rstrip("0")
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{rest}E+{len(str(number)) - 1}"


_SAMPLE: Final = {
    "XBTUSD": (60, date(2025, 11, 15)),
    "ETHEUR": (60, date(2025, 11, 25)),
    "ADAUSD": (15, date(2025, 12, 21)),
}


def generate_sample(folder: Path) -> None:
    """Write the small sample for new users, docs/sample: three files of a few weeks."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, pair in enumerate(list_pairs(20)):
        if pair.altname in _SAMPLE:
            interval, start = _SAMPLE[pair.altname]
            days = day_span(pair, Plan(8, 0, start))
            minutes = make_minutes(pair, days, 5.0, np.random.default_rng([1, index]))
            write_csv(folder / f"{pair.altname}_{interval}.csv", aggregate(minutes, interval), pair.decimals)


def main() -> None:
    """Write an archive, or the sample."""
    parser = argparse.ArgumentParser(prog="python -m bench.generate", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=160)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--start", type=date.fromisoformat, default=date(2013, 1, 1))
    parser.add_argument("--end", type=date.fromisoformat, default=date(2026, 1, 1))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", action="store_true", help="write the sample of docs/sample instead")
    options = parser.parse_args()
    if options.sample:
        generate_sample(options.folder)
        return
    started = time.monotonic()
    plan = Plan(options.files, options.rows, options.start, options.end, options.seed)
    archive = generate(plan, options.folder)
    seconds = time.monotonic() - started
    print(f"{archive.total:,} rows in {len(archive.rows)} files, {archive.size:,} bytes, {seconds:.1f} s")


if __name__ == "__main__":
    main()
