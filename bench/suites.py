"""Which contestants run on which archives, and in which order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from bench.contestants import CONTESTANTS, NAMES, Job, apply_daily, apply_daily_again, run_alone
from bench.generate import CACHE, Archive, Plan, cached
from bench.meter import Measure
from bench.plot import plot_bars, plot_lines
from bench.report import Report, compare, median
from bench.rig import Rig

QUICK: Final = Plan(160, 3_000_000, start=date(2025, 7, 1))
FULL: Final = Plan(160, 58_300_000)
GROWTH_FILES: Final = (16, 160, 1600)
GROWTH_ROWS: Final = 12_000_000
FULL_BASELINE_ROWS: Final = 6_000_000

Measures = dict[str, list[Measure]]


@dataclass(frozen=True, slots=True)
class Run:
    """A suite at work.

    Attributes:
        tried: settings of the server that differ from those of the embedded one.
        rounds: how often each contestant runs, by turns.
        partition_by: of the table; a file of daily candles is always measured by DAY, where it costs most.
    """

    rig: Rig
    machine: Mapping[str, str]
    rounds: int = 1
    tried: Mapping[str, str] = field(default_factory=dict)
    partition_by: str = "MONTH"

    def run_one(
        self, name: str, archive: Archive, tried: Mapping[str, str] | None = None, sample_rows: int = 0
    ) -> Measure:
        """Run one contestant on a fresh server."""
        contestant = CONTESTANTS.get(name) or {"daily": apply_daily, "daily-again": apply_daily_again}[name]
        partition_by = "DAY" if name.startswith("daily") else self.partition_by
        with self.rig.server({**self.tried, **(tried or {})}, partition_by) as server:
            measure = run_alone(contestant, Job(self.rig, server, archive, sample_rows, partition_by))
        print(
            f"  {name}: {measure.rows:,} rows, {measure.seconds:.2f} s, {measure.rate:,.0f} rows/s, "
            f"CPU {measure.client_cpu:.1f} + {measure.server_cpu:.1f} s, {measure.peak_mib:.0f} MiB",
            flush=True,
        )
        return measure


def describe(archive: Archive) -> str:
    """Say what an archive is."""
    return f"{archive.total:,} rows in {len(archive.rows)} files, {archive.size / 1e6:,.0f} MB"


def measure_speed(run: Run, plan: Plan, names: Sequence[str], baseline_rows: int, topic: str) -> tuple[Report, str]:
    """Compare the ways into QuestDB; returns the table and a plot."""
    archive = prepare(plan)
    measures: Measures = defaultdict(list)
    notes = [f"Data: {describe(archive)}, {plan.start} to {plan.end}, seed {plan.seed}; a table by {run.partition_by}."]
    for _ in range(run.rounds):
        for name in names:
            try:
                measures[name].append(run.run_one(name, archive, sample_rows=baseline_rows))
            except RuntimeError as error:
                # COPY prepares 16 MiB on disk for each day: a machine may not have that much.
                if name != "copy":
                    raise
                notes.append(f"{NAMES[name]}: {error}.")
    if run.rounds > 1:
        notes.append(f"Each way ran {run.rounds} times, by turns; the run in the middle counts.")
    if baseline_rows and baseline_rows < archive.total:
        notes.append(
            f"The row-by-row baseline ran on whole files of the same data, about {baseline_rows:,} rows of them: fewer "
            "files rewrite fewer partitions, so this favours it."
        )
    measures = {name: measures[name] for name in NAMES if measures.get(name)}
    report = compare(measures, run.machine, notes, topic)
    bars = [(NAMES[name], median(runs).rate, name in {"ilp", "bulk"}) for name, runs in measures.items()]
    return report, plot_bars("Rows per second, until visible and counted", bars)


def measure_growth(run: Run, files: Sequence[int], rows: int, lanes: Sequence[str]) -> tuple[Report, str]:
    """Measure the cost of a row at the same number of rows in more and more files."""
    archives = {count: prepare(Plan(count, rows)) for count in files}
    measures: dict[tuple[str, int], list[Measure]] = defaultdict(list)
    for _ in range(run.rounds):
        for lane in lanes:
            for count, archive in archives.items():
                measures[lane, count].append(run.run_one(lane, archive))
    middle = {key: median(runs) for key, runs in measures.items()}
    rows_out = []
    lines: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for (lane, count), measure in middle.items():
        cost = measure.seconds / measure.rows * 1e6
        reference = middle.get((lane, 160), measure)
        ratio = cost / (reference.seconds / reference.rows * 1e6)
        cpu = (measure.client_cpu / measure.rows * 1e6, measure.server_cpu / measure.rows * 1e6)
        lines[lane].append((count, cost))
        rows_out.append(
            [
                f"{NAMES[lane]}, {count:,} files",
                f"{measure.rows:,}",
                f"{measure.seconds:.1f}",
                f"{cost:.2f}",
                f"{ratio:.2f}",
                f"{cpu[0]:.2f}",
                f"{cpu[1]:.2f}",
                f"{measure.peak_mib:.0f}",
            ]
        )
    columns = ["way", "rows", "seconds", "µs a row", "against 160 files", "client CPU µs", "server CPU µs", "peak MiB"]
    notes = [f"Each case ran {run.rounds} times, by turns; the run in the middle counts."] if run.rounds > 1 else []
    report = Report("growth", columns, rows_out, run.machine, notes)
    return report, plot_lines("Microseconds a row, by number of files", "files, at the same number of rows", lines)


def measure_memory(run: Run, lanes: Sequence[str]) -> Report:
    """Measure the largest resident set of feefifod in the cases that could break it."""
    minutes = prepare(Plan(1, 10_000_000))
    cases = {
        "one file of minutes, 2013 to 2025": minutes,
        "the same file, its lines shuffled": make_shuffled(minutes),
        "a file of a million rows of one minute": make_one_minute(),
        "12,000 files": prepare(Plan(12_000, 3_000_000, start=date(2025, 10, 1))),
        "1,600 files, 12 M rows": prepare(Plan(1600, GROWTH_ROWS)),
    }
    rows = []
    for case, archive in cases.items():
        for lane in lanes:
            measure = run.run_one(lane, archive)
            rows.append([case, lane, f"{measure.rows:,}", f"{measure.seconds:.1f}", f"{measure.peak_mib:.0f}"])
    return Report("memory", ["case", "lane", "rows", "seconds", "peak MiB"], rows, run.machine)


def measure_settings(run: Run, candidates: Sequence[Mapping[str, str]], names: Sequence[str], plan: Plan) -> Report:
    """Compare settings of the server, each candidate against the embedded ones as they are, by turns."""
    daily = make_daily()
    archive = prepare(plan)
    measures: dict[tuple[int, str], list[Measure]] = defaultdict(list)
    sets: list[Mapping[str, str]] = [{}, *candidates]
    for _ in range(run.rounds):
        for index, tried in enumerate(sets):
            print(tried or "as it is")
            for name in names:
                measure = run.run_one(name, daily if name.startswith("daily") else archive, tried)
                measures[index, name].append(measure)
    rows = []
    for index, tried in enumerate(sets):
        row = [", ".join(f"{key} = {value}" for key, value in tried.items()) or "as it is"]
        for name in names:
            measure, plain = median(measures[index, name]), median(measures[0, name])
            row += [f"{measure.seconds:.2f} s ({plain.seconds / measure.seconds:.2f} x)", f"{measure.server_cpu:.1f}"]
        rows.append(row)
    columns = ["settings", *(head for name in names for head in (name, "server CPU s"))]
    return Report("settings", columns, rows, run.machine, [f"Data: {describe(archive)}; {run.rounds} rounds by turns."])


def prepare(plan: Plan) -> Archive:
    """Return the archive of a plan, and say that it is being made."""
    print(f"preparing {plan.name}", flush=True)
    return cached(plan)


def make_daily() -> Archive:
    """Make an archive of a single file: daily candles of twelve years."""
    source = cached(Plan(8, 400_000))
    return _derive("daily", {"XBTUSD_1440.csv": (source.folder / "XBTUSD_1440.csv").read_bytes()})


def make_shuffled(source: Archive) -> Archive:
    """Make an archive of the same rows in no order, with a fixed step instead of chance."""
    [path] = source.paths
    lines = path.read_bytes().splitlines(keepends=True)
    step = next(step for step in range(1_000_003, 2_000_000, 2) if len(lines) % step)
    return _derive(
        f"shuffled-{len(lines)}", {path.name: b"".join(lines[i * step % len(lines)] for i in range(len(lines)))}
    )


def make_one_minute() -> Archive:
    """Make an archive of one file: a million rows of one minute, of which the one with the most trades counts."""
    text = b"".join(b"1700000040,2.0,2.0,2.0,2.0,1.5,%d\n" % number for number in range(1, 1_000_001))
    archive = _derive("one-minute", {"XBTUSD_1.csv": text})
    return Archive(archive.folder, {"XBTUSD_1.csv": 1})


def _derive(name: str, files: Mapping[str, bytes], cache: Path = CACHE) -> Archive:
    folder = cache / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_bytes(text)
    return Archive(folder, {file: text.count(b"\n") for file, text in files.items()})
