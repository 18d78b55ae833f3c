"""`feefifod backfill-prices`: price history, in bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from feefifod.cli.options import load_settings, start_logging
from feefifod.errors import ConfigError
from feefifod.model import Category, Source

if TYPE_CHECKING:
    from datetime import datetime

_DATE = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option(
    "--source", required=True, type=click.Choice([str(Source.MASSIVE), str(Source.FINNHUB)]), help="Where from."
)
@click.option("--ticker", metavar="TICKER", help="One asset; it must exist.")
@click.option("--all", "everything", is_flag=True, help="All active assets.")
@click.option("--days", type=click.IntRange(min=1), help="The last so many calendar days that are over.")
@click.option("--start", type=_DATE, help="The first day, instead of --days.")
@click.option("--end", type=_DATE, help="The last day.  [default: the last day that is over]")
@click.option(
    "--category",
    type=click.Choice([str(category) for category in Category], case_sensitive=False),
    help="With --all, only these; with --ticker, which one.",
)
@click.option("--grouped", is_flag=True, help="massive and --all: one call per day for all assets, whatever it costs.")
@click.option("--dry-run", is_flag=True, help="Fetch and show the candles that would be written; write nothing.")
@click.pass_context
def backfill_prices(
    ctx: click.Context,
    *,
    source: str,
    ticker: str | None,
    everything: bool,
    days: int | None,
    start: datetime | None,
    end: datetime | None,
    category: str | None,
    grouped: bool,
    dry_run: bool,
) -> int:
    """Fetch the day candles that are missing, with the fewest calls, at the pace of the plan.

    What is stored is not asked for again, so that a run which was interrupted goes on where it was. It never asks a
    question. The API's key comes from MASSIVE_API_KEY or FINNHUB_API_KEY.

    \b
    Example:
      feefifod backfill-prices --source massive --all --category STOCK --days 30
      feefifod backfill-prices --source finnhub --ticker BTC --start 2025-01-01 --end 2025-03-31
    """
    check_mix(source=source, ticker=ticker, everything=everything, days=days, start=start, end=end, grouped=grouped)
    loaded = load_settings(ctx)
    start_logging(loaded, quiet_on_terminal=True)
    from feefifod.backfill import Request  # noqa: PLC0415 - help must not wait for the client libraries
    from feefifod.cli.backfill_progress import backfill  # noqa: PLC0415 - the same

    request = Request(
        source=Source(source),
        ticker=ticker or "",
        category=Category(category.upper()) if category else None,
        days=days,
        start=start.date() if start else None,
        end=end.date() if end else None,
        grouped=grouped,
    )
    return backfill(loaded.settings, request, dry_run=dry_run)


def check_mix(
    *,
    source: str,
    ticker: str | None,
    everything: bool,
    days: int | None,
    start: datetime | None,
    end: datetime | None,
    grouped: bool,
) -> None:
    """Check that the options go together.

    Raises:
        ConfigError: they do not.
    """
    wrong = ""
    if bool(ticker) == everything:
        wrong = "say either --ticker or --all"
    elif (days is None) == (start is None):
        wrong = "say either --days or --start"
    elif end is not None and start is None:
        wrong = "--end goes with --start, not with --days"
    elif start is not None and end is not None and end < start:
        wrong = "--end is before --start"
    elif grouped and not (everything and source == Source.MASSIVE):
        wrong = "--grouped goes with --source massive and --all only"
    if wrong:
        raise ConfigError(wrong, where="backfill-prices", remedy="See 'feefifod backfill-prices --help'")
