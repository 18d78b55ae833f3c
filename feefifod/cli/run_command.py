"""`feefifod run`: the daemon."""

from __future__ import annotations

import click

from feefifod.cli.options import load_settings, start_logging


@click.command()
@click.pass_context
def run(ctx: click.Context) -> None:
    """Watch the data folder and ingest until told to stop.

    Complete files are loaded into QuestDB, proven, and moved to the folder for ingested ones. SIGTERM and Ctrl-C
    finish the window in flight and leave the rest for the next start; a second one cuts at once. SIGHUP reads the
    configuration again, and so does a change of its file where [watch] config = true.

    \b
    Example:
      feefifod run
      cp XBTUSD_60.csv data/
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.daemon.process import run_daemon  # noqa: PLC0415 - the same

    loaded = load_settings(ctx)
    start_logging(loaded)
    anyio.run(run_daemon, loaded.settings, lambda: load_settings(ctx).settings, loaded.file)
