"""`feefifod assets`: list, change and import assets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from feefifod.cli.console import make_console, print_json
from feefifod.cli.options import json_option
from feefifod.errors import BadInput, ConfigError
from feefifod.model import Category, Tier
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feefifod.catalog import AssetChange
    from feefifod.cli.asset_file import NumberedAsset, NumberedError
    from feefifod.config import Settings
    from feefifod.model import Asset

_CATEGORY = click.Choice(list(Category), case_sensitive=False)
_ACTIVE = click.Choice(["yes", "no"], case_sensitive=False)


@click.group()
def assets() -> None:
    """List, change and import assets.

    \b
    Example:
      feefifod assets list --category STOCK
      feefifod assets set GLD --active no
      feefifod assets import portfolio.csv
    """


@assets.command("list")
@click.option("--category", type=_CATEGORY, help="Only assets of this category.")
@click.option("--active", type=_ACTIVE, help="Only active, or only inactive ones.")
@json_option
@click.pass_context
def list_(ctx: click.Context, category: Category | None, active: str | None, as_json: bool) -> None:
    """List assets by category and ticker.

    \b
    Example:
      feefifod assets list
      feefifod assets list --category CRYPTO --active yes --json
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.asset_fields import describe_asset  # noqa: PLC0415 - the same
    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same

    found = anyio.run(_list, read_settings(ctx), category, _read_active(active))
    if as_json:
        print_json([describe_asset(asset) for asset in found])
    elif found:
        _show(found)
    elif category or active:
        print("There is no such asset.")
    else:
        print("There are no assets yet: ingesting files makes some, 'feefifod create-asset' makes one.")


@assets.command("set")
@click.argument("ticker")
@click.option("--active", type=_ACTIVE, help="Whether --all takes it.")
@click.option("--category", type=_CATEGORY, help="Its new category.")
@click.option("--quote-currency", help="What its prices are in by default.")
@click.option(
    "--tier",
    type=click.Choice(list(Tier), case_sensitive=False),
    help="Its importance, as lists show it; files are filtered by the lists in [tiers].",
)
@click.option("--name", help="Name for people.")
@click.option("--of", type=_CATEGORY, help="Which asset is meant, where several have this ticker.")
@click.pass_context
def set_(
    ctx: click.Context,
    *,
    ticker: str,
    active: str | None,
    category: Category | None,
    quote_currency: str | None,
    tier: Tier | None,
    name: str | None,
    of: Category | None,
) -> None:
    """Change the asset TICKER, and show it.

    \b
    Example:
      feefifod assets set DOGE --active no
      feefifod assets set T --of CRYPTO --tier TIER2 --name "Threshold"
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.catalog import AssetChange  # noqa: PLC0415 - the same
    from feefifod.cli.asset_fields import check_name, check_quote  # noqa: PLC0415 - the same
    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same

    change = AssetChange(
        name=None if name is None else check_name(name),
        category=category,
        tier=tier,
        quote_currency=None if quote_currency is None else check_quote(quote_currency),
        active=_read_active(active),
    )
    if change == AssetChange():
        raise click.UsageError("Nothing to change: give --active, --category, --quote-currency, --tier or --name.")
    _show([anyio.run(_change, read_settings(ctx), ticker, of, change)])


@assets.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_context
def import_(ctx: click.Context, file: Path) -> None:
    """Create the assets of FILE, all or none of them.

    FILE is CSV in UTF-8. Its first line names the columns, in any order: ticker, name and category, and if you like
    quote_currency (else USD) and description. An asset that exists is an error; each error is shown with its line.

    \b
    Example:
      feefifod assets import portfolio.csv
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli import asset_file  # noqa: PLC0415 - the same
    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same

    settings = read_settings(ctx)
    news, errors = asset_file.read_assets(file, settings.tiers)
    imported = anyio.run(_import, settings, file, news, errors)
    _show(imported)
    print(f"Imported {count_of(len(imported), 'asset')}.")


async def _list(settings: Settings, category: Category | None, active: bool | None) -> list[Asset]:
    from feefifod.cli.reach import open_assets  # noqa: PLC0415 - help must not wait for it

    async with open_assets(settings) as table:
        return await table.list(category=category, active=active)


async def _change(settings: Settings, ticker: str, of: Category | None, change: AssetChange) -> Asset:
    from feefifod.cli.reach import open_assets  # noqa: PLC0415 - help must not wait for it

    async with open_assets(settings) as table:
        try:
            asset = await table.find(ticker, of)
        except ConfigError as error:
            # Here --category says what the asset is to become.
            raise ConfigError(error.why, remedy="Say which with --of") from None
        return await table.change(asset, change)


async def _import(
    settings: Settings, file: Path, news: Sequence[NumberedAsset], errors: Sequence[NumberedError]
) -> list[Asset]:
    from feefifod.cli.asset_file import refuse_all  # noqa: PLC0415 - help must not wait for it
    from feefifod.cli.reach import open_assets  # noqa: PLC0415 - the same

    async with open_assets(settings) as table:
        existing = {(asset.ticker, asset.category) for asset in await table.list()}
        taken = [
            (line, BadInput(f"there is a {new.category} asset {new.ticker} already", where=f"{file}:{line}"))
            for line, new in news
            if (new.ticker, new.category) in existing
        ]
        if errors or taken:
            raise refuse_all(file, [*errors, *taken])
        return await table.create_all(news)


def _read_active(text: str | None) -> bool | None:
    return None if text is None else text == "yes"


def _show(found: Sequence[Asset]) -> None:
    from feefifod.cli.tables import make_table  # noqa: PLC0415 - JSON need not wait for rich

    columns = ("ticker", "category", "tier", "quote", "active", "id", "name")
    rows = [(a.ticker, a.category, a.tier, a.quote_currency, "yes" if a.active else "no", a.id, a.name) for a in found]
    make_console().print(make_table(columns, rows, right={"id"}))
