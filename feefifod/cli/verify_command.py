"""`feefifod verify`: prove again that the table holds what was loaded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import click

from feefifod.cli.console import make_console, print_json
from feefifod.cli.options import json_option, load_settings, start_logging
from feefifod.model import Tier
from feefifod.wording import count_of

if TYPE_CHECKING:
    from rich.console import Console

    from feefifod.cli.verify_progress import VerifyProgress
    from feefifod.config import Settings
    from feefifod.model import Series
    from feefifod.verify import Difference, Report

_PATIENCE_SECONDS: Final = 30.0
_MOST_LISTED: Final = 100


@click.command()
@json_option
@click.option(
    "--tier",
    type=click.Choice([*Tier, "ALL"], case_sensitive=False),
    default="ALL",
    show_default=True,
    help="Only series of assets of this tier.",
)
@click.option("--intervals", metavar="MINUTES", help="Only these intervals, for example 60,1440.")
@click.option("--repair", is_flag=True, help="Load again from the archive what is missing or different.")
@click.pass_context
def verify(ctx: click.Context, *, as_json: bool, tier: str, intervals: str | None, repair: bool) -> int:
    """Prove again that the table holds what the ledger says, to the last bit of every row.

    The files in the archive are read again and compared with the table, series by series and month by month, under
    the rule that the larger trade count wins. Every difference is named; the exit code is 1 when there is one.

    \b
    Example:
      feefifod verify
      feefifod verify --tier TIER1 --intervals 60,1440 --json
      feefifod verify --repair
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.ingest_sequential_command import parse_intervals  # noqa: PLC0415 - the same
    from feefifod.cli.verify_progress import VerifyProgress  # noqa: PLC0415 - the same

    minutes = parse_intervals(intervals) if intervals is not None else ()
    tiers = () if tier.upper() == "ALL" else (Tier(tier.upper()),)
    loaded = load_settings(ctx)
    start_logging(loaded, quiet_on_terminal=True)
    console = make_console()
    progress = VerifyProgress(make_console(stderr=True) if as_json else console, silent=as_json)
    report = anyio.run(partial(_verify, loaded.settings, progress, tiers=tiers, intervals=minutes, repair=repair))
    if as_json:
        print_json(report.to_json())
    else:
        show_report(console, report, progress.seconds)
    return 1 if report.differences else 0


async def _verify(
    settings: Settings, progress: VerifyProgress, *, tiers: tuple[Tier, ...], intervals: tuple[int, ...], repair: bool
) -> Report:
    from feefifod.daemon.services import open_services, open_verification  # noqa: PLC0415 - help must not wait for it
    from feefifod.verify import verify as compare  # noqa: PLC0415 - the same

    async with (
        open_services(settings) as services,
        open_verification(services, patience_seconds=_PATIENCE_SECONDS, listener=progress) as kit,
    ):
        with progress.shown():
            return await compare(kit, tiers=tiers, intervals=intervals, repair=repair)


def show_report(console: Console, report: Report, seconds: float) -> None:
    """Print what was compared, and each thing that is wrong."""
    from rich.text import Text  # noqa: PLC0415 - JSON need not wait for it

    compared = (
        f"{report.series:,} series, {count_of(report.files, 'file')}, {count_of(report.rows, 'row')} in {seconds:.1f} s"
    )
    for skipped in report.skipped:
        console.print(f"skipped {_name(skipped.series)}: {skipped.reason}", soft_wrap=True)
    for difference in report.repaired[:_MOST_LISTED]:
        console.print(Text(f"repaired {_title(difference)}", style="green"), soft_wrap=True)
    for difference in report.differences[:_MOST_LISTED]:
        _show_difference(console, difference)
    for count, what in ((len(report.repaired), "repaired months"), (len(report.differences), "differences")):
        if count > _MOST_LISTED:
            console.print(f"... and {count - _MOST_LISTED} more {what}: feefifod verify --json", soft_wrap=True)
    if report.differences:
        answer = Text(
            f"{report.table} differs in {count_of(len(report.differences), 'place')}: {compared}", style="bold red"
        )
    elif not report.files:
        answer = Text(f"There is nothing to verify: no file of that kind has been loaded into {report.table}")
    else:
        answer = Text(f"{report.table} holds exactly what was loaded: {compared}", style="bold green")
    console.print(answer, soft_wrap=True)


def _show_difference(console: Console, difference: Difference) -> None:
    from rich.text import Text  # noqa: PLC0415 - JSON need not wait for it

    from feefifod.log import escape_controls  # noqa: PLC0415 - the same
    from feefifod.verify.report import describe_checksum  # noqa: PLC0415 - the same

    console.print(Text(_title(difference), style="bold red"), soft_wrap=True)
    for name, checksum in (("files", difference.expected), ("table", difference.found)):
        facts = describe_checksum(checksum)
        if facts is not None:
            console.print(
                f"  {name}: {count_of(facts['rows'], 'row')} from {facts['first']} to {facts['last']},"
                f" {count_of(facts['trades'], 'trade')}, checksum {facts['checksum']}",
                soft_wrap=True,
            )
        elif difference.key is not None:
            console.print(f"  {name}: no rows")
    for example in difference.rows.examples if difference.rows else ():
        console.print(f"  {example}", soft_wrap=True)
    console.print(escape_controls(f"  loaded from: {', '.join(difference.files)}"), soft_wrap=True)
    if difference.remedy:
        console.print(f"  remedy: {difference.remedy}", soft_wrap=True)


def _title(difference: Difference) -> str:
    from feefifod.log import escape_controls  # noqa: PLC0415 - JSON need not wait for it

    month = f", {difference.month}" if difference.month else ""
    return escape_controls(f"{_name(difference.series)}{month}: {difference.reason}")


def _name(series: Series) -> str:
    return f"{series.ticker} in {series.quote}, {series.interval_minutes} minutes"
