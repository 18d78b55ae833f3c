"""One pool of connections to PostgreSQL, and the errors of asyncpg turned into ours."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from feefifod.catalog.address import read_address
from feefifod.catalog.failures import AWAY, explain
from feefifod.catalog.queries import load_migrations
from feefifod.catalog.user import choose_user
from feefifod.config.environment import withhold_postgres_variables
from feefifod.errors import FeefifodError, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

_COMMAND_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 10.0
_OLDEST_VERSION: Final = 150_000
_MIGRATION_LOCK: Final = 4_102_317_001


class OtherSchema(Refused):
    """The tables are not those of this version."""


class NotSetUp(OtherSchema):
    """Feefifod's tables are not there yet."""


class Database:
    """The pool. Every method raises `Unavailable` when PostgreSQL is away, `Refused` when it says no.

    A pooler such as PgBouncer may stand between, and give every transaction another session of the server. So each
    statement is in a transaction, and nothing is kept in a session: no named statement, setting, lock or listener.
    """

    def __init__(self, pool: asyncpg.Pool, where: str = "PostgreSQL", *, look_only: bool = False) -> None:
        self._pool = pool
        self._where = where
        self._look_only = look_only

    async def fetch(self, sql: str, *values: object) -> Sequence[Any]:
        """Return the rows of one statement."""
        async with self.transaction() as connection:
            rows: Sequence[Any] = await connection.fetch(sql, *values)
            return rows

    async def fetch_value(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row, or None."""
        async with self.transaction() as connection:
            return await connection.fetchval(sql, *values)

    async def execute(self, sql: str, *values: object) -> int:
        """Run one statement and return how many rows it touched."""
        async with self.transaction() as connection:
            tag: str = await connection.execute(sql, *values)
        return count_touched(tag)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection with a transaction open."""
        try:
            async with (
                self._pool.acquire(timeout=_CONNECT_SECONDS) as connection,
                connection.transaction(readonly=self._look_only),
            ):
                yield connection
        except FeefifodError:
            raise
        except (*AWAY, asyncpg.PostgresError) as error:
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                # After a failover the old primary stays reachable but read-only: never talk to it again.
                await self._pool.expire_connections()
            raise explain(error, self._where) from None


def count_touched(tag: str) -> int:
    """Read the number of rows out of a command tag such as `UPDATE 3`."""
    last = tag.rsplit(" ", 1)[-1]
    return int(last) if last.isdigit() else 0


@asynccontextmanager
async def open_database(dsn: str) -> AsyncIterator[Database]:
    """Connect, bring the schema up to date, and lend the pool.

    Raises:
        Unavailable: nobody answers at `dsn`.
        Refused: wrong user, password or database, no right to create tables, or a newer schema than ours.
    """
    async with connect_database(dsn) as database:
        await migrate(database)
        yield database


@asynccontextmanager
async def look_at_database(dsn: str, *, look_only: bool = True) -> AsyncIterator[Database]:
    """Connect to what is set up, without making or changing a table; a server that is a read-only copy will do.

    Args:
        look_only: the server refuses every change.

    Raises:
        Unavailable: nobody answers at `dsn`.
        Refused: wrong user, password or database.
        OtherSchema: the schema is missing, older or newer than ours.
    """
    async with connect_database(dsn, look_only=look_only) as database:
        await check_schema(database)
        yield database


@asynccontextmanager
async def connect_database(dsn: str, *, look_only: bool = False) -> AsyncIterator[Database]:
    """Connect and lend the pool, whatever the schema is; with `look_only` the server refuses every change.

    Raises:
        Unavailable: nobody answers at `dsn`.
        Refused: wrong user, password or database.
        ConfigError: the URL is none, or asks for what cannot be done.
    """
    withhold_postgres_variables()
    # Each statement says in our words that the server is away; the pool's own word for it is a traceback.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    address = read_address(dsn)
    try:
        pool = await asyncpg.create_pool(
            address.dsn,
            user=choose_user(address.dsn),
            ssl=address.tls,
            min_size=1,
            max_size=6,
            timeout=address.connect_seconds or _CONNECT_SECONDS,
            command_timeout=_COMMAND_SECONDS,
            max_inactive_connection_lifetime=60.0,
            # To ask a server whether it takes changes needs a statement outside of a transaction. Where there is one
            # server only, the first change tells.
            target_session_attrs="read-write" if address.several and not look_only else "any",
            server_settings={"application_name": "feefifod", **address.settings},
            statement_cache_size=0,
            reset=_leave_as_it_is,
        )
    except (*AWAY, asyncpg.PostgresError, ValueError) as error:
        raise explain(error, address.shown) from None
    try:
        yield Database(pool, address.shown, look_only=look_only)
    finally:
        await _close(pool)


async def _leave_as_it_is(_: object) -> None:
    """Reset nothing: a session holds nothing of ours, and with a pooler it may be another one by now."""


async def _close(pool: asyncpg.Pool) -> None:
    try:
        await asyncio.wait_for(pool.close(), 5.0)
    except (TimeoutError, *AWAY):
        pool.terminate()


async def migrate(database: Database) -> None:
    """Apply the migrations that this database has not seen; safe beside other processes that do the same."""
    async with database.transaction() as connection:
        if int(await connection.fetchval("SHOW server_version_num")) < _OLDEST_VERSION:
            version = await connection.fetchval("SHOW server_version")
            raise Refused(
                f"it is version {version}", where="PostgreSQL", remedy="feefifod needs PostgreSQL 15 or newer"
            )
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS feefifod_migration"
            " (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row["number"] for row in await connection.fetch("SELECT number FROM feefifod_migration")}
        _refuse_newer(done)
        for number, statements in load_migrations():
            if number not in done:
                await connection.execute(statements)
                await connection.execute("INSERT INTO feefifod_migration (number) VALUES ($1)", number)


async def check_schema(database: Database) -> None:
    """Make sure that the tables are those of this version.

    Raises:
        OtherSchema: they are missing, older or newer.
    """
    if not await database.fetch_value("SELECT to_regclass('feefifod_migration') IS NOT NULL"):
        raise NotSetUp(
            "it is not set up yet: feefifod's tables are not there",
            where="PostgreSQL",
            remedy="The first command that ingests makes them: feefifod run, or feefifod run-once",
        )
    done = {row["number"] for row in await database.fetch("SELECT number FROM feefifod_migration")}
    _refuse_newer(done)
    if {number for number, _ in load_migrations()} - done:
        raise OtherSchema(
            "the tables there are those of an older feefifod",
            where="PostgreSQL",
            remedy="The next command that ingests brings them up to date: restart the daemon, or feefifod run-once",
        )


def _refuse_newer(done: Collection[int]) -> None:
    if set(done) - {number for number, _ in load_migrations()}:
        raise OtherSchema(
            "the tables there are those of a newer feefifod",
            where="PostgreSQL",
            remedy="Upgrade this one; an older program does not understand what the newer one has recorded",
        )
