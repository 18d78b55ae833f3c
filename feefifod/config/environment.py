"""What of the environment does not count: where servers are, and how to speak to them, stands in their URLs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

_KEPT: Final = frozenset({"PGPASSWORD", "PGPASSFILE"})
"""The two ways to keep a password out of a configuration that every program of PostgreSQL knows."""

_withheld: dict[str, str] = {}


def withhold_postgres_variables() -> None:
    """Take the variables of libpq out of this process.

    The driver reads them for each new connection, and some cannot be overridden: `PGSSLMODE=require`, meant for another
    server, would keep us out of ours.
    """
    for name in [name for name in os.environ if name.startswith("PG") and name not in _KEPT]:
        _withheld[name] = os.environ.pop(name)


def whole_environment() -> Mapping[str, str]:
    """Return the environment as we were given it, for programs that the user lets us start."""
    return {**_withheld, **os.environ}
