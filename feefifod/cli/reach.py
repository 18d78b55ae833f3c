"""The servers that commands speak to: found where they run, and started only by commands that cannot do without."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from feefifod.catalog import Assets, open_database
from feefifod.cli.options import load_settings, start_logging
from feefifod.config import pick_database
from feefifod.log import register_secret, set_level
from feefifod.servers import find_embedded_questdb, look, use_servers
from feefifod.servers.postgres import PostgreSQL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import click

    from feefifod.config import QuestDBSettings, Settings
    from feefifod.sink import QuestDBClient

EMBEDDED: Final = "embedded"


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
    async with use_servers(settings.embedded, settings.paths.state, postgres=False) as servers:
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
    async with use_servers(settings.embedded, settings.paths.state, questdb=False) as servers:
        register_secret(servers.endpoints.postgres_dsn)
        async with open_database(servers.endpoints.postgres_dsn) as database:
            yield Assets(database)
