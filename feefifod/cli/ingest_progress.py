"""What a person sees of ingestion: a live line on a terminal, plain lines elsewhere, and a closing table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from feefifod.cli.progress_bar import ProgressBar
from feefifod.ingest.closed import REMEDY, show_path
from feefifod.log import escape_controls
from feefifod.model import FileState
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from feefifod.errors import FeefifodError
    from feefifod.ingest.ignored import Ignored
    from feefifod.ingest.report import FileResult, Summary

_MOST_LISTED: Final = 50
_MOST_NAMED: Final = 3


class IngestProgress:
    """A listener that shows files, bytes, rows, rows a second and the time that is left."""

    def __init__(self, console: Console, files: int, size_bytes: int) -> None:
        self._bar = ProgressBar(console, "ingesting", transient=False)
        self.shown = self._bar.shown
        self._files = files
        self._size = max(size_bytes, 1)
        self._files_done = 0
        self._bytes_done = 0
        self._rows = 0

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
            self._bar.say(f"refused {result.name}: {result.reason}")
        self._show()

    def file_stuck(self, result: FileResult) -> None:
        """Show nothing: the closing table names it."""

    def trouble(self, error: FeefifodError, attempt: int) -> None:
        """Name what is away, once."""
        if attempt == 1:
            self._bar.say(f"waiting: {error}")

    def _show(self) -> None:
        rate = self._rows / self._bar.seconds
        text = f"{self._files_done}/{self._files} files  {count_of(self._rows, 'row')}  {rate:,.0f} rows/s"
        done = min(self._bytes_done, self._size)
        self._bar.show(done, self._size, text, amount=f"{decimal(done)} of {decimal(self._size)}")


def show_summary(console: Console, summary: Summary, seconds: float) -> None:
    """Print what became of the files, the failed ones with their reasons, and what was left alone."""
    ended = summary.ended
    counts = {state: sum(result.state is state for result in ended) for state in FileState}
    rows = sum(result.rows_accepted for result in ended)
    rejected = sum(result.rows_rejected for result in ended if result.state is FileState.DONE)
    ignored = sum(group.files for group in summary.ignored)
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    headings = ("loaded", "duplicate", "empty", "rejected", "left", "ignored", "rows", "bad rows", "seconds", "rows/s")
    for heading in headings:
        table.add_column(heading, justify="right")
    table.add_row(
        str(counts[FileState.DONE]),
        str(counts[FileState.DUPLICATE]),
        str(counts[FileState.EMPTY]),
        str(counts[FileState.REJECTED]),
        str(counts[FileState.WAITING]),
        f"{ignored:,}",
        f"{rows:,}",
        f"{rejected:,}",
        f"{seconds:.1f}",
        f"{rows / max(seconds, 0.001):,.0f}",
    )
    console.print(table)
    _list(console, "Rejected", [r for r in ended if r.failed], "bold red")
    partly = [r for r in ended if r.state is FileState.DONE and r.rows_rejected]
    _list(console, "Loaded without their bad rows (see rejected/NAME.rows.csv)", partly, "bold yellow")
    stuck = [replace(result, reason=_tell_stuck(result)) for result in summary.stuck.values()]
    _list(console, "Decided, and still to be moved (it is tried again)", stuck, "bold red")
    left = [r for r in summary.results if r.state is FileState.WAITING]
    _list(console, "Left in place", left, "bold")
    show_ignored(console, summary.ignored)
    show_closed(console, summary.closed)
    for trouble in summary.troubles:
        if trouble not in {result.reason for result in left}:
            console.print(Text(escape_controls(trouble), style="red"), soft_wrap=True)


def _tell_stuck(result: FileResult) -> str:
    """Say what is in the table, and why the file is not where it belongs."""
    if result.state is not FileState.DONE:
        return f"{result.stuck} (it is {result.state}{f': {result.reason}' if result.reason else ''})"
    word = "row is" if result.rows_accepted == 1 else "rows are"
    return f"{result.rows_accepted:,} {word} in the table; {result.stuck}"


def show_ignored(console: Console, ignored: Sequence[Ignored]) -> None:
    """Print what is left alone, a line for each reason."""
    if ignored:
        console.print(Text("Ignored (why: feefifod explain PATH):", style="bold"))
    for group in ignored[:_MOST_LISTED]:
        console.print(escape_controls(f"  {group.describe()}"), soft_wrap=True, markup=False)
    if len(ignored) > _MOST_LISTED:
        console.print(f"  ... and {len(ignored) - _MOST_LISTED} more reasons")


def show_closed(console: Console, closed: Mapping[str, str]) -> None:
    """Print the folders that were passed over, and what to do."""
    if not closed:
        return
    console.print(Text("Passed over:", style="bold yellow"))
    for path, reason in list(closed.items())[:_MOST_LISTED]:
        console.print(escape_controls(f"  {show_path(path)}: {reason}"), soft_wrap=True, markup=False)
    if len(closed) > _MOST_LISTED:
        console.print(f"  ... and {len(closed) - _MOST_LISTED} more: feefifod doctor")
    console.print(f"  {REMEDY}.", soft_wrap=True)


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
        line = f"  {', '.join(names[:_MOST_NAMED])}{more}: {reason}"
        console.print(escape_controls(line), soft_wrap=True, markup=False)
    if len(groups) > _MOST_LISTED:
        hidden = sum(len(names) for names in list(groups.values())[_MOST_LISTED:])
        console.print(f"  ... and {hidden} more: feefifod status")


def closing_line(table: str) -> str:
    """Tell how to look at the result."""
    question = f"SELECT * FROM {table} LIMIT 10"  # noqa: S608 - for a person to read, and the name is validated
    return f"Look at it: feefifod query '{question}'  (feefifod servers up keeps the servers running)"
