"""A ledger of before membership was a column of its own: what it says of members in flight and done goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from feefifod.catalog import BadName, Database, Drop, Ledger, open_database
from feefifod.catalog.database import connect_database
from feefifod.catalog.queries import load_migrations
from feefifod.model import Category, FileStamp, FileState, Membership, Series
from feefifod.servers import Endpoints
from tests.support.embedded import fresh_database

ZIP = bytes(range(32))
SHELF = f"/state/scratch/zips/{ZIP.hex()}/0badb007-1"
STAMP = FileStamp(1, 2, 3, 4, 5)
SERIES = Series("BTC", Category.CRYPTO, "USD", 60)


@pytest.fixture
async def old(pair: Endpoints) -> AsyncIterator[str]:
    """A database with the tables of migration 5, a zip in it, and members that wait, are loaded, moved and done."""
    async with fresh_database(pair) as dsn:
        async with connect_database(dsn) as database:
            await database.execute(
                "CREATE TABLE feefifod_migration"
                " (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            for number, statements in load_migrations():
                if number < 6:
                    async with database.transaction() as connection:
                        await connection.execute(statements)
                    await database.execute("INSERT INTO feefifod_migration (number) VALUES ($1)", number)
            insert = (
                "INSERT INTO file (path, name, device, inode, size, mtime_ns, ctime_ns, ticker, category, quote,"
                " interval_minutes, state, is_zip, sha256)"
                " VALUES ($1, $2, 1, 2, 3, 4, 5, 'BTC', 'CRYPTO', 'USD', 60, $3, $4, $5)"
            )
            await database.execute(insert, b"/data/Q.zip", "Q.zip", "waiting", True, ZIP)
            for state in ("waiting", "loading", "moving", "done"):
                await database.execute(insert, f"{SHELF}/{state}.csv".encode(), f"{state}.csv", state, False, b"x")
            await database.execute(insert, b"/data/XBTUSD_60.csv", "XBTUSD_60.csv", "done", False, b"x")
        yield dsn


async def test_members_keep_their_zip(old: str) -> None:
    async with open_database(old) as database:
        rows = await database.fetch("SELECT name, zip_sha256, member, wrapping FROM file WHERE NOT is_zip ORDER BY id")
        assert [tuple(row) for row in rows] == [
            *((f"{state}.csv", ZIP, f"{state}.csv", "") for state in ("waiting", "loading", "moving", "done")),
            ("XBTUSD_60.csv", None, None, ""),
        ]
        members = await Ledger(database).zips.members(ZIP, None)
        assert {place: record.state for place, record in members.items()} == {
            f"{state}.csv": FileState(state) for state in ("waiting", "loading", "moving", "done")
        }


async def test_waiting_member_is_found_again_as_it_was(old: str) -> None:
    async with open_database(old) as database:
        ledger = Ledger(database)
        path = f"{SHELF}/waiting.csv".encode()
        before = await database.fetch("SELECT id, seen_at FROM file WHERE path = $1", path)
        await ledger.register([Drop(path, "waiting.csv", STAMP, SERIES, Membership(ZIP, "waiting.csv"))])
        assert await database.fetch("SELECT id, seen_at FROM file WHERE path = $1", path) == before


async def test_what_a_path_looks_like_makes_no_member(database: Database) -> None:
    ledger = Ledger(database)
    path, other = f"{SHELF}/XBTUSD_60.csv".encode(), f"{SHELF}/XBTUSD_7.csv".encode()
    await ledger.register([Drop(path, "XBTUSD_60.csv", STAMP, SERIES)])
    await ledger.refuse([BadName(other, "XBTUSD_7.csv", STAMP, "no such interval")])
    assert await ledger.zips.members(ZIP, None) == {}
    # The process that unpacked it says so.
    await ledger.register([Drop(path, "XBTUSD_60.csv", STAMP, SERIES, Membership(ZIP, "XBTUSD_60.csv"))])
    assert set(await ledger.zips.members(ZIP, None)) == {"XBTUSD_60.csv"}
