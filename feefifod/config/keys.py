"""The names of the settings: walking them, finding the nearest right one, and reading values from text."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

from feefifod.config.settings import Settings
from feefifod.errors import ConfigError

KeyPath = tuple[str, ...]
KEYS_HINT = "API keys come from MASSIVE_API_KEY and FINNHUB_API_KEY, or from a systemd credential, never from a file"
SECRET_WORDS = ("apikey", "key", "token", "secret", "credential", "authorization")


def resolve(path: KeyPath, *, known: Mapping[str, Any] | None = None, where: str) -> KeyPath:
    """Find the key that `path` means, in its right case.

    Args:
        path: parts as written; of a variable, in whatever case.
        known: values read before, whose free names (databases) are matched without regard to case.
        where: file or variable, for the error.

    Raises:
        ConfigError: there is no such key; names the nearest right one.
    """
    owner: Any = Settings
    right: list[str] = []
    for part in path:
        names = names_in(owner)
        if names is None:
            names = [*known] if known else []
            match = next((name for name in names if name.casefold() == part.casefold()), part)
        else:
            match = next((name for name in names if name.casefold() == part.casefold()), "")
            if not match:
                raise unknown_key((*right, part), where=where)
        right.append(match)
        inner = known.get(match) if known else None
        known = inner if isinstance(inner, Mapping) else None
        owner = type_of(owner, match)
    return tuple(right)


def names_in(owner: Any) -> list[str] | None:
    """List the names allowed in a table; None when any name is, and an empty list when it is no table."""
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        return list(owner.model_fields)
    if get_origin(owner) is dict:
        kind = get_args(owner)[0]
        return [str(member.value) for member in kind] if issubclass(kind, Enum) else None
    return []


def type_of(owner: Any, name: str) -> Any:
    """Find the type of what stands at `name` in a table."""
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        return owner.model_fields[name].annotation
    return get_args(owner)[0 if get_origin(owner) is tuple else 1]


def is_table(path: KeyPath) -> bool:
    """Tell whether an existing key holds further keys."""
    return names_in(_owner_of(path)) != []


def is_secret(path: KeyPath) -> bool:
    """Tell whether the value of an existing key must not be shown."""
    return _owner_of(path) is SecretStr


def check_names(values: object, *, where: str, owner: Any = Settings, above: KeyPath = ()) -> None:
    """Check every name in nested values, lists of tables included.

    Raises:
        ConfigError: a key that does not exist; names the nearest right one.
    """
    if isinstance(values, list) and get_origin(owner) is tuple:
        for number, item in enumerate(values):
            check_names(item, where=where, owner=get_args(owner)[0], above=(*above, str(number)))
    names = names_in(owner)
    if not isinstance(values, dict) or names == []:
        return
    for name, value in values.items():
        if names is not None and name not in names:
            raise unknown_key((*above, name), where=where, allowed=names)
        check_names(value, where=where, owner=type_of(owner, name), above=(*above, name))


def unknown_key(path: KeyPath, *, where: str, allowed: list[str] | None = None) -> ConfigError:
    """Make the error for a key that does not exist."""
    dotted = ".".join(path)
    if any(word in path[-1].lower().replace("_", "") for word in SECRET_WORDS):
        return ConfigError(f"unknown key {dotted!r}", where=where, remedy=KEYS_HINT)
    if allowed is None:
        allowed = names_in(_owner_of(path[:-1])) or []
    nearest = difflib.get_close_matches(path[-1].lower(), allowed, 1)
    if nearest:
        hint = f"Did you mean {'.'.join((*path[:-1], nearest[0]))!r}?"
    else:
        elsewhere = [key for key in leaf_keys() if path[-1] in key.split(".")]
        elsewhere = elsewhere or difflib.get_close_matches(dotted, leaf_keys(), 1)
        hint = f"Did you mean {elsewhere[0]!r}?" if elsewhere else ""
    options = f"Allowed in [{'.'.join(path[:-1])}]" if path[:-1] else "Allowed at the top"
    return ConfigError(
        f"unknown key {dotted!r}", where=where, remedy=f"{hint} {options}: {', '.join(allowed) or 'nothing'}".strip()
    )


def _owner_of(path: KeyPath) -> Any:
    owner: Any = Settings
    for part in path:
        owner = type_of(owner, part)
    return owner


def leaf_keys() -> list[str]:
    """List all dotted keys, with the database `questdb` standing for any."""
    return list(_leaves_of(Settings, ()))


def _leaves_of(owner: Any, above: KeyPath) -> Iterator[str]:
    names = names_in(owner)
    for name in ["questdb"] if names is None else names:
        yield from _leaves_of(type_of(owner, name), (*above, name))
    if names == []:
        yield ".".join(above)


def flatten(values: Mapping[str, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield every value that is not a table, with its path; an empty table has none."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, (*above, str(name)))
        else:
            yield (*above, str(name)), value


def read_text(path: KeyPath, text: str, *, where: str) -> dict[str, Any]:
    """Read the value of one key from text, as the environment and the command line give it.

    Numbers and booleans stay text, which validation reads; lists may be JSON or separated by commas.

    Returns:
        Nested tables with this one value.

    Raises:
        ConfigError: the key needs JSON, and this is none.
    """
    from feefifod.config.text import TextSource  # noqa: PLC0415 - 0.15 s that only a variable or `config set` needs

    is_list = get_origin(_owner_of(path)) is tuple
    try:
        return TextSource(path, "[]" if is_list and not text.strip() else text)()
    except ValueError as error:
        cause = error.__cause__ if isinstance(error.__cause__, json.JSONDecodeError) else "not JSON"
        raise ConfigError(
            f"cannot read the value of {'.'.join(path)}: {cause}", where=where, remedy="Write it as JSON"
        ) from None
