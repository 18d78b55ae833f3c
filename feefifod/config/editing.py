"""Changing one key of a configuration file without disturbing the rest, and never leaving it broken."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from feefifod.config.document import locate_lines, parse, read_file, write_path, write_value
from feefifod.config.keys import KeyPath, is_secret, is_table, read_text, resolve
from feefifod.config.loading import build_settings, check_file, merge, with_defaults
from feefifod.config.settings import Settings
from feefifod.errors import ConfigError, Refused


def set_value(file: Path, key: str, text: str, environ: Mapping[str, str]) -> bool:
    """Set one dotted key in a file; the file changes only when the result is valid, and at once or not at all.

    Args:
        file: an existing configuration file.
        key: such as `watch.settle_seconds`.
        text: the value as typed; lists as JSON or with commas.
        environ: to recognise API keys.

    Returns:
        Whether comments and order were kept; they are lost where the key does not stand on a line of its own.

    Raises:
        ConfigError: the key, the value or the result is wrong.
        Refused: the file cannot be written.
    """
    old = read_file(file)
    values = parse(old, file)
    path = resolve(tuple(key.strip("\"'").split(".")), known=with_defaults(values), where="KEY")
    if is_table(path):
        raise ConfigError(f"{write_path(path)} is a table", where="KEY", remedy="Set one of the keys in it")
    wanted = merge(values, read_text(path, text, where="VALUE"))
    check_file(wanted, environ, file)
    origins = {write_path(found): f"{file}:{line}" for line, found, _ in locate_lines(old)} | {
        write_path(path): "VALUE"
    }
    build_settings(wanted, origins, file.parent)
    value = text if is_secret(path) else _find(Settings(**wanted).model_dump(mode="json", exclude_unset=True), path)
    wanted = merge(values, _nest(path, value))
    new = _edit(old, path, value)
    kept = _parses_to(new, wanted)
    replace_file(file, new if kept else tomli_w.dumps(wanted))
    return kept


def replace_file(file: Path, text: str) -> None:
    """Write a file at once or not at all; an existing one keeps its mode and, where allowed, its owner.

    Raises:
        Refused: the folder or the disk does not let us.
    """
    target = file.resolve()
    try:
        before = target.stat() if target.exists() else None
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(text.encode())
                out.flush()
                # FAT and CIFS have neither modes nor owners.
                with contextlib.suppress(PermissionError):
                    os.fchmod(out.fileno(), before.st_mode & 0o7777 if before else 0o644)
                if before:
                    with contextlib.suppress(PermissionError):
                        os.fchown(out.fileno(), before.st_uid, before.st_gid)
                os.fsync(out.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # Not every file system can do that to a folder.
                os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Refused(f"cannot be written: {error.strerror}", where=str(file)) from None


def _edit(text: str, path: KeyPath, value: Any) -> str:
    """Write the key's line anew, or add one below its table's header, or a table at the end."""
    lines = text.split("\n")
    assignment = f"{write_path(path[-1:])} = {write_value(value)}"
    header = 0
    for number, found, sets in locate_lines(text):
        if sets and found == path:
            lines[number - 1] = _replace_value(lines[number - 1], value)
            return "\n".join(lines)
        if not sets and found == path[:-1]:
            header = number
    if header:
        lines.insert(header, assignment)
        return "\n".join(lines)
    return f"{text.rstrip()}\n\n[{write_path(path[:-1])}]\n{assignment}\n".lstrip()


def _replace_value(line: str, value: Any) -> str:
    """Replace what stands between the equals sign and the comment."""
    key, _, rest = line.partition("=")
    comment = ""
    for mark in re.finditer(r"\s*#", rest):
        if _parses(f"k = {rest[: mark.start()]}"):
            comment = rest[mark.start() :]
            break
    return f"{key.rstrip()} = {write_value(value)}{comment}"


def _parses(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _parses_to(text: str, values: Mapping[str, Any]) -> bool:
    return _parses(text) and tomllib.loads(text) == values


def _find(values: Any, path: KeyPath) -> Any:
    for part in path:
        values = values[part]
    return values


def _nest(path: KeyPath, value: Any) -> dict[str, Any]:
    for part in reversed(path):
        value = {part: value}
    nested: dict[str, Any] = value
    return nested
