"""One pool of connections to PostgreSQL, and the errors of asyncpg turned into ours."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from feefifod.catalog.queries import load_migrations
from feefifod.catalog.user import choose_user
from feefifod.config.environment import withhold_postgres_variables
from feefifod.errors import FeefifodError, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

_COMMAND_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 10.0
_MIGRATION_LOCK: Final = 4_102_317_001

# A server that restarts, fails over or became read-only says so with these: the connection is dead, the work is not.
_AWAY: Final = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)


class OtherSchema(Refused):
    """The tables are not those of this version."""


class NotSetUp(OtherSchema):
    """Feefifod's tables are not there yet."""


class Database:
    """The pool. Every method raises `Unavailable` when PostgreSQL is away, `Refused` when it says no."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def fetch(self, sql: str, *values: object) -> Sequence[Any]:
        """Return the rows of one statement."""
        async with self.transaction(single=True) as connection:
            rows: Sequence[Any] = await connection.fetch(sql, *values)
            return rows

    async def fetch_value(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row, or None."""
        async with self.transaction(single=True) as connection:
            return await connection.fetchval(sql, *values)

    async def execute(self, sql: str, *values: object) -> int:
        """Run one statement and return how many rows it touched."""
        async with self.transaction(single=True) as connection:
            tag: str = await connection.execute(sql, *values)
        return count_touched(tag)

    @asynccontextmanager
    async def transaction(self, *, single: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection with a transaction open (with `single`, each statement is its own)."""
        try:
            async with self._pool.acquire(timeout=_CONNECT_SECONDS) as connection:
                if single:
                    yield connection
                else:
                    async with connection.transaction():
                        yield connection
        except FeefifodError:
            raise
        except asyncpg.ReadOnlySQLTransactionError as error:
            # After a failover the old primary stays reachable but read-only: never talk to it again.
            await self._pool.expire_connections()
            raise _unavailable(error) from None
        except _AWAY as error:
            raise _unavailable(error) from None
        except asyncpg.PostgresError as error:
            raise Refused(f"PostgreSQL refused a statement: {error}", where="PostgreSQL") from error


def count_touched(tag: str) -> int:
    """Read the number of rows out of a command tag such as `UPDATE 3`."""
    last = tag.rsplit(" ", 1)[-1]
    return int(last) if last.isdigit() else 0


def _unavailable(error: BaseException) -> Unavailable:
    if isinstance(error, PermissionError) and error.filename:
        return Unavailable(
            f"the system does not let us look at {error.filename}, where TLS keys may be",
            where="PostgreSQL",
            remedy="Set HOME to the home folder of the user that runs this",
        )
    # The text of a connection error may hold the DSN with its password; the class and SQLSTATE say enough.
    state = getattr(error, "sqlstate", None)
    detail = f" ({state})" if state else ""
    return Unavailable(
        f"PostgreSQL is not reachable: {type(error).__name__}{detail}",
        where="PostgreSQL",
        remedy="Check that it runs and that [postgres] url is right",
    )


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
    """
    withhold_postgres_variables()
    settings = {"application_name": "feefifod"} | ({"default_transaction_read_only": "on"} if look_only else {})
    try:
        pool = await asyncpg.create_pool(
            dsn,
            user=choose_user(dsn),
            min_size=1,
            max_size=6,
            timeout=_CONNECT_SECONDS,
            command_timeout=_COMMAND_SECONDS,
            max_inactive_connection_lifetime=60.0,
            target_session_attrs="any" if look_only else "read-write",
            server_settings=settings,
        )
    except _AWAY as error:
        raise _unavailable(error) from None
    except (asyncpg.PostgresError, ValueError) as error:
        raise Refused(
            f"PostgreSQL does not let us in: {type(error).__name__}",
            where="[postgres] url",
            remedy="Check user, password and database of the URL",
        ) from None
    try:
        yield Database(pool)
    finally:
        await _close(pool)


async def _close(pool: asyncpg.Pool) -> None:
    try:
        await asyncio.wait_for(pool.close(), 5.0)
    except (TimeoutError, *_AWAY):
        pool.terminate()


async def migrate(database: Database) -> None:
    """Apply the migrations that this database has not seen; safe beside other processes that do the same."""
    async with database.transaction() as connection:
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
