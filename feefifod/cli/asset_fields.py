"""What people may write into the fields of an asset, and how an asset is shown."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from feefifod.errors import ConfigError
from feefifod.log import escape_controls

if TYPE_CHECKING:
    from feefifod.model import Asset

_TICKER_LENGTH: Final = 32
_TEXT_LENGTH: Final = 1000
_QUOTE: Final = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,31}")


def check_ticker(text: str) -> str:
    """Return a ticker as it was given: case counts (`KIMpL`, `BRK.B`).

    Raises:
        ConfigError: it is empty, too long, or holds blanks or unprintable characters.
    """
    if not text or len(text) > _TICKER_LENGTH or not text.isprintable() or any(letter.isspace() for letter in text):
        raise _wrong("ticker", text, f"must be 1 to {_TICKER_LENGTH} printable characters without blanks")
    return text


def check_quote(text: str) -> str:
    """Return a quote currency in upper case.

    Raises:
        ConfigError: it is no currency code.
    """
    code = text.upper()
    if not _QUOTE.fullmatch(code):
        raise _wrong("quote currency", text, "must be a code such as USD: letters, digits, dot, dash, underscore")
    return code


def check_name(text: str) -> str:
    """Return a name without blanks around it.

    Raises:
        ConfigError: it is empty, too long, or unprintable.
    """
    name = text.strip()
    if not name:
        raise _wrong("name", text, "must not be empty")
    return _check_text("name", name)


def check_description(text: str) -> str:
    """Return a description without blanks around it; it may be empty.

    Raises:
        ConfigError: it is too long or unprintable.
    """
    return _check_text("description", text.strip())


def _check_text(field: str, text: str) -> str:
    if len(text) > _TEXT_LENGTH or not text.isprintable():
        raise _wrong(field, text, f"must be at most {_TEXT_LENGTH} printable characters on one line")
    return text


def _wrong(field: str, text: str, rule: str) -> ConfigError:
    return ConfigError(f"the {field} {escape_controls(repr(text[:40]))} {rule}")


def describe_asset(asset: Asset) -> dict[str, Any]:
    """Return an asset as one JSON object."""
    return {name: value if isinstance(value, bool | int) else str(value) for name, value in asdict(asset).items()}
