"""How far a long work is: a live line on a terminal, a plain one every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from feefifod.log import escape_controls

_PLAIN_SECONDS: Final = 5.0


class ProgressBar:
    """Shows what is done of a total.

    Args:
        doing: the word before the bar.
        silent: show nothing where there is no terminal.
        transient: take the line away at the end.
    """

    def __init__(self, console: Console, doing: str, *, silent: bool = False, transient: bool = True) -> None:
        self._console = console
        self._doing = doing
        self._silent = silent
        self._transient = transient
        self._started = self._told = time.monotonic()
        self._live: Progress | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return max(time.monotonic() - self._started, 0.001)

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
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=self._console,
            expand=True,
            transient=self._transient,
        ) as self._live:
            self._task = self._live.add_task(self._doing, total=None, text="")
            yield

    def show(self, done: int, total: int, text: str, *, amount: str = "") -> None:
        """Move on.

        Args:
            amount: what is done in words, for the plain line.
        """
        done, total = min(done, total), max(total, 1)
        if self._live is not None:
            self._live.update(self._task, completed=done, total=total, text=text)
        elif not self._silent and time.monotonic() - self._told >= _PLAIN_SECONDS:
            self._told = time.monotonic()
            part = f"{amount} ({done / total:.0%})" if amount else f"{done / total:.0%}"
            left = f"  {self.seconds * (total - done) / done:.0f} s left" if done else ""
            self.say(f"{part}  {text}{left}")

    def say(self, line: str) -> None:
        """Print a line above the live one."""
        self._console.print(escape_controls(line), soft_wrap=True, markup=False)
