"""`feefifod ingest-sequential`: find files, show them, ask, ingest."""

from __future__ import annotations

from pathlib import Path

import click

from feefifod.cli.options import load_settings, start_logging, yes_option
from feefifod.config import find_overlap
from feefifod.errors import ConfigError
from feefifod.model import INTERVALS, Tier


@click.command()
@click.option(
    "--tier",
    type=click.Choice([*Tier, "ALL"], case_sensitive=False),
    help="Only files of assets of this tier.  [default: as configured]",
)
@click.option("--intervals", metavar="MINUTES", help="Only these intervals, for example 60,1440.")
@yes_option
@click.option("--database", metavar="NAME", default="questdb", show_default=True, help="Which [databases.NAME].")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Look for files here, not in the configured folder.",
)
@click.option("--stop-on-error", is_flag=True, help="End at the first refused file, after the window in flight.")
@click.pass_context
def ingest_sequential(
    ctx: click.Context,
    *,
    tier: str | None,
    intervals: str | None,
    yes: bool,
    database: str,
    data_dir: Path | None,
    stop_on_error: bool,
) -> int:
    """Find files, show them by tier and interval, ask, and ingest them with live progress.

    Files that fail are named at the end, and the others are loaded all the same. Running it again is harmless.

    \b
    Example:
      feefifod ingest-sequential --tier TIER1 --intervals 60,1440 --yes
    """
    from feefifod.cli import one_shot  # noqa: PLC0415 - help must not wait for pyarrow

    loaded = load_settings(ctx)
    start_logging(loaded, quiet_on_terminal=True)
    settings = loaded.settings
    watch = settings.watch
    if tier is not None:
        watch = watch.model_copy(update={"tiers": ("ALL",) if tier.upper() == "ALL" else (Tier(tier.upper()),)})
    if intervals is not None:
        watch = watch.model_copy(update={"intervals": parse_intervals(intervals)})
    paths = settings.paths
    if data_dir is not None:
        if not data_dir.is_dir():
            raise ConfigError("there is no such folder", where=f"--data-dir {data_dir}")
        paths = paths.model_copy(update={"data": data_dir.resolve()})
        if overlap := find_overlap(paths):
            raise ConfigError(overlap[1], where=f"--data-dir {data_dir}", remedy="Copy the files to a folder beside it")
    settings = settings.model_copy(update={"watch": watch, "paths": paths})
    return one_shot.ingest(settings, database=database, ask=True, yes=yes, stop_on_error=stop_on_error)


def parse_intervals(text: str) -> tuple[int, ...]:
    """Read a list of minutes such as `60,1440`.

    Raises:
        ConfigError: one is not an interval of Kraken's files.
    """
    minutes = []
    for part in text.split(","):
        if part.strip() not in map(str, INTERVALS):
            known = ", ".join(map(str, INTERVALS))
            raise ConfigError(f"{part.strip()!r} is no interval", where="--intervals", remedy=f"Known: {known}")
        minutes.append(int(part))
    return tuple(dict.fromkeys(minutes))
