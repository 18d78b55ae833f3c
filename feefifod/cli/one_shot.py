"""What `run-once` and `ingest-sequential` share: ingest what is complete, with progress and a closing table."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import structlog
from rich.filesize import decimal
from rich.table import Table

from feefifod.cli.console import confirm, make_console
from feefifod.cli.ingest_progress import IngestProgress, closing_line, show_closed, show_ignored, show_summary
from feefifod.config import pick_database
from feefifod.daemon.once import ingest_once
from feefifod.daemon.services import open_backfills, open_services, open_tools
from feefifod.daemon.signals import end_on, obey_signals
from feefifod.daemon.upkeep import apply_daily
from feefifod.discover import Found, list_members, scan
from feefifod.errors import BadInput, FeefifodError
from feefifod.ingest.candidates import why_unwanted
from feefifod.ingest.ignored import count_ignored
from feefifod.model import FileState
from feefifod.parse.names import Kind
from feefifod.parse.tiers import tier_of
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rich.console import Console

    from feefifod.backfill.schedules import ScheduleRun
    from feefifod.config import Settings
    from feefifod.daemon.services import Services
    from feefifod.ingest.report import Summary

_PATIENCE_SECONDS: Final = 120.0
"""How long a command waits for a server that is away, before it says so and ends."""


def ingest(
    settings: Settings, *, database: str = "questdb", ask: bool = False, yes: bool = False, stop_on_error: bool = False
) -> int:
    """Ingest; returns the exit code: 1 when a file was refused or something could not be finished.

    Raises:
        ConfigError: a question to ask, and no terminal and no `--yes`.
    """
    console = make_console()
    table = pick_database(settings, database).table
    settings.paths.data.mkdir(parents=True, exist_ok=True)
    wanted = find_wanted(settings)
    if ask:
        if not wanted:
            console.print(f"There is nothing to ingest in {settings.paths.data}.", soft_wrap=True)
            console.print("Why a file is not picked up: feefifod explain PATH")
            _show_left_alone(console, settings)
            return 0
        show_breakdown(console, settings, wanted)
        confirm(f"Ingest {count_of(len(wanted), 'file')}?", yes)
    work = partial(_ingest, settings, database, console, wanted, stop_on_error=stop_on_error)
    summary, _ = _run(work, console, table)
    return 1 if summary.failed else 0


def run_once(settings: Settings, names: Sequence[str]) -> int:
    """Ingest, then run the named backfills, or those that are due; returns the exit code.

    Raises:
        ConfigError: there is no schedule of a name.
    """
    console = make_console()
    if names:
        from feefifod.backfill.schedules import pick_schedules  # noqa: PLC0415 - see `_backfill`

        pick_schedules(settings.schedules, names)
    settings.paths.data.mkdir(parents=True, exist_ok=True)
    work = partial(_ingest, settings, "questdb", console, find_wanted(settings), backfills=names)
    summary, runs = _run(work, console, pick_database(settings).table)
    for run in runs:
        from feefifod.cli.backfill_progress import show_report  # noqa: PLC0415 - the same

        if run.report is not None:
            console.print(f"Backfill {run.name}:")
            show_report(console, run.report, dry_run=False)
        elif run.busy:
            console.print(f"Backfill {run.name}: another process is running it.")
        else:
            console.print(f"Backfill {run.name} failed: {run.reason}", soft_wrap=True)
    return 1 if summary.failed or any(run.failed for run in runs) else 0


def _run(
    work: Callable[[], Awaitable[tuple[Summary, list[ScheduleRun]]]], console: Console, table: str
) -> tuple[Summary, list[ScheduleRun]]:
    started = time.monotonic()
    summary, runs = anyio.run(work)
    show_summary(console, summary, time.monotonic() - started)
    if any(result.state in (FileState.DONE, FileState.DUPLICATE) for result in summary.results):
        console.print(closing_line(table), soft_wrap=True)
    return summary, runs


def find_wanted(settings: Settings) -> list[Found]:
    """Return the files in the data folder that are wanted, complete or not; after each zip those in it."""
    wanted: list[Found] = []
    for item in scan(str(settings.paths.data)):
        if item.stamp and not why_unwanted(item, settings.watch, settings.tiers):
            wanted += _look_into(item, settings) if item.parts else [item]
    return wanted


def _show_left_alone(console: Console, settings: Settings) -> None:
    folder, closed = str(settings.paths.data), dict[str, str]()
    found = scan(folder, closed)
    show_ignored(console, count_ignored(found, folder, settings.watch, settings.tiers))
    show_closed(console, closed)


def _look_into(zip_: Found, settings: Settings) -> list[Found]:
    """Return a zip and what is wanted in it; nothing when nothing is."""
    try:
        members = list_members(zip_)
    except (BadInput, OSError):
        return [zip_]  # Whether it is refused or not complete yet is told when it is ingested.
    wanted = [member for member in members if not why_unwanted(member, settings.watch, settings.tiers)]
    return [zip_, *wanted] if wanted else []


_OTHERS: Final = {Kind.ZIP: "zips", Kind.INVALID: "refused names"}


def show_breakdown(console: Console, settings: Settings, wanted: list[Found]) -> None:
    """Print how many files of which size there are, by tier and interval."""
    files: Counter[tuple[str, int]] = Counter()
    sizes: Counter[tuple[str, int]] = Counter()
    for item in wanted:
        pair, minutes = item.verdict.pair, item.verdict.interval_minutes
        tier = tier_of(pair.ticker, settings.tiers) if pair else _OTHERS[item.verdict.kind]
        key = (str(tier), minutes or 0)
        files[key] += 1
        sizes[key] += item.stamp.size if item.stamp else 0
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True)
    table.add_column("tier", footer="together")
    table.add_column("interval", justify="right")
    table.add_column("files", justify="right", footer=str(len(wanted)))
    table.add_column("size", justify="right", footer=decimal(sum(sizes.values())))
    for key in sorted(files):
        tier, minutes = key
        table.add_row(tier, f"{minutes} min" if minutes else "", str(files[key]), decimal(sizes[key]))
    console.print(f"Found in {settings.paths.data}:", soft_wrap=True)
    console.print(table)


async def _ingest(
    settings: Settings,
    database: str,
    console: Console,
    wanted: list[Found],
    *,
    stop_on_error: bool = False,
    backfills: Sequence[str] | None = None,
) -> tuple[Summary, list[ScheduleRun]]:
    """Ingest; with `backfills`, run these schedules too, or the due ones when it is empty."""
    stop = anyio.Event()
    size = sum(item.stamp.size for item in wanted if item.stamp and not item.parts)
    progress = IngestProgress(console, len(wanted), size)
    summary: Summary | None = None
    runs: list[ScheduleRun] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(obey_signals, stop, tasks.cancel_scope, _nothing, name="signals")
        async with open_services(settings, database) as services:
            async with open_tools(services, progress, stop, patience_seconds=_PATIENCE_SECONDS) as tools:
                tools.stop_on_error = stop_on_error
                with progress.shown():
                    summary = await ingest_once(tools)
                if backfills is not None and not stop.is_set():
                    await _retain(services, stop)
            if backfills is not None and settings.schedules and not stop.is_set():
                runs = await _backfill(services, backfills, stop)
        tasks.cancel_scope.cancel()
    if summary is None:
        raise KeyboardInterrupt
    return summary, runs


async def _backfill(services: Services, names: Sequence[str], stop: anyio.Event) -> list[ScheduleRun]:
    """Run backfills until they are done or `stop`; a run that was cut goes on where it was the next time."""
    # With its HTTP client this takes a quarter of a second, which only a configuration with schedules need wait for.
    from feefifod.backfill.schedules import run_due, run_named  # noqa: PLC0415

    schedules = services.settings.schedules
    runs: list[ScheduleRun] = []
    async with (
        open_backfills(services, patience_seconds=_PATIENCE_SECONDS) as tools,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(end_on, stop, tasks.cancel_scope)
        runs += await (run_named(tools, schedules, names) if names else run_due(tools, schedules))
        tasks.cancel_scope.cancel()
    return runs


async def _retain(services: Services, stop: anyio.Event) -> None:
    """Apply retention when it is due; trouble with old files is logged, and is none of the new ones."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end_on, stop, tasks.cancel_scope)
        try:
            await apply_daily(services, services.settings.retention, patience_seconds=_PATIENCE_SECONDS)
        except FeefifodError as error:
            structlog.get_logger().warning("retention_failed", reason=error.why, where=error.where)
        tasks.cancel_scope.cancel()


def _nothing() -> None:
    """Tell nobody of the drain; the closing table does."""
