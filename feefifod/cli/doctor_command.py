"""`feefifod doctor`: check everything, and say what to do."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import click

from feefifod.cli.console import make_console, print_json
from feefifod.cli.options import json_option, load_settings
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feefifod.config import Settings
    from feefifod.doctor import Finding

_WHY = "every command reads it first"


@click.command()
@json_option
@click.option("--online", is_flag=True, help="Also make one call to each price API that there is a key for.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, online: bool) -> int:
    """Check configuration, servers, folders, limits and API keys; each finding with its remedy.

    Starts no server. Exit code 1 when there is an error, 2 when the configuration is wrong.

    \b
    Example:
      feefifod doctor
      feefifod doctor --online
      feefifod doctor --json
    """
    from feefifod.cli.options import start_logging  # noqa: PLC0415 - help must not wait for it
    from feefifod.doctor.finding import Level, fail, good  # noqa: PLC0415 - the same
    from feefifod.errors import ConfigError  # noqa: PLC0415 - the same
    from feefifod.log import redact, set_level  # noqa: PLC0415 - the same

    try:
        loaded = load_settings(ctx)
    except ConfigError as error:
        what = redact(f"{error.where}: {error.why}" if error.where else error.why)
        _report([fail("configuration", what, _WHY, error.remedy or "Run: feefifod config check")], as_json)
        return 2
    start_logging(loaded)
    if loaded.settings.log.level == "info":
        set_level("warning")
    findings = [good("configuration", f"{loaded.file or 'defaults, without a file'}: valid", _WHY)]
    findings += _examine(loaded.settings, online=online)
    _report(findings, as_json)
    return 1 if any(finding.level is Level.ERROR for finding in findings) else 0


def _examine(settings: Settings, *, online: bool) -> list[Finding]:
    from datetime import UTC, datetime  # noqa: PLC0415 - help must not wait for it
    from functools import partial  # noqa: PLC0415 - the same

    import anyio  # noqa: PLC0415 - the same

    from feefifod.cli.reach import find_postgres, find_questdb  # noqa: PLC0415 - the same
    from feefifod.doctor import Reach, examine  # noqa: PLC0415 - the same
    from feefifod.errors import Refused  # noqa: PLC0415 - the same

    try:
        reach = Reach({name: find_questdb(settings, name) for name in settings.databases}, find_postgres(settings))
    except Refused:
        # The state folder is closed to us; the examination says so too.
        reach = Reach(dict.fromkeys(settings.databases), None)
    return anyio.run(partial(examine, settings, reach, os.environ, datetime.now(UTC), online=online))


def _report(findings: Sequence[Finding], as_json: bool) -> None:
    counts = Counter(str(finding.level) for finding in findings)
    if as_json:
        from dataclasses import asdict  # noqa: PLC0415 - only here

        summary = {"errors": counts["error"], "warnings": counts["warning"], "ok": counts["ok"]}
        print_json({**summary, "findings": [asdict(finding) for finding in findings]})
        return
    from rich.table import Table  # noqa: PLC0415 - JSON need not wait for rich
    from rich.text import Text  # noqa: PLC0415 - the same

    from feefifod.log import escape_controls  # noqa: PLC0415 - the same

    console = make_console()
    colours = {"ok": "green", "warning": "yellow", "error": "bold red"}
    for finding in findings:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, min_width=max(map(len, colours)))
        table.add_column(overflow="fold")
        text = Text(escape_controls(finding.check), style="bold")
        text.append(f": {escape_controls(finding.what)}", style="not bold")
        if finding.level != "ok":
            text.append(f"\n{finding.why}", style="not bold dim")
        table.add_row(Text(finding.level, style=colours[finding.level]), text)
        console.print(table)
        if finding.remedy:
            # Left to the terminal to wrap, so that a command in it can be copied.
            console.print(f"         → {escape_controls(finding.remedy)}", soft_wrap=True)
    console.print(f"{count_of(counts['error'], 'error')}, {count_of(counts['warning'], 'warning')}, {counts['ok']} ok")
