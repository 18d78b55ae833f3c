"""A process that calls an API at the shared pace: DSN, address, key, spacing, number of calls."""

from __future__ import annotations

import sys
from datetime import date

import anyio
from pydantic import SecretStr

from feefifod.catalog import SharedPacer, open_database
from feefifod.model import Category
from feefifod.sources.massive import Massive
from feefifod.sources.symbols import name_for_massive


async def main(dsn: str, url: str, key: str, spacing: str, calls: str) -> None:
    async with (
        open_database(dsn) as database,
        Massive(url, SecretStr(key), SharedPacer(database, "massive", float(spacing))) as massive,
    ):
        for _ in range(int(calls)):
            await massive.read_grouped(date(2025, 3, 13), [name_for_massive("AAPL", Category.STOCK, "USD")])


anyio.run(main, *sys.argv[1:])
