"""`feefifod explain`: why a file is, or is not, picked up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from feefifod.cli.console import make_console, print_json
from feefifod.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feefifod.cli.explanation import Explanation
    from feefifod.config import Settings


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@json_option
@click.option("--offline", is_flag=True, help="Judge the name alone; the file need not exist.")
@click.pass_context
def explain(ctx: click.Context, paths: Sequence[str], as_json: bool, offline: bool) -> None:
    """Say why each file is, or is not, picked up, or what became of it.

    A PATH is taken as it stands, else it is looked for below the data folder. Starts no server: what the ledger
    knows is told only while one is running.

    \b
    Example:
      feefifod explain data/XBTUSD_60.csv
      feefifod explain --offline --json ETHXBT_1440.csv
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.explanation import Explainer  # noqa: PLC0415 - the same
    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same

    settings = read_settings(ctx)
    if offline:
        explainer = Explainer(settings, Path.cwd())
        explanations = [explainer.explain_name(path) for path in paths]
    else:
        explanations = anyio.run(_explain, settings, Path.cwd(), paths)
    if as_json:
        print_json([explanation.to_json() for explanation in explanations])
    else:
        _show(explanations)


async def _explain(settings: Settings, cwd: Path, paths: Sequence[str]) -> list[Explanation]:
    from feefifod.catalog import Ledger, look_at_database  # noqa: PLC0415 - help must not wait for it
    from feefifod.cli.explanation import Explainer  # noqa: PLC0415 - the same
    from feefifod.cli.reach import EMBEDDED, find_postgres  # noqa: PLC0415 - the same
    from feefifod.errors import FeefifodError  # noqa: PLC0415 - the same
    from feefifod.servers import explain_absence, find_start, read_daemon  # noqa: PLC0415 - the same

    daemon = read_daemon(settings.paths.state)
    dsn = find_postgres(settings)
    why = (dsn is None and explain_absence(settings.paths.state)) or "no server is running"
    if dsn is not None:
        try:
            async with look_at_database(dsn) as database:
                ledger = Ledger(database)
                table_id = await ledger.bound_table("questdb")
                found = [await ledger.find_path(Explainer(settings, cwd).find_ledger_path(path)) for path in paths]
            records = {record.path: record for record in found if record is not None}
            explainer = Explainer(settings, cwd, daemon, table_id, records)
            return [explainer.explain_file(path) for path in paths]
        except FeefifodError as error:
            is_ours = settings.postgres.url.get_secret_value() == EMBEDDED
            why = str((is_ours and find_start(settings.paths.state)) or error)
    click.echo(f"feefifod: the ledger was not asked: {why}", err=True)
    return [Explainer(settings, cwd, daemon).explain_file(path) for path in paths]


def _show(explanations: Sequence[Explanation]) -> None:
    from rich.text import Text  # noqa: PLC0415 - JSON need not wait for it

    from feefifod.log import escape_controls  # noqa: PLC0415 - the same

    console = make_console()
    for explanation in explanations:
        answer = Text(escape_controls(explanation.path), style="bold")
        answer.append(f": {explanation.answer}", style="not bold")
        console.print(answer, soft_wrap=True)
        for reason in explanation.reasons:
            console.print(f"  {escape_controls(reason)}", soft_wrap=True)
