"""What a person sees of a backfill: the plan, a live line (plain lines without a terminal), and a closing table."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from feefifod.backfill import run_backfill
from feefifod.cli.console import make_console
from feefifod.daemon.services import open_backfills, open_services
from feefifod.daemon.signals import end_on, obey_signals
from feefifod.log import escape_controls, register_secret
from feefifod.sources.keys import read_key
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from feefifod.backfill import AssetResult, Outline, Report, Request
    from feefifod.config import Settings

_PATIENCE_SECONDS: Final = 120.0
"""How long a command waits for a server that is away, before it says so and ends."""

_PLAIN_SECONDS: Final = 10.0
_MOST_REASONS: Final = 3


def backfill(settings: Settings, request: Request, *, dry_run: bool) -> int:
    """Carry out a request and show it; returns the exit code: 1 when anything failed.

    Raises:
        ConfigError: no key, or an ambiguous ticker.
        Refused: no such asset, or a server says no.
    """
    # Before servers are started for nothing.
    register_secret(read_key(request.source, os.environ).get_secret_value())
    console = make_console()
    report = anyio.run(partial(_backfill, settings, request, console, dry_run=dry_run))
    show_report(console, report, dry_run=dry_run)
    return 1 if report.failed else 0


async def _backfill(settings: Settings, request: Request, console: Console, *, dry_run: bool) -> Report:
    stop = anyio.Event()
    reports: list[Report] = []
    progress = BackfillProgress(console)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(obey_signals, stop, tasks.cancel_scope, _nothing, name="signals")
        async with (
            open_services(settings) as services,
            open_backfills(services, patience_seconds=_PATIENCE_SECONDS) as tools,
            anyio.create_task_group() as work,
        ):
            work.start_soon(end_on, stop, work.cancel_scope, name="stop")
            with progress.shown():
                reports.append(await run_backfill(tools, request, progress, dry_run=dry_run))
            work.cancel_scope.cancel()
        tasks.cancel_scope.cancel()
    if not reports:
        raise KeyboardInterrupt
    return reports[0]


def _nothing() -> None:
    """Tell nobody of the stop; the exit code does."""


class BackfillProgress:
    """Shows the plan, then how many of its calls are done and how long the rest takes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = self._told = time.monotonic()
        self._spacing = 0.0
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
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            expand=True,
        ) as self._live:
            self._task = self._live.add_task("calls", total=None, left="")
            yield

    def planned(self, outline: Outline) -> None:
        """Say what will be done, and how long it takes."""
        self._started = self._told = time.monotonic()
        self._spacing = outline.seconds / max(1, len(outline.calls) - 1)
        if not (outline.calls or outline.stored or outline.too_old):
            self._say("Nothing to ask for: no session of that time is over, or all of them were without trades.")
        elif not outline.calls:
            assets = count_of(len(outline.targets), "asset")
            self._say(f"Nothing to ask for: {count_of(outline.stored, 'candle')} of {assets} stored.")
        else:
            missing = count_of(outline.missing, "candle")
            self._say(
                f"Plan: {count_of(len(outline.calls), 'call')} to {outline.source} for {missing}"
                f" of {count_of(len(outline.targets), 'asset')} ({outline.stored:,} stored), about"
                f" {format_seconds(outline.seconds)} at the configured pace."
            )
        if outline.too_old:
            self._say(outline.explain_limit())
        self._show(0, len(outline.calls))

    def called(self, done: int, total: int) -> None:
        """Move on."""
        self._show(done, total)

    def noted(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def _say(self, line: str) -> None:
        self._console.print(escape_controls(line), soft_wrap=True)

    def _show(self, done: int, total: int) -> None:
        elapsed = time.monotonic() - self._started
        # Calls can be slower than the pace, and are never faster.
        each = max(elapsed / done if done else 0.0, self._spacing)
        left = f"{format_seconds(each * (total - done))} left"
        if self._live is not None:
            self._live.update(self._task, completed=done, total=total, left=left, visible=total > 0)
        elif done and (done == total or time.monotonic() - self._told >= _PLAIN_SECONDS):
            self._told = time.monotonic()
            self._say(f"{done} of {count_of(total, 'call')} ({done / total:.0%}), {left}")


def show_report(console: Console, report: Report, *, dry_run: bool) -> None:
    """Print what became of every asset, and at the end those that failed, with their reasons."""
    if dry_run:
        _show_previews(console, report)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("asset")
    table.add_column("category")
    table.add_column("symbol")
    for heading in ("created", "updated", "unchanged", "no trades"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for result in report.results.values():
        counts = (result.created, result.updated, result.unchanged, result.no_trades)
        outcome = Text("failed", style="bold red") if result.reasons else Text("ok", style="green")
        table.add_row(_name(result), str(result.asset.category), result.symbol, *map(str, counts), outcome)
    if report.results:
        console.print(table)
    else:
        console.print("There is no active asset to ask for: feefifod assets list")
    for result in report.results.values():
        for remark in result.remarks:
            console.print(escape_controls(f"{_name(result)}: {remark}"), soft_wrap=True)
    if report.stopped:
        console.print(Text(escape_controls(f"Stopped: {report.stopped}"), style="red"), soft_wrap=True)
    if report.failures:
        console.print(
            Text(f"{len(report.failures)} of {count_of(len(report.results), 'asset')} failed:", style="bold red")
        )
    for result in report.failures:
        reasons = result.reasons[:_MOST_REASONS]
        more = len(result.reasons) - len(reasons)
        text = "; ".join(reasons) + (f"; and {more} more" if more else "")
        console.print(escape_controls(f"  {_name(result)} ({result.asset.category}): {text}"), soft_wrap=True)
    if dry_run:
        console.print("This was a dry run: nothing was written.")


def _show_previews(console: Console, report: Report) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("asset", "session"):
        table.add_column(heading)
    for heading in ("open", "high", "low", "close", "volume", "trades"):
        table.add_column(heading, justify="right")
    for heading in ("quote", ""):
        table.add_column(heading)
    previews = sorted(report.previews, key=lambda preview: (preview.asset.ticker, preview.candle.session))
    for preview in previews:
        candle = preview.candle
        prices = (candle.open, candle.high, candle.low, candle.close, candle.volume)
        count = "" if candle.trade_count is None else str(candle.trade_count)
        name = escape_controls(preview.asset.ticker)
        table.add_row(name, str(candle.session), *map(repr, prices), count, candle.quote_currency, preview.change)
    if previews:
        console.print(f"{count_of(len(previews), 'candle')} would be written:")
        console.print(table)
    else:
        console.print("No candle would be written.")


def _name(result: AssetResult) -> str:
    return escape_controls(result.asset.ticker)


def format_seconds(seconds: float) -> str:
    """Format a duration for people."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{whole / 60:.0f} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
