"""The line at the bottom of a terminal while the daemon loads; what is logged meanwhile is printed above it."""

from __future__ import annotations

import contextlib

from rich.status import Status
from rich.text import Text

from feefifod.cli.console import make_console


class LiveLine:
    """A line on stderr that comes and goes."""

    def __init__(self) -> None:
        self._console = make_console(stderr=True)
        self._status: Status | None = None

    def write(self, line: str) -> None:
        """Print a finished line, which may hold colours."""
        self._console.print(Text.from_ansi(line), soft_wrap=True)

    def show(self, text: str | None) -> None:
        """Show what is being done, in place of what was shown before; None shows nothing any more."""
        with contextlib.suppress(OSError):  # A terminal that was closed shows nothing.
            if text is None:
                if self._status is not None:
                    self._status.stop()
                self._status = None
            elif self._status is None:
                self._status = Status(Text(text), console=self._console, refresh_per_second=2)
                self._status.start()
            else:
                self._status.update(Text(text))
