"""Telling systemd how the daemon is doing; without systemd every message goes nowhere, and nothing else differs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Final

import sdnotify

_LONGEST_STATUS: Final = 300
_SEND_TIMEOUT_SECONDS: Final = 1.0


def is_under_systemd(environ: Mapping[str, str]) -> bool:
    """Tell whether systemd itself started this process; what it started may start others with the same environment."""
    return bool(environ.get("NOTIFY_SOCKET")) or environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())


class Notifier:
    """The messages of sd_notify(3); sending never fails and never waits long."""

    def __init__(self) -> None:
        """Connect to the socket that systemd names in NOTIFY_SOCKET, if it started us."""
        self._systemd: sdnotify.SystemdNotifier | None = None
        if os.environ.get("NOTIFY_SOCKET"):
            self._systemd = sdnotify.SystemdNotifier()
            if self._systemd.socket is not None:
                self._systemd.socket.settimeout(_SEND_TIMEOUT_SECONDS)

    def ready(self) -> None:
        """Say that the daemon serves; also ends a reload."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Say in one line what the daemon is doing; `systemctl status` shows it."""
        # A newline would end the field: a file name could then forge other messages.
        line = "".join(character if character.isprintable() else "?" for character in text)
        self._send(f"STATUS={line[:_LONGEST_STATUS]}")

    def stopping(self) -> None:
        """Say that the daemon drains and will exit."""
        self._send("STOPPING=1")

    def extend(self, seconds: float) -> None:
        """Ask for this much more time to start, reload or stop, from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}")

    def watchdog(self) -> None:
        """Say that the daemon makes progress."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """Say that the configuration is read again; `ready` must follow.

        The time is needed: a systemd that sees a reload without it waits until it gives up.
        """
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def close(self) -> None:
        """Close the socket."""
        if self._systemd is not None and self._systemd.socket is not None:
            self._systemd.socket.close()

    def _send(self, state: str) -> None:
        if self._systemd is not None:
            # sdnotify encodes as Latin-1; this way the bytes that leave are UTF-8, as systemd wants them.
            self._systemd.notify(state.encode().decode("latin-1"))
