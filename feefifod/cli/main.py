"""The entry point `feefifod`: finds the command, and turns errors into one line and an exit code."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

import click

from feefifod.cli.console import replace_unprintable
from feefifod.cli.options import config_option
from feefifod.cli.versions import show_versions
from feefifod.errors import ConfigError, FeefifodError
from feefifod.log import escape_controls, is_configured, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS = {
    "run": ("run_command:run", "Watch the data folder and ingest until told to stop: the daemon."),
    "run-once": ("run_once_command:run_once", "Ingest what is complete, run due backfills, exit."),
    "setup-questdb-schema": ("setup_questdb_schema_command:setup_questdb_schema", "Create and verify the table."),
    "create-asset": ("create_asset_command:create_asset", "Add an asset."),
    "assets": ("assets_command:assets", "List, change and import assets."),
    "ingest-sequential": ("ingest_sequential_command:ingest_sequential", "Ingest files now, by tier and interval."),
    "load-prices": ("load_prices_command:load_prices", "Fetch recent prices of one asset."),
    "backfill-prices": ("backfill_prices_command:backfill_prices", "Fetch the price history of assets."),
    "status": ("status_command:status", "Show what is waiting, moving, done and rejected."),
    "explain": ("explain_command:explain", "Say why files are, or are not, picked up."),
    "verify": ("verify_command:verify", "Prove again that the table holds what was loaded."),
    "rejects": ("rejects_command:rejects", "List refused files and rows."),
    "retry": ("retry_command:retry", "Take a corrected file in again."),
    "retention": ("retention_command:retention", "Compress or remove old files that are proven."),
    "servers": ("servers_command:servers", "Keep the embedded servers up, or take them down."),
    "query": ("query_command:query", "Ask QuestDB in SQL."),
    "config": ("config_commands:config", "Read and write config.toml."),
    "top": ("top_command:top", "Watch a running daemon live."),
    "install-service": ("install_service_command:install_service", "Write the systemd units for this machine."),
    "doctor": ("doctor_command:doctor", "Check configuration, servers, folders and limits."),
}
"""Every command: where it lives below `feefifod.cli`, and what it does. One without a module is not offered."""

EPILOG = "Exit codes: 0 all well, 1 something failed, 2 wrong usage or configuration."


class CommandTable(click.Group):
    """A group that imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List the commands whose module exists, in the order of the table."""
        return [name for name, (place, _) in COMMANDS.items() if _module_exists(place)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command by its hyphenated or underscored name."""
        name = cmd_name.replace("_", "-")
        if name not in self.list_commands(ctx):
            return None
        module, _, function = COMMANDS[name][0].partition(":")
        command = getattr(importlib.import_module(f"feefifod.cli.{module}"), function)
        assert isinstance(command, click.Command)  # noqa: S101 - the table and the modules are one source
        return _accept_config(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve the command; one that does not exist is answered with the nearest that does."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            near = difflib.get_close_matches(name.lower().replace("_", "-"), self.list_commands(ctx), 1)
            hint = f"Did you mean {near[0]!r}?" if near else "See 'feefifod --help'"
            raise ConfigError(f"there is no command {name!r}", remedy=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, so that help imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _module_exists(place: str) -> bool:
    return importlib.util.find_spec(f"feefifod.cli.{place.partition(':')[0]}") is not None


def _accept_config(command: click.Command) -> click.Command:
    """Give a command and its subcommands the option `--config`, which is accepted before and after every name."""
    if not any(parameter.name == "config" for parameter in command.params):
        config_option(command)
    if isinstance(command, click.Group):
        for child in command.commands.values():
            _accept_config(child)
    return command


@click.group(cls=CommandTable, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@config_option
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    callback=show_versions,
    help="Show our version, those of servers that answer, and exit.",
)
def cli() -> None:
    """Stream Kraken OHLCVT files and API candles into QuestDB, exactly once.

    Drop files into the data folder, and `feefifod run` does the rest.

    \b
    Example:
      feefifod run
      feefifod status
    """


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    replace_unprintable()
    sys.exit(run_command_line(sys.argv[1:]))


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code: 0 all well, 1 something failed, 2 wrong usage or configuration.

    A command fails by raising one of our errors, or by returning an exit code when it has shown the failures itself.
    """
    try:
        outcome = cli.main(args=list(arguments), prog_name="feefifod", standalone_mode=False)
        if sys.stdout is not None:  # A service may be started with it closed.
            sys.stdout.flush()
    except BrokenPipeError:
        return _leave_broken_pipe()
    except BaseException as error:
        return _report(error)
    return outcome if isinstance(outcome, int) else 0


def _leave_broken_pipe() -> int:
    """Let `feefifod ... | head` end quietly: what is still buffered has no reader."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _report(error: BaseException) -> int:
    """Say what went wrong, our own errors in one line each; returns the exit code."""
    causes = list(_leaves(error))
    if any(isinstance(cause, KeyboardInterrupt | click.Abort) for cause in causes):
        return 130
    for cause in causes:
        if isinstance(cause, SystemExit):
            return cause.code if isinstance(cause.code, int) else int(cause.code is not None)
        if not isinstance(cause, FeefifodError | click.ClickException):
            _report_unexpected(error)
            return 1
    for cause in causes:
        if isinstance(cause, click.exceptions.NoArgsIsHelpError):
            cause.show()
            continue
        line = _describe_click(cause) if isinstance(cause, click.ClickException) else str(cause)
        click.echo(f"feefifod: {escape_controls(redact(line))}", err=True)
    return 2 if any(isinstance(cause, ConfigError | click.UsageError) for cause in causes) else 1


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in a group, which is how task groups raise them."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _describe_click(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "feefifod"
    where = path.removeprefix("feefifod").strip()
    why = error.format_message().rstrip(".")
    return f"{f'{where}: ' if where else ''}{why}{'' if why.endswith('?') else '.'} See '{path} --help'"


def _report_unexpected(error: BaseException) -> None:
    """Show the traceback of what nobody planned for: as a log event where logs are read, else as text."""
    if is_configured():
        structlog = importlib.import_module("structlog")
        structlog.get_logger("feefifod").critical("unexpected error", exc_info=error)
    else:
        click.echo(redact("".join(traceback.format_exception(error))), err=True, nl=False)
