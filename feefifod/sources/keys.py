"""API keys: from the environment or a systemd credential, never from the configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from feefifod.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feefifod.model import Source


def read_key(source: Source, environ: Mapping[str, str]) -> SecretStr:
    """Return the key of an API: `MASSIVE_API_KEY`, or the systemd credential `massive_api_key`.

    Raises:
        ConfigError: there is none, or what is there cannot be a key.
    """
    variable = f"{source.upper()}_API_KEY"
    key = _unquote(environ.get(variable, ""))
    place = variable
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    if not key and folder:
        path = Path(folder) / variable.lower()
        place = f"the credential {variable.lower()}"
        try:
            key = _unquote(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            key = ""
        except OSError as error:
            raise ConfigError(
                f"{place} cannot be read: {error.strerror}",
                where=str(path),
                remedy="Give the user that runs feefifod the right to read it",
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(
                f"{place} is no text in UTF-8", where=str(path), remedy="Write the key alone into it, as plain text"
            ) from None
    if not key:
        raise ConfigError(
            f"no API key for {source}: {variable} is not set",
            remedy=f"Set the environment variable {variable}, or give the systemd credential {variable.lower()}",
        )
    # Anything else cannot travel in a header; say so without showing it.
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"{place} holds characters that no API key has", remedy="Copy the key again")
    return SecretStr(key)


def _unquote(text: str) -> str:
    """Take off blanks, and the quotes that `docker run --env-file` and hand-written files leave around a value."""
    key = text.strip()
    for quote in "\"'":
        if len(key) > 1 and key[0] == key[-1] == quote:
            return key[1:-1].strip()
    return key
