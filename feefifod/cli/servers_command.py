"""`feefifod servers`: the embedded pair, kept up without the daemon."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from feefifod.cli.console import make_console, print_json
from feefifod.cli.options import json_option

if TYPE_CHECKING:
    from feefifod.config import Settings
    from feefifod.servers import PairStatus, ServerStatus


@click.group()
def servers() -> None:
    """Keep the embedded servers up without the daemon, or take them down.

    Commands start them when they need them and stop them afterwards; servers that are kept up stay until 'down'.

    \b
    Example:
      feefifod servers up
      feefifod query "SELECT count() FROM assetprice"
      feefifod servers down
    """


@servers.command()
@json_option
@click.pass_context
def up(ctx: click.Context, as_json: bool) -> None:
    """Start the servers, and keep them up until 'down'.

    \b
    Example:
      feefifod servers up
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same
    from feefifod.servers import keep_up, look  # noqa: PLC0415 - the same

    settings = read_settings(ctx)
    if len(_external(settings)) < 2:
        status = anyio.run(keep_up, settings.embedded, settings.paths.state)
    else:
        status = look(settings.paths.state)
    _show(settings, status, as_json)


@servers.command()
@json_option
@click.pass_context
def down(ctx: click.Context, as_json: bool) -> None:
    """Stop the servers; while others use them, they stop with the last of these.

    \b
    Example:
      feefifod servers down
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same
    from feefifod.servers import take_down  # noqa: PLC0415 - the same

    settings = read_settings(ctx)
    _show(settings, anyio.run(take_down, settings.paths.state), as_json)


@servers.command()
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show what runs, where, and who uses it; starts nothing.

    \b
    Example:
      feefifod servers status
      feefifod servers status --json
    """
    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - help must not wait for it
    from feefifod.servers import look  # noqa: PLC0415 - the same

    settings = read_settings(ctx)
    _show(settings, look(settings.paths.state), as_json)


@servers.command()
@click.pass_context
def env(ctx: click.Context) -> None:
    """Print lines for a shell, after which psql and pg_dump speak to the embedded PostgreSQL.

    The programs that come with it are put first in PATH, the password stays in its file; other variables of PostgreSQL
    are unset. QUESTDB_URL and QUESTDB_ROOT say where the embedded QuestDB answers and where its data is, QUESTDB_USER
    and QUESTDB_PASSWORD_FILE how to sign in. Only servers that run are told.

    \b
    Example:
      eval "$(feefifod servers env)"
      psql -c "SELECT state, count(*) FROM file GROUP BY state"
    """
    import shlex  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same
    from feefifod.errors import Refused  # noqa: PLC0415 - the same
    from feefifod.servers import describe_access  # noqa: PLC0415 - the same

    variables = describe_access(read_settings(ctx).paths.state)
    if not variables:
        raise Refused("no embedded server is running", remedy="Start them: feefifod servers up")
    # What is set for another server would lead psql astray.
    for name in sorted(name for name in os.environ if name.startswith("PG") and name not in variables):
        click.echo(f"unset {name}")
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}{':$PATH' if name == 'PATH' else ''}")


def _external(settings: Settings) -> list[str]:
    """Name the servers that are not ours to start."""
    names = [] if any(database.url == "embedded" for database in settings.databases.values()) else ["QuestDB"]
    return names if settings.postgres.url.get_secret_value() == "embedded" else [*names, "PostgreSQL"]


def _show(settings: Settings, pair: PairStatus, as_json: bool) -> None:
    from feefifod.servers import explain_absence  # noqa: PLC0415 - help must not wait for it

    absent = (pair.questdb is None and "QuestDB" not in _external(settings)) or (
        pair.postgres is None and "PostgreSQL" not in _external(settings)
    )
    absence = explain_absence(settings.paths.state) if absent else None
    if as_json:
        # Times as ISO 8601, which is what the other documents have.
        document = asdict(pair)
        for server in (document["questdb"], document["postgres"]):
            if server is not None:
                server["since"] = server["since"].isoformat()
        if absence:
            document["note"] = absence
        print_json(document)
        return
    if absence:
        print(f"Note: {absence}", file=sys.stderr)
    from feefifod.cli.tables import make_facts  # noqa: PLC0415 - JSON need not wait for rich

    facts = [("QuestDB", _describe(pair.questdb)), ("PostgreSQL", _describe(pair.postgres))]
    if pair.questdb:
        facts.insert(1, ("console", _describe_console(pair.questdb)))
    if pair.questdb or pair.postgres:
        users = ", ".join(f"pid {pid}" for pid in dict.fromkeys(pair.users))
        facts.append(("used by", users or "nobody"))
        facts.append(("kept up", _describe_keeping(pair)))
    make_console().print(make_facts(facts))
    if external := _external(settings):
        print(f"The configuration names an external {' and '.join(external)}, which feefifod does not start or stop.")
    elif not (pair.questdb or pair.postgres or absence):
        print("None is running. Start them with: feefifod servers up")


def _describe(server: ServerStatus | None) -> str:
    if server is None:
        return "not running"
    since = server.since.isoformat(sep=" ", timespec="seconds")
    return f"{server.version} at {server.url}, pid {server.pid}, since {since}"


def _describe_console(questdb: ServerStatus) -> str:
    if not questdb.password_file:
        return f"{questdb.url}, open to everybody: an older version started it. Start it again, and it has a password"
    return f"{questdb.url}, user {questdb.user}, password in {questdb.password_file}"


def _describe_keeping(pair: PairStatus) -> str:
    if pair.kept_up:
        return "yes, until: feefifod servers down"
    return "no: they stop with their last user"
