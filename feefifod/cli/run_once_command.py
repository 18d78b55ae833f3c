"""`feefifod run-once`: one shot."""

from __future__ import annotations

import click

from feefifod.cli.options import load_settings, start_logging


@click.command()
@click.pass_context
def run_once(ctx: click.Context) -> int:
    """Ingest all that is complete in the data folder, then exit.

    \b
    Example:
      feefifod run-once
    """
    from feefifod.cli import one_shot  # noqa: PLC0415 - help must not wait for pyarrow

    loaded = load_settings(ctx)
    start_logging(loaded, quiet_on_terminal=True)
    return one_shot.ingest(loaded.settings)
