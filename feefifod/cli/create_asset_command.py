"""`feefifod create-asset`: one new asset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from feefifod.cli.console import make_console, print_json
from feefifod.cli.options import json_option
from feefifod.model import Category

if TYPE_CHECKING:
    from feefifod.catalog import NewAsset
    from feefifod.config import Settings
    from feefifod.model import Asset


@click.command()
@click.option("--ticker", required=True, help="Common ticker, as its market writes it: BTC, BRK.B, KIMpL.")
@click.option("--name", required=True, help="Name for people.")
@click.option(
    "--category",
    required=True,
    type=click.Choice(list(Category), case_sensitive=False),
    help="What it is; with the ticker it names the asset. CURRENCY is official money, CRYPTO every coin.",
)
@click.option("--quote-currency", default="USD", show_default=True, help="What its prices are in by default.")
@click.option("--description", default="", help="Anything worth knowing.")
@json_option
@click.pass_context
def create_asset(
    ctx: click.Context,
    *,
    ticker: str,
    name: str,
    category: Category,
    quote_currency: str,
    description: str,
    as_json: bool,
) -> None:
    """Add an asset, active, and show it.

    Assets of Kraken files need none of this: they are created when their first file comes.

    \b
    Example:
      feefifod create-asset --ticker AAPL --name "Apple Inc." --category STOCK
      feefifod create-asset --ticker GLD --name "SPDR Gold Shares" --category COMMODITY --json
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.catalog import NewAsset  # noqa: PLC0415 - the same
    from feefifod.cli import asset_fields as fields  # noqa: PLC0415 - the same
    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same
    from feefifod.parse.tiers import tier_of  # noqa: PLC0415 - the same

    settings = read_settings(ctx)
    new = NewAsset(
        ticker=fields.check_ticker(ticker),
        name=fields.check_name(name),
        category=category,
        tier=tier_of(ticker, settings.tiers),
        quote_currency=fields.check_quote(quote_currency),
        description=fields.check_description(description),
    )
    asset = anyio.run(_create, settings, new)
    if as_json:
        print_json(fields.describe_asset(asset))
        return
    from feefifod.cli.tables import make_facts  # noqa: PLC0415 - JSON need not wait for rich

    print(f"Created {asset.category} asset {asset.ticker}:")
    make_console().print(
        make_facts((key.replace("_", " "), text) for key, text in fields.describe_asset(asset).items())
    )


async def _create(settings: Settings, new: NewAsset) -> Asset:
    from feefifod.cli.reach import open_assets  # noqa: PLC0415 - help must not wait for it

    async with open_assets(settings) as assets:
        return await assets.create(new)
