"""What was measured, as a table on the terminal and as a section of docs/performance.md."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.contestants import BASELINE, LIMITS, NAMES
from bench.meter import Measure

DOCUMENT: Final = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


@dataclass(frozen=True, slots=True)
class Report:
    """A table and what has to be said about it.

    Attributes:
        topic: the section of the document.
        numeric: how many columns, counted from the right, hold numbers.
    """

    topic: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    machine: Mapping[str, str]
    notes: Sequence[str] = field(default_factory=tuple)


def median(measures: Sequence[Measure]) -> Measure:
    """Return the run in the middle by speed; of two the slower one."""
    return sorted(measures, key=lambda measure: -measure.seconds)[(len(measures) - 1) // 2]


def compare(
    measures: Mapping[str, Sequence[Measure]], machine: Mapping[str, str], notes: Sequence[str], topic: str
) -> Report:
    """Tabulate contestants against the baseline and each lane's limit; ratios are those of runs of one round."""
    middle = {name: median(runs) for name, runs in measures.items() if runs}
    rows = []
    for name, measure in middle.items():
        gain = _compare_rates(measures[name], measures.get(BASELINE))
        share = _compare_rates(measures[name], measures.get(LIMITS.get(name, "")))
        rows.append(
            [
                NAMES[name],
                f"{measure.rows:,}",
                f"{measure.seconds:.1f}",
                f"{measure.rate:,.0f}",
                f"{gain:.1f}" if gain else "",
                f"{share:.0%}" if share else "",
                f"{measure.client_cpu:.1f}",
                f"{measure.server_cpu:.1f}",
                f"{measure.peak_mib:.0f}" if name in LIMITS else "",
                f"{measure.written / measure.rows:.0f}",
            ]
        )
    columns = [
        "way",
        "rows",
        "seconds",
        "rows/s",
        "x baseline",
        "of its limit",
        "client CPU s",
        "server CPU s",
        "peak MiB",
        "bytes written/row",
    ]
    return Report(topic, columns, rows, machine, notes)


def _compare_rates(runs: Sequence[Measure], others: Sequence[Measure] | None) -> float | None:
    """Return the median of the rounds' ratios: between rounds a shared machine may change its pace."""
    if not others:
        return None
    return statistics.median(run.rate / other.rate for run, other in zip(runs, others, strict=True))


def show(report: Report) -> None:
    """Print the table."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, column in enumerate(report.columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in report.rows:
        table.add_row(*row)
    console = Console(width=max(Console().width, 150))
    console.print(table)
    for note in report.notes:
        console.print(note, soft_wrap=True)
    console.print("; ".join(f"{key}: {value}" for key, value in report.machine.items()), soft_wrap=True)


def render(report: Report) -> str:
    """Return the table as Markdown."""
    lines = [
        "| " + " | ".join(report.columns) + " |",
        "|" + "|".join(["---"] + ["---:"] * (len(report.columns) - 1)) + "|",
        *("| " + " | ".join(row) + " |" for row in report.rows),
        "",
        *(f"{note}\n" for note in report.notes),
        "Measured: " + ", ".join(f"{key} {value}" for key, value in report.machine.items()) + ".",
    ]
    return "\n".join(lines)


def write(report: Report, document: Path = DOCUMENT) -> None:
    """Put the table in its place in the document, between the marks of its topic.

    Raises:
        ValueError: the document has no such place.
    """
    text = document.read_text(encoding="utf-8")
    begin, end = f"<!-- measured: {report.topic} -->\n", "<!-- end -->"
    place = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not place.search(text):
        raise ValueError(f"{document} has no place for {report.topic}")
    document.write_text(place.sub(lambda _: f"{begin}{render(report)}\n{end}", text), encoding="utf-8")
