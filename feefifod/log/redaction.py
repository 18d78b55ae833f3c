"""What must not reach a log or a terminal: secrets, and control characters in foreign text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

REDACTED: Final = "[redacted]"
SECRET_NAME: Final = re.compile(r"key|secret|token|password|authorization|dsn", re.IGNORECASE)
"""Names of values that are never shown."""

_USERINFO: Final = re.compile(r"(?<=://)([^\s/:@]*):[^\s/]+@")
_QUERY: Final = re.compile(r"([?&][^=&\s]*(?:key|secret|token|password)[^=&\s]*=)[^&\s]+", re.IGNORECASE)
_SHORTEST: Final = 4
"""Shorter values are no secrets, and hiding them would make every line unreadable."""

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 and C1 controls, direction marks and overrides, line separators, and undecodable bytes of file names."""

_known: set[str] = set()


def register_secret(value: str) -> None:
    """Keep a value out of everything that is logged from now on, also in its URL-encoded form."""
    if len(value.strip()) >= _SHORTEST:
        _known.update((value, quote(value, safe="")))


def redact(text: str) -> str:
    """Replace known secrets, and passwords in URLs."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return _QUERY.sub(rf"\1{REDACTED}", _USERINFO.sub(rf"\1:{REDACTED}@", text))


def redact_value(name: str, value: object) -> object:
    """Make a value fit for a log: nothing under a secret name, no known secret inside, and only plain types."""
    if value is None or isinstance(value, bool):
        return value
    if SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {redact(str(key)): redact_value(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(name, inner) for inner in value]
    return redact(value if isinstance(value, str) else repr(value) if isinstance(value, BaseException) else str(value))


def escape_controls(text: str, *, keep: str = "") -> str:
    """Write control characters as escapes, so that a file name can neither forge a line nor drive a terminal."""
    return _UNPRINTABLE.sub(lambda match: match[0] if match[0] in keep else repr(match[0])[1:-1], text)
