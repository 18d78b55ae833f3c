"""The password of an embedded server, in a file that nobody else can read."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

from feefifod.log import register_secret


class Password:
    """One password, remembered: a file that is lost while its server runs is written again as it was.

    Args:
        path: of the file.
        before: what stands before the password in its line, for programs that read such a file themselves.
    """

    def __init__(self, path: Path, before: str = "") -> None:
        self.path = path
        self._before = before
        self._known = ""

    def read(self) -> str:
        """Read it; empty when there is none."""
        with suppress(FileNotFoundError):
            self._known = self.path.read_text(encoding="ascii").strip().removeprefix(self._before)
        register_secret(self._known)
        return self._known

    def provide(self) -> str:
        """Read it, or make one."""
        password = self.read() or secrets.token_hex(24)
        if not self.path.exists():
            self.write(password)
        return password

    def write(self, password: str) -> None:
        """Replace the file."""
        temporary = self.path.with_suffix(".tmp")
        with open(temporary, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(f"{self._before}{password}\n")
        temporary.replace(self.path)
        self._known = password
        register_secret(password)


def digest(password: str) -> str:
    """Name a password, so that another one can be told from it; empty for none."""
    return hashlib.sha256(password.encode()).hexdigest()[:16] if password else ""
