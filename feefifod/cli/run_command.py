"""`feefifod run`: the daemon."""

from __future__ import annotations

import sys
from functools import partial

import click

from feefifod.cli.options import load_settings, start_logging


@click.command()
@click.option(
    "--reload-on-hangup",
    is_flag=True,
    help="SIGHUP reads the configuration again, as under systemd, instead of ending it with its terminal.",
)
@click.pass_context
def run(ctx: click.Context, *, reload_on_hangup: bool) -> None:
    """Watch the data folder and ingest until told to stop.

    Complete files are loaded into QuestDB, proven, and moved to the folder for ingested ones. SIGTERM, Ctrl-C and a
    closed terminal finish the window in flight and leave the rest for the next start; a second one cuts at once. Under
    systemd SIGHUP reads the configuration again, and anywhere a change of its file does where [watch] config = true.

    \b
    Example:
      feefifod run
      cp XBTUSD_60.csv data/
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.daemon.process import run_daemon  # noqa: PLC0415 - the same

    loaded = load_settings(ctx)
    show = None
    if sys.stderr is not None and sys.stderr.isatty():
        from feefifod.cli.live_line import LiveLine  # noqa: PLC0415 - only a person needs it

        live = LiveLine()
        start_logging(loaded, write=live.write)
        show = live.show
    else:
        start_logging(loaded)
    serve = partial(run_daemon, reload_on_hangup=reload_on_hangup, show=show)
    anyio.run(serve, loaded.settings, lambda: load_settings(ctx).settings, loaded.file)
