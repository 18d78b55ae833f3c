"""What a person sees of ingestion: a live line on a terminal, plain lines elsewhere, and a closing table."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from feefifod.log import escape_controls
from feefifod.model import FileState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from feefifod.errors import FeefifodError
    from feefifod.ingest.report import FileResult, Summary

_PLAIN_SECONDS: Final = 5.0
_MOST_LISTED: Final = 50
_MOST_NAMED: Final = 3


class IngestProgress:
    """A listener that shows files, bytes, rows, rows a second and the time that is left."""

    def __init__(self, console: Console, files: int, size_bytes: int) -> None:
        self._console = console
        self._files = files
        self._size = max(size_bytes, 1)
        self._files_done = 0
        self._bytes_done = 0
        self._rows = 0
        self._started = self._told = time.monotonic()
        self._live: Progress | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the live line as long as this lasts, if the console is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]}"),
            TimeRemainingColumn(),
            console=self._console,
            expand=True,
        ) as self._live:
            self._task = self._live.add_task("ingesting", total=self._size, rows="")
            yield

    def batch_started(self, files: int, size_bytes: int, lane: str) -> None:
        """Show nothing: the total is known from the start."""

    def window_sent(self, rows: int, size_bytes: int) -> None:
        """Move on."""
        self._rows += rows
        self._bytes_done += size_bytes
        self._show()

    def file_finished(self, result: FileResult) -> None:
        """Count a file; a refused one is named at once."""
        if result.state is not FileState.WAITING:
            self._files_done += 1
        if result.failed:
            self._say(f"refused {result.name}: {result.reason}")
        self._show()

    def trouble(self, error: FeefifodError, attempt: int) -> None:
        """Name what is away, once."""
        if attempt == 1:
            self._say(f"waiting: {error}")

    def _say(self, line: str) -> None:
        self._console.print(escape_controls(line), soft_wrap=True)

    def _show(self) -> None:
        seconds = max(time.monotonic() - self._started, 0.001)
        rate = self._rows / seconds
        rows = f"{self._files_done}/{self._files} files  {self._rows:,} rows  {rate:,.0f} rows/s"
        done = min(self._bytes_done, self._size)
        if self._live is not None:
            self._live.update(self._task, completed=done, rows=rows)
        elif time.monotonic() - self._told >= _PLAIN_SECONDS:
            self._told = time.monotonic()
            left = seconds * (self._size - done) / max(done, 1)
            eta = f"  {left:.0f} s left" if done else ""
            self._say(f"{decimal(done)} of {decimal(self._size)} ({done / self._size:.0%})  {rows}{eta}")


def show_summary(console: Console, summary: Summary, seconds: float) -> None:
    """Print what became of the files, the failed ones with their reasons."""
    counts = {state: sum(result.state is state for result in summary.results) for state in FileState}
    rows = sum(result.rows_accepted for result in summary.results)
    rejected = sum(result.rows_rejected for result in summary.results if result.state is FileState.DONE)
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    for heading in ("loaded", "duplicate", "empty", "rejected", "left", "rows", "bad rows", "seconds", "rows/s"):
        table.add_column(heading, justify="right")
    table.add_row(
        str(counts[FileState.DONE]),
        str(counts[FileState.DUPLICATE]),
        str(counts[FileState.EMPTY]),
        str(counts[FileState.REJECTED]),
        str(counts[FileState.WAITING]),
        f"{rows:,}",
        f"{rejected:,}",
        f"{seconds:.1f}",
        f"{rows / max(seconds, 0.001):,.0f}",
    )
    console.print(table)
    _list(console, "Rejected", [r for r in summary.results if r.failed], "bold red")
    partly = [r for r in summary.results if r.state is FileState.DONE and r.rows_rejected]
    _list(console, "Loaded without their bad rows (see rejected/NAME.rows.csv)", partly, "bold yellow")
    left = [r for r in summary.results if r.state is FileState.WAITING]
    _list(console, "Left in place", left, "bold")
    for trouble in summary.troubles:
        if trouble not in {result.reason for result in left}:
            console.print(Text(escape_controls(trouble), style="red"), soft_wrap=True)


def _list(console: Console, title: str, results: list[FileResult], style: str) -> None:
    """Print files with their reasons, a reason that several have once."""
    if not results:
        return
    console.print(Text(f"{title}:", style=style))
    groups: dict[str, list[str]] = {}
    for result in results:
        groups.setdefault(result.reason or "no reason given", []).append(result.name)
    for reason, names in list(groups.items())[:_MOST_LISTED]:
        more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
        console.print(escape_controls(f"  {', '.join(names[:_MOST_NAMED])}{more}: {reason}"), soft_wrap=True)
    if len(groups) > _MOST_LISTED:
        hidden = sum(len(names) for names in list(groups.values())[_MOST_LISTED:])
        console.print(f"  ... and {hidden} more: feefifod status")


def closing_line(table: str) -> str:
    """Tell how to look at the result."""
    question = f"SELECT * FROM {table} LIMIT 10"  # noqa: S608 - for a person to read, and the name is validated
    return f"Look at it: feefifod query '{question}'  (feefifod servers up keeps the servers running)"
