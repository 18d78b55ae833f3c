"""`make bench`: feefifod against the other ways into QuestDB, in one run on one machine."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from bench import machine, readers, suites
from bench.contestants import CONTESTANTS, choose
from bench.generate import CACHE
from bench.report import DOCUMENT, Report, show, write
from bench.rig import open_rig

_LANES: Final = ("ilp", "bulk")
_PARTITIONINGS: Final = ("MONTH", "DAY", "WEEK", "YEAR")


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    suite = parser.add_mutually_exclusive_group()
    suite.add_argument("--quick", action="store_true", help="3 M rows in 160 files, about two minutes (the default)")
    suite.add_argument("--full", action="store_true", help="58.3 M rows in 160 files, 2013 to 2025")
    suite.add_argument("--growth", action="store_true", help="the same number of rows in 16, 160 and 1,600 files")
    suite.add_argument(
        "--memory", action="store_true", help="the largest memory of feefifod in cases that could break it"
    )
    suite.add_argument(
        "--settings",
        action="append",
        metavar="KEY=VALUE[,KEY=VALUE]",
        default=[],
        help="compare settings (QDB_..., HEAP_MIB, JDK_JAVA_OPTIONS) with the embedded ones; repeatable",
    )
    suite.add_argument(
        "--readers", action="store_true", help="day files beside clients that read all, by MONTH and by DAY"
    )
    suite.add_argument("--partitions", action="store_true", help="the same rows by MONTH, by DAY, and beside readers")
    parser.add_argument("--partition-by", default="MONTH", choices=_PARTITIONINGS, help="the table's partitions")
    parser.add_argument("--only", default="", metavar="NAMES", help=f"of {', '.join(CONTESTANTS)}")
    parser.add_argument("--rounds", type=int, default=1, help="how often each contestant runs, by turns")
    parser.add_argument("--rows", type=int, default=0, help="another number of rows")
    parser.add_argument("--files", default="", help="another number of files; several for --growth: 160,1600")
    parser.add_argument(
        "--baseline-rows",
        type=int,
        default=None,
        help="sample of the row-by-row baseline; 0 takes all (--full: 6 M, else all)",
    )
    parser.add_argument("--server", action="append", default=[], metavar="KEY=VALUE", help="a setting for all servers")
    parser.add_argument("--write", action="store_true", help="put the result into docs/performance.md")
    return parser.parse_args()


def main() -> None:
    """Run a suite, print its table, and write it down where that was asked for."""
    options = read_arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    described = machine.describe()
    only = [name for name in options.only.split(",") if name]
    files = [int(count) for count in options.files.split(",") if count]
    with open_rig(CACHE) as rig:
        run = suites.Run(rig, described, options.rounds, read_settings(",".join(options.server)), options.partition_by)
        lanes = [lane for lane in _LANES if not only or lane in only]
        plot = ""
        if options.readers:
            report = readers.measure_readers(run, _PARTITIONINGS[:2])
        elif options.partitions:
            plan = replace(suites.FULL, rows=options.rows or suites.GROWTH_ROWS)
            report = readers.measure_partitions(run, plan, _PARTITIONINGS[:2], lanes)
        elif options.memory:
            report = suites.measure_memory(run, lanes)
        elif options.growth:
            rows = options.rows or suites.GROWTH_ROWS
            report, plot = suites.measure_growth(run, files or suites.GROWTH_FILES, rows, lanes)
        else:
            plan = suites.FULL if options.full else suites.QUICK
            plan = replace(plan, files=files[0] if files else plan.files, rows=options.rows or plan.rows)
            if options.settings:
                tried = [read_settings(text) for text in options.settings]
                report = suites.measure_settings(run, tried, only or ["feed-bulk", "daily", "daily-again"], plan)
            else:
                baseline_rows = options.baseline_rows
                if baseline_rows is None:
                    baseline_rows = suites.FULL_BASELINE_ROWS if options.full else 0
                topic = "full" if options.full else "quick"
                report, plot = suites.measure_speed(run, plan, choose(only), baseline_rows, topic)
    show(report)
    if options.write:
        write_down(report, plot)


def read_settings(text: str) -> dict[str, str]:
    """Read `KEY=VALUE,KEY=VALUE`."""
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {key.strip(): value.strip() for key, _, value in pairs}


def write_down(report: Report, plot: str, folder: Path = DOCUMENT.parent) -> None:
    """Write a report into the document and its plot beside it."""
    write(report)
    if plot:
        (folder / f"performance-{report.topic}.svg").write_text(plot, encoding="utf-8")


if __name__ == "__main__":
    main()
