"""`feefifod --version`: ours, and those of the servers that answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from feefifod import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feefifod.config import Settings

_LOOK_SECONDS: Final = 2.0


def show_versions(context: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the versions and end; starts no server, and needs no valid configuration."""
    if not value or context.resilient_parsing:
        return
    from feefifod.cli.options import load_settings, start_logging  # noqa: PLC0415 - help must not wait for it
    from feefifod.errors import FeefifodError  # noqa: PLC0415 - the same

    click.echo(f"feefifod {__version__}")
    try:
        loaded = load_settings(context)
        start_logging(loaded)
        for line in _list_servers(loaded.settings):
            click.echo(line)
    except FeefifodError:
        pass  # Whoever asks for a version may have come to find out what is wrong.
    context.exit()


def _list_servers(settings: Settings) -> Iterator[str]:
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.servers import look  # noqa: PLC0415 - the same

    embedded = look(settings.paths.state)
    if settings.databases["questdb"].url != "embedded":
        if version := anyio.run(_ask_questdb, settings):
            yield f"QuestDB {version}"
    elif embedded.questdb is not None:
        yield f"QuestDB {embedded.questdb.version}"
    if settings.postgres.url.get_secret_value() != "embedded":
        if version := anyio.run(_ask_postgres, settings):
            yield f"PostgreSQL {version}"
    elif embedded.postgres is not None:
        yield f"PostgreSQL {embedded.postgres.version}"


async def _ask_questdb(settings: Settings) -> str | None:
    from feefifod.doctor.questdb import read_version  # noqa: PLC0415 - only external servers are asked
    from feefifod.errors import FeefifodError  # noqa: PLC0415 - the same
    from feefifod.sink import QuestDBClient  # noqa: PLC0415 - the same

    questdb = settings.databases["questdb"]
    try:
        return await read_version(QuestDBClient(questdb, questdb.url), timeout_seconds=_LOOK_SECONDS)
    except FeefifodError:
        return None


async def _ask_postgres(settings: Settings) -> str | None:
    import anyio  # noqa: PLC0415 - only external servers are asked

    from feefifod.catalog import connect_database  # noqa: PLC0415 - the same
    from feefifod.errors import FeefifodError  # noqa: PLC0415 - the same

    try:
        with anyio.move_on_after(_LOOK_SECONDS):
            async with connect_database(settings.postgres.url.get_secret_value(), look_only=True) as database:
                return str(await database.fetch_value("SHOW server_version"))
    except FeefifodError:
        pass
    return None
