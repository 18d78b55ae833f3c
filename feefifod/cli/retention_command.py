"""`feefifod retention`: pack or remove what has been kept for long enough, now."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import click

from feefifod.cli.console import make_console, print_json
from feefifod.cli.options import json_option
from feefifod.wording import count_of

if TYPE_CHECKING:
    from rich.console import Console

    from feefifod.config import Settings
    from feefifod.retention import Report

_PATIENCE_SECONDS: Final = 30.0
_MOST_LISTED: Final = 100


@click.command()
@json_option
@click.option("--dry-run", is_flag=True, help="Prove, and say what would be done; change nothing.")
@click.pass_context
def retention(ctx: click.Context, as_json: bool, dry_run: bool) -> None:
    """Compress or remove finished files that are old enough, as [retention] says.

    The daemon does it once a day by itself, and so does run-once. Only files of which the table is proven at that
    moment to hold every row are touched, as `verify` would; others are kept and named. Compressed files are ordinary
    .zst files, from which `verify --repair` and `retry` still read. Of pruned files fingerprints are kept: `verify`
    still notices when their rows change, but cannot repair them.

    \b
    Example:
      feefifod retention --dry-run
      feefifod config set retention.files compress
      feefifod retention
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same

    settings = read_settings(ctx)
    if settings.retention.off:
        from feefifod.retention import Report  # noqa: PLC0415 - the same

        report = Report(dry_run)
        click.echo("Retention is off: all files are kept. See: feefifod config set retention.files compress", err=True)
    else:
        report = anyio.run(partial(_apply, settings, dry_run=dry_run))
    if as_json:
        print_json(report.to_json())
    elif not settings.retention.off:
        _show(make_console(), report)


async def _apply(settings: Settings, *, dry_run: bool) -> Report:
    from feefifod.daemon.services import open_services  # noqa: PLC0415 - help must not wait for it
    from feefifod.daemon.upkeep import apply_now  # noqa: PLC0415 - the same

    async with open_services(settings) as services:
        return await apply_now(services, settings.retention, patience_seconds=_PATIENCE_SECONDS, dry_run=dry_run)


def _show(console: Console, report: Report) -> None:
    from rich.filesize import decimal  # noqa: PLC0415 - JSON need not wait for it

    from feefifod.log import escape_controls  # noqa: PLC0415 - the same

    if report.dry_run:
        for word, places in (("compressed", report.packed), ("removed", report.pruned)):
            for place in places[:_MOST_LISTED]:
                console.print(escape_controls(f"would be {word}: {place}"), soft_wrap=True)
            if len(places) > _MOST_LISTED:
                console.print(f"... and {len(places) - _MOST_LISTED} more: feefifod retention --dry-run --json")
    for kept in report.suspicious[:_MOST_LISTED]:
        console.print(escape_controls(f"kept {kept.place}: {kept.reason}"), style="yellow", soft_wrap=True)
    if len(report.suspicious) > _MOST_LISTED:
        console.print(f"... and {len(report.suspicious) - _MOST_LISTED} more were kept: feefifod retention --json")
    waiting = len(report.kept) - len(report.suspicious)
    if waiting:
        console.print(
            f"{count_of(waiting, 'more file')} old enough, but with candles of months whose other files have to stay."
        )
    verb = "would be" if report.dry_run else "were"
    saved = f", {decimal(report.bytes_before)} before"
    saved += "" if report.dry_run or not report.packed else f", {decimal(report.bytes_after)} now"
    console.print(
        f"{count_of(len(report.packed), 'file')} {verb} compressed, {len(report.pruned)} {verb} removed{saved};"
        f" {len(report.suspicious)} were kept because they could not be proven.",
        soft_wrap=True,
    )
