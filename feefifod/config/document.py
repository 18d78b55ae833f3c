"""The text of a configuration file: where its keys stand, and how values are written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import SecretStr

from feefifod.config.keys import KeyPath
from feefifod.errors import ConfigError

_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def parse(text: str, file: Path) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ConfigError: the text is no TOML; names file, line and column.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        why, _, place = str(error).partition(" (at ")
        numbers = re.findall(r"\d+", place) or [str(text.count("\n") + 1), str(len(text.rpartition("\n")[2]) + 1)]
        where = f"{file}: line {numbers[0]}, column {numbers[1]}"
        raise ConfigError(f"no valid TOML: {why[:1].lower()}{why[1:]}", where=where) from None


def read_file(file: Path) -> str:
    """Read a configuration file's text.

    Raises:
        ConfigError: it does not exist, cannot be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            "there is no such file", where=str(file), remedy="'feefifod config init' writes one with every default"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(file)) from None
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", where=str(file), remedy="TOML is always UTF-8") from None


def locate_lines(text: str) -> Iterator[tuple[int, KeyPath, bool]]:
    """Yield the number (from 1) of each line that opens a table or sets a key, its full path, and whether it sets."""
    table: KeyPath = ()
    items: dict[KeyPath, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(line):
            table = _split_key(header[2])
            if header[1] == "[[":
                items[table] = items.get(table, -1) + 1
                table = (*table, str(items[table]))
            yield number, table, False
        elif assignment := _ASSIGNMENT.match(line):
            yield number, (*table, *_split_key(assignment[1])), True


def _split_key(key: str) -> KeyPath:
    """Split a dotted key as TOML does, quotes included."""
    try:
        values: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return (key,)
    parts: list[str] = []
    while isinstance(values, dict):
        name, values = next(iter(values.items()))
        parts.append(name)
    return tuple(parts)


def write_value(value: Any) -> str:
    """Write a value as TOML on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_write_name(name)} = {write_value(inner)}' for name, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(write_value(inner) for inner in value)}]"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, Path):
        value = str(value)
    return tomli_w.dumps({"k": value}).removeprefix("k = ").rstrip("\n")


def _write_name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else write_value(name)


def write_path(path: KeyPath) -> str:
    """Write a path as TOML's dotted key."""
    return ".".join(map(_write_name, path))
