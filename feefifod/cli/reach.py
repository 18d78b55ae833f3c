"""The servers that commands speak to: found where they run, and started only by commands that cannot do without."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import click

from feefifod.catalog import Assets, open_database
from feefifod.cli.options import load_settings, start_logging
from feefifod.config import pick_database
from feefifod.errors import Refused
from feefifod.log import register_secret, set_level
from feefifod.servers import find_embedded_questdb, find_start, look, read_daemon, use_servers
from feefifod.servers.postgres import PostgreSQL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from feefifod.config import QuestDBSettings, Settings
    from feefifod.servers import Servers
    from feefifod.sink import QuestDBClient

EMBEDDED: Final = "embedded"
_SILENT_SECONDS: Final = 1.0


def read_settings(ctx: click.Context) -> Settings:
    """Read the configuration for a command whose answer is what people wait for: it logs warnings only."""
    loaded = load_settings(ctx)
    start_logging(loaded)
    if loaded.settings.log.level == "info":
        set_level("warning")
    return loaded.settings


def find_questdb(settings: Settings, database: str = "questdb") -> QuestDBSettings | None:
    """Tell where QuestDB is and what lets us in; None when it is embedded and does not run.

    Raises:
        Refused: the state folder is closed to us.
    """
    questdb = pick_database(settings, database)
    return questdb if questdb.url != EMBEDDED else find_embedded_questdb(questdb, settings.paths.state)


def find_postgres(settings: Settings) -> str | None:
    """Return the DSN of PostgreSQL, password included; None when it is embedded and does not run.

    Raises:
        Refused: the state folder is closed to us.
    """
    dsn = settings.postgres.url.get_secret_value()
    if dsn == EMBEDDED:
        if look(settings.paths.state).postgres is None:
            return None
        server = PostgreSQL(settings.paths.state.resolve())
        record = server.running()
        if record is None:
            return None
        dsn = server.dsn(record.ports)
    register_secret(dsn)
    return dsn


@asynccontextmanager
async def _start(settings: Settings, **wanted: bool) -> AsyncIterator[Servers]:
    """Use the embedded servers; who waits for them hears why."""
    async with AsyncExitStack() as stack:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_tell_start, settings.paths.state)
                starting = use_servers(settings.embedded, settings.paths.state, **wanted)
                servers = await stack.enter_async_context(starting)
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        yield servers


async def _tell_start(state: Path) -> None:
    await anyio.sleep(_SILENT_SECONDS)
    start = find_start(state)
    # The few seconds of one's own ordinary start need no word.
    if start is not None and (start.pid != os.getpid() or start.first):
        click.echo(f"feefifod: the embedded servers are {start}", err=True)


def explain_missing_table(error: Refused, settings: Settings) -> Refused:
    """Say of a table that does not exist who makes it; other errors stay what they are."""
    table = pick_database(settings).table
    if "table does not exist" not in error.why or table.lower() not in error.why.lower():
        return error
    daemon = read_daemon(settings.paths.state)
    if daemon is None:
        remedy = "The first ingest makes it: feefifod run, or feefifod run-once; or: feefifod setup-questdb-schema"
        return Refused(f"there is no table {table} yet", where=error.where, remedy=remedy)
    since = daemon.since.isoformat(sep=" ", timespec="seconds")
    return Refused(
        f"there is no table {table} yet: the daemon (pid {daemon.pid}, since {since}) is starting, and makes it",
        where=error.where,
        remedy="Try again in a moment; feefifod status says how far it is",
    )


@asynccontextmanager
async def open_questdb(settings: Settings, database: str = "questdb") -> AsyncIterator[QuestDBClient]:
    """Lend a client of QuestDB; the embedded one is started when it does not run, without PostgreSQL.

    Raises:
        ConfigError, Refused, Unavailable: as `use_servers`.
    """
    from feefifod.sink import QuestDBClient  # noqa: PLC0415 - commands on assets need not wait for pyarrow

    questdb = pick_database(settings, database)
    if questdb.url != EMBEDDED:
        yield QuestDBClient(questdb, questdb.url)
        return
    async with _start(settings, postgres=False) as servers:
        questdb = servers.endpoints.admit(questdb)
        yield QuestDBClient(questdb, questdb.url)


@asynccontextmanager
async def open_assets(settings: Settings) -> AsyncIterator[Assets]:
    """Lend the table of assets; the embedded PostgreSQL is started when it does not run, without QuestDB.

    Raises:
        ConfigError, Refused, Unavailable: as `use_servers` and `open_database`.
    """
    dsn = settings.postgres.url.get_secret_value()
    if dsn != EMBEDDED:
        async with open_database(dsn) as database:
            yield Assets(database)
        return
    async with _start(settings, questdb=False) as servers:
        register_secret(servers.endpoints.postgres_dsn)
        async with open_database(servers.endpoints.postgres_dsn) as database:
            yield Assets(database)
