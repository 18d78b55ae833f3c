"""Options that commands share, and what they are read into."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from feefifod.config import Loaded

_F = TypeVar("_F", bound="Callable[..., Any] | click.Command")

API_KEY_VARIABLES = ("MASSIVE_API_KEY", "FINNHUB_API_KEY")


def _keep_config(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    """Keep the path at the root: the option may stand before or after a command's name, the last one counts."""
    if value is not None:
        context.find_root().obj = value


def config_option(command: _F) -> _F:
    """Add `--config PATH`; every command of the table gets it without asking."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        callback=_keep_config,
        expose_value=False,
        help="Configuration file; else $FEEFIFOD_CONFIG, ./config.toml, /etc/feefifod/config.toml.",
    )(command)


def json_option(command: _F) -> _F:
    """Add `--json` as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")(command)


def yes_option(command: _F) -> _F:
    """Add `--yes/-y` as the parameter `yes`."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)


def find_config(context: click.Context) -> Path | None:
    """Tell which file `--config` named, if any."""
    path = context.find_root().obj
    return path if isinstance(path, Path) else None


def load_settings(context: click.Context) -> Loaded:
    """Read the configuration that this command line asks for.

    Raises:
        ConfigError: the file or the environment is wrong.
    """
    from feefifod.config import load  # noqa: PLC0415 - help and completion must not wait for pydantic

    return load(find_config(context), os.environ, Path.cwd())


def start_logging(
    loaded: Loaded, *, quiet_on_terminal: bool = False, write: Callable[[str], None] | None = None
) -> None:
    """Set up logging to stderr as configured, with every secret known so far kept out of it.

    With `quiet_on_terminal`, a person who watches progress on a terminal sees only errors beside it; `write` takes the
    lines of a terminal that shows something else as well.
    """
    from feefifod import log  # noqa: PLC0415 - help and completion must not wait for it

    for value in (*loaded.settings.secrets(), *(os.environ.get(name, "") for name in API_KEY_VARIABLES)):
        log.register_secret(value)
    quiet = quiet_on_terminal and sys.stderr.isatty() and loaded.settings.log.level != "debug"
    log.configure("error" if quiet else loaded.settings.log.level, write=write)
