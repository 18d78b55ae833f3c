"""One pool of connections to PostgreSQL, and the errors of asyncpg turned into ours."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from feefifod.catalog.queries import load_migrations
from feefifod.errors import FeefifodError, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

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
        Refused: wrong user, password or database, or no right to create tables.
    """
    try:
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=6,
            timeout=_CONNECT_SECONDS,
            command_timeout=_COMMAND_SECONDS,
            max_inactive_connection_lifetime=60.0,
            target_session_attrs="read-write",
            server_settings={"application_name": "feefifod"},
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
        database = Database(pool)
        await migrate(database)
        yield database
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
        for number, statements in load_migrations():
            if number not in done:
                await connection.execute(statements)
                await connection.execute("INSERT INTO feefifod_migration (number) VALUES ($1)", number)
