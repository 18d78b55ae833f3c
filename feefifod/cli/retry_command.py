"""`feefifod retry`: take a corrected or pardoned file in again."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from feefifod.cli.console import make_console
from feefifod.cli.options import load_settings, start_logging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from feefifod.config import Settings
    from feefifod.daemon.retry import Return
    from feefifod.ingest.report import Summary

_PATIENCE_SECONDS: Final = 60.0


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--overwrite", is_flag=True, help="Let its rows win over what is stored, whatever their trade counts.")
@click.pass_context
def retry(ctx: click.Context, paths: Sequence[str], overwrite: bool) -> int:
    """Take refused files in again, once they are corrected or pardoned; or load a file again.

    A PATH is a file in the rejected folder, corrected in place or not; a list of refused rows there (NAME.rows.csv,
    of which a file is made with the corrected texts); or a file in the folder of ingested ones. It goes back into the
    data folder, and is ingested at once, or left to the daemon when one is running.

    \b
    Example:
      feefifod retry rejected/XBTUSD_60.csv
      feefifod retry ADAUSD_1440.csv.rows.csv
      feefifod retry --overwrite ingested/ohlcv/ETHEUR_60.csv
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.ingest_progress import show_summary  # noqa: PLC0415 - the same
    from feefifod.daemon.retry import plan_return  # noqa: PLC0415 - the same

    loaded = load_settings(ctx)
    start_logging(loaded, quiet_on_terminal=True)
    settings = loaded.settings
    # All are judged before any is touched; the same one named twice is one.
    plans = {plan.source: plan for plan in (plan_return(settings.paths, path, Path.cwd()) for path in paths)}
    console = make_console()
    started = time.monotonic()
    summary = anyio.run(partial(_retry, settings, list(plans.values()), console, overwrite=overwrite))
    if summary is None:
        return 0
    show_summary(console, summary, time.monotonic() - started)
    return 1 if summary.failed else 0


async def _retry(settings: Settings, plans: list[Return], console: Console, *, overwrite: bool) -> Summary | None:
    """Bring files back and ingest them; None when a daemon does that."""
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.catalog.verification import Claims  # noqa: PLC0415 - the same
    from feefifod.cli.ingest_progress import IngestProgress  # noqa: PLC0415 - the same
    from feefifod.daemon.retry import bring_back, check_loaded, ingest_chosen  # noqa: PLC0415 - the same
    from feefifod.daemon.services import open_services, open_tools  # noqa: PLC0415 - the same
    from feefifod.daemon.signals import obey_signals  # noqa: PLC0415 - the same
    from feefifod.log import escape_controls  # noqa: PLC0415 - the same
    from feefifod.servers import read_daemon  # noqa: PLC0415 - the same
    from feefifod.sink import read_identity  # noqa: PLC0415 - the same

    daemon = read_daemon(settings.paths.state)
    progress = IngestProgress(console, len(plans), sum(plan.source.stat().st_size for plan in plans))
    stop = anyio.Event()
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(settings))
        tools = await stack.enter_async_context(
            open_tools(services, progress, stop, patience_seconds=_PATIENCE_SECONDS)
        )
        if not overwrite:
            identity = await read_identity(services.client, services.questdb.table)
            for plan in plans:
                if plan.loaded and identity is not None:
                    await check_loaded(Claims(services.postgres), plan, str(identity))
        moved: list[Path] = []
        for plan in plans:
            places = await bring_back(tools, plan, overwrite=overwrite)
            moved += places
            console.print(escape_controls(f"{plan.source} is back: {places[0]}"), soft_wrap=True)
        if daemon is not None:
            console.print(f"The daemon (pid {daemon.pid}) takes it in. See: feefifod status", soft_wrap=True)
            return None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(obey_signals, stop, tasks.cancel_scope, lambda: None, name="signals")
            with progress.shown():
                summary = await ingest_chosen(tools, moved)
            tasks.cancel_scope.cancel()
        return summary
