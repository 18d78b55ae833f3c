"""`feefifod status`: how things stand."""

from __future__ import annotations

import click

from feefifod.cli.console import print_json
from feefifod.cli.options import json_option


@click.command()
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show what is waiting, moving, done and rejected; rows, servers, daemon and schedules.

    Starts no server: what only a server knows is unknown (null) while none is running. The counts are those of the
    present table; files that were loaded into a table that has been dropped since do not count.

    \b
    Example:
      feefifod status
      feefifod status --json
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli import overview  # noqa: PLC0415 - the same
    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same

    settings = read_settings(ctx)
    document = anyio.run(overview.gather, settings)
    if as_json:
        print_json(document)
    else:
        overview.show(document, settings)
