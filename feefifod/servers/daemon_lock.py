"""One daemon per state."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from feefifod.errors import ConfigError
from feefifod.servers.folder import explain_closed, prepare_state
from feefifod.servers.locks import is_locked, lock_briefly_contended

_READ_ATTEMPTS = 20


@dataclass(frozen=True)
class DaemonInfo:
    """The living daemon: its pid and since when it runs."""

    pid: int
    since: datetime


@contextmanager
def hold_daemon(state: Path) -> Iterator[None]:
    """Be the one daemon on this state.

    Raises:
        ConfigError: another one lives; names its pid and since when.
        Refused: the state folder cannot be used.
    """
    path = prepare_state(state) / "daemon.lock"
    descriptor = lock_briefly_contended(path, patience_seconds=0.5)
    if descriptor is None:
        other = read_daemon(state)
        who = (
            f"pid {other.pid}, since {other.since.isoformat(timespec='seconds')}"
            if other
            else "just starting or ending"
        )
        raise ConfigError(
            f"another feefifod daemon runs on this state: {who}",
            where=str(state),
            remedy="Stop it first, or give this one a configuration with another paths.state",
        )
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat()}).encode(), 0)
        yield
    finally:
        os.ftruncate(descriptor, 0)
        os.close(descriptor)


def read_daemon(state: Path) -> DaemonInfo | None:
    """Tell which daemon lives on this state; the lock is the proof of life, not the file.

    Raises:
        Refused: the state is closed to us.
    """
    path = state / "daemon.lock"
    for _ in range(_READ_ATTEMPTS):
        with explain_closed(state):
            if not is_locked(path):
                return None
        try:
            content = json.loads(path.read_bytes())
            return DaemonInfo(pid=int(content["pid"]), since=datetime.fromisoformat(content["since"]))
        except (ValueError, KeyError):
            # Locked, not yet written: a matter of microseconds.
            time.sleep(0.005)
    return None
