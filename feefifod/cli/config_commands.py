"""`feefifod config`: show, set, init and check."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from feefifod.cli.console import print_json
from feefifod.cli.options import find_config, json_option, load_settings
from feefifod.config import Loaded, find_file, flatten, replace_file, set_value, write_default, write_path, write_value
from feefifod.errors import ConfigError, Refused
from feefifod.log import escape_controls, redact

MASK = "********"


@click.group()
def config() -> None:
    """Read and write config.toml.

    \b
    Example:
      feefifod config init
      feefifod config set watch.settle_seconds 2
      feefifod config show
    """


@config.command()
@json_option
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Show every value in force, and where it comes from: the default, a line of the file, or a variable.

    Passwords are masked.

    \b
    Example:
      feefifod config show
      feefifod config show --json
    """
    loaded = load_settings(ctx)
    rows = list(_rows(loaded))
    if as_json:
        settings: dict[str, Any] = {}
        for path, value, _ in rows:
            table = settings
            for part in path[:-1]:
                table = table.setdefault(part, {})
            table[path[-1]] = value
        origins = {write_path(path): origin for path, _, origin in rows}
        print_json({"file": loaded.file and str(loaded.file), "settings": settings, "origins": origins})
        return
    print(f"# {loaded.file or 'no configuration file: defaults'}")
    lines = [(f"{write_path(path)} = {write_value(value)}", origin) for path, value, origin in rows]
    width = min(max(len(line) for line, _ in lines), 60)
    for line, origin in lines:
        print(escape_controls(f"{line:<{width}}  # {origin}"))


def _rows(loaded: Loaded) -> list[tuple[tuple[str, ...], Any, str]]:
    """List path, value and origin of every setting, fit to be shown."""
    return [
        (path, _show(path, value), loaded.origins.get(write_path(path), "default"))
        for path, value in flatten(loaded.settings.model_dump(exclude_none=True))
    ]


def _show(path: tuple[str, ...], value: Any) -> Any:
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return redact(secret) if path == ("postgres", "url") else secret and MASK
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {name: _show((*path, name), inner) for name, inner in value.items()}
    return [_show(path, inner) for inner in value] if isinstance(value, tuple) else value


@config.command("set")
@click.argument("key")
@click.argument("value")
@click.pass_context
def set_(ctx: click.Context, key: str, value: str) -> None:
    """Set KEY to VALUE in the file, if the result is valid.

    KEY is dotted, as `config show` writes it; lists are JSON or separated by commas. A key on a line of its own, or
    one that is new, leaves all comments as they are. Any other way of writing it (inline tables, values over several
    lines, the list of schedules) makes the file be written anew, WITHOUT its comments; the command says so.

    \b
    Example:
      feefifod config set watch.settle_seconds 2
      feefifod config set watch.intervals 60,1440
      feefifod config set databases.questdb.url http://127.0.0.1:9000
    """
    file = find_file(find_config(ctx), os.environ, Path.cwd())
    if file is None:
        raise ConfigError("there is no configuration file to write to", remedy="'feefifod config init' writes one")
    kept = set_value(file, key, value, os.environ)
    click.echo(
        f"{file}: {key} is set" + ("" if kept else "; the file was written anew, without its comments"), err=True
    )
    variable = "FEEFIFOD__" + key.upper().replace(".", "__")
    if variable in os.environ:
        click.echo(f"Note that the variable {variable} overrides it.", err=True)


@config.command()
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.pass_context
def init(ctx: click.Context, force: bool) -> None:
    """Write the commented default to --config, $FEEFIFOD_CONFIG or ./config.toml.

    \b
    Example:
      feefifod config init
      feefifod config init --config /etc/feefifod/config.toml
    """
    file = Path.cwd() / (find_config(ctx) or os.environ.get("FEEFIFOD_CONFIG") or "config.toml")
    if file.exists() and not force:
        raise Refused("exists already", where=str(file), remedy="--force replaces it by the default")
    replace_file(file, write_default())
    click.echo(f"{file}: written", err=True)


@config.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Check the file and the environment; exit code 2 when something is wrong, with its place.

    \b
    Example:
      feefifod config check --config /etc/feefifod/config.toml
    """
    loaded = load_settings(ctx)
    click.echo(f"{loaded.file or 'defaults, without a file'}: valid", err=True)
