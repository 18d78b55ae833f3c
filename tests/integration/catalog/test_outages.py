"""PostgreSQL goes away and comes back: the pool says so in our words, and heals by itself."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from feefifod.catalog import Database, open_database
from feefifod.errors import Refused, Unavailable
from feefifod.servers import Endpoints
from tests.support.embedded import fresh_database
from tests.support.fault_proxy import FaultProxy, run_proxy


@pytest.fixture
def proxy(pair: Endpoints) -> Iterator[FaultProxy]:
    parts = urlsplit(pair.postgres_dsn)
    with run_proxy(parts.hostname or "", parts.port or 0) as proxy:
        yield proxy


@pytest.fixture
async def dsn(pair: Endpoints, proxy: FaultProxy) -> AsyncIterator[str]:
    async with fresh_database(pair) as dsn:
        yield dsn.replace(urlsplit(dsn).netloc.partition("@")[2], proxy.address)


@pytest.mark.parametrize("mode", ["cut", "swallow", "truncate"])
async def test_dead_line_is_unavailable_and_heals(dsn: str, proxy: FaultProxy, mode: str) -> None:
    async with open_database(dsn) as database:
        assert await database.fetch_value("SELECT 1") == 1
        proxy.mode = mode  # type: ignore[assignment]  # One of its modes.
        with pytest.raises(Unavailable) as caught:
            await database.fetch_value("SELECT 1")
        assert caught.value.remedy
        proxy.mode = "pass"
        assert await database.fetch_value("SELECT 1") == 1


async def test_nobody_there_is_unavailable_and_keeps_the_password(dsn: str, proxy: FaultProxy) -> None:
    proxy.mode = "cut"
    with pytest.raises(Unavailable) as caught:
        async with open_database(dsn):
            pass
    password = urlsplit(dsn).password
    assert password
    assert password not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__!r}"


async def test_wrong_password_is_refused(dsn: str) -> None:
    with pytest.raises(Refused) as caught:
        async with open_database(dsn.replace(urlsplit(dsn).password or "", "wrong")):
            pass
    assert caught.value.remedy


async def test_killed_connections_are_replaced(pair: Endpoints, database: Database) -> None:
    pid = await database.fetch_value("SELECT pg_backend_pid()")
    admin = await asyncpg.connect(pair.postgres_dsn)
    await admin.execute("SELECT pg_terminate_backend($1)", pid)
    await admin.close()
    for _ in range(3):
        try:
            assert await database.fetch_value("SELECT 1") == 1
            break
        except Unavailable:
            continue
    else:
        pytest.fail("the pool does not heal")


async def test_server_that_became_read_only_is_left(pair: Endpoints, database: Database) -> None:
    """A failover leaves the old primary reachable, and read-only."""
    name = await database.fetch_value("SELECT current_database()")
    admin = await asyncpg.connect(pair.postgres_dsn)
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await database.execute("DELETE FROM file")
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    await admin.close()
    for _ in range(3):
        try:
            await database.execute("DELETE FROM file")
            break
        except Unavailable:
            continue
    else:
        pytest.fail("the pool holds on to the old server")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_home_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `runuser -u feefifod`, which leaves HOME as it was: TLS keys are looked for there."""
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(closed))
    os.seteuid(65534)
    try:
        with pytest.raises(Refused, match=r"let us look at .*home.*HOME"):
            async with open_database("postgresql://a:b@127.0.0.1:1/x"):
                pass
    finally:
        os.seteuid(0)
