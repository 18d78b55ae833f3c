"""`feefifod load-prices`: recent prices of one asset."""

from __future__ import annotations

import click

from feefifod.cli.options import load_settings, start_logging
from feefifod.model import Category, Source


@click.command()
@click.option("--ticker", required=True, metavar="TICKER", help="The asset; it must exist.")
@click.option(
    "--source", required=True, type=click.Choice([str(Source.MASSIVE), str(Source.FINNHUB)]), help="Where from."
)
@click.option(
    "--days", type=click.IntRange(min=1), default=7, show_default=True, help="How many calendar days that are over."
)
@click.option(
    "--category",
    type=click.Choice([str(category) for category in Category], case_sensitive=False),
    help="Which asset, when the ticker stands for several.",
)
@click.option("--dry-run", is_flag=True, help="Fetch and show the candles that would be written; write nothing.")
@click.pass_context
def load_prices(ctx: click.Context, *, ticker: str, source: str, days: int, category: str | None, dry_run: bool) -> int:
    """Fetch the last days of one asset, and store what is new or has changed.

    A day that is not over is never stored. The API's key comes from MASSIVE_API_KEY or FINNHUB_API_KEY.

    \b
    Example:
      feefifod load-prices --ticker AAPL --source massive --days 7
    """
    loaded = load_settings(ctx)
    start_logging(loaded, quiet_on_terminal=True)
    from feefifod.backfill import Request  # noqa: PLC0415 - help must not wait for the client libraries
    from feefifod.cli.backfill_progress import backfill  # noqa: PLC0415 - the same

    request = Request(
        source=Source(source),
        ticker=ticker,
        category=Category(category.upper()) if category else None,
        days=days,
        again=True,
    )
    return backfill(loaded.settings, request, dry_run=dry_run)
