"""Who uses the pair: one locked file per user, so that a killed user is gone at once."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from feefifod.servers.locks import is_locked, try_lock


class Seat:
    """The sign that this process uses the pair, until `leave` or its end."""

    def __init__(self, folder: Path) -> None:
        token = f"{os.getpid()}.{secrets.token_hex(4)}"
        hidden = folder / f".{token}"
        self._path = folder / token
        descriptor = try_lock(hidden)
        if descriptor is None:  # pragma: no cover - the name is ours alone
            raise AssertionError(hidden)
        self._descriptor = descriptor
        # Visible only once it is locked: a visible file without a lock is always a dead user's.
        hidden.rename(self._path)

    def leave(self) -> None:
        """Give the seat up."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def list_users(folder: Path) -> tuple[int, ...]:
    """List the pids of the living users, one for each use, in order."""
    try:
        names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except FileNotFoundError:
        return ()
    return tuple(sorted(int(name.partition(".")[0]) for name in names if is_locked(folder / name)))


def sweep_dead(folder: Path) -> None:
    """Remove what killed users left. Only for the holder of the transition lock."""
    for path in folder.iterdir():
        if not is_locked(path):
            path.unlink(missing_ok=True)
