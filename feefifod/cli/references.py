"""The references in `docs/`, written from the settings classes and from the commands, so that they cannot go stale.

`python -m feefifod.cli.references docs` writes them; a test fails when they are not what it would write.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

import click
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from feefifod.cli.main import EPILOG, cli
from feefifod.config import write_value
from feefifod.config.settings import Settings

_EXAMPLE: Final = re.compile(r"\n*\x08\nExample:\n(?P<lines>(?:  .+\n?)+)")
_EVERYWHERE: Final = ("--config", "--help")
"""Options of every command, told once."""

_COMMANDS_TOP: Final = f"""\
# Commands

*Written from the commands themselves by `make docs`.*

Every command takes `--config PATH`, before or after its name (else `$FEEFIFOD_CONFIG`, else `./config.toml`, else
`/etc/feefifod/config.toml`), and `--help`. A name may be written with underscores too: `run_once`.

{EPILOG}
`--json` prints one JSON document on stdout, and nothing else there.

## Completion

In bash, put this into `~/.bashrc`:

```sh
eval "$(_FEEFIFOD_COMPLETE=bash_source feefifod)"
```

In zsh, into `~/.zshrc`:

```sh
eval "$(_FEEFIFOD_COMPLETE=zsh_source feefifod)"
```

In fish, into `~/.config/fish/completions/feefifod.fish`:

```sh
_FEEFIFOD_COMPLETE=fish_source feefifod | source
```

Colours follow the terminal, and `NO_COLOR=1` switches them off; widths follow it too, or `COLUMNS`.
"""

_CONFIGURATION_TOP: Final = """\
# Configuration

*Written from the settings classes by `make docs`.*

`feefifod config init` writes a commented `config.toml`, `feefifod config check` checks it, and `feefifod config show`
tells what is in force and where it comes from. The file is the one that `--config` names, else `$FEEFIFOD_CONFIG`, else
`./config.toml`, else `/etc/feefifod/config.toml`; without one the defaults hold. Unknown keys are errors.

Every key can be set by the environment: `[watch] settle_seconds` by `FEEFIFOD__WATCH__SETTLE_SECONDS=2`. Lists are JSON
or separated by commas. Names carry their units.

