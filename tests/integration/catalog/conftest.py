from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from feefifod.catalog import Database, Ledger, open_database
from feefifod.servers import Endpoints
from tests.support.embedded import fresh_database, run_pair


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    with run_pair(tmp_path_factory.mktemp("pair")) as endpoints:
        yield endpoints


@pytest.fixture
async def database(pair: Endpoints) -> AsyncIterator[Database]:
    async with fresh_database(pair) as dsn, open_database(dsn) as database:
        yield database


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def other(database: Database) -> Ledger:
    """The ledger as another process on another machine sees it: nothing is known of whether that one lives."""
    ledger = Ledger(database)
    ledger.owner = "elsewhere/1/1/00000000"
    return ledger
