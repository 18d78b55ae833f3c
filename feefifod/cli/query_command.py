"""`feefifod query`: one question to QuestDB."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING

import click

from feefifod.cli.console import make_console
from feefifod.cli.options import json_option
from feefifod.errors import ConfigError, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from feefifod.config import Settings
    from feefifod.sink import Answer, RowStream

ROWS_FOR_PEOPLE = 100
TIMEOUT_SECONDS = 600.0

_NUMBERS = frozenset({"BYTE", "SHORT", "INT", "LONG", "FLOAT", "DOUBLE"})


@click.command()
@click.argument("sql")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print all rows as CSV, with a header.")
@click.pass_context
def query(ctx: click.Context, sql: str, as_json: bool, as_csv: bool) -> None:
    """Ask QuestDB in SQL, and print the answer: a table, JSON {"columns": [...], "rows": [[...]]}, or CSV.

    The table ends after 100 rows and says so; JSON and CSV are complete. The embedded QuestDB is started for the
    question when it does not run.

    \b
    Example:
      feefifod query "SELECT count() FROM assetprice"
      feefifod query "SELECT * FROM assetprice WHERE asset_id = 1 LATEST ON time PARTITION BY interval_minutes"
      feefifod query --csv "SELECT * FROM assetprice WHERE time IN '2024-06'" > june.csv
    """
    from feefifod.cli.reach import explain_missing_table, read_settings  # noqa: PLC0415 - the same

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other", where="query")
    if not sql.strip().strip(";"):
        raise ConfigError("there is no question in it", where="SQL", remedy='Try: feefifod query "SELECT build"')
    settings = read_settings(ctx)
    try:
        _answer(settings, sql, as_json=as_json, as_csv=as_csv)
    except Refused as error:
        raise explain_missing_table(error, settings) from None


def _answer(settings: Settings, sql: str, *, as_json: bool, as_csv: bool) -> None:
    import anyio  # noqa: PLC0415 - help must not wait for it

    if as_json or as_csv:
        anyio.run(_print_all, settings, sql, _print_json if as_json else _print_csv)
    else:
        _print_table(anyio.run(_ask, settings, sql))


async def _ask(settings: Settings, sql: str) -> Answer:
    from feefifod.cli.reach import open_questdb  # noqa: PLC0415 - help must not wait for it

    async with open_questdb(settings) as client:
        # A question for people may be about a table that does not fit into memory.
        return await client.query(sql, timeout_seconds=TIMEOUT_SECONDS, limit=ROWS_FOR_PEOPLE + 1)


async def _print_all(settings: Settings, sql: str, show: Callable[[RowStream], Awaitable[None]]) -> None:
    """Print an answer while it comes in."""
    from feefifod.cli.reach import open_questdb  # noqa: PLC0415 - help must not wait for it
    from feefifod.sink import stream_query  # noqa: PLC0415 - the same

    async with open_questdb(settings) as client, stream_query(client, sql, pause_seconds=TIMEOUT_SECONDS) as stream:
        await show(stream)


async def _print_json(stream: RowStream) -> None:
    """Print one document, a row on each line; ASCII, as all our JSON."""
    print(f'{{\n  "columns": {json.dumps(stream.columns)},\n  "rows": [', end="")
    between = "\n    "
    async for rows in stream.batches():
        print(between + ",\n    ".join(map(json.dumps, rows)), end="")
        between = ",\n    "
    print("]\n}" if between == "\n    " else "\n  ]\n}")


async def _print_csv(stream: RowStream) -> None:
    if not stream.columns:
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(stream.columns)
    async for rows in stream.batches():
        # A boolean is written as SQL writes it, and NULL as nothing.
        writer.writerows([str(value).lower() if isinstance(value, bool) else value for value in row] for row in rows)


def _print_table(answer: Answer) -> None:
    from feefifod.cli.tables import count_rows, make_table  # noqa: PLC0415 - JSON and CSV need not wait for rich

    if not answer.columns:
        click.echo("Done.", err=True)
        return
    right = {name for name, kind in zip(answer.columns, answer.types, strict=True) if kind in _NUMBERS}
    make_console().print(make_table(answer.columns, answer.rows[:ROWS_FOR_PEOPLE], right=right))
    if len(answer.rows) > ROWS_FOR_PEOPLE:
        click.echo(f"The first {ROWS_FOR_PEOPLE} rows; there are more: --csv and --json print all.", err=True)
    else:
        click.echo(count_rows(len(answer.rows)), err=True)
