"""Finding, reading and checking the configuration; every error names its place and what is allowed there."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from feefifod.config.document import locate_lines, parse, read_file, write_path
from feefifod.config.keys import KEYS_HINT, KeyPath, check_names, flatten, is_secret, read_text, resolve
from feefifod.config.settings import PathSettings, Settings
from feefifod.errors import ConfigError

PREFIX: Final = "FEEFIFOD__"
FILE_VARIABLE: Final = "FEEFIFOD_CONFIG"
LOCAL_FILE: Final = Path("config.toml")
SYSTEM_FILE: Final = Path("/etc/feefifod/config.toml")
_KEY_VARIABLES: Final = ("MASSIVE_API_KEY", "FINNHUB_API_KEY")
_KEY_LIKE: Final = re.compile(r"(?=(?:[^0-9]*[0-9]){3})(?=(?:[^A-Za-z]*[A-Za-z]){3})[A-Za-z0-9]{20,}")
_UNION_MEMBER: Final = re.compile(r"(\w+-)?enum\b|literal|\[key\]$")
_PLAINLY: Final = {
    "missing": "is missing",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "tuple_type": "must be a list",
    "bool_parsing": "must be true or false",
}
_CHOICE: Final = re.compile(r"'([^']+)'")
_FREE_TEXT: Final = {"paths", "table", "import_dir", "tls_ca", "name", "url", "listen"}


@dataclass(frozen=True)
class Loaded:
    """A configuration and where it came from.

    Attributes:
        settings: checked, all paths absolute.
        file: the file that was read, None when there was none.
        base: the folder that relative paths are relative to.
        origins: for each dotted key that is not at its default, `FILE:LINE` or the variable's name.
    """

    settings: Settings
    file: Path | None
    base: Path
    origins: Mapping[str, str] = field(default_factory=dict)


def load(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Loaded:
    """Read the configuration: the file first, then the environment over it.

    Args:
        path: from `--config`; else $FEEFIFOD_CONFIG, ./config.toml, /etc/feefifod/config.toml, or only defaults.
        environ: its variables FEEFIFOD__SECTION__KEY override the file.
        cwd: the folder that the command was called in.

    Raises:
        ConfigError: a file, key or value is wrong; names the place, the nearest right one and what is allowed.
    """
    file = find_file(path, environ, cwd)
    text = read_file(file) if file else ""
    base = file.parent if file else cwd
    values = parse(text, file) if file else {}
    origins: dict[str, str] = {}
    if file:
        check_file(values, environ, file)
        origins = {write_path(key): str(file) for key, _ in flatten(values)}
        origins |= {write_path(key): f"{file}:{line}" for line, key, _ in locate_lines(text)}
    for variable, value in sorted(environ.items()):
        if not variable.upper().startswith(PREFIX):
            continue
        meant = resolve(tuple(variable[len(PREFIX) :].lower().split("__")), known=with_defaults(values), where=variable)
        over = read_text(meant, value, where=variable)
        check_names(over, where=variable)
        values = merge(values, over)
        for key in (write_path(found) for found, _ in flatten(over)):
            origins = {name: origin for name, origin in origins.items() if not name.startswith(f"{key}.")}
            origins[key] = variable
    return Loaded(build_settings(values, origins, base), file, base, origins)


def find_file(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Find the configuration file; None when none is asked for and none lies in the usual places."""
    if path is not None:
        return cwd / path
    if environ.get(FILE_VARIABLE):
        return cwd / environ[FILE_VARIABLE]
    return next((file for file in (cwd / LOCAL_FILE, SYSTEM_FILE) if file.exists()), None)


