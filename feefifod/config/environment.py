"""What of the environment does not count: where servers are, and how to speak to them, stands in their URLs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

_KEPT: Final = frozenset({"PGPASSWORD", "PGPASSFILE"})
"""The two ways to keep a password out of a configuration that every program of PostgreSQL knows."""
_PROXIES: Final = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"})

_withheld: dict[str, str] = {}


def withhold_postgres_variables() -> None:
    """Take the variables of libpq out of this process.

    The driver reads them for each new connection, and some cannot be overridden: `PGSSLMODE=require`, meant for another
    server, would keep us out of ours.
    """
    _withhold(lambda name: name.startswith("PG") and name not in _KEPT)


def withhold_proxies() -> None:
    """Take the proxies out of this process: QuestDB's client would ask them for a server on this very machine."""
    _withhold(lambda name: name.upper() in _PROXIES)


def _withhold(is_meant: Callable[[str], bool]) -> None:
    for name in filter(is_meant, list(os.environ)):
        _withheld[name] = os.environ.pop(name)


@contextmanager
def proxies() -> Iterator[None]:
    """Put the proxies back for a while: what is fetched from the internet may need them."""
    mine = {name: value for name, value in _withheld.items() if name.upper() in _PROXIES}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)


def whole_environment() -> Mapping[str, str]:
    """Return the environment as we were given it, for programs that the user lets us start."""
    return {**_withheld, **os.environ}
