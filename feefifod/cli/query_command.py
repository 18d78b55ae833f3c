"""`feefifod query`: one question to QuestDB."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

import click

from feefifod.cli.console import make_console, print_json
from feefifod.cli.options import json_option
from feefifod.errors import ConfigError

if TYPE_CHECKING:
    from feefifod.config import Settings
    from feefifod.sink import Answer

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
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other", where="query")
    if not sql.strip().strip(";"):
        raise ConfigError("there is no question in it", where="SQL", remedy='Try: feefifod query "SELECT build"')
    # A question for people may be about a table that does not fit into memory.
    limit = None if as_json or as_csv else ROWS_FOR_PEOPLE + 1
    answer = anyio.run(_ask, read_settings(ctx), sql, limit)
    if as_json:
        print_json({"columns": answer.columns, "rows": answer.rows})
    elif as_csv:
        _print_csv(answer)
    else:
        _print_table(answer)


async def _ask(settings: Settings, sql: str, limit: int | None) -> Answer:
    from feefifod.cli.reach import open_questdb  # noqa: PLC0415 - help must not wait for it

    async with open_questdb(settings) as client:
        return await client.query(sql, timeout_seconds=TIMEOUT_SECONDS, limit=limit)


def _print_csv(answer: Answer) -> None:
    if not answer.columns:
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    # A boolean is written as SQL writes it, and NULL as nothing.
    writer.writerows([str(value).lower() if isinstance(value, bool) else value for value in row] for row in answer.rows)


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