def with_defaults(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add the free name that is always there."""
    return merge({"databases": {"questdb": {}}}, values)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay nested values over others, table by table."""
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        merged[name] = merge(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged


def build_settings(values: Mapping[str, Any], origins: Mapping[str, str], base: Path) -> Settings:
    """Turn nested values into settings with absolute folders.

    Raises:
        ConfigError: a value is wrong; `origins` tells where it stands.
    """
    try:
        return _make_absolute(Settings(**values), base, origins)
    except ValidationError as error:
        raise _explain(error, origins) from None


def _explain(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    """Make one error of pydantic's list: the first in full, the others by name. Secret values are not repeated."""
    wrong: dict[KeyPath, list[Any]] = {}
    for detail in error.errors(include_url=False):
        parts = tuple(str(part) for part in detail["loc"])
        end = next((number for number, part in enumerate(parts) if _UNION_MEMBER.match(part)), len(parts))
        wrong.setdefault(parts[:end], []).append(detail)
    path, details = next(iter(wrong.items()))
    given = details[0]["input"]
    why = " or ".join(dict.fromkeys(map(_say, details)))
    if details[0]["type"] not in ("missing", "value_error") and _is_showable(path, given):
        why += f", not {str(given)[:80]!r}"
    if len(wrong) > 1:
        why += f" (also wrong: {', '.join(map(write_path, [*wrong][1:]))})"
    allowed = [
        choice for detail in details for choice in _CHOICE.findall(str(detail.get("ctx", {}).get("expected", "")))
    ]
    near = difflib.get_close_matches(str(given).upper(), [choice.upper() for choice in allowed], 1)
    remedy = f"Did you mean {next(choice for choice in allowed if choice.upper() == near[0])!r}?" if near else ""
    return ConfigError(f"{write_path(path)} {why}", where=_place(path, origins), remedy=remedy)


def _is_showable(path: KeyPath, value: object) -> bool:
    """Tell whether an error may repeat a value: no secret, and no URL, which may hold one."""
    return isinstance(value, str | int | float) and not is_secret(path) and "://" not in str(value)


def _say(detail: Any) -> str:
    message = str(detail["msg"])
    if detail["type"] == "value_error":
        return message.removeprefix("Value error, ")
    return _PLAINLY.get(detail["type"]) or message.replace("Input should", "must", 1)


def _place(path: KeyPath, origins: Mapping[str, str]) -> str:
    """Find where a key was set, or the nearest key around or below it."""
    for length in range(len(path), 0, -1):
        start = write_path(path[:length])
        below = (origin for key, origin in origins.items() if key.startswith(f"{start}."))
        if place := origins.get(start) or next(below, ""):
            return place
    return "configuration"


def check_file(values: Mapping[str, Any], environ: Mapping[str, str], file: Path) -> None:
    """Check a file's names, and that it holds no API key: files are copied, committed and shown around.

    Raises:
        ConfigError: an unknown key, or an API key.
    """
    check_names(values, where=str(file))
    api_keys = {environ[name] for name in _KEY_VARIABLES if environ.get(name)}
    for path, value in flatten(values):
        guessed = not (_FREE_TEXT.intersection(path) or is_secret(path))
        if any(text in api_keys or (guessed and _KEY_LIKE.fullmatch(text)) for text in _strings_in(value)):
            raise ConfigError(f"{write_path(path)} looks like an API key", where=str(file), remedy=KEYS_HINT)


def _strings_in(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [text for item in value for text in _strings_in(item)] if isinstance(value, list) else []


def _make_absolute(settings: Settings, base: Path, origins: Mapping[str, str]) -> Settings:
    """Resolve all folders against `base`, and refuse folders that would feed the watched one its own output."""
    paths = settings.paths
    folders = {name: _resolve_folder(base, str(getattr(paths, name))) for name in type(paths).model_fields}
    paths = paths.model_copy(update=folders)
    if overlap := find_overlap(paths):
        name, why = overlap
        raise ConfigError(why, where=_place(("paths", name), origins), remedy="Choose a folder beside it")
    databases = {
        name: database.model_copy(
            update={
                key: value and str(_resolve_folder(base, value))
                for key, value in (("import_dir", database.import_dir), ("tls_ca", database.tls_ca))
            }
        )
        for name, database in settings.databases.items()
    }
    return settings.model_copy(update={"paths": paths, "databases": databases})


def find_overlap(paths: PathSettings) -> tuple[str, str] | None:
    """Find folders that would feed each other: returns the key of one and what is wrong; None when nothing is.

    Symbolic links are followed: it is the folders that must not overlap, however they are spelled.
    """
    real = {name: Path(os.path.realpath(getattr(paths, name))) for name in type(paths).model_fields}
    data, state = real["data"], real["state"]
    for name in ("ingested", "rejected", "state"):
        if real[name].is_relative_to(data):
            return name, f"paths.{name} lies inside paths.data, which is watched: {getattr(paths, name)}"
    for kind in ("ohlcv", "zips"):
        for name in ("data", "rejected"):
            if real[name].is_relative_to(real["ingested"] / kind):
                return name, f"paths.{name} lies where finished files go: {getattr(paths, name)}"
    for part in ("scratch", "questdb", "postgres", "servers"):
        for name in ("data", "ingested", "rejected"):
            if real[name].is_relative_to(state / part):
                return name, f"paths.{name} lies where feefifod makes and removes its own files: {state / part}"
    return None


def _resolve_folder(base: Path, folder: str) -> Path:
    try:
        return Path(os.path.normpath(base / Path(folder).expanduser()))
    except RuntimeError as error:
        raise ConfigError(f"{folder!r} has no home folder: {error}", where="paths") from None
