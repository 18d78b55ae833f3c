"""`feefifod install-service`: the systemd files, for this machine's paths."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from feefifod.cli.options import find_config, load_settings
from feefifod.errors import ConfigError, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from feefifod.cli.units import Machine

_ETC: Final = Path("/etc")


@click.command()
@click.option("--user", is_flag=True, help="For your own systemd, without root: it runs as you.")
@click.option("--print", "only_print", is_flag=True, help="Print the files; write nothing.")
@click.option("--remove", is_flag=True, help="Remove what this command has written.")
@click.pass_context
def install_service(ctx: click.Context, user: bool, only_print: bool, remove: bool) -> None:
    """Write the systemd units for this machine, or remove them.

    The daemon as a hardened service, a timer that ingests once now and then (for machines without the daemon), and,
    for the system, the user feefifod and the drop folder's group. Nothing is started or enabled: what to type for
    that is printed.

    \b
    Example:
      sudo feefifod install-service --config /etc/feefifod/config.toml
      feefifod install-service --user --print
    """
    from feefifod.cli import units  # noqa: PLC0415 - help must not wait for it

    folder = units.user_folder(os.environ) if user else _ETC
    if remove:
        _remove(units.list_user_files(folder) if user else units.list_system_files(folder))
        _advise(["systemctl --user daemon-reload" if user else "systemctl daemon-reload"])
        return
    machine = _describe_machine(ctx)
    files = units.write_user_files(machine, folder) if user else units.write_system_files(machine, folder)
    if only_print:
        for path, text in files.items():
            click.echo(f"# ---- {path}\n{text}")
        return
    _write(files)
    if user:
        enable = "systemctl --user enable --now feefifod"
        _advise(["systemctl --user daemon-reload", enable, "loginctl enable-linger   (to run while you are away)"])
    else:
        setup = ["systemd-sysusers", "systemd-tmpfiles --create", "systemctl daemon-reload"]
        _advise([*setup, "systemctl enable --now feefifod", "usermod -aG feefifo-drop NAME   (who may drop files)"])


def _describe_machine(ctx: click.Context) -> Machine:
    from feefifod.cli.units import Machine  # noqa: PLC0415 - help must not wait for it
    from feefifod.config import find_file  # noqa: PLC0415 - the same

    settings = load_settings(ctx).settings
    config = find_file(find_config(ctx), os.environ, Path.cwd())
    if config is None:
        raise ConfigError("there is no configuration file to run with", remedy="Write one: feefifod config init")
    command = Path(sys.executable).with_name("feefifod")
    return Machine(command, Path(os.path.abspath(config)), settings)  # noqa: PTH100 - links in it are meant


def _write(files: Mapping[Path, str]) -> None:
    from feefifod.config import replace_file  # noqa: PLC0415 - help must not wait for it

    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _explain(error, path) from error
        replace_file(path, text)
        click.echo(f"wrote {path}")


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _explain(error, path) from error
        click.echo(f"removed {path}")


def _explain(error: OSError, path: Path) -> Refused:
    remedy = "Run it as root, or use --user" if isinstance(error, PermissionError) else ""
    return Refused(f"it cannot be changed: {error.strerror}", where=str(path), remedy=remedy)


def _advise(commands: Sequence[str]) -> None:
    click.echo("Next:")
    for command in commands:
        click.echo(f"  {command}")
