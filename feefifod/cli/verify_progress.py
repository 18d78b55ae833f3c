"""What a person sees of verification: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.console import Console

from feefifod.cli.progress_bar import ProgressBar
from feefifod.verify import Difference
from feefifod.wording import count_of


class VerifyProgress:
    """A listener that shows files, rows, rows a second and the time that is left.

    Args:
        silent: show nothing where there is no terminal.
    """

    def __init__(self, console: Console, *, silent: bool) -> None:
        self._bar = ProgressBar(console, "comparing", silent=silent)
        self.shown = self._bar.shown
        self._files = self._files_done = self._rows_done = self._wrong = 0
        self._rows = 1

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._bar.seconds

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
        wrong = f"  {count_of(self._wrong, 'difference')}" if self._wrong else ""
        rate = self._rows_done / self.seconds
        text = f"{self._files_done}/{self._files} files  {count_of(self._rows_done, 'row')}  {rate:,.0f} rows/s{wrong}"
        self._bar.show(self._rows_done, self._rows, text)
