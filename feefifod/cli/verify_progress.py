"""What a person sees of verification: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from feefifod.verify import Difference

_PLAIN_SECONDS: Final = 5.0


class VerifyProgress:
    """A listener that shows files, rows, rows a second and the time that is left.

    Args:
        silent: show nothing where there is no terminal.
    """

    def __init__(self, console: Console, *, silent: bool) -> None:
        self._console = console
        self._silent = silent
        self._files = self._files_done = self._rows_done = self._wrong = 0
        self._rows = 1
        self._started = self._told = time.monotonic()
        self._live: Progress | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

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
            transient=True,
        ) as self._live:
            self._task = self._live.add_task("comparing", total=None, rows="")
            yield

    def planned(self, files: int, rows: int) -> None:
        """Take the total."""
        self._files, self._rows = files, max(rows, 1)
        self._show()

    def compared(self, files: int, rows: int) -> None:
        """Move on."""
        self._files_done += files
        self._rows_done += rows
        self._show()

    def differs(self, difference: Difference) -> None:  # noqa: ARG002 - the report names it at the end
        """Count it."""
        self._wrong += 1
        self._show()

    def _show(self) -> None:
        done = min(self._rows_done, self._rows)
        wrong = f"  {count_of(self._wrong, 'difference')}" if self._wrong else ""
        rate = self._rows_done / max(self.seconds, 0.001)
        text = f"{self._files_done}/{self._files} files  {count_of(self._rows_done, 'row')}  {rate:,.0f} rows/s{wrong}"
        if self._live is not None:
            self._live.update(self._task, completed=done, total=self._rows, rows=text)
        elif not self._silent and time.monotonic() - self._told >= _PLAIN_SECONDS:
            self._told = time.monotonic()
            left = self.seconds * (self._rows - done) / max(done, 1)
            eta = f"  {left:.0f} s left" if done else ""
            self._console.print(f"{done / self._rows:.0%}  {text}{eta}", soft_wrap=True)
