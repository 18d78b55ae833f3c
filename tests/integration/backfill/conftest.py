"""Backfills against fake APIs over real HTTP, a real QuestDB and a real PostgreSQL; only the waits are short."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from feefifod.backfill import Tools, open_backfill
from feefifod.catalog import AssetChange, Assets, NewAsset, open_database
from feefifod.config import FinnhubSettings, QuestDBSettings, SourceSettings
from feefifod.config.backfills import SourcesSettings
from feefifod.model import Asset, Category, Tier
from feefifod.schedule.sessions import list_sessions
from feefifod.servers import Endpoints
from feefifod.sink import QuestDBClient
from feefifod.sources.http import Patience
from tests.support.embedded import fresh_database, query, unique_name
from tests.support.fake_finnhub import FakeFinnhub
from tests.support.fake_massive import FakeMassive

NOW = datetime(2025, 3, 14, 15, 0, tzinfo=UTC)
"""A Friday; the Sunday before it, New York's clocks changed. The last finished session is Thursday, 13 March."""

LAST = date(2025, 3, 13)
API_PATIENCE = Patience(
    backoff_seconds=0.01, backoff_cap_seconds=0.02, timeout_seconds=5.0, window_seconds=1.0, throttled_seconds=60.0
)


@pytest.fixture
def table() -> str:
    return unique_name("prices")


@pytest.fixture
async def postgres_dsn(pair: Endpoints) -> AsyncIterator[str]:
    async with fresh_database(pair) as dsn:
        yield dsn


@pytest.fixture
async def massive() -> AsyncIterator[FakeMassive]:
    """A fake Massive; whatever a test does, no key may travel outside its header."""
    async with FakeMassive() as server:
        yield server
    assert server.leaks() == []


@pytest.fixture
async def finnhub() -> AsyncIterator[FakeFinnhub]:
    async with FakeFinnhub() as server:
        yield server
    assert server.leaks() == []


class Bench:
    """A pair, a table, a database and two fake APIs; opens as many sets of tools as there are processes to play."""

    def __init__(self, pair: Endpoints, table: str, dsn: str, massive: FakeMassive, finnhub: FakeFinnhub) -> None:
        self.pair = pair
        self.table = table
        self.dsn = dsn
        self.massive = massive
        self.finnhub = finnhub
        self.calls_per_minute = 60_000.0
        self.history_days = 730
        self.environ = {"MASSIVE_API_KEY": massive.key, "FINNHUB_API_KEY": finnhub.key}
        self.now = NOW

    @property
    def questdb(self) -> QuestDBSettings:
        return QuestDBSettings(url=self.pair.questdb_url, table=self.table)

    @property
    def sources(self) -> SourcesSettings:
        plan: dict[str, Any] = {"calls_per_minute": self.calls_per_minute, "history_days": self.history_days}
        return SourcesSettings(
            massive=SourceSettings(base_url=self.massive.url, **plan),
            finnhub=FinnhubSettings(base_url=f"{self.finnhub.url}/api/v1", **plan),
        )

    @asynccontextmanager
    async def open(self, **changes: Any) -> AsyncIterator[Tools]:
        async with AsyncExitStack() as stack:
            postgres = await stack.enter_async_context(open_database(self.dsn))
            tools = await stack.enter_async_context(
                open_backfill(
                    sources=self.sources,
                    questdb=self.questdb,
                    client=QuestDBClient(self.questdb, self.pair.questdb_url),
                    postgres=postgres,
                    environ=self.environ,
                    patience_seconds=20.0,
                    api_patience=API_PATIENCE,
                    now=lambda: self.now,
                )
            )
            yield replace(tools, **changes)

    def rows(self, columns: str = "asset_id, time, close", where: str = "true") -> list[list[Any]]:
        answer = query(
            self.pair.questdb_url, f'SELECT {columns} FROM "{self.table}" WHERE {where} ORDER BY asset_id, time'
        )
        rows: list[list[Any]] = answer["dataset"]
        return rows


@pytest.fixture
async def bench(
    pair: Endpoints, table: str, postgres_dsn: str, massive: FakeMassive, finnhub: FakeFinnhub
) -> AsyncIterator[Bench]:
    made = Bench(pair, table, postgres_dsn, massive, finnhub)
    yield made
    query(pair.questdb_url, f'DROP TABLE IF EXISTS "{table}"')


@pytest.fixture
async def tools(bench: Bench) -> AsyncIterator[Tools]:
    async with bench.open() as made:
        yield made


async def add_asset(
    tools: Tools, ticker: str, category: Category = Category.STOCK, *, quote: str = "USD", active: bool = True
) -> Asset:
    assets = Assets(tools.postgres)
    asset = await assets.create(NewAsset(ticker, ticker, category, Tier.TIER4, quote))
    if not active:
        asset = await assets.change(asset, AssetChange(active=False))
    return asset


def sessions(start: date, end: date = LAST, category: Category = Category.STOCK) -> tuple[date, ...]:
    return list_sessions(category, start, end)


def paths(fake: FakeMassive | FakeFinnhub) -> list[str]:
    return [call.path for call in fake.calls]
