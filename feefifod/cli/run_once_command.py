"""`feefifod run-once`: one shot."""

from __future__ import annotations

import click

from feefifod.cli.options import load_settings, start_logging


@click.command()
@click.option(
    "--backfill",
    "backfills",
    metavar="NAME",
    multiple=True,
    help="Run this schedule, due or not, and no other; may be repeated.",
)
@click.pass_context
def run_once(ctx: click.Context, backfills: tuple[str, ...]) -> int:
    """Ingest all that is complete in the data folder, run the backfills that are due, then exit.

    \b
    Example:
      feefifod run-once
      feefifod run-once --backfill us-daily
    """
    from feefifod.cli import one_shot  # noqa: PLC0415 - help must not wait for pyarrow

    loaded = load_settings(ctx)
    start_logging(loaded, quiet_on_terminal=True)
    return one_shot.run_once(loaded.settings, backfills)
