"""What all sections of the configuration share."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65535)]
MiB = 1024 * 1024


class Section(BaseModel):
    """A frozen part of the configuration that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def split_url(url: str, schemes: tuple[str, ...], *, expected: str) -> SplitResult:
    """Take a URL apart; the errors never repeat it, because it may hold a password.

    Raises:
        ValueError: another scheme, no host, or a port that is none.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        raise ValueError(f"must be {expected}")
    return parts
