"""Assets: what candles belong to."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feefifod.catalog.queries import load_queries
from feefifod.errors import BadInput, ConfigError, Refused
from feefifod.model import Asset, Category, Tier

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from feefifod.catalog.database import Database


@dataclass(frozen=True, slots=True)
class NewAsset:
    """What a new asset is made of."""

    ticker: str
    name: str
    category: Category
    tier: Tier
    quote_currency: str = "USD"
    description: str = ""


@dataclass(frozen=True, slots=True)
class AssetChange:
    """What to change of an asset; None leaves a field as it is."""

    name: str | None = None
    category: Category | None = None
    tier: Tier | None = None
    quote_currency: str | None = None
    active: bool | None = None


class Assets:
    """The table of assets."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("assets")

    async def ensure(self, wanted: Collection[tuple[str, Category, Tier]]) -> dict[tuple[str, Category], Asset]:
        """Create what is missing, active, with the ticker as its name; return all of them by natural key."""
        if not wanted:
            return {}
        tickers = [ticker for ticker, _, _ in wanted]
        categories = [str(category) for _, category, _ in wanted]
        await self._database.execute(
            self._sql["ensure_assets"], tickers, categories, [str(tier) for _, _, tier in wanted]
        )
        rows = await self._database.fetch(self._sql["find_assets"], tickers, categories)
        return {(asset.ticker, asset.category): asset for asset in map(_asset, rows)}

    async def create(self, new: NewAsset) -> Asset:
        """Create one asset.

        Raises:
            Refused: there is one with this ticker and category already.
        """
        rows = await self._database.fetch(
            self._sql["create_asset"],
            new.ticker,
            new.name,
            str(new.category),
            str(new.tier),
            new.quote_currency,
            new.description,
        )
        if not rows:
            raise Refused(
                f"there is a {new.category} asset {new.ticker} already",
                remedy=f"See it with: feefifod assets list --category {new.category}",
            )
        return _asset(rows[0])

    async def create_all(self, news: Sequence[tuple[int, NewAsset]]) -> list[Asset]:
        """Create many assets, all or nothing; each comes with the line it stands in.

        Raises:
            BadInput: one exists already; the line is named and nothing is created.
        """
        created = []
        async with self._database.transaction() as connection:
            for line, new in news:
                row = await connection.fetchrow(
                    self._sql["create_asset"],
                    new.ticker,
                    new.name,
                    str(new.category),
                    str(new.tier),
                    new.quote_currency,
                    new.description,
                )
                if row is None:
                    raise BadInput(
                        f"there is a {new.category} asset {new.ticker} already; nothing was imported",
                        where=f"line {line}",
                        remedy="Remove the line, or change the asset with: feefifod assets set",
                    )
                created.append(_asset(row))
        return created

    async def list(self, *, category: Category | None = None, active: bool | None = None) -> list[Asset]:
        """Return assets by category and ticker."""
        rows = await self._database.fetch(self._sql["list_assets"], category and str(category), active)
        return [_asset(row) for row in rows]

    async def find(self, ticker: str, category: Category | None = None) -> Asset:
        """Return the one asset of this ticker.

        Raises:
            Refused: there is none.
            ConfigError: there are several and no category was given.
        """
        rows = await self._database.fetch(self._sql["find_ticker"], ticker, category and str(category))
        if not rows:
            kind = f"{category} " if category else ""
            near = await self._find_near(ticker, category)
            raise Refused(
                f"there is no {kind}asset {ticker}",
                remedy=f"Did you mean {near}?"
                if near
                else f"Create it: feefifod create-asset --ticker {ticker} --name NAME"
                f" --category {category or 'STOCK|CRYPTO|COMMODITY|CURRENCY'}",
            )
        if len(rows) > 1:
            found = ", ".join(row["category"] for row in rows)
            raise ConfigError(f"{ticker} is several assets: {found}", remedy="Say which with --category")
        return _asset(rows[0])

    async def _find_near(self, ticker: str, category: Category | None) -> str:
        """Return the ticker of an asset that differs in case alone, or else by a slip; empty when there is none."""
        tickers = sorted({asset.ticker for asset in await self.list(category=category)})
        same = [name for name in tickers if name.casefold() == ticker.casefold()]
        return next(iter(same or difflib.get_close_matches(ticker.upper(), tickers, 1, cutoff=0.8)), "")

    async def change(self, asset: Asset, change: AssetChange) -> Asset:
        """Change an asset and return it.

        Raises:
            Refused: the new category has this ticker already.
        """
        rows = await self._database.fetch(
            self._sql["change_asset"],
            asset.id,
            change.name,
            change.category and str(change.category),
            change.tier and str(change.tier),
            change.quote_currency,
            change.active,
        )
        if not rows:
            category = change.category or asset.category
            raise Refused(
                f"there is a {category} asset {asset.ticker} already",
                remedy=f"See it with: feefifod assets list --category {category}; use that one, or change it first",
            )
        return _asset(rows[0])


def _asset(row: Any) -> Asset:
    return Asset(
        id=row["id"],
        ticker=row["ticker"],
        name=row["name"],
        category=Category(row["category"]),
        tier=Tier(row["tier"]),
        quote_currency=row["quote_currency"],
        description=row["description"],
        active=row["active"],
    )
