"""Errors are decisions.

    FeefifodError
    ├── BadInput      refuse the file or the row, say why, go on
    ├── Unavailable   a server or the network is away: retry with backoff
    ├── Refused       stop: the request cannot be done as it stands (exit 1)
    └── ConfigError   stop: wrong usage or configuration (exit 2)

Each says where, why and what to do.
"""

from __future__ import annotations

import re
from typing import Final

_LINE_BREAK: Final = re.compile(r"\s*[\r\n]+\s*")


class FeefifodError(Exception):
    """The root of feefifod's own errors.

    Args:
        why: what is wrong, one sentence without a final full stop.
        where: file, line, column, URL without secrets, or setting; empty when it is obvious.
        remedy: what the reader can do about it; empty when nothing can be done.
    """

    def __init__(self, why: str, *, where: str = "", remedy: str = "") -> None:
        # Servers and libraries answer in several lines, and an error is one.
        self.why = _LINE_BREAK.sub(" ", why.strip())
        self.where = where
        self.remedy = _LINE_BREAK.sub(" ", remedy.strip())
        super().__init__(self.why)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        stop = "" if self.why.endswith((".", "?", "!")) else "."
        remedy = f"{stop} {self.remedy}" if self.remedy else ""
        return f"{place}{self.why}{remedy}"


class BadInput(FeefifodError):
    """The file or row is refused; everything else goes on."""


class Unavailable(FeefifodError):
    """Something outside is away for now; trying again later can succeed.

    Args:
        retry_after_seconds: how long the other side asked us to wait, or None.
    """

    def __init__(
        self, why: str, *, where: str = "", remedy: str = "", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(why, where=where, remedy=remedy)
        self.retry_after_seconds = retry_after_seconds


class Refused(FeefifodError):
    """The request cannot be carried out as it stands."""


class ConfigError(FeefifodError):
    """The command line or the configuration is wrong."""