API keys never stand in the file: they come from `MASSIVE_API_KEY` and `FINNHUB_API_KEY`, or from a systemd credential
`massive_api_key`, `finnhub_api_key`.
"""

_MAN_TOP: Final = """\
.TH FEEFIFOD 1 "" "feefifod" "User Commands"
.SH NAME
feefifod \\- stream Kraken OHLCVT files and API candles into QuestDB, exactly once
.SH SYNOPSIS
.B feefifod
.RI [ "\\-\\-config PATH" ] " COMMAND " [ OPTIONS ]
.SH DESCRIPTION
Drop files into the data folder, and
.B feefifod run
does the rest. Every command takes
.B \\-\\-config
and
.BR \\-\\-help .
.SH COMMANDS
"""

_MAN_END: Final = f"""\
.SH EXIT STATUS
{EPILOG.removeprefix("Exit codes: ")}
.SH ENVIRONMENT
.TP
.B FEEFIFOD_CONFIG
the configuration file
.TP
.B FEEFIFOD__SECTION__KEY
overrides a key of the configuration
.TP
.BR MASSIVE_API_KEY ", " FINNHUB_API_KEY
keys of the price APIs
.TP
.B NO_COLOR
no colours
.SH FILES
.TP
.I ./config.toml, /etc/feefifod/config.toml
the configuration
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A command as the references tell it.

    Attributes:
        name: with the group before it, `assets list`.
        usage: its arguments, `[OPTIONS] TICKER`.
        text: paragraphs; example: lines; options: names and help.
    """

    name: str
    usage: str
    text: str
    example: str
    options: tuple[tuple[str, str], ...]


def list_entries() -> Iterator[Entry]:
    """List every command, the subcommands behind their group."""
    with click.Context(cli, info_name="feefifod") as root:
        for name in cli.list_commands(root):
            command = cli.get_command(root, name)
            if command is not None and not command.hidden:
                yield from _list_below(command, name, root)


def _list_below(command: click.Command, name: str, above: click.Context) -> Iterator[Entry]:
    with click.Context(command, info_name=name, parent=above) as context:
        text = inspect.cleandoc(command.help or "")
        example = _EXAMPLE.search(text)
        records = [
            record
            for parameter in command.get_params(context)
            if not set(_EVERYWHERE) & set(parameter.opts) and (record := parameter.get_help_record(context))
        ]
        path = context.command_path.removeprefix("feefifod ")
        usage = " ".join(command.collect_usage_pieces(context))
        lines = inspect.cleandoc(example["lines"]) if example else ""
        yield Entry(path, usage, _EXAMPLE.sub("", text), lines, tuple(records))
        if isinstance(command, click.Group):
            for child in command.commands:
                yield from _list_below(command.commands[child], child, context)


def write_commands() -> str:
    """Write `docs/commands.md`."""
    parts = [_COMMANDS_TOP]
    for entry in list_entries():
        parts.append(f"{'###' if ' ' in entry.name else '##'} {entry.name}\n")
        parts.append(f"`feefifod {entry.name} {entry.usage}`\n")
        parts.append(f"{entry.text}\n")
        if entry.options:
            rows = "".join(f"| `{_cell(names)}` | {_cell(text)} |\n" for names, text in entry.options)
            parts.append(f"| option | meaning |\n|---|---|\n{rows}")
        if entry.example:
            parts.append(f"```sh\n{entry.example}\n```\n")
    return "\n".join(parts)


def write_man() -> str:
    """Write `docs/feefifod.1`."""
    parts = [_MAN_TOP]
    for entry in list_entries():
        parts.append(f".SS {_roff(entry.name)} {_roff(entry.usage)}\n")
        parts.append(".PP\n".join(f"{_roff(' '.join(part.split()))}\n" for part in entry.text.split("\n\n")))
        parts += [f".TP\n.B {_roff(names)}\n{_roff(text) or chr(92) + '&'}\n" for names, text in entry.options]
        if entry.example:
            parts.append(f".PP\nExample:\n.PP\n.nf\n.RS 4\n{_roff(entry.example)}\n.RE\n.fi\n")
    return "".join([*parts, _MAN_END])


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("'", "\\(aq")
    return re.sub(r"^\.", r"\\&.", escaped, flags=re.MULTILINE)


def write_configuration() -> str:
    """Write `docs/configuration.md`."""
    return "\n".join([_CONFIGURATION_TOP, *_tables(Settings)])


def _tables(model: type[BaseModel]) -> Iterator[str]:
    defaults = model()
    for name, field in model.model_fields.items():
        yield from _table(name, getattr(defaults, name), field)


def _table(name: str, value: Any, field: FieldInfo) -> Iterator[str]:
    inner = get_args(field.annotation)
    if isinstance(value, BaseModel):
        sections = {key: section for key, section in value if isinstance(section, BaseModel)}
        for key, section in (sections or {"": value}).items():
            yield _section(f"[{name}{'.' * bool(key)}{key}]", type(section), section)
    elif isinstance(value, Mapping) and value:
        for section in value.values():
            yield _section(f"[{name}.NAME]", type(section), section)
    elif inner and isinstance(inner[0], type) and issubclass(inner[0], BaseModel):
        yield _section(f"[[{name}]]", inner[0], None)
    else:
        keys = ", ".join(inner[0]) if isinstance(inner[0], type) and issubclass(inner[0], Enum) else "any name"
        yield f"## [{name}]\n\n{_find_docstring(name)}\n\nKeys: {keys}; each a list of text.\n"


def _find_docstring(name: str) -> str:
    """Read what stands below a field of `Settings`: its description, where it has no `Field` to carry one."""
    found = re.search(rf'^    {name}: .*\n    """(?P<text>.+?)"""', inspect.getsource(Settings), re.MULTILINE)
    return found["text"] if found else ""


def _section(title: str, model: type[BaseModel], section: BaseModel | None) -> str:
    rows = []
    for key, field in model.model_fields.items():
        text = field.description or ""
        if title.startswith("[sources.") and (owner := re.match(r"(\w+):", text)) and owner[1] not in title:
            continue  # A key of another source.
        default = field.default if section is None else getattr(section, key)
        shown = "(needed)" if default is PydanticUndefined else "(none)" if default is None else _quote(default)
        rows.append(f"| `{key}` | {_cell(_describe(field))} | {shown} | {_cell(text)} |\n")
    table = "| key | value | default | meaning |\n|---|---|---|---|\n" + "".join(rows)
    return f"## {title}\n\n{inspect.getdoc(model)}\n\n{table}"


def _quote(default: object) -> str:
    return f"`{_cell(write_value(default))}`"


def _describe(field: FieldInfo) -> str:
    """Say what a value may be."""
    bounds = {name: value for item in field.metadata for name in ("ge", "gt", "le") if (value := _get(item, name))}
    least = f"above {bounds['gt']}" if "gt" in bounds else bounds.get("ge", "")
    kind = _name_type(field.annotation)
    if "le" in bounds:
        return f"{kind}, {least} to {bounds['le']}"
    return f"{kind}, {least}{' or more' * ('ge' in bounds)}" if bounds else kind


def _get(constraint: object, name: str) -> str:
    value = getattr(constraint, name, None)
    return "" if value is None else f"{value:,}"


def _name_type(kind: Any) -> str:
    names = {bool: "true, false", int: "integer", float: "number", str: "text", SecretStr: "text", Path: "folder"}
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"list of: {_name_type(get_args(kind)[0])}"
    if args := [arg for arg in get_args(kind) if arg is not NoneType]:
        return ", ".join(map(_name_type, args))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(kind)
    return names[kind]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


REFERENCES: Final = {
    "configuration.md": write_configuration,
    "commands.md": write_commands,
    "feefifod.1": write_man,
}
"""The files, and what writes each."""

if __name__ == "__main__":
    for file, write in REFERENCES.items():
        path = Path(sys.argv[1]) / file
        path.write_text(write(), encoding="utf-8")
        print(path)
